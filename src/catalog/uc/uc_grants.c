/*
 * uc_grants.c: who may do what, by Unity Catalog's permissions calls.
 *
 * The open server writes privileges with spaces ("USE CATALOG"), Databricks with underscores; both are taken here and
 * each server gets its own. Databricks knows a registered model as a function.
 */
#include "catalog/catalog_json.h"
#include "catalog/uc/uc_internal.h"

#include <ctype.h>
#include <string.h>

/* The metastore has an id instead of a name. */
static ist_status append_metastore_id(ist__uc *client, ist_buffer *path, ist_error *err)
{
    static const ist__uc_request request = {
        .method = "GET", .path = IST__CATALOG_PATH "/metastore_summary", .repeatable = true};
    ist_buffer reply = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    const char *id;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__uc_send(client, &request, &reply, err));
    IST_TRY_GOTO(ist__json_read_object(reply.data, &doc, err));
    IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(doc), "metastore_id", true, &id, err));
    status = ist__uri_encode(id, strlen(id), "", path, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&reply);
    return status;
}

static ist_status permissions_path(ist__uc *client, ist_securable kind, const ist__name *name, ist_buffer *path,
                                   ist_error *err)
{
    ist_buffer full = IST_BUFFER_INIT;
    const char *type = ist__securable_type(kind);
    if (kind == IST_SECURABLE_MODEL_VERSION)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a model version has its model's grants");
    if (client->databricks && kind == IST_SECURABLE_REGISTERED_MODEL)
        type = "function";
    IST_TRY(ist_buffer_printf(path, err, IST__CATALOG_PATH "/permissions/%s/", type));
    if (kind == IST_SECURABLE_METASTORE)
        return append_metastore_id(client, path, err);
    ist_status status = ist__name_join(name, &full, err);
    if (status == IST_OK)
        status = ist__uri_encode(full.data, full.size, "", path, err);
    ist_buffer_free(&full);
    return status;
}

ist_status ist__uc_get_grants(void *self, ist_securable kind, const ist__name *name, const char *principal,
                              ist_buffer *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(permissions_path(self, kind, name, &path, err));
    if (principal) {
        IST_TRY_GOTO(ist_buffer_append_string(&path, "?principal=", err));
        IST_TRY_GOTO(ist__uri_encode(principal, strlen(principal), "", &path, err));
    }
    const ist__uc_request request = {.method = "GET", .path = path.data, .repeatable = true};
    status = ist__uc_send(self, &request, out, err);
done:
    ist_buffer_free(&path);
    return status;
}

/* A copy of a list of privileges in the server's spelling; an empty one where it is absent. */
static ist_status copy_privileges(yyjson_mut_doc *doc, yyjson_mut_val *change, yyjson_val *in, const char *key,
                                  char divider, ist_error *err)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, change, key);
    yyjson_val *item;
    size_t i, count;
    yyjson_arr_foreach(yyjson_obj_get(in, key), i, count, item) {
        char text[64];
        size_t size = yyjson_get_len(item);
        if (!yyjson_is_str(item) || size >= sizeof text)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s: element %zu is no privilege", key, i);
        for (size_t at = 0; at < size; at++) {
            char c = yyjson_get_str(item)[at];
            text[at] = strchr(" _-", c) ? divider : (char)toupper((unsigned char)c);
        }
        yyjson_mut_arr_add_strncpy(doc, list, text, size);
    }
    return IST_OK;
}

static ist_status make_body(const ist__uc *client, const char *changes, ist_buffer *out, ist_error *err)
{
    yyjson_doc *in = yyjson_read(changes, strlen(changes), 0);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *list = yyjson_mut_obj_add_arr(doc, root, "changes");
    yyjson_val *change;
    size_t i, count;
    ist_status status = IST_OK;
    yyjson_mut_doc_set_root(doc, root);
    if (!yyjson_is_arr(yyjson_doc_get_root(in))) {
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "changes is not a JSON array");
        goto done;
    }
    yyjson_arr_foreach(yyjson_doc_get_root(in), i, count, change) {
        const char *principal, divider = client->databricks ? '_' : ' ';
        yyjson_mut_val *copy = yyjson_mut_arr_add_obj(doc, list);
        IST_TRY_GOTO(ist__json_text(change, "principal", true, &principal, err));
        yyjson_mut_obj_add_str(doc, copy, "principal", principal);
        IST_TRY_GOTO(copy_privileges(doc, copy, change, "add", divider, err));
        IST_TRY_GOTO(copy_privileges(doc, copy, change, "remove", divider, err));
    }
    status = ist__json_finish(doc, out, err);
    doc = NULL;
done:
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(in);
    return status;
}

/* Granted twice is granted: it may be repeated. */
ist_status ist__uc_update_grants(void *self, ist_securable kind, const ist__name *name, const char *changes,
                                 ist_buffer *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, body = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(make_body(self, changes, &body, err));
    IST_TRY_GOTO(permissions_path(self, kind, name, &path, err));
    const ist__uc_request request = {.method = "PATCH", .path = path.data, .body = body.data, .repeatable = true};
    status = ist__uc_send(self, &request, out, err);
done:
    ist_buffer_free(&path);
    ist_buffer_free(&body);
    return status;
}
