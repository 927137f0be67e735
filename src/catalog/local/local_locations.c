/*
 * local_locations.c: storage credentials and external locations: which folders outside of managed storage the catalog
 * reaches, by whose right, and whom it lets.
 */
#include "catalog/local/objects.h"
#include "catalog/local/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Credentials ------------------------------------------------------------------------------------------------------ */

/*
 * What a credential is made of, as its body has it: a role to assume, by Unity Catalog, and Databricks' ways for the
 * other clouds. None holds a secret of its own.
 */
static const struct {
    const char *member;
    const char *required[3], *optional[3];
} credential_forms[] = {
    {"aws_iam_role", {"role_arn"}, {"unity_catalog_iam_arn"}},
    {"azure_managed_identity", {"access_connector_id"}, {"managed_identity_id"}},
    {"azure_service_principal", {"directory_id", "application_id"}, {0}},
    {"databricks_gcp_service_account", {0}, {"email"}},
};

enum { FORM_COUNT = sizeof credential_forms / sizeof *credential_forms };

static ist_status copy_texts(yyjson_mut_doc *doc, yyjson_mut_val *out, yyjson_val *in, const char *const keys[3],
                             bool required, ist_error *err)
{
    for (int i = 0; i < 3 && keys[i]; i++) {
        const char *text;
        IST_TRY(ist__json_text(in, keys[i], required, &text, err));
        if (text)
            yyjson_mut_obj_add_strcpy(doc, out, keys[i], text);
    }
    return IST_OK;
}

/* The one form that the body has, checked, as JSON text (malloc); NULL where it has none. */
static ist_status read_form(yyjson_val *body, char **out, ist_error *err)
{
    int found = -1;
    *out = NULL;
    for (int i = 0; i < FORM_COUNT; i++) {
        yyjson_val *value = yyjson_obj_get(body, credential_forms[i].member);
        if (!value || yyjson_is_null(value))
            continue;
        if (found >= 0 || !yyjson_is_obj(value))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, found >= 0 ? "a credential is of one kind: %s is too many"
                                                                           : "%s is not an object",
                                 credential_forms[i].member);
        found = i;
    }
    if (found < 0)
        return IST_OK;
    yyjson_val *in = yyjson_obj_get(body, credential_forms[found].member);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *form = yyjson_mut_obj_add_obj(doc, root, credential_forms[found].member);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status = copy_texts(doc, form, in, credential_forms[found].required, true, err);
    if (status == IST_OK)
        status = copy_texts(doc, form, in, credential_forms[found].optional, false, err);
    if (status == IST_OK && strcmp(credential_forms[found].member, "aws_iam_role") == 0) {
        char external_id[37]; /* what the role's trust policy asks for, so that nobody else gets in by our name */
        ist__uuid(external_id);
        yyjson_mut_obj_add_strcpy(doc, form, "external_id", external_id);
    }
    if (status == IST_OK && !(*out = yyjson_mut_write(doc, 0, NULL)))
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a credential");
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status insert_credential(ist__creation *c, ist_error *err)
{
    static const char *const purposes[] = {"STORAGE", NULL};
    const char *purpose;
    char *form;
    IST_TRY(ist__json_text(c->root, "purpose", false, &purpose, err));
    if (purpose)
        IST_TRY(ist__one_of(purpose, purposes, "purpose", err));
    IST_TRY(read_form(c->root, &form, err));
    if (!form)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Unknown credential type: aws_iam_role is missing");
    ist_status status = ist__db_run(c->db,
                                    "INSERT INTO credentials (id, parent_id, name, comment, owner, created_at,"
                                    " created_by, updated_at, updated_by, purpose, credential)"
                                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6, ?5, ?7, ?8)",
                                    NULL, err, "tttttitt", c->id, ist__chain_id(&c->parent), c->name, c->comment,
                                    c->session->who->name, c->now, purpose ? purpose : "STORAGE", form);
    free(form);
    return status;
}

static ist_status change_credential(ist__change *change, ist_error *err)
{
    char *form;
    IST_TRY(read_form(change->patch, &form, err));
    change->made = true; /* Unity Catalog notes the time of an empty change too */
    ist_status status = form ? ist__db_run(change->db, "UPDATE credentials SET credential = ?2 WHERE id = ?1", NULL,
                                           err, "tt", change->id, form)
                             : IST_OK;
    free(form);
    return status;
}

static ist_status check_credential_unused(ist__db *db, const char *id, const char *name, ist_error *err)
{
    (void)name;
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT name FROM external_locations WHERE credential_id = ?1 LIMIT 1", &row, err, "t", id));
    if (row)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Credential still used by external location '%s'",
                             ist__column_text(row, 0));
    return IST_OK;
}

#define SELECT_CREDENTIAL                                                                                              \
    "SELECT o.name, o.comment, o.purpose, o.credential AS \"*\", " IST__SELECT_COMMON ", o.id"    \
    " FROM credentials o "

const ist__kind ist__kind_credential = {
    .id = "id",
    .get = SELECT_CREDENTIAL IST__BY_ID,
    .page = SELECT_CREDENTIAL IST__PAGE,
    .own_page = SELECT_CREDENTIAL IST__OWN_PAGE("credentials"),
    .update = "UPDATE credentials SET " IST__SET_COMMENT " WHERE id = ?1",
    .remove = "DELETE FROM credentials WHERE id = ?1",
    .create = IST__ACTION_CREATE_CREDENTIAL,
    .taken = IST__UC_STORAGE_CREDENTIAL_ALREADY_EXISTS,
    .insert = insert_credential,
    .change = change_credential,
    .check_unused = check_credential_unused,
};

/* External locations ----------------------------------------------------------------------------------------------- */

/* The location's URL, normalized; it must not touch another's. */
static ist_status check_url(ist__session *session, ist__db *db, const char *text, const char *own_id, ist_buffer *out,
                            ist_error *err)
{
    static const ist__name metastore = {0};
    ist__place place;
    int above;
    bool below;
    IST_TRY(ist__location_normalize(text, out, err));
    IST_TRY(ist__place_check_not_managed(out->data, err));
    if (strncmp(out->data, "file:", 5) == 0) /* the server's own disk: no credential says who may reach it */
        IST_TRY(ist__resolve(session, db, IST_SECURABLE_METASTORE, &metastore, IST__ACTION_GRANT, NULL, err));
    IST_TRY(ist__places_above(db, IST__PLACES_EXTERNAL, out->data, &place, &above, err));
    bool other = above > 1 || (above == 1 && strcmp(place.id, own_id) != 0);
    if (!other) {
        IST_TRY(ist__places_below(db, IST__PLACES_EXTERNAL, out->data, false, &place, &below, err));
        other = below && strcmp(place.id, own_id) != 0;
    }
    if (other)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Cannot accept an external location that duplicates or overlaps with existing external"
                             " location");
    return IST_OK;
}

/* The id of the credential that a location is to use; "" for none, which only a local folder can do with. */
static ist_status find_credential(ist__session *session, ist__db *db, const char *credential_name, const char *url,
                                  char id[37], ist_error *err)
{
    ist__name name;
    ist__chain chain;
    *id = '\0';
    if (!credential_name && strncmp(url, "file:", 5) == 0)
        return IST_OK;
    if (!credential_name)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "credential_name is required");
    IST_TRY(ist__name_split(credential_name, 1, &name, err));
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_CREDENTIAL, &name, IST__ACTION_CREATE_EXTERNAL_LOCATION, &chain,
                         err));
    snprintf(id, 37, "%s", ist__chain_id(&chain));
    return IST_OK;
}

static ist_status insert_location(ist__creation *c, ist_error *err)
{
    const char *url, *credential_name;
    char credential_id[37];
    ist_buffer place = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY(ist__json_text(c->root, "url", true, &url, err));
    IST_TRY(ist__json_text(c->root, "credential_name", false, &credential_name, err));
    IST_TRY_GOTO(check_url(c->session, c->db, url, "", &place, err));
    IST_TRY_GOTO(find_credential(c->session, c->db, credential_name, place.data, credential_id, err));
    status = ist__db_run(c->db,
                         "INSERT INTO external_locations (id, parent_id, name, comment, owner, created_at, created_by,"
                         " url, credential_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?7, ?8)",
                         NULL, err, "tttttitt", c->id, ist__chain_id(&c->parent), c->name, c->comment,
                         c->session->who->name, c->now, place.data, *credential_id ? credential_id : NULL);
done:
    ist_buffer_free(&place);
    return status;
}

static ist_status change_location(ist__change *change, ist_error *err)
{
    const char *url, *credential_name;
    char credential_id[37] = "";
    ist_buffer place = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY(ist__json_text(change->patch, "url", false, &url, err));
    IST_TRY(ist__json_text(change->patch, "credential_name", false, &credential_name, err));
    change->made = true;
    if (url)
        IST_TRY_GOTO(check_url(change->session, change->db, url, change->id, &place, err));
    if (credential_name)
        IST_TRY_GOTO(find_credential(change->session, change->db, credential_name, "", credential_id, err));
    if (url || credential_name)
        status = ist__db_run(change->db,
                             "UPDATE external_locations SET url = coalesce(?2, url),"
                             " credential_id = coalesce(?3, credential_id) WHERE id = ?1",
                             NULL, err, "ttt", change->id, place.data, *credential_id ? credential_id : NULL);
done:
    ist_buffer_free(&place);
    return status;
}

static ist_status check_location_unused(ist__db *db, const char *id, const char *name, ist_error *err)
{
    (void)name;
    sqlite3_stmt *row;
    ist__place place;
    ist_buffer url = IST_BUFFER_INIT;
    bool used;
    IST_TRY(ist__db_run(db, "SELECT url FROM external_locations WHERE id = ?1", &row, err, "t", id));
    ist_status status = ist_buffer_append_string(&url, row ? ist__column_text(row, 0) : "", err);
    if (status == IST_OK)
        status = ist__places_below(db, IST__PLACES_DATA, url.data, true, &place, &used, err);
    if (status == IST_OK && used)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "External location still used by %s '%s'",
                               ist__securable_type(place.kind), place.id);
    ist_buffer_free(&url);
    return status;
}

#define SELECT_LOCATION                                                                                                \
    "SELECT o.name, o.url, k.name AS credential_name, o.credential_id, o.comment, " IST__SELECT_COMMON ", o.id"        \
    " FROM external_locations o LEFT JOIN credentials k ON k.id = o.credential_id "

const ist__kind ist__kind_external_location = {
    .id = "id",
    .get = SELECT_LOCATION IST__BY_ID,
    .page = SELECT_LOCATION IST__PAGE,
    .own_page = SELECT_LOCATION IST__OWN_PAGE("external_locations"),
    .update = "UPDATE external_locations SET " IST__SET_COMMENT " WHERE id = ?1",
    .remove = "DELETE FROM external_locations WHERE id = ?1",
    .create = IST__ACTION_CREATE_EXTERNAL_LOCATION,
    .taken = IST__UC_EXTERNAL_LOCATION_ALREADY_EXISTS,
    .insert = insert_location,
    .change = change_location,
    .check_unused = check_location_unused,
};
