/*
 * scim.c: users, service principals and groups as SCIM 2.0 resources (RFC 7643, 7644), as far as Unity Catalog's and
 * Databricks' clients use them: create, get, list with `eq` filters, replace, patch, delete.
 *
 * A principal's name does not change: owners and events tell of him by it.
 */
#include "catalog/local/digest.h"
#include "catalog/local/principals.h"

#include <stdio.h>
#include <string.h>

enum { MEMBERS_MAX = 10000, OPERATIONS_MAX = 1000, COUNT_DEFAULT = 100, COUNT_MAX = 1000 };

/* What differs between the kinds. */
static const struct {
    const char *schema, *type, *name_key;
} kinds[] = {
    [IST__PRINCIPAL_USER] = {"urn:ietf:params:scim:schemas:core:2.0:User", "User", "userName"},
    [IST__PRINCIPAL_SERVICE] = {"urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal", "ServicePrincipal",
                                "applicationId"},
    [IST__PRINCIPAL_GROUP] = {"urn:ietf:params:scim:schemas:core:2.0:Group", "Group", "displayName"},
};

#define COLUMNS "SELECT id, kind, name, display_name, external_id, active, created_at, updated_at FROM principals "

/* Resources out ---------------------------------------------------------------------------------------------------- */

static ist_status add_references(ist__db *db, const char *sql, const char *id, const char *key, yyjson_mut_doc *doc,
                                 yyjson_mut_val *out, ist_error *err)
{
    sqlite3_stmt *row;
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, out, key);
    IST_TRY(ist__db_run(db, sql, &row, err, "t", id));
    while (row) {
        yyjson_mut_val *reference = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, reference, "value", ist__db_text(row, 0));
        yyjson_mut_obj_add_strcpy(doc, reference, "display", ist__db_text(row, 1));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

static void add_meta(yyjson_mut_doc *doc, yyjson_mut_val *out, sqlite3_stmt *row, const char *type)
{
    char time[32];
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, out, "meta");
    yyjson_mut_obj_add_str(doc, meta, "resourceType", type);
    ist__format_time(sqlite3_column_int64(row, 6), time);
    yyjson_mut_obj_add_strcpy(doc, meta, "created", time);
    ist__format_time(sqlite3_column_int64(row, 7), time);
    yyjson_mut_obj_add_strcpy(doc, meta, "lastModified", time);
}

static void add_email(yyjson_mut_doc *doc, yyjson_mut_val *out, const char *name)
{
    yyjson_mut_val *email = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, out, "emails"));
    yyjson_mut_obj_add_strcpy(doc, email, "value", name);
    yyjson_mut_obj_add_bool(doc, email, "primary", true);
}

/* One row of COLUMNS, without what other tables know of it. */
static yyjson_mut_val *resource_of(yyjson_mut_doc *doc, sqlite3_stmt *row)
{
    ist__principal_kind kind = (ist__principal_kind)sqlite3_column_int(row, 1);
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    yyjson_mut_arr_add_str(doc, yyjson_mut_obj_add_arr(doc, out, "schemas"), kinds[kind].schema);
    yyjson_mut_obj_add_strcpy(doc, out, "id", ist__db_text(row, 0));
    if (kind != IST__PRINCIPAL_GROUP) {
        yyjson_mut_obj_add_strcpy(doc, out, kinds[kind].name_key, ist__db_text(row, 2));
        yyjson_mut_obj_add_bool(doc, out, "active", sqlite3_column_int(row, 5) != 0);
    }
    yyjson_mut_obj_add_strcpy(doc, out, "displayName", ist__db_text(row, 3));
    if (sqlite3_column_type(row, 4) != SQLITE_NULL)
        yyjson_mut_obj_add_strcpy(doc, out, "externalId", ist__db_text(row, 4));
    if (kind == IST__PRINCIPAL_USER)
        add_email(doc, out, ist__db_text(row, 2));
    add_meta(doc, out, row, kinds[kind].type);
    return out;
}

static ist_status not_found(ist__principal_kind kind, const char *id, ist_error *err)
{
    return ist__uc_error(err, IST__UC_NOT_FOUND, "%s not found with id: %.100s", kinds[kind].type, id);
}

static ist_status show(ist__db *db, ist__principal_kind kind, const char *id, ist_buffer *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, COLUMNS "WHERE id = ?1 AND kind = ?2", &row, err, "ti", id, (int64_t)kind));
    if (!row)
        return not_found(kind, id, err);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = resource_of(doc, row);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status =
        add_references(db,
                       "SELECT p.id, p.name FROM group_members m JOIN principals p ON p.id = m.group_id"
                       " WHERE m.member_id = ?1 ORDER BY p.name",
                       id, "groups", doc, root, err);
    if (status == IST_OK && kind == IST__PRINCIPAL_GROUP)
        status = add_references(db,
                                "SELECT p.id, p.display_name FROM group_members m JOIN principals p"
                                " ON p.id = m.member_id WHERE m.group_id = ?1 ORDER BY p.name",
                                id, "members", doc, root, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status ist__scim_get(ist__session *session, ist__principal_kind kind, const char *id, ist_buffer *out,
                         ist_error *err)
{
    ist__db *db;
    if (strcmp(session->who->id, id) != 0)
        IST_TRY(ist__require_admin(session, err));
    IST_TRY(ist__session_read(session, &db, err));
    return ist__db_end(db, show(db, kind, id, out, err), err);
}

ist_status ist__scim_me(ist__session *session, ist_buffer *out, ist_error *err)
{
    return ist__scim_get(session, session->who->kind, session->who->id, out, err);
}

/* Lists ------------------------------------------------------------------------------------------------------------ */

/* `attribute eq "value"`; the value goes where the statement compares the attribute, the others stay NULL. */
typedef struct filter {
    ist_buffer value;
    const char *name, *display_name, *external_id, *id;
} filter;

static ist_status read_filter(const char *text, ist__principal_kind kind, filter *out, ist_error *err)
{
    const struct {
        const char *key, **target;
    } attributes[] = {{kinds[kind].name_key, &out->name}, {"displayName", &out->display_name},
                      {"externalId", &out->external_id},  {"id", &out->id},
                      {"emails", &out->name},             {"emails.value", &out->name}};
    size_t key_size = strcspn(text, " ");
    const char *at = text + key_size;
    at += strspn(at, " ");
    if (strncmp(at, "eq ", 3) == 0)
        at += 2 + strspn(at + 2, " ");
    size_t size = strlen(at);
    while (size > 0 && at[size - 1] == ' ')
        size--;
    bool quoted = size >= 2 && at[0] == '"' && at[size - 1] == '"' && !memchr(at + 1, '"', size - 2);
    for (size_t i = 0; quoted && i < sizeof attributes / sizeof *attributes; i++)
        if (strlen(attributes[i].key) == key_size && strncmp(text, attributes[i].key, key_size) == 0) {
            IST_TRY(ist_buffer_append(&out->value, at + 1, size - 2, err));
            *attributes[i].target = out->value.data;
            return IST_OK;
        }
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the filter is not of the form %s eq \"value\"",
                         kinds[kind].name_key);
}

static ist_status list_page(ist__db *db, ist__principal_kind kind, const filter *f, int start, int count,
                            yyjson_mut_doc *doc, ist_error *err)
{
    sqlite3_stmt *row;
    int64_t total = 0;
    yyjson_mut_val *root = yyjson_mut_obj(doc), *page = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    IST_TRY(ist__db_run(db,
                        COLUMNS "WHERE kind = ?1 AND (?2 IS NULL OR name = ?2) AND (?3 IS NULL OR display_name = ?3)"
                                " AND (?4 IS NULL OR external_id = ?4) AND (?5 IS NULL OR id = ?5) ORDER BY name",
                        &row, err, "itttt", (int64_t)kind, f->name, f->display_name, f->external_id, f->id));
    while (row) {
        total++;
        if (total >= start && total - start < count)
            yyjson_mut_arr_append(page, resource_of(doc, row));
        IST_TRY(ist__db_next(db, &row, err));
    }
    yyjson_mut_arr_add_str(doc, yyjson_mut_obj_add_arr(doc, root, "schemas"),
                           "urn:ietf:params:scim:api:messages:2.0:ListResponse");
    yyjson_mut_obj_add_sint(doc, root, "totalResults", total);
    yyjson_mut_obj_add_int(doc, root, "startIndex", start);
    yyjson_mut_obj_add_uint(doc, root, "itemsPerPage", yyjson_mut_arr_size(page));
    yyjson_mut_obj_add_val(doc, root, "Resources", page);
    return IST_OK;
}

ist_status ist__scim_list(ist__session *session, ist__principal_kind kind, const char *filter_text, int start,
                          int count, ist_buffer *out, ist_error *err)
{
    filter f = {0};
    ist__db *db;
    yyjson_mut_doc *doc = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__require_admin(session, err));
    if (filter_text && *filter_text)
        IST_TRY_GOTO(read_filter(filter_text, kind, &f, err));
    start = start < 1 ? 1 : start;
    count = count < 1 ? COUNT_DEFAULT : count > COUNT_MAX ? COUNT_MAX : count;
    IST_TRY_GOTO(ist__session_read(session, &db, err));
    doc = yyjson_mut_doc_new(NULL);
    IST_TRY_GOTO(ist__db_end(db, list_page(db, kind, &f, start, count, doc, err), err));
    status = ist__json_finish(doc, out, err);
    doc = NULL;
done:
    yyjson_mut_doc_free(doc);
    ist_buffer_free(&f.value);
    return status;
}

/* Create ----------------------------------------------------------------------------------------------------------- */

static ist_status check_name(const char *name, ist_error *err)
{
    size_t size = strlen(name);
    if (size == 0 || size > IST__PRINCIPAL_NAME_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a principal's name has 1 to %d bytes",
                             IST__PRINCIPAL_NAME_MAX);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a principal's name has a control character");
    return IST_OK;
}

/* A user's name: userName, else the primary address, which is all that Unity Catalog's own clients tell. */
static ist_status user_name(yyjson_val *body, const char **out, ist_error *err)
{
    yyjson_val *emails = yyjson_obj_get(body, "emails"), *email;
    size_t i, count;
    IST_TRY(ist__json_text(body, "userName", false, out, err));
    if (*out)
        return IST_OK;
    yyjson_arr_foreach(emails, i, count, email) {
        if (!*out || yyjson_get_bool(yyjson_obj_get(email, "primary")))
            IST_TRY(ist__json_text(email, "value", true, out, err));
    }
    if (!*out)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "userName or a primary address in emails is required");
    return IST_OK;
}

/* spare: what a service principal without an applicationId is called. */
static ist_status name_of(yyjson_val *body, ist__principal_kind kind, const char *spare, const char **out,
                          ist_error *err)
{
    if (kind == IST__PRINCIPAL_USER)
        IST_TRY(user_name(body, out, err));
    else
        IST_TRY(ist__json_text(body, kinds[kind].name_key, kind == IST__PRINCIPAL_GROUP, out, err));
    *out = *out ? *out : spare;
    return check_name(*out, err);
}

static ist_status add_member(ist__db *db, const char *group_id, yyjson_val *member, ist_error *err)
{
    const char *id;
    sqlite3_stmt *row;
    IST_TRY(ist__json_text(member, "value", true, &id, err));
    IST_TRY(ist__db_run(db, "SELECT 1 FROM principals WHERE id = ?1", &row, err, "t", id));
    if (!row)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "there is no principal with id %.100s", id);
    /* A circle of groups would make each a member of itself. */
    IST_TRY(ist__db_run(db,
                        "WITH RECURSIVE above (id) AS (SELECT ?1 UNION SELECT m.group_id FROM group_members m"
                        " JOIN above a ON m.member_id = a.id) SELECT 1 FROM above WHERE id = ?2",
                        &row, err, "tt", group_id, id));
    if (row)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the group %.100s is in this group already", id);
    return ist__db_run(db, "INSERT OR IGNORE INTO group_members (group_id, member_id) VALUES (?1, ?2)", NULL, err, "tt",
                       group_id, id);
}

static ist_status remove_member(ist__db *db, const char *group_id, const char *id, ist_error *err)
{
    if (strcmp(group_id, IST__ADMINS_ID) == 0 && strcmp(id, IST__ADMIN_ID) == 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "admin stays in the group admins");
    return ist__db_run(db, "DELETE FROM group_members WHERE group_id = ?1 AND member_id = ?2", NULL, err, "tt",
                       group_id, id);
}

/* Everyone is in `account users` without being told so. */
static ist_status check_has_members(const char *group_id, ist_error *err)
{
    if (strcmp(group_id, IST__EVERYONE_ID) == 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the members of '%s' are everyone", IST__EVERYONE);
    return IST_OK;
}

static ist_status add_members(ist__db *db, const char *group_id, yyjson_val *members, ist_error *err)
{
    yyjson_val *member;
    size_t i, count;
    IST_TRY(check_has_members(group_id, err));
    if (!yyjson_is_arr(members) || yyjson_arr_size(members) > MEMBERS_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "members is not an array of at most %d", MEMBERS_MAX);
    yyjson_arr_foreach(members, i, count, member) {
        IST_TRY(add_member(db, group_id, member, err));
    }
    return IST_OK;
}

static ist_status create(ist__db *db, ist__principal_kind kind, yyjson_val *body, ist_buffer *out, ist_error *err)
{
    const char *name, *display_name, *external_id;
    char id[37], application_id[37];
    sqlite3_stmt *row;
    ist__uuid(id);
    ist__uuid(application_id);
    IST_TRY(name_of(body, kind, application_id, &name, err));
    IST_TRY(ist__json_text(body, "displayName", false, &display_name, err));
    IST_TRY(ist__json_text(body, "externalId", false, &external_id, err));
    yyjson_val *active = yyjson_obj_get(body, "active"), *members = yyjson_obj_get(body, "members");
    IST_TRY(ist__db_run(db, "SELECT 1 FROM principals WHERE name = ?1", &row, err, "t", name));
    if (row)
        return ist__uc_error(err, IST__UC_ALREADY_EXISTS, "there is a principal of the name %s already", name);
    IST_TRY(ist__db_run(db,
                        "INSERT INTO principals (id, kind, name, display_name, external_id, active, created_at,"
                        " updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                        NULL, err, "titttii", id, (int64_t)kind, name, display_name ? display_name : name, external_id,
                        (int64_t)(yyjson_is_false(active) ? 0 : 1), ist__now_ms()));
    if (kind == IST__PRINCIPAL_GROUP && members && !yyjson_is_null(members))
        IST_TRY(add_members(db, id, members, err));
    ist__db_rights_changed(db);
    return show(db, kind, id, out, err);
}

/* Update ----------------------------------------------------------------------------------------------------------- */

static bool is_built_in(const char *id)
{
    return strcmp(id, IST__ADMIN_ID) == 0 || strcmp(id, IST__ADMINS_ID) == 0 || strcmp(id, IST__EVERYONE_ID) == 0;
}

/* The members of a resource, or of an operation's value, that are there. */
static ist_status set_attributes(ist__db *db, ist__principal_kind kind, const char *id, yyjson_val *body,
                                 ist_error *err)
{
    const char *name, *display_name, *external_id;
    sqlite3_stmt *row;
    yyjson_val *active = yyjson_obj_get(body, "active");
    IST_TRY(ist__json_text(body, kinds[kind].name_key, false, &name, err));
    IST_TRY(ist__json_text(body, "displayName", false, &display_name, err));
    IST_TRY(ist__json_text(body, "externalId", false, &external_id, err));
    IST_TRY(ist__db_run(db, "SELECT name FROM principals WHERE id = ?1", &row, err, "t", id));
    if (name && (!row || strcmp(name, ist__db_text(row, 0)) != 0))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s cannot be changed: make a new principal",
                             kinds[kind].name_key);
    if (active && !yyjson_is_bool(active))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "active is neither true nor false");
    if (yyjson_is_false(active) && is_built_in(id))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "admin stays active");
    if (active)
        IST_TRY(ist__db_run(db, "UPDATE principals SET active = ?2 WHERE id = ?1", NULL, err, "ti", id,
                            (int64_t)yyjson_get_bool(active)));
    return ist__db_run(db,
                       "UPDATE principals SET display_name = coalesce(?2, display_name),"
                       " external_id = coalesce(?3, external_id), updated_at = ?4 WHERE id = ?1",
                       NULL, err, "ttti", id, display_name, external_id, ist__now_ms());
}

/* members NULL: there are to be none. */
static ist_status set_members(ist__db *db, const char *id, yyjson_val *members, ist_error *err)
{
    IST_TRY(check_has_members(id, err));
    IST_TRY(ist__db_run(db, "DELETE FROM group_members WHERE group_id = ?1 AND (group_id <> ?2 OR member_id <> ?3)",
                        NULL, err, "ttt", id, IST__ADMINS_ID, IST__ADMIN_ID));
    return members ? add_members(db, id, members, err) : IST_OK;
}

static ist_status remove_members(ist__db *db, const char *id, yyjson_val *members, ist_error *err)
{
    yyjson_val *member;
    size_t i, count;
    yyjson_arr_foreach(members, i, count, member) {
        const char *member_id;
        IST_TRY(ist__json_text(member, "value", true, &member_id, err));
        IST_TRY(remove_member(db, id, member_id, err));
    }
    return IST_OK;
}

/* `members[value eq "ID"]` */
static ist_status remove_filtered_member(ist__db *db, const char *id, const char *path, ist_error *err)
{
    char member[64];
    const char *start = strchr(path, '"'), *end = start ? strchr(start + 1, '"') : NULL;
    if (!end || strcmp(end, "\"]") != 0 || snprintf(member, sizeof member, "%.*s", (int)(end - start - 1), start + 1) >=
                                               (int)sizeof member)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "path is not of the form members[value eq \"id\"]");
    return remove_member(db, id, member, err);
}

/* An operation on the attribute that its path names. */
static ist_status set_path(ist__db *db, ist__principal_kind kind, const char *id, const char *path, yyjson_val *value,
                           ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add(root, yyjson_mut_strcpy(doc, path), yyjson_val_mut_copy(doc, value));
    yyjson_doc *fixed = yyjson_mut_doc_imut_copy(doc, NULL);
    ist_status status = fixed ? set_attributes(db, kind, id, yyjson_doc_get_root(fixed), err)
                              : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for JSON");
    yyjson_doc_free(fixed);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status apply_operation(ist__db *db, ist__principal_kind kind, const char *id, yyjson_val *operation,
                                  ist_error *err)
{
    const char *op, *path;
    yyjson_val *value = yyjson_obj_get(operation, "value");
    IST_TRY(ist__json_text(operation, "op", true, &op, err));
    IST_TRY(ist__json_text(operation, "path", false, &path, err));
    bool group = kind == IST__PRINCIPAL_GROUP, remove = strcasecmp(op, "remove") == 0;
    bool replace = strcasecmp(op, "replace") == 0;
    if (!remove && !replace && strcasecmp(op, "add") != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "op '%.20s' is none of add, remove, replace", op);
    if (group && path && strncmp(path, "members[", 8) == 0 && remove)
        return remove_filtered_member(db, id, path, err);
    if (group && path && strcmp(path, "members") == 0)
        return remove    ? value ? remove_members(db, id, value, err) : set_members(db, id, NULL, err)
               : replace ? set_members(db, id, value, err)
                         : add_members(db, id, value, err);
    if (remove)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "only members can be removed");
    if (path)
        return set_path(db, kind, id, path, value, err);
    if (!yyjson_is_obj(value))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "an operation without path has an object as value");
    IST_TRY(set_attributes(db, kind, id, value, err));
    yyjson_val *members = group ? yyjson_obj_get(value, "members") : NULL;
    return !members ? IST_OK : replace ? set_members(db, id, members, err) : add_members(db, id, members, err);
}

static ist_status update(ist__db *db, ist__principal_kind kind, const char *id, bool replace, yyjson_val *body,
                         ist_buffer *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT 1 FROM principals WHERE id = ?1 AND kind = ?2", &row, err, "ti", id,
                        (int64_t)kind));
    if (!row)
        return not_found(kind, id, err);
    if (replace) {
        yyjson_val *members = yyjson_obj_get(body, "members");
        IST_TRY(set_attributes(db, kind, id, body, err));
        if (kind == IST__PRINCIPAL_GROUP && yyjson_is_arr(members))
            IST_TRY(set_members(db, id, members, err));
    } else {
        yyjson_val *operations = yyjson_obj_get(body, "Operations"), *operation;
        size_t i, count;
        if (!yyjson_is_arr(operations) || yyjson_arr_size(operations) > OPERATIONS_MAX)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Operations is not an array of at most %d",
                                 OPERATIONS_MAX);
        yyjson_arr_foreach(operations, i, count, operation) {
            IST_TRY(apply_operation(db, kind, id, operation, err));
        }
    }
    ist__db_rights_changed(db);
    return show(db, kind, id, out, err);
}

/* Make a principal, where id is NULL, or change one. */
static ist_status put(ist__session *session, ist__principal_kind kind, const char *id, bool replace, const char *body,
                      ist_buffer *out, ist_error *err)
{
    yyjson_doc *in = NULL;
    ist__db *db;
    IST_TRY(ist__require_admin(session, err));
    IST_TRY(ist__json_read_object(body, &in, err));
    yyjson_val *root = yyjson_doc_get_root(in);
    ist_status status = ist__session_write(session, &db, err);
    if (status == IST_OK)
        status = ist__db_end(db, id ? update(db, kind, id, replace, root, out, err) : create(db, kind, root, out, err),
                             err);
    yyjson_doc_free(in);
    return status;
}

ist_status ist__scim_create(ist__session *session, ist__principal_kind kind, const char *body, ist_buffer *out,
                            ist_error *err)
{
    return put(session, kind, NULL, false, body, out, err);
}

ist_status ist__scim_update(ist__session *session, ist__principal_kind kind, const char *id, bool replace,
                            const char *body, ist_buffer *out, ist_error *err)
{
    return put(session, kind, id, replace, body, out, err);
}

/* Delete ----------------------------------------------------------------------------------------------------------- */

/* Tokens and grants go with the principal. What he owns becomes the administrator's: were it left to his name, whoever
 * gets that name next would own it. */
static ist_status delete_principal(ist__db *db, ist__principal_kind kind, const char *id, ist_error *err)
{
    sqlite3_stmt *row;
    char name[IST__PRINCIPAL_NAME_MAX + 1];
    if (is_built_in(id))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "admin, admins and '%s' cannot be deleted", IST__EVERYONE);
    IST_TRY(ist__db_run(db, "DELETE FROM principals WHERE id = ?1 AND kind = ?2 RETURNING name", &row, err, "ti", id,
                        (int64_t)kind));
    if (!row)
        return not_found(kind, id, err);
    snprintf(name, sizeof name, "%s", ist__db_text(row, 0));
    for (int i = 0; i < IST__SECURABLE_COUNT; i++)
        if (ist__securable_tables[i].pass_on)
            IST_TRY(ist__db_run(db, ist__securable_tables[i].pass_on, NULL, err, "tt", name,
                                ist__principal_admin.name));
    ist__db_rights_changed(db);
    return IST_OK;
}

ist_status ist__scim_delete(ist__session *session, ist__principal_kind kind, const char *id, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__require_admin(session, err));
    IST_TRY(ist__session_write(session, &db, err));
    return ist__db_end(db, delete_principal(db, kind, id, err), err);
}
