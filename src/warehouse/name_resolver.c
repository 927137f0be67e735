/* name_resolver.c: names to descriptions, each authorized as whoever asks for it. */
#include "warehouse/name_resolver.h"

#include "catalog/local/objects.h"
#include "catalog/local/principals.h"
#include "warehouse/worker_message.h"

#include <stdio.h>
#include <string.h>

enum { VIEWS_MAX = 32 /* within each other */ };

/* One request on its way to its answer. */
typedef struct resolution {
    ist__local *local;
    ist__db *db;
    const ist__principal *who;
    yyjson_mut_doc *doc;
} resolution;

static ist_status malformed(ist_error *err)
{
    return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "the engine asked for a name that is not one");
}

static ist_status read_name(yyjson_val *parts, ist__name *out, ist_error *err)
{
    *out = (ist__name){.count = 3};
    if (yyjson_arr_size(parts) != 3)
        return malformed(err);
    for (int i = 0; i < 3; i++) {
        const char *part = yyjson_get_str(yyjson_arr_get(parts, (size_t)i));
        if (!part || !*part || snprintf(out->part[i], sizeof out->part[i], "%s", part) > IST__NAME_MAX)
            return malformed(err);
    }
    return IST_OK;
}

/* Descriptions ----------------------------------------------------------------------------------------------------- */

/* An object as the catalog tells it; NULL for an error. */
static ist_status describe(resolution *r, ist_securable kind, const char *id, yyjson_mut_val **out, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = ist__object_append(r->db, kind, id, &text, err);
    yyjson_doc *doc = status == IST_OK ? yyjson_read(text.data, text.size, 0) : NULL;
    *out = yyjson_val_mut_copy(r->doc, yyjson_doc_get_root(doc));
    if (status == IST_OK && !*out)
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for JSON");
    yyjson_doc_free(doc);
    ist_buffer_free(&text);
    return status;
}

/* Authority -------------------------------------------------------------------------------------------------------- */

/* The owner of what stands last in a chain, held. */
static ist_status owner_of(resolution *r, const ist__chain *chain, const char *what, const ist__principal **owner,
                           ist_error *err)
{
    const char *name = chain->link[chain->count - 1].owner;
    IST_TRY(ist__principal_named(r->db, name, owner, err));
    if (!*owner)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED,
                             "%s cannot be read: its owner %s is not active; give it another owner", what, name);
    return IST_OK;
}

/* Read a view of the catalog as `who`; *owner is held. */
static ist_status enter_view(resolution *r, const ist__principal *who, yyjson_val *view, const ist__principal **owner,
                             ist_error *err)
{
    ist__session session = {.local = r->local, .who = who};
    const char *full_name = yyjson_get_str(view);
    ist__name name;
    ist__chain chain;
    sqlite3_stmt *row;
    *owner = NULL;
    if (full_name)
        IST_TRY(ist__name_split(full_name, 3, &name, err));
    else
        IST_TRY(read_name(view, &name, err));
    IST_TRY(ist__resolve(&session, r->db, IST_SECURABLE_TABLE, &name, IST__ACTION_READ, &chain, err));
    IST_TRY(ist__db_run(r->db, "SELECT 1 FROM tables WHERE id = ?1 AND view_definition IS NOT NULL", &row, err, "t",
                        ist__chain_id(&chain)));
    if (!row)
        return malformed(err); /* a table reads nothing on its owner's behalf */
    char what[4 * IST__NAME_MAX];
    snprintf(what, sizeof what, "the view %s.%s.%s", name.part[0], name.part[1], name.part[2]);
    return owner_of(r, &chain, what, owner, err);
}

static bool names_function(yyjson_mut_val *policy, const char *function)
{
    return yyjson_mut_equals_str(yyjson_mut_obj_get(policy, "function_name"), function);
}

/* Is a function the row filter or a mask of a table? */
static bool is_policy_of(yyjson_mut_val *table, const char *function)
{
    yyjson_mut_val *column;
    size_t i, count;
    bool found = names_function(yyjson_mut_obj_get(table, "row_filter"), function);
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(table, "columns"), i, count, column)
        found = found || names_function(yyjson_mut_obj_get(column, "mask"), function);
    return found;
}

/*
 * Look something up for the row filter or a mask of a table that `who` reads; *owner, of the function, is held. Whoever
 * chose the function, which is the table's owner, must be one who may execute it: else anybody could put another's
 * function on a table of his own, and ask by it what that other one may read.
 */
static ist_status enter_policy(resolution *r, const ist__principal *who, yyjson_val *policy,
                               const ist__principal **owner, ist_error *err)
{
    ist__session session = {.local = r->local, .who = who};
    const char *table = yyjson_get_str(yyjson_obj_get(policy, "table"));
    const char *function = yyjson_get_str(yyjson_obj_get(policy, "function"));
    const ist__principal *chooser = NULL;
    yyjson_mut_val *info;
    ist__name name;
    ist__chain chain;
    *owner = NULL;
    if (!table || !function)
        return malformed(err);
    IST_TRY(ist__name_split(table, 3, &name, err));
    IST_TRY(ist__resolve(&session, r->db, IST_SECURABLE_TABLE, &name, IST__ACTION_READ, &chain, err));
    IST_TRY(describe(r, IST_SECURABLE_TABLE, ist__chain_id(&chain), &info, err));
    if (!is_policy_of(info, function))
        return malformed(err);
    IST_TRY(owner_of(r, &chain, table, &chooser, err));
    session.who = chooser;
    ist_status status = ist__name_split(function, 3, &name, err);
    if (status == IST_OK)
        status = ist__resolve(&session, r->db, IST_SECURABLE_FUNCTION, &name, IST__ACTION_READ, &chain, err);
    if (status == IST_OK)
        status = owner_of(r, &chain, function, owner, err);
    else
        ist_error_context(err, "the policy %s of %s reads other tables, and the owner of %s may not execute it",
                          function, table, table);
    ist__principal_release(chooser);
    return status;
}

/* Who asks for a name that is read by way of these views and policies; *out is held. */
static ist_status asker_of(resolution *r, yyjson_val *via, const ist__principal **out, ist_error *err)
{
    size_t i, count;
    yyjson_val *view;
    *out = r->who;
    ist__principal_hold(*out);
    ist_status status = yyjson_arr_size(via) > VIEWS_MAX
                            ? ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE,
                                            "views are in each other more than %d deep", VIEWS_MAX)
                            : IST_OK;
    yyjson_arr_foreach(via, i, count, view) {
        const ist__principal *owner = NULL;
        if (status != IST_OK)
            break;
        status = yyjson_is_obj(view) ? enter_policy(r, *out, view, &owner, err)
                                     : enter_view(r, *out, view, &owner, err);
        if (status == IST_OK) {
            ist__principal_release(*out);
            *out = owner;
        }
    }
    if (status != IST_OK)
        ist__principal_release(*out);
    return status;
}

/* Policies' functions ---------------------------------------------------------------------------------------------- */

/* Put a function's description under its full name, as those who run filters and masks see it: it is the table's owner
 * who chose it. */
static ist_status add_filter_function(resolution *r, yyjson_mut_val *functions, const char *full_name, ist_error *err)
{
    ist__session engine = {.local = r->local, .who = &ist__principal_engine};
    ist__name name;
    ist__chain chain;
    yyjson_mut_val *description;
    if (yyjson_mut_obj_get(functions, full_name))
        return IST_OK;
    IST_TRY(ist__name_split(full_name, 3, &name, err));
    IST_TRY(ist__resolve(&engine, r->db, IST_SECURABLE_FUNCTION, &name, IST__ACTION_SEE, &chain, err));
    IST_TRY(describe(r, IST_SECURABLE_FUNCTION, ist__chain_id(&chain), &description, err));
    yyjson_mut_obj_add(functions, yyjson_mut_strcpy(r->doc, full_name), description);
    return IST_OK;
}

/* The functions of a table's row filter and masks. A missing one fails the statement: without it, it would tell too
 * much. */
static ist_status add_filter_functions(resolution *r, yyjson_mut_val *table, ist_error *err)
{
    yyjson_mut_val *functions = yyjson_mut_obj_add_obj(r->doc, table, "functions");
    yyjson_mut_val *filter = yyjson_mut_obj_get(table, "row_filter"), *column;
    const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(filter, "function_name"));
    size_t i, count;
    if (name)
        IST_TRY(add_filter_function(r, functions, name, err));
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(table, "columns"), i, count, column) {
        name = yyjson_mut_get_str(yyjson_mut_obj_get(yyjson_mut_obj_get(column, "mask"), "function_name"));
        if (name)
            IST_TRY(add_filter_function(r, functions, name, err));
    }
    return IST_OK;
}

/* Requests --------------------------------------------------------------------------------------------------------- */

static ist_status action_of(yyjson_val *table, ist__action *out, ist_error *err)
{
    static const struct {
        const char *access;
        ist__action action;
    } actions[] = {{"SELECT", IST__ACTION_READ}, {"MODIFY", IST__ACTION_WRITE}, {"CREATE", IST__ACTION_SEE}};
    const char *access = yyjson_get_str(yyjson_obj_get(table, "access"));
    for (size_t i = 0; access && i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].access, access) == 0) {
            *out = actions[i].action;
            return IST_OK;
        }
    return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "the engine asked for an access that there is not");
}

/* The table as `who` may use it; *found is false where it is not there for him. */
static ist_status find_table(resolution *r, const ist__principal *who, const ist__name *name, ist__action action,
                             bool *found, char id[37], ist_error *err)
{
    ist__session session = {.local = r->local, .who = who};
    ist__name schema = *name;
    ist__chain chain;
    schema.count = 2;
    if (action == IST__ACTION_SEE) /* it is to be made */
        IST_TRY(ist__resolve(&session, r->db, IST_SECURABLE_SCHEMA, &schema, IST__ACTION_CREATE_TABLE, NULL, err));
    ist_error problem = IST_ERROR_INIT;
    ist_status status = ist__resolve(&session, r->db, IST_SECURABLE_TABLE, name, action, &chain, &problem);
    *found = status == IST_OK;
    if (status == IST_OK)
        snprintf(id, 37, "%s", ist__chain_id(&chain));
    else if (status != IST_NOT_FOUND)
        return ist__uc_error(err, ist__uc_code_of(&problem), "%s.%s.%s: %s", name->part[0], name->part[1],
                             name->part[2], problem.message);
    return IST_OK;
}

static ist_status resolve_table(resolution *r, yyjson_val *table, yyjson_mut_val *list, ist_error *err)
{
    yyjson_val *parts = yyjson_obj_get(table, "name");
    const ist__principal *asker;
    yyjson_mut_val *answer;
    ist__action action = IST__ACTION_READ;
    ist__name name;
    char id[37];
    bool found;
    IST_TRY(read_name(parts, &name, err));
    IST_TRY(action_of(table, &action, err));
    IST_TRY(asker_of(r, yyjson_obj_get(table, "via"), &asker, err));
    ist_status status = find_table(r, asker, &name, action, &found, id, err);
    ist__principal_release(asker);
    IST_TRY(status);
    if (found)
        IST_TRY(describe(r, IST_SECURABLE_TABLE, id, &answer, err));
    else
        answer = yyjson_mut_obj(r->doc);
    yyjson_mut_obj_put(answer, yyjson_mut_str(r->doc, "name"), yyjson_val_mut_copy(r->doc, parts));
    yyjson_mut_obj_add_bool(r->doc, answer, "exists", found);
    yyjson_mut_arr_append(list, answer);
    if (!found)
        return IST_OK;
    const char *type = yyjson_mut_get_str(yyjson_mut_obj_get(answer, "table_type"));
    yyjson_mut_obj_add_str(r->doc, answer, "kind", type && strstr(type, "VIEW") ? "VIEW" : "TABLE");
    return add_filter_functions(r, answer, err);
}

static ist_status resolve_function(resolution *r, yyjson_val *function, yyjson_mut_val *all, ist_error *err)
{
    bool bare = yyjson_is_arr(function);
    const ist__principal *asker;
    yyjson_mut_val *description;
    ist_buffer full_name = IST_BUFFER_INIT;
    ist__name name;
    ist__chain chain;
    IST_TRY(read_name(bare ? function : yyjson_obj_get(function, "name"), &name, err));
    IST_TRY(asker_of(r, bare ? NULL : yyjson_obj_get(function, "via"), &asker, err));
    ist__session session = {.local = r->local, .who = asker};
    ist_status status = ist__resolve(&session, r->db, IST_SECURABLE_FUNCTION, &name, IST__ACTION_READ, &chain, err);
    ist__principal_release(asker);
    IST_TRY(status);
    IST_TRY(describe(r, IST_SECURABLE_FUNCTION, ist__chain_id(&chain), &description, err));
    status = ist__name_join(&name, &full_name, err);
    if (status == IST_OK)
        yyjson_mut_obj_put(all, yyjson_mut_strcpy(r->doc, full_name.data), description);
    ist_buffer_free(&full_name);
    return status;
}

static ist_status resolve_all(resolution *r, int64_t id, yyjson_val *tables, yyjson_val *functions, ist_error *err)
{
    yyjson_mut_val *root = yyjson_mut_obj(r->doc);
    yyjson_val *one;
    size_t i, count;
    if (yyjson_arr_size(tables) + yyjson_arr_size(functions) > IST__RESOLVE_MAX)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "the statement has more than %d names",
                             IST__RESOLVE_MAX);
    yyjson_mut_doc_set_root(r->doc, root);
    yyjson_mut_obj_add_str(r->doc, root, "type", "resolved");
    yyjson_mut_obj_add_sint(r->doc, root, "id", id);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(r->doc, root, "tables");
    yyjson_arr_foreach(tables, i, count, one)
        IST_TRY(resolve_table(r, one, list, err));
    yyjson_mut_val *all = yyjson_mut_obj_add_obj(r->doc, root, "functions");
    yyjson_arr_foreach(functions, i, count, one)
        IST_TRY(resolve_function(r, one, all, err));
    return IST_OK;
}

ist_status ist__names_resolve(ist__local *local, const ist__principal *who, int64_t id, yyjson_val *tables,
                              yyjson_val *functions, ist_buffer *out, ist_error *err)
{
    ist__session session = {.local = local, .who = who};
    resolution r = {.local = local, .who = who, .doc = yyjson_mut_doc_new(NULL)};
    ist_status status = ist__session_read(&session, &r.db, err);
    if (status == IST_OK)
        status = ist__db_end(r.db, resolve_all(&r, id, tables, functions, err), err);
    if (status == IST_OK)
        return ist__json_finish(r.doc, out, err);
    yyjson_mut_doc_free(r.doc);
    return status;
}
