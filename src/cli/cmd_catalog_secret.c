/* cmd_catalog_secret.c: isthmus catalog secret. A value comes from standard input: an argument would be in `ps`. */
#include "catalog_objects.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRETS_PATH "/api/2.0/secrets"

enum { VALUE_MAX = 128 << 10 };

typedef struct secret_values {
    const char *to, *permission;
} secret_values;

static const cli_option options[] = {
    {"to", CLI_TEXT, offsetof(secret_values, to), "PRINCIPAL", NULL, "grant: who gets the permission.", 0, 0, NULL},
    {"permission", CLI_TEXT, offsetof(secret_values, permission), "READ|WRITE|MANAGE", "READ", "grant: which one.", 0, 0,
     NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus catalog secret put prod api-key <key.txt", "Keep a secret; the scope is made where it is missing"},
    {"isthmus catalog secret grant prod --to data-team", "Let others read the scope (dbutils.secrets.get)"},
    {"isthmus catalog secret list prod", "The keys of a scope; never the values"},
    {"isthmus catalog secret delete prod api-key", "Forget one; without a key, the whole scope"},
    {0},
};

const cli_page cmd_catalog_secret_page = {
    .arguments = "list|put|grant|delete [SCOPE [KEY]]",
    .common = CLI_JSON | CLI_QUIET | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(secret_values),
    .description = "Keeps secrets, such as an API's key, in scopes of the catalog, encrypted. `put` reads the value from "
                   "standard input and takes one newline off its end. Scripts read it by dbutils.secrets.get(scope, key).",
    .examples = examples,
};

/* Send an object of texts; pairs end with NULL, a NULL value is left out. */
static ist_status send_texts(ist_catalog *catalog, const char *path, const char *const *pairs, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (; *pairs; pairs += 2)
        if (pairs[1])
            yyjson_mut_obj_add_str(doc, root, pairs[0], pairs[1]);
    char *body = yyjson_mut_write(doc, 0, NULL);
    yyjson_mut_doc_free(doc);
    ist_status status = body ? ist_catalog_request(catalog, "POST", path, body, NULL, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    free(body);
    return status;
}

static ist_status list(cli_call *call, ist_catalog *catalog, const char *scope, ist_error *err)
{
    static const char *const scope_members[] = {"name", NULL}, *const key_members[] = {"key", "last_updated_timestamp", NULL};
    ist_buffer path = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status =
        ist_buffer_append_string(&path, scope ? SECRETS_PATH "/list?scope=" : SECRETS_PATH "/scopes/list", err);
    if (status == IST_OK && scope)
        status = cli_append_encoded(&path, scope, err);
    if (status == IST_OK)
        status = cli_request(catalog, "GET", path.data, NULL, &doc, err);
    if (status == IST_OK)
        status = cli_array_print(call, yyjson_obj_get(yyjson_doc_get_root(doc), scope ? "secrets" : "scopes"),
                                 scope ? key_members : scope_members, err);
    yyjson_doc_free(doc);
    ist_buffer_free(&path);
    return status;
}

/* Standard input, NUL-ended, without a last newline. */
static ist_status read_value(char value[VALUE_MAX + 2], ist_error *err)
{
    size_t size = 0;
    ssize_t n;
    while (size <= VALUE_MAX && (n = read(STDIN_FILENO, value + size, VALUE_MAX + 1 - size)) > 0)
        size += (size_t)n;
    if (size > VALUE_MAX || memchr(value, '\0', size))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the value is %s",
                             size > VALUE_MAX ? "larger than 128 KiB" : "not text: it holds a NUL");
    size -= size > 0 && value[size - 1] == '\n';
    value[size] = '\0';
    return size ? IST_OK : ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the value is empty; give it on standard input");
}

static ist_status put(cli_call *call, ist_catalog *catalog, const char *scope, const char *key, ist_error *err)
{
    char value[VALUE_MAX + 2];
    if (isatty(STDIN_FILENO))
        cli_note(call, "type the value and end it by Ctrl-D");
    ist_status status = read_value(value, err);
    if (status != IST_OK)
        return status;
    const char *const secret[] = {"scope", scope, "key", key, "string_value", value, NULL};
    status = send_texts(catalog, SECRETS_PATH "/scopes/create", (const char *[]){"scope", scope, NULL}, err);
    if (status == IST_OK || status == IST_ALREADY_EXISTS)
        status = send_texts(catalog, SECRETS_PATH "/put", secret, err);
    memset(value, 0, sizeof value);
    return status;
}

ist_status cmd_catalog_secret(cli_call *call, ist_error *err)
{
    const secret_values *values = call->values;
    const char *action = call->args[0], *scope = call->arg_count > 1 ? call->args[1] : NULL,
               *key = call->arg_count > 2 ? call->args[2] : NULL;
    bool is_list = strcmp(action, "list") == 0, is_put = strcmp(action, "put") == 0,
         is_grant = strcmp(action, "grant") == 0, is_delete = strcmp(action, "delete") == 0;
    ist_catalog *catalog = NULL;
    if (!is_list && !is_put && !is_grant && !is_delete)
        return cli_usage(call, err, "'%s' is none of list|put|grant|delete", action);
    if ((!is_list && !scope) || (is_put && !key) || ((is_list || is_grant) && key))
        return cli_usage(call, err, "%s takes %s", action, is_put ? "SCOPE and KEY" : is_list ? "at most SCOPE" : "SCOPE");
    if (is_grant && !values->to)
        return cli_usage(call, err, "grant to whom? --to is missing");
    ist_status status = cli_catalog_open(call, &catalog, err);
    const char *const acl[] = {"scope", scope, "principal", values->to, "permission", values->permission, NULL};
    const char *const doomed[] = {"scope", scope, "key", key, NULL};
    if (status == IST_OK)
        status = is_list    ? list(call, catalog, scope, err)
                 : is_put   ? put(call, catalog, scope, key, err)
                 : is_grant ? send_texts(catalog, SECRETS_PATH "/acls/put", acl, err)
                 : key      ? send_texts(catalog, SECRETS_PATH "/delete", doomed, err)
                            : send_texts(catalog, SECRETS_PATH "/scopes/delete", doomed, err);
    if (status == IST_OK && !is_list && call->json)
        puts("{}");
    ist_catalog_free(catalog);
    return status;
}
