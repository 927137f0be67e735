/* local_functions.c: functions: what they take and give, and their text. The catalog runs none. */
#include "catalog/local/objects.h"

#include <string.h>

enum { PARAMETERS_MAX = 1000 };

typedef enum member_type { TEXT, NUMBER, BOOLEAN, TYPE_NAME, PARAMETERS } member_type;

typedef struct member {
    const char *name;
    member_type type;
    bool required;
    const char *const *allowed; /* texts; NULL for any */
} member;

static const char *const bodies[] = {"SQL", "EXTERNAL", NULL};
static const char *const styles[] = {"S", NULL};
static const char *const accesses[] = {"CONTAINS_SQL", "READS_SQL_DATA", "NO_SQL", NULL};
static const char *const securities[] = {"DEFINER", NULL};
static const char *const modes[] = {"IN", NULL};
static const char *const parameter_types[] = {"PARAM", "COLUMN", NULL};

/* Of a function, without what every object has. */
static const member function_members[] = {
    {"input_params", PARAMETERS, true, NULL},        {"return_params", PARAMETERS, false, NULL},
    {"data_type", TYPE_NAME, true, NULL},            {"full_data_type", TEXT, true, NULL},
    {"routine_body", TEXT, true, bodies},            {"routine_definition", TEXT, true, NULL},
    {"parameter_style", TEXT, true, styles},         {"is_deterministic", BOOLEAN, true, NULL},
    {"sql_data_access", TEXT, true, accesses},       {"is_null_call", BOOLEAN, true, NULL},
    {"security_type", TEXT, true, securities},       {"specific_name", TEXT, true, NULL},
    {"external_language", TEXT, false, NULL},        {"properties", TEXT, false, NULL},
    {NULL, TEXT, false, NULL},
};

static const member parameter_members[] = {
    {"name", TEXT, true, NULL},
    {"type_text", TEXT, true, NULL},
    {"type_json", TEXT, true, NULL},
    {"type_name", TYPE_NAME, true, NULL},
    {"type_precision", NUMBER, false, NULL},
    {"type_scale", NUMBER, false, NULL},
    {"type_interval_type", TEXT, false, NULL},
    {"position", NUMBER, true, NULL},
    {"parameter_mode", TEXT, false, modes},
    {"parameter_type", TEXT, false, parameter_types},
    {"parameter_default", TEXT, false, NULL},
    {"comment", TEXT, false, NULL},
    {NULL, TEXT, false, NULL},
};

static ist_status copy_members(yyjson_mut_doc *doc, yyjson_mut_val *out, yyjson_val *in, const member *members,
                               ist_error *err);

/* {"parameters": [...]}; null where there are none, as Unity Catalog says it. */
static ist_status copy_parameters(yyjson_mut_doc *doc, yyjson_mut_val *out, const char *key, yyjson_val *in,
                                  ist_error *err)
{
    yyjson_val *list = yyjson_obj_get(in, "parameters"), *parameter;
    size_t i, count;
    if (!yyjson_is_obj(in) || (list && !yyjson_is_null(list) && !yyjson_is_arr(list)))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not an object with an array of parameters", key);
    if (yyjson_arr_size(list) > PARAMETERS_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s has more than %d parameters", key, PARAMETERS_MAX);
    if (yyjson_arr_size(list) == 0) {
        yyjson_mut_obj_add_null(doc, out, key);
        return IST_OK;
    }
    yyjson_mut_val *parameters = yyjson_mut_obj_add_obj(doc, out, key);
    yyjson_mut_val *copies = yyjson_mut_obj_add_arr(doc, parameters, "parameters");
    yyjson_arr_foreach(list, i, count, parameter) {
        if (!yyjson_is_obj(parameter))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s: element %zu is not an object", key, i);
        IST_TRY(copy_members(doc, yyjson_mut_arr_add_obj(doc, copies), parameter, parameter_members, err));
    }
    return IST_OK;
}

static ist_status check_text(const member *m, yyjson_val *in, ist_error *err)
{
    const char *text;
    IST_TRY(ist__json_text(in, m->name, m->required, &text, err));
    if (text && m->allowed)
        IST_TRY(ist__one_of(text, m->allowed, m->name, err));
    if (text && m->type == TYPE_NAME && !ist__column_type_known(text))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s '%.60s' is unknown", m->name, text);
    return IST_OK;
}

static ist_status copy_members(yyjson_mut_doc *doc, yyjson_mut_val *out, yyjson_val *in, const member *members,
                               ist_error *err)
{
    for (const member *m = members; m->name; m++) {
        yyjson_val *value = yyjson_obj_get(in, m->name);
        if (!value || yyjson_is_null(value)) {
            if (m->required)
                return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is required", m->name);
            yyjson_mut_obj_add_null(doc, out, m->name);
        } else if (m->type == PARAMETERS) {
            IST_TRY(copy_parameters(doc, out, m->name, value, err));
        } else {
            if (m->type == TEXT || m->type == TYPE_NAME)
                IST_TRY(check_text(m, in, err));
            else if (m->type == NUMBER ? !yyjson_is_int(value) : !yyjson_is_bool(value))
                return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not %s", m->name,
                                     m->type == NUMBER ? "an integer" : "true or false");
            yyjson_mut_obj_add_val(doc, out, m->name, yyjson_val_mut_copy(doc, value));
        }
    }
    return IST_OK;
}

static ist_status insert_function(ist__creation *c, ist_error *err)
{
    ist_buffer definition = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status = copy_members(doc, root, c->root, function_members, err);
    if (status != IST_OK)
        yyjson_mut_doc_free(doc);
    else
        status = ist__json_finish(doc, &definition, err);
    if (status == IST_OK)
        status = ist__db_run(c->db,
                             "INSERT INTO functions (id, parent_id, name, comment, owner, created_at, created_by,"
                             " updated_at, updated_by, definition) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6, ?5, ?7)",
                             NULL, err, "tttttit", c->id, ist__chain_id(&c->parent), c->name, c->comment,
                             c->session->who->name, c->now, definition.data);
    ist_buffer_free(&definition);
    return status;
}

#define SELECT_FUNCTION                                                                                                \
    "SELECT o.name, c.name AS catalog_name, s.name AS schema_name, c.name || '.' || s.name || '.' || o.name"           \
    " AS full_name, o.comment, " IST__SELECT_COMMON ", o.id AS function_id, o.definition AS \"*\""                     \
    " FROM functions o " IST__IN_SCHEMA

/* Unity Catalog changes no function; comment and name are ours. */
const ist__kind ist__kind_function = {
    .wrapper = "function_info",
    .id = "function_id",
    .get = SELECT_FUNCTION IST__BY_ID,
    .page = SELECT_FUNCTION IST__PAGE,
    .own_page = SELECT_FUNCTION IST__OWN_PAGE("functions"),
    .update = "UPDATE functions SET " IST__SET_COMMENT " WHERE id = ?1",
    .remove = "DELETE FROM functions WHERE id = ?1",
    .create = IST__ACTION_CREATE_FUNCTION,
    .taken = IST__UC_RESOURCE_ALREADY_EXISTS,
    .insert = insert_function,
};
