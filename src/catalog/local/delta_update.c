/*
 * delta_update.c: UpdateTableRequest: a table's commit and what goes with it, in one step.
 *
 * The commit comes first: where it turns out to be one that was ratified before, the answer is the table as it is, and
 * nothing else of the request counts, not even its etag: the first time it was met.
 */
#include "catalog/local/local_delta.h"

#include "catalog/local/commits.h"
#include "catalog/local/delta_columns.h"
#include "catalog/local/delta_contract.h"
#include "catalog/local/local_delta_internal.h"
#include "catalog/local/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum action {
    SET_COLUMNS,
    SET_PARTITION_COLUMNS,
    SET_PROTOCOL,
    SET_PROPERTIES,
    REMOVE_PROPERTIES,
    SET_DOMAINS,
    REMOVE_DOMAINS,
    SET_COMMENT,
    SET_SNAPSHOT_VERSION,
    ADD_COMMIT,
    SET_PUBLISHED,
    ACTION_COUNT
} action;

/* In the order in which they are applied, whatever the request's is. */
static const char *const action_names[ACTION_COUNT] = {
    "set-columns",         "set-partition-columns",  "set-protocol",      "set-properties",
    "remove-properties",   "set-domain-metadata",    "remove-domain-metadata", "set-table-comment",
    "update-metadata-snapshot-version", "add-commit", "set-latest-backfilled-version"};

/* A request, and the table that it is about. */
typedef struct update {
    yyjson_val *actions[ACTION_COUNT]; /* NULL for what is not asked */
    const char *uuid, *etag;
    ist__commit commit;
    int64_t published; /* negative where the request does not say */

    char id[37];
    bool managed;
    int64_t updated_at;
    char *columns, *comment; /* malloc; NULL for what stays */
    char *old_columns;
    yyjson_mut_doc *doc;
    yyjson_mut_val *properties;
    bool sets_properties, changes_metadata; /* the first without the second: a high-water mark moves with every commit */
} update;

static void update_free(update *u)
{
    free(u->columns);
    free(u->comment);
    free(u->old_columns);
    yyjson_mut_doc_free(u->doc);
}

/* Read ------------------------------------------------------------------------------------------------------------- */

static ist_status collect_actions(update *u, yyjson_val *list, ist_error *err)
{
    yyjson_val *one;
    size_t i, count;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "At least one update is required.");
    yyjson_arr_foreach(list, i, count, one) {
        const char *name = yyjson_get_str(yyjson_obj_get(one, "action"));
        int found = 0;
        while (found < ACTION_COUNT && (!name || strcmp(action_names[found], name) != 0))
            found++;
        if (found == ACTION_COUNT)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Unknown update action: %.100s", name ? name : "null");
        if (u->actions[found])
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "At most one %s is allowed per request.", name);
        u->actions[found] = one;
    }
    return IST_OK;
}

static ist_status collect_requirements(update *u, yyjson_val *list, ist_error *err)
{
    yyjson_val *one;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, one) {
        const char *type = yyjson_get_str(yyjson_obj_get(one, "type"));
        bool uuid = type && strcmp(type, "assert-table-uuid") == 0, etag = type && strcmp(type, "assert-etag") == 0;
        if (!uuid && !etag)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Unknown requirement type: %.100s",
                                 type ? type : "null");
        if (uuid ? u->uuid != NULL : u->etag != NULL)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "At most one %s is allowed per request.", type);
        IST_TRY(ist__json_text(one, uuid ? "uuid" : "etag", true, uuid ? &u->uuid : &u->etag, err));
    }
    /* Without it a client that has an old name would commit to the table that has it now. */
    if (!u->uuid)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "assert-table-uuid requirement is required.");
    return ist__uuid_check(u->uuid, err);
}

/* Nothing is both set and removed. */
static ist_status check_overlap(yyjson_val *set, yyjson_val *removed, const char *what, ist_error *err)
{
    yyjson_val *one;
    size_t i, count;
    yyjson_arr_foreach(removed, i, count, one) {
        yyjson_val *both = yyjson_is_str(one) ? yyjson_obj_get(set, yyjson_get_str(one)) : NULL;
        if (both && !yyjson_is_null(both))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is both set and removed: %.200s", what,
                                 yyjson_get_str(one));
    }
    return IST_OK;
}

static ist_status read_commit(update *u, ist_error *err)
{
    u->published = -1;
    if (u->actions[ADD_COMMIT])
        IST_TRY(ist__commit_read(yyjson_obj_get(u->actions[ADD_COMMIT], "commit"), IST__COMMIT_KEBAB, &u->commit, err));
    if (!u->actions[SET_PUBLISHED])
        return IST_OK;
    yyjson_val *published = yyjson_obj_get(u->actions[SET_PUBLISHED], "latest-published-version");
    if (!yyjson_is_int(published) || yyjson_get_sint(published) < 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "set-latest-backfilled-version requires latest-published-version.");
    u->published = yyjson_get_sint(published);
    return IST_OK;
}

static ist_status read_update(update *u, yyjson_val *body, ist_error *err)
{
    IST_TRY(collect_actions(u, yyjson_obj_get(body, "updates"), err));
    IST_TRY(collect_requirements(u, yyjson_obj_get(body, "requirements"), err));
    IST_TRY(check_overlap(yyjson_obj_get(u->actions[SET_PROPERTIES], "updates"),
                          yyjson_obj_get(u->actions[REMOVE_PROPERTIES], "removals"), "the property", err));
    IST_TRY(check_overlap(yyjson_obj_get(u->actions[SET_DOMAINS], "updates"),
                          yyjson_obj_get(u->actions[REMOVE_DOMAINS], "domains"), "the domain", err));
    return read_commit(u, err);
}

static ist_status read_table(update *u, ist__session *session, ist__db *db, const ist__name *name, ist_error *err)
{
    ist__chain chain;
    sqlite3_stmt *row;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_TABLE, name, IST__ACTION_COMMIT, &chain, err));
    snprintf(u->id, sizeof u->id, "%s", ist__chain_id(&chain));
    IST_TRY(ist__db_run(db,
                        "SELECT table_type, data_source_format, updated_at, columns, properties FROM tables"
                        " WHERE id = ?1",
                        &row, err, "t", u->id));
    const char *format = ist__column_text(row, 1), *properties = ist__column_text(row, 4);
    if (!format || strcmp(format, "DELTA") != 0)
        return ist__uc_error(err, IST__UC_UNSUPPORTED_TABLE_FORMAT, "Table is not a Delta table: %s.%s.%s",
                             name->part[0], name->part[1], name->part[2]);
    u->managed = strcmp(ist__column_text(row, 0), "MANAGED") == 0;
    u->updated_at = sqlite3_column_int64(row, 2);
    IST_TRY(ist__strdup(ist__column_text(row, 3), &u->old_columns, err));
    yyjson_doc *in = yyjson_read(properties, strlen(properties), 0);
    u->doc = yyjson_doc_mut_copy(in, NULL);
    yyjson_doc_free(in);
    if (!u->doc)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for properties");
    u->properties = yyjson_mut_doc_get_root(u->doc);
    return IST_OK;
}

/* Apply ------------------------------------------------------------------------------------------------------------ */

/* The columns as they will be, of the request or as they are; and the partition columns, likewise. */
static ist_status apply_columns(update *u, ist_error *err)
{
    yyjson_val *set = u->actions[SET_COLUMNS], *partition = u->actions[SET_PARTITION_COLUMNS];
    ist_buffer read = IST_BUFFER_INIT, partitioned = IST_BUFFER_INIT, wrapped = IST_BUFFER_INIT, kept = IST_BUFFER_INIT;
    yyjson_doc *names = NULL, *whole = NULL;
    yyjson_val *list = partition ? yyjson_obj_get(partition, "partition-columns") : NULL;
    ist_status status = IST_OK;
    if (!set && !partition)
        return IST_OK;
    if (partition && !yyjson_is_arr(list))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "set-partition-columns requires a partition-columns list.");
    if (set)
        IST_TRY_GOTO(ist__delta_columns_read(yyjson_obj_get(set, "columns"), &read, err));
    if (!partition) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(doc, ist__delta_columns_partitions(doc, u->old_columns));
        IST_TRY_GOTO(ist__json_finish(doc, &kept, err));
        names = yyjson_read(kept.data, kept.size, 0);
        list = yyjson_doc_get_root(names);
    }
    IST_TRY_GOTO(ist__delta_columns_partition(set ? read.data : u->old_columns, list, &partitioned, err));
    IST_TRY_GOTO(ist_buffer_printf(&wrapped, err, "{\"columns\":%s}", partitioned.data));
    whole = yyjson_read(wrapped.data, wrapped.size, 0);
    status = ist__json_columns(yyjson_doc_get_root(whole), &u->columns, err);
    u->changes_metadata = true;
done:
    yyjson_doc_free(names);
    yyjson_doc_free(whole);
    ist_buffer_free(&read);
    ist_buffer_free(&partitioned);
    ist_buffer_free(&wrapped);
    ist_buffer_free(&kept);
    return status;
}

static ist_status set_properties(update *u, yyjson_val *updates, ist_error *err)
{
    yyjson_val *key, *value;
    size_t i, count;
    if (updates && !yyjson_is_null(updates) && !yyjson_is_obj(updates))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "set-properties: updates is not an object");
    yyjson_obj_foreach(updates, i, count, key, value) {
        if (!yyjson_is_str(value))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "set-properties: the value of '%.100s' is not a string",
                                 yyjson_get_str(key));
        ist__delta_property_set(u->doc, u->properties, yyjson_get_str(key), yyjson_get_str(value));
    }
    return IST_OK;
}

static ist_status remove_properties(update *u, yyjson_val *removals, ist_error *err)
{
    yyjson_val *key;
    size_t i, count;
    if (!yyjson_is_arr(removals))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "remove-properties: removals is not an array");
    yyjson_arr_foreach(removals, i, count, key)
        yyjson_mut_obj_remove_str(u->properties, yyjson_is_str(key) ? yyjson_get_str(key) : "");
    return IST_OK;
}

static ist_status remove_domains(update *u, yyjson_val *list, ist_error *err)
{
    yyjson_val *domain;
    size_t i, count;
    if (!yyjson_is_arr(list))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "remove-domain-metadata: domains is not an array");
    yyjson_arr_foreach(list, i, count, domain) {
        const char *property = yyjson_is_str(domain) ? ist__delta_domain_property(yyjson_get_str(domain)) : NULL;
        if (!property)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Unknown domain in remove-domain-metadata: %.200s",
                                 yyjson_is_str(domain) ? yyjson_get_str(domain) : "(no text)");
        yyjson_mut_obj_remove_str(u->properties, property);
    }
    return IST_OK;
}

static ist_status set_domains(update *u, yyjson_val *updates, ist_error *err)
{
    int count;
    IST_TRY(ist__delta_domains_apply(u->doc, u->properties, updates, &count, err));
    if (count == 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "set-domain-metadata requires at least one domain entry."
                                                            " Supported domains: [delta.clustering, delta.rowTracking]");
    u->changes_metadata = u->changes_metadata || yyjson_is_obj(yyjson_obj_get(updates, "delta.clustering"));
    return IST_OK;
}

static ist_status set_snapshot_version(update *u, yyjson_val *snapshot, ist_error *err)
{
    yyjson_val *version = yyjson_obj_get(snapshot, "last-commit-version");
    yyjson_val *time = yyjson_obj_get(snapshot, "last-commit-timestamp-ms");
    if (u->managed)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "update-metadata-snapshot-version is only supported for EXTERNAL Delta tables;"
                             " a MANAGED table has add-commit");
    if (!yyjson_is_int(version) || !yyjson_is_int(time))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "update-metadata-snapshot-version requires"
                                                            " last-commit-version and last-commit-timestamp-ms.");
    ist__delta_property_set_number(u->doc, u->properties, IST__LAST_UPDATE_VERSION, yyjson_get_sint(version));
    ist__delta_property_set_number(u->doc, u->properties, IST__LAST_COMMIT_TIMESTAMP, yyjson_get_sint(time));
    return IST_OK;
}

static ist_status apply_properties(update *u, ist_error *err)
{
    yyjson_val *const *a = u->actions;
    if (a[SET_PROTOCOL])
        IST_TRY(ist__delta_protocol_apply(u->doc, u->properties, yyjson_obj_get(a[SET_PROTOCOL], "protocol"), err));
    if (a[SET_PROPERTIES])
        IST_TRY(set_properties(u, yyjson_obj_get(a[SET_PROPERTIES], "updates"), err));
    if (a[REMOVE_PROPERTIES])
        IST_TRY(remove_properties(u, yyjson_obj_get(a[REMOVE_PROPERTIES], "removals"), err));
    if (a[SET_DOMAINS])
        IST_TRY(set_domains(u, yyjson_obj_get(a[SET_DOMAINS], "updates"), err));
    if (a[REMOVE_DOMAINS])
        IST_TRY(remove_domains(u, yyjson_obj_get(a[REMOVE_DOMAINS], "domains"), err));
    if (a[SET_SNAPSHOT_VERSION])
        IST_TRY(set_snapshot_version(u, a[SET_SNAPSHOT_VERSION], err));
    bool metadata = a[SET_PROTOCOL] || a[SET_PROPERTIES] || a[REMOVE_PROPERTIES] || a[REMOVE_DOMAINS] ||
                    a[SET_SNAPSHOT_VERSION];
    u->changes_metadata = u->changes_metadata || metadata;
    u->sets_properties = metadata || a[SET_DOMAINS];
    return IST_OK;
}

/* What a managed table promised, it keeps. */
static ist_status check_managed(const update *u, ist_error *err)
{
    if (!u->managed)
        return IST_OK;
    if (u->actions[SET_PROTOCOL])
        return ist__delta_contract_check(yyjson_obj_get(u->actions[SET_PROTOCOL], "protocol"), u->properties, err);
    return u->actions[SET_DOMAINS] ? ist__delta_contract_check_domains(u->properties, err) : IST_OK;
}

static ist_status apply(update *u, ist_error *err)
{
    const char *comment;
    IST_TRY(apply_columns(u, err));
    IST_TRY(apply_properties(u, err));
    if (u->actions[SET_COMMENT]) {
        IST_TRY(ist__json_text(u->actions[SET_COMMENT], "comment", true, &comment, err));
        IST_TRY(ist__strdup(comment, &u->comment, err));
        u->changes_metadata = true;
    }
    IST_TRY(check_managed(u, err));
    if (!u->actions[ADD_COMMIT])
        return IST_OK;
    IST_TRY(ist__delta_check_uniform(u->properties, yyjson_obj_get(u->actions[ADD_COMMIT], "uniform"), err));
    if (u->changes_metadata) {
        ist__delta_property_set_number(u->doc, u->properties, IST__LAST_UPDATE_VERSION, u->commit.version);
        ist__delta_property_set_number(u->doc, u->properties, IST__LAST_COMMIT_TIMESTAMP, u->commit.timestamp);
        u->sets_properties = true;
    }
    return IST_OK;
}

static ist_status store(update *u, ist__session *session, ist__db *db, ist_error *err)
{
    if (!u->sets_properties && !u->changes_metadata)
        return IST_OK;
    char *properties = yyjson_mut_write(u->doc, 0, NULL);
    if (!properties)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for properties");
    ist_status status = ist__db_run(db,
                                    "UPDATE tables SET comment = coalesce(?2, comment), properties = ?3,"
                                    " columns = coalesce(?4, columns) WHERE id = ?1",
                                    NULL, err, "tttt", u->id, u->comment, properties, u->columns);
    free(properties);
    if (status == IST_OK && u->changes_metadata)
        status = ist__db_run(db, "UPDATE tables SET" IST__SET_TIME " WHERE id = ?1", NULL, err,
                             "tit", u->id, ist__now_ms(), session->who->name);
    return status;
}

static ist_status check_requirement(const char *name, const char *expected, const char *actual, ist_error *err)
{
    if (!expected || strcmp(expected, actual) == 0)
        return IST_OK;
    return ist__uc_error(err, IST__UC_UPDATE_REQUIREMENT_CONFLICT, "%s failed: expected %.100s but table has %s", name,
                         expected, actual);
}

static ist_status run(update *u, ist__session *session, ist__db *db, const ist__name *name, ist_buffer *out,
                      ist_error *err)
{
    char etag[40];
    bool replayed = false;
    IST_TRY(read_table(u, session, db, name, err));
    IST_TRY(check_requirement("assert-table-uuid", u->uuid, u->id, err));
    if (u->actions[ADD_COMMIT] || u->actions[SET_PUBLISHED]) {
        if (!u->managed)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                                 "add-commit and set-latest-backfilled-version require a MANAGED Delta table.");
        IST_TRY(ist__commit_add(db, u->id, u->actions[ADD_COMMIT] ? &u->commit : NULL, u->published, &replayed, err));
    }
    if (replayed)
        return ist__delta_append(db, u->id, out, err);
    snprintf(etag, sizeof etag, "etag-%lld", (long long)u->updated_at);
    IST_TRY(check_requirement("assert-etag", u->etag, etag, err));
    IST_TRY(apply(u, err));
    IST_TRY(store(u, session, db, err));
    return ist__delta_append(db, u->id, out, err);
}

ist_status ist__delta_update(ist__session *session, const ist__name *table, const char *body, ist_buffer *out,
                             ist_error *err)
{
    yyjson_doc *in = NULL;
    ist__db *db;
    update u = {0};
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(body, &in, err));
    IST_TRY_GOTO(read_update(&u, yyjson_doc_get_root(in), err));
    IST_TRY_GOTO(ist__session_write(session, &db, err));
    status = ist__db_end(db, run(&u, session, db, table, out, err), err);
done:
    update_free(&u);
    yyjson_doc_free(in);
    return status;
}
