/* cmd_catalog_principal.c: isthmus catalog user, group and service-principal, by the SCIM calls of the server. */
#include "catalog_objects.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define SCIM_PATH "/api/2.0/preview/scim/v2"
#define SECRETS_PATH "/api/2.0/accounts/servicePrincipals"

typedef struct principal_values {
    const char *display_name;
} principal_values;

/* One kind of principal. */
typedef struct principal_kind {
    const char *word, *path;
    const char *attributes; /* by which one is found, "a|b"; the first is what it is called when it is made */
    const char *schema;
    const char *const *members; /* of a list */
} principal_kind;

static const char *const user_members[] = {"userName|displayName", "displayName", "active", "id", NULL};
static const char *const group_members[] = {"displayName", "id", NULL};
static const char *const service_members[] = {"displayName", "applicationId", "active", "id", NULL};

static const principal_kind user = {"user", SCIM_PATH "/Users", "userName",
                                    "urn:ietf:params:scim:schemas:core:2.0:User", user_members};
static const principal_kind group = {"group", SCIM_PATH "/Groups", "displayName",
                                     "urn:ietf:params:scim:schemas:core:2.0:Group", group_members};
static const principal_kind service = {"service principal", SCIM_PATH "/ServicePrincipals",
                                       "displayName|applicationId",
                                       "urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal", service_members};

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static bool goes_by(yyjson_val *resource, const char *name)
{
    static const char *const names[] = {"userName", "displayName", "applicationId", "id"};
    bool same = yyjson_equals_str(
        yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(resource, "emails")), "value"), name);
    for (size_t i = 0; !same && i < sizeof names / sizeof *names; i++)
        same = yyjson_equals_str(yyjson_obj_get(resource, names[i]), name);
    return same;
}

/* "/Users?filter=userName eq "alice"" */
static ist_status append_filter(ist_buffer *path, const principal_kind *kind, const char *attribute, size_t size,
                                const char *name, ist_error *err)
{
    ist_buffer filter = IST_BUFFER_INIT;
    ist_status status = ist_buffer_printf(&filter, err, "%.*s eq \"%s\"", (int)size, attribute, name);
    if (status == IST_OK)
        status = ist_buffer_printf(path, err, "%s?count=100&filter=", kind->path);
    if (status == IST_OK)
        status = cli_append_encoded(path, filter.data, err);
    ist_buffer_free(&filter);
    return status;
}

/* The id of one that goes by a name, in memory of its own. */
static ist_status find_principal(ist_catalog *catalog, const principal_kind *kind, const char *name, char **id,
                                 ist_error *err)
{
    const char *attribute;
    size_t size;
    ist_status status = IST_OK;
    *id = NULL;
    if (strpbrk(name, "\"\\"))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%s' is no name of a %s", name, kind->word);
    for (size_t i = 0; status == IST_OK && !*id && cli_choice_at(kind->attributes, i, &attribute, &size); i++) {
        ist_buffer path = IST_BUFFER_INIT;
        yyjson_doc *doc = NULL;
        status = append_filter(&path, kind, attribute, size, name, err);
        if (status == IST_OK)
            status = cli_request(catalog, "GET", path.data, NULL, &doc, err);
        size_t at, max;
        yyjson_val *resource;
        yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "Resources"), at, max, resource) {
            const char *found = yyjson_get_str(yyjson_obj_get(resource, "id"));
            if (!*id && found && goes_by(resource, name))
                *id = strdup(found);
        }
        yyjson_doc_free(doc);
        ist_buffer_free(&path);
    }
    if (status == IST_OK && !*id)
        status = ist_error_set(err, IST_NOT_FOUND, 0, NULL, "there is no %s '%s'", kind->word, name);
    return status;
}

/* A member of a group may be any of the three. */
static ist_status find_member(ist_catalog *catalog, const char *name, char **id, ist_error *err)
{
    static const principal_kind *const kinds[] = {&user, &service, &group};
    ist_status status = IST_NOT_FOUND;
    for (size_t i = 0; status == IST_NOT_FOUND && i < 3; i++) {
        ist_error_clear(err);
        status = find_principal(catalog, kinds[i], name, id, err);
    }
    return status == IST_NOT_FOUND ? ist_error_set(err, status, 0, NULL, "there is no principal '%s'", name) : status;
}

/* ---- the actions ------------------------------------------------------------------------------------------------- */

static ist_status list_principals(cli_call *call, ist_catalog *catalog, const principal_kind *kind, ist_error *err)
{
    enum { PAGE = 100 };
    yyjson_mut_doc *all = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *items = yyjson_mut_arr(all);
    ist_status status = IST_OK;
    yyjson_mut_doc_set_root(all, items);
    for (bool more = true; more && status == IST_OK;) {
        char path[200];
        yyjson_doc *doc = NULL;
        size_t at, max, before = yyjson_mut_arr_size(items);
        yyjson_val *resource;
        snprintf(path, sizeof path, "%s?startIndex=%zu&count=%d", kind->path, before + 1, PAGE);
        status = cli_request(catalog, "GET", path, NULL, &doc, err);
        yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "Resources"), at, max, resource)
            yyjson_mut_arr_append(items, yyjson_val_mut_copy(all, resource));
        size_t total = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "totalResults"));
        more = yyjson_mut_arr_size(items) > before && yyjson_mut_arr_size(items) < total;
        yyjson_doc_free(doc);
    }
    if (status == IST_OK) {
        yyjson_doc *found = yyjson_mut_doc_imut_copy(all, NULL);
        status = cli_array_print(call, yyjson_doc_get_root(found), kind->members, err);
        yyjson_doc_free(found);
    }
    yyjson_mut_doc_free(all);
    return status;
}

static ist_status send_document(cli_call *call, ist_catalog *catalog, const char *method, const char *path,
                                yyjson_mut_doc *body, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    char *text = yyjson_mut_write(body, 0, NULL);
    ist_status status = text ? ist_catalog_request(catalog, method, path, text, &json, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (status == IST_OK && json.size)
        status = cli_object_print(call, &json, err);
    free(text);
    ist_buffer_free(&json);
    return status;
}

static ist_status add_principal(cli_call *call, ist_catalog *catalog, const principal_kind *kind, const char *name,
                                ist_error *err)
{
    const principal_values *values = call->values;
    const char *display = values->display_name ? values->display_name : name;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_arr_add_str(doc, yyjson_mut_obj_add_arr(doc, root, "schemas"), kind->schema);
    if (kind == &user) {
        yyjson_mut_obj_add_str(doc, root, "userName", name);
        /* The open Unity Catalog server knows users by their mail addresses. */
        yyjson_mut_val *mail = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, root, "emails"));
        yyjson_mut_obj_add_str(doc, mail, "value", name);
        yyjson_mut_obj_add_bool(doc, mail, "primary", true);
    }
    yyjson_mut_obj_add_str(doc, root, "displayName", kind == &user ? display : name);
    ist_status status = send_document(call, catalog, "POST", kind->path, doc, err);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status remove_principal(cli_call *call, ist_catalog *catalog, const principal_kind *kind, const char *name,
                                   ist_error *err)
{
    char *id = NULL;
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = find_principal(catalog, kind, name, &id, err);
    if (status == IST_OK)
        status = ist_buffer_printf(&path, err, "%s/%s", kind->path, id);
    if (status == IST_OK)
        status = ist_catalog_request(catalog, "DELETE", path.data, NULL, NULL, err);
    if (status == IST_OK && call->json)
        puts("{}");
    free(id);
    ist_buffer_free(&path);
    return status;
}

static void add_operation(yyjson_mut_doc *doc, yyjson_mut_val *operation, const char *member_id, bool add)
{
    char path[128];
    if (add) {
        yyjson_mut_obj_add_str(doc, operation, "op", "add");
        yyjson_mut_val *value = yyjson_mut_obj_add_obj(doc, operation, "value");
        yyjson_mut_val *member = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, value, "members"));
        yyjson_mut_obj_add_str(doc, member, "value", member_id);
    } else {
        snprintf(path, sizeof path, "members[value eq \"%s\"]", member_id);
        yyjson_mut_obj_add_str(doc, operation, "op", "remove");
        yyjson_mut_obj_add_strcpy(doc, operation, "path", path);
    }
}

static ist_status change_member(cli_call *call, ist_catalog *catalog, bool add, ist_error *err)
{
    char *group_id = NULL, *member_id = NULL;
    ist_buffer path = IST_BUFFER_INIT;
    if (call->arg_count < 3)
        return cli_usage(call, err, "MEMBER is missing");
    ist_status status = find_principal(catalog, &group, call->args[1], &group_id, err);
    if (status == IST_OK)
        status = find_member(catalog, call->args[2], &member_id, err);
    if (status == IST_OK)
        status = ist_buffer_printf(&path, err, "%s/%s", group.path, group_id);
    if (status == IST_OK) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *root = yyjson_mut_obj(doc);
        yyjson_mut_doc_set_root(doc, root);
        yyjson_mut_arr_add_str(doc, yyjson_mut_obj_add_arr(doc, root, "schemas"),
                               "urn:ietf:params:scim:api:messages:2.0:PatchOp");
        yyjson_mut_val *operations = yyjson_mut_obj_add_arr(doc, root, "Operations");
        add_operation(doc, yyjson_mut_arr_add_obj(doc, operations), member_id, add);
        status = send_document(call, catalog, "PATCH", path.data, doc, err);
        yyjson_mut_doc_free(doc);
    }
    free(group_id);
    free(member_id);
    ist_buffer_free(&path);
    return status;
}

static ist_status list_group_members(cli_call *call, ist_catalog *catalog, ist_error *err)
{
    static const char *const members[] = {"display|value", "value", NULL};
    char *id = NULL;
    ist_buffer path = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = find_principal(catalog, &group, call->args[1], &id, err);
    if (status == IST_OK)
        status = ist_buffer_printf(&path, err, "%s/%s", group.path, id);
    if (status == IST_OK)
        status = cli_request(catalog, "GET", path.data, NULL, &doc, err);
    if (status == IST_OK)
        status = cli_array_print(call, yyjson_obj_get(yyjson_doc_get_root(doc), "members"), members, err);
    yyjson_doc_free(doc);
    free(id);
    ist_buffer_free(&path);
    return status;
}

/* A secret is told once: it goes to standard output and nowhere else. */
static ist_status make_secret(cli_call *call, ist_catalog *catalog, ist_error *err)
{
    char *id = NULL;
    ist_buffer path = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = find_principal(catalog, &service, call->args[1], &id, err);
    if (status == IST_OK)
        status = ist_buffer_printf(&path, err, SECRETS_PATH "/%s/credentials/secrets", id);
    if (status == IST_OK)
        status = cli_request(catalog, "POST", path.data, "{}", &doc, err);
    const char *secret = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "secret"));
    if (status == IST_OK && !secret)
        status = ist_error_set(err, IST_INTERNAL, 0, NULL, "the server gave no secret");
    if (status == IST_OK && call->json) {
        char *text = yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
        puts(text ? text : "{}");
        free(text);
    } else if (status == IST_OK) {
        puts(secret);
        cli_note(call, "shown once; it is the client_secret of OAuth, the application id is the client_id");
    }
    yyjson_doc_free(doc);
    free(id);
    ist_buffer_free(&path);
    return status;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static ist_status act(cli_call *call, ist_catalog *catalog, const principal_kind *kind, ist_error *err)
{
    const char *action = call->args[0], *name = call->arg_count > 1 ? call->args[1] : NULL;
    if (strcmp(action, "list") == 0)
        return name ? cli_usage(call, err, "list takes no NAME") : list_principals(call, catalog, kind, err);
    if (!name || !*name)
        return cli_usage(call, err, "the name of the %s is missing", kind->word);
    if (strcmp(action, "add") == 0)
        return add_principal(call, catalog, kind, name, err);
    if (strcmp(action, "remove") == 0)
        return remove_principal(call, catalog, kind, name, err);
    if (kind == &service && strcmp(action, "secret") == 0)
        return make_secret(call, catalog, err);
    if (kind == &group && strcmp(action, "members") == 0)
        return list_group_members(call, catalog, err);
    if (kind == &group && (strcmp(action, "add-member") == 0 || strcmp(action, "remove-member") == 0))
        return change_member(call, catalog, action[0] == 'a', err);
    const char *arguments = call->command->page->arguments;
    return cli_usage(call, err, "'%s' is none of %.*s", action, (int)strcspn(arguments, " "), arguments);
}

static ist_status run_principal(cli_call *call, const principal_kind *kind, ist_error *err)
{
    ist_catalog *catalog = NULL;
    ist_status status = cli_catalog_open(call, &catalog, err);
    if (status == IST_OK)
        status = act(call, catalog, kind, err);
    ist_catalog_free(catalog);
    return status;
}

ist_status cmd_catalog_user(cli_call *call, ist_error *err)
{
    return run_principal(call, &user, err);
}

ist_status cmd_catalog_group(cli_call *call, ist_error *err)
{
    return run_principal(call, &group, err);
}

ist_status cmd_catalog_service_principal(cli_call *call, ist_error *err)
{
    return run_principal(call, &service, err);
}

static const cli_option user_options[] = {
    {"display-name", CLI_TEXT, offsetof(principal_values, display_name), "TEXT", NULL,
     "What people call the user. Otherwise NAME.", 0, 0, NULL},
    {0},
};

static const cli_example user_examples[] = {
    {"isthmus catalog user add alice@example.org --display-name Alice", "A new user"},
    {"isthmus catalog token create --for alice@example.org", "What she signs in with"},
    {0},
};

const cli_page cmd_catalog_user_page = {
    .arguments = "add|list|remove [NAME]",
    .common = CLI_JSON | CLI_CATALOG,
    .options = user_options,
    .values_size = sizeof(principal_values),
    .description = "Adds, lists and removes the users that the catalog knows; for administrators. A user who is "
                   "removed can do nothing any more from the next request on, and his tokens are gone.",
    .examples = user_examples,
};

static const cli_example group_examples[] = {
    {"isthmus catalog group add analysts", "A new group"},
    {"isthmus catalog group add-member analysts alice@example.org", "What was granted to the group holds for her now"},
    {"isthmus catalog group members analysts", "Who is in it"},
    {0},
};

const cli_page cmd_catalog_group_page = {
    .arguments = "add|list|remove|members|add-member|remove-member [GROUP] [MEMBER]",
    .common = CLI_JSON | CLI_CATALOG,
    .description = "Adds, lists and removes groups, and their members: users, service principals and other groups; for "
                   "administrators. Members of `admins` may do everything; in `account users` is everybody.",
    .examples = group_examples,
};

static const cli_example service_examples[] = {
    {"isthmus catalog service-principal add nightly", "An identity for a program"},
    {"isthmus catalog service-principal secret nightly > secret", "What it signs in with by OAuth"},
    {0},
};

const cli_page cmd_catalog_service_principal_page = {
    .arguments = "add|list|remove|secret [NAME]",
    .common = CLI_JSON | CLI_QUIET | CLI_CATALOG,
    .description = "Adds, lists and removes identities of programs; for administrators. NAME is a display name or an "
                   "application id. `secret` makes a secret for OAuth client credentials: put it into "
                   "DATABRICKS_CLIENT_SECRET, the application id into DATABRICKS_CLIENT_ID and the server's URL into "
                   "DATABRICKS_HOST.",
    .examples = service_examples,
};
