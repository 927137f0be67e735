/*
 * places.c: what lies where.
 *
 * Locations are normalized, so that "above" is a list of prefixes that are looked up, and "below" is a range of an index:
 * neither depends on how many objects there are.
 */
#include "catalog/local/places.h"

#include "catalog/local/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANCESTORS_MAX = 512 }; /* folders of one location */

/* `mask` is the bit of the kind in ?3; metastore stands for staging tables. */
#define ABOVE(kind, mask, table, column, more)                                                                         \
    "SELECT " kind " AS kind, id, length(" column ") AS size FROM " table " WHERE ?2 & " mask " AND " column           \
    " IN (SELECT value FROM json_each(?1))" more
#define BELOW(kind, mask, table, column, more)                                                                         \
    "SELECT " kind " AS kind, id FROM " table " WHERE ?2 & " mask " AND (" column " = ?3 OR " column " > ?1 || '/'"    \
    " AND " column " < ?1 || '0')" more
#define EACH(part, or)                                                                                                 \
    part("0", "1", "catalogs", "storage_location", "") or part("1", "2", "schemas", "storage_location", "") or         \
    part("2", "4", "tables", "storage_location", "") or part("3", "8", "volumes", "storage_location", "") or           \
    part("5", "32", "registered_models", "storage_location", "") or                                                    \
    part("8", "256", "external_locations", "url", "") or                                                               \
    part("9", "512", "staging_tables", "location", " AND committed_at IS NULL")

_Static_assert(IST_SECURABLE_VOLUME == 3 && IST_SECURABLE_REGISTERED_MODEL == 5 &&
                   IST_SECURABLE_EXTERNAL_LOCATION == 8 && IST_SECURABLE_METASTORE == 9,
               "the numbers in EACH");

/* A JSON array of the location and the folders above it, down to the bucket or the root. */
static ist_status append_ancestors(const char *url, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, list);
    size_t authority = (size_t)(strstr(url, "://") + 3 - url), size = strlen(url), up = size;
    for (int count = 0; up > authority; count++) {
        if (count == ANCESTORS_MAX) {
            yyjson_mut_doc_free(doc);
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a location has more than %d folders", ANCESTORS_MAX);
        }
        yyjson_mut_arr_add_strn(doc, list, url, size);
        for (up = size; up > authority && url[up - 1] != '/'; up--)
            ;
        if (up == authority) /* the bucket */
            break;
        up -= up > authority + 1; /* without the slash, but for the root of a file system */
        up = up == size ? authority : up;
        size = up;
    }
    return ist__json_finish(doc, out, err);
}

static void read_place(sqlite3_stmt *row, ist__place *out)
{
    out->kind = (ist_securable)sqlite3_column_int(row, 0);
    snprintf(out->id, sizeof out->id, "%s", ist__column_text(row, 1));
}

ist_status ist__places_above(ist__db *db, unsigned kinds, const char *url, ist__place *out, int *found, ist_error *err)
{
    ist_buffer ancestors = IST_BUFFER_INIT;
    sqlite3_stmt *row;
    *found = 0;
    ist_status status = append_ancestors(url, &ancestors, err);
    if (status == IST_OK)
        status = ist__db_run(db, EACH(ABOVE, " UNION ALL ") " ORDER BY size DESC LIMIT 2", &row, err, "ti",
                             ancestors.data, (int64_t)kinds);
    while (status == IST_OK && row) {
        if ((*found)++ == 0)
            read_place(row, out);
        status = ist__db_next(db, &row, err);
    }
    ist_buffer_free(&ancestors);
    return status;
}

ist_status ist__places_below(ist__db *db, unsigned kinds, const char *url, bool itself, ist__place *out, bool *found,
                             ist_error *err)
{
    sqlite3_stmt *row;
    size_t size = strlen(url);
    char *prefix;
    IST_TRY(ist__strdup(url, &prefix, err));
    if (size > 0 && prefix[size - 1] == '/') /* "file:///" */
        prefix[size - 1] = '\0';
    ist_status status =
        ist__db_run(db, EACH(BELOW, " UNION ALL ") " LIMIT 1", &row, err, "tit", prefix, (int64_t)kinds,
                    itself ? url : NULL);
    free(prefix);
    *found = status == IST_OK && row;
    if (*found)
        read_place(row, out);
    return status;
}

ist_status ist__place_check_not_managed(const char *url, ist_error *err)
{
    if (strstr(url, IST__MANAGED_PREFIX))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "the location %s is inside managed storage (" IST__MANAGED_PREFIX ")", url);
    return IST_OK;
}

static bool is_bucket_root(const char *url)
{
    const char *authority = strstr(url, "://") + 3;
    return strncmp(url, "file:", 5) != 0 && !strchr(authority, '/');
}

/* Ask the metastore's owner's right: what nobody else may. */
static ist_status authorize_owner(ist__session *session, ist__db *db, const char *url, ist_error *err)
{
    static const ist__name nothing = {0};
    ist_status status = ist__resolve(session, db, IST_SECURABLE_METASTORE, &nothing, IST__ACTION_GRANT, NULL, NULL);
    if (status == IST_FORBIDDEN || status == IST_NOT_FOUND)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED,
                             "%s is in no external location that %s may use: ask its owner for a grant", url,
                             session->who->name);
    return status;
}

/* An external location's right. That it exists is no secret to him who named its path, its name is. */
static ist_status authorize_external(ist__session *session, ist__db *db, const char *url, const ist__place *location,
                                     ist__action action, ist_error *err)
{
    ist_status status =
        ist__resolve_id(session, db, IST_SECURABLE_EXTERNAL_LOCATION, location->id, action, NULL, NULL);
    return status == IST_FORBIDDEN || status == IST_NOT_FOUND ? authorize_owner(session, db, url, err) : status;
}

static ist_status refuse_overlap(const char *url, ist_error *err)
{
    return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "Input path '%s' overlaps with other entities", url);
}

ist_status ist__place_authorize_new(ist__session *session, ist__db *db, const char *url, ist__action action,
                                    ist_error *err)
{
    ist__place place;
    int above;
    bool below;
    if (action != IST__ACTION_CREATE_MANAGED_STORAGE && is_bucket_root(url))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the location %s is a whole bucket: name a folder in it",
                             url);
    IST_TRY(ist__place_check_not_managed(url, err));
    IST_TRY(ist__places_above(db, IST__PLACES_EXTERNAL, url, &place, &above, err));
    IST_TRY(above ? authorize_external(session, db, url, &place, action, err)
                  : authorize_owner(session, db, url, err));
    IST_TRY(ist__places_above(db, IST__PLACES_DATA, url, &place, &above, err));
    if (above)
        return refuse_overlap(url, err);
    if (action == IST__ACTION_CREATE_MANAGED_STORAGE)
        return IST_OK; /* all of it goes under a segment of its own */
    IST_TRY(ist__places_below(db, IST__PLACES_MANAGED, url, false, &place, &below, err));
    if (below)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Input path '%s' overlaps with managed storage", url);
    IST_TRY(ist__places_below(db, IST__PLACES_DATA | IST__PLACES_EXTERNAL, url, false, &place, &below, err));
    return below ? refuse_overlap(url, err) : IST_OK;
}

ist_status ist__place_authorize(ist__session *session, ist__db *db, const char *url, ist__action action,
                                ist__place *out, ist_error *err)
{
    ist__place place;
    int count;
    bool below;
    out->kind = IST_SECURABLE_METASTORE;
    *out->id = '\0';
    IST_TRY(ist__places_above(db, IST__PLACES_DATA, url, &place, &count, err));
    if (count > 1)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Input path '%s' overlaps with multiple entities", url);
    if (count == 1) {
        *out = place;
        ist_status status = ist__resolve_id(session, db, place.kind, place.id, action, NULL, NULL);
        if (status == IST_OK && place.kind == IST_SECURABLE_TABLE)
            return ist__check_unfiltered(session, db, place.id, err);
        return status == IST_FORBIDDEN || status == IST_NOT_FOUND ? authorize_owner(session, db, url, err) : status;
    }
    IST_TRY(ist__places_above(db, IST__PLACES_EXTERNAL, url, &place, &count, err));
    if (count == 0 || strstr(url, IST__MANAGED_PREFIX)) /* staging tables, and what is left of deleted objects */
        return authorize_owner(session, db, url, err);
    IST_TRY(authorize_external(session, db, url, &place, action, err));
    /* Rights on an external location are none on the tables and volumes in it. */
    IST_TRY(ist__places_below(db, IST__PLACES_DATA | IST__PLACES_MANAGED, url, false, &place, &below, err));
    return below ? authorize_owner(session, db, url, err) : IST_OK;
}

ist_status ist__place_of_managed(ist__session *session, ist__db *db, const char *schema_id, ist_buffer *out,
                                 ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT coalesce(s.storage_location, c.storage_location, ?2 || '/" IST__MANAGED_PREFIX "')"
                        " FROM schemas s JOIN catalogs c ON c.id = s.parent_id WHERE s.id = ?1",
                        &row, err, "tt", schema_id, session->local->storage_root.data));
    if (!row)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "a schema vanished inside a transaction");
    return ist_buffer_append_string(out, ist__column_text(row, 0), err);
}
