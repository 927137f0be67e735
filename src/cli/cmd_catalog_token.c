/* cmd_catalog_token.c: isthmus catalog token. A token is told once: it goes to standard output and nowhere else. */
#include "catalog_objects.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_PATH "/api/2.0/token"

typedef struct token_values {
    const char *for_whom, *comment;
    int64_t days;
} token_values;

static const cli_option options[] = {
    {"for", CLI_TEXT, offsetof(token_values, for_whom), "PRINCIPAL", NULL,
     "Whose token it is: a user, or a service principal by its application id; for administrators. Otherwise your own.",
     0, 0, NULL},
    {"days", CLI_NUMBER, offsetof(token_values, days), "N", "90", "How long it is good for.", 1, 3650, NULL},
    {"comment", CLI_TEXT, offsetof(token_values, comment), "TEXT", NULL, "What it is for.", 0, 0, NULL},
    {0},
};

static const cli_example examples[] = {
    {"ISTHMUS_TOKEN=$(isthmus catalog token create --comment laptop)", "A token of your own"},
    {"isthmus catalog token create --for alice@example.org --days 7", "One for somebody else"},
    {"isthmus catalog token list", "Your tokens, without what cannot be shown again"},
    {0},
};

const cli_page cmd_catalog_token_page = {
    .arguments = "create|list|revoke [ID]",
    .common = CLI_JSON | CLI_QUIET | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(token_values),
    .description = "Makes, lists and revokes the tokens with which clients sign in. A new token is printed once, to "
                   "standard output; the server keeps only its hash. A revoked token is refused from then on.",
    .examples = examples,
};

static ist_status create_token(cli_call *call, ist_catalog *catalog, ist_error *err)
{
    enum { DAY_SECONDS = 86400 };
    const token_values *values = call->values;
    yyjson_doc *answer = NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_sint(doc, root, "lifetime_seconds", values->days * DAY_SECONDS);
    if (values->comment)
        yyjson_mut_obj_add_str(doc, root, "comment", values->comment);
    if (values->for_whom)
        yyjson_mut_obj_add_str(doc, root, "principal", values->for_whom);
    char *body = yyjson_mut_write(doc, 0, NULL);
    yyjson_mut_doc_free(doc);
    ist_status status = body ? cli_request(catalog, "POST", TOKEN_PATH "/create", body, &answer, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    const char *token = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(answer), "token_value"));
    if (status == IST_OK && !token)
        status = ist_error_set(err, IST_INTERNAL, 0, NULL, "the server gave no token");
    if (status == IST_OK && call->json) {
        char *text = yyjson_write(answer, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
        puts(text ? text : "{}");
        free(text);
    } else if (status == IST_OK) {
        puts(token);
        cli_note(call, "shown once; it goes into ISTHMUS_TOKEN");
    }
    free(body);
    yyjson_doc_free(answer);
    return status;
}

static ist_status list_tokens(cli_call *call, ist_catalog *catalog, ist_error *err)
{
    static const char *const members[] = {"token_id", "created_by_username", "creation_time", "expiry_time",
                                          "last_used_time", "comment", NULL};
    yyjson_doc *doc = NULL;
    ist_status status = cli_request(catalog, "GET", TOKEN_PATH "/list", NULL, &doc, err);
    if (status == IST_OK)
        status = cli_array_print(call, yyjson_obj_get(yyjson_doc_get_root(doc), "token_infos"), members, err);
    yyjson_doc_free(doc);
    return status;
}

static ist_status revoke_token(cli_call *call, ist_catalog *catalog, const char *id, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "token_id", id);
    char *body = yyjson_mut_write(doc, 0, NULL);
    yyjson_mut_doc_free(doc);
    ist_status status = body ? ist_catalog_request(catalog, "POST", TOKEN_PATH "/delete", body, NULL, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (status == IST_OK && call->json)
        puts("{}");
    free(body);
    return status;
}

ist_status cmd_catalog_token(cli_call *call, ist_error *err)
{
    const char *action = call->args[0];
    bool create = strcmp(action, "create") == 0, revoke = strcmp(action, "revoke") == 0;
    ist_catalog *catalog = NULL;
    if (!create && !revoke && strcmp(action, "list") != 0)
        return cli_usage(call, err, "'%s' is none of create|list|revoke", action);
    if (revoke != (call->arg_count > 1))
        return cli_usage(call, err, revoke ? "ID is missing (isthmus catalog token list)" : "%s takes no ID", action);
    ist_status status = cli_catalog_open(call, &catalog, err);
    if (status == IST_OK)
        status = create   ? create_token(call, catalog, err)
                 : revoke ? revoke_token(call, catalog, call->args[1], err)
                          : list_tokens(call, catalog, err);
    ist_catalog_free(catalog);
    return status;
}
