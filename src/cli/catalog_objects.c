/* catalog_objects.c: see catalog_objects.h. */
#include "catalog_objects.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 16 << 20 };

static const cli_kind_of_object kinds[] = {
    {"catalog", IST_SECURABLE_CATALOG, "catalogs", "catalog"},
    {"schema", IST_SECURABLE_SCHEMA, "schemas", "catalog.schema"},
    {"table", IST_SECURABLE_TABLE, "tables", "catalog.schema.table"},
    {"volume", IST_SECURABLE_VOLUME, "volumes", "catalog.schema.volume"},
    {"function", IST_SECURABLE_FUNCTION, "functions", "catalog.schema.function"},
    {"model", IST_SECURABLE_REGISTERED_MODEL, "registered_models", "catalog.schema.model"},
    {"model-version", IST_SECURABLE_MODEL_VERSION, "model_versions", "catalog.schema.model.version"},
    {"credential", IST_SECURABLE_CREDENTIAL, "credentials", "credential"},
    {"location", IST_SECURABLE_EXTERNAL_LOCATION, "external_locations", "location"},
    {"metastore", IST_SECURABLE_METASTORE, NULL, ""},
    {0},
};

ist_status cli_kind_of_word(cli_call *call, const char *word, const cli_kind_of_object **out, ist_error *err)
{
    for (const cli_kind_of_object *kind = kinds; kind->word; kind++) {
        size_t size = strlen(kind->word);
        if (strncmp(word, kind->word, size) == 0 && (!word[size] || strcmp(word + size, "s") == 0)) {
            *out = kind;
            return IST_OK;
        }
    }
    return cli_usage(call, err, "'%s' is none of " CLI_CATALOG_KINDS, word);
}

static ist_status name_of_kind(cli_call *call, const cli_kind_of_object *kind, const char **out, ist_error *err)
{
    bool named = kind->securable != IST_SECURABLE_METASTORE;
    *out = call->arg_count > 1 ? call->args[1] : "";
    if (named && !**out)
        return cli_usage(call, err, "NAME is missing: %s", kind->form);
    if (!named && **out)
        return cli_usage(call, err, "there is one metastore, without a name");
    return IST_OK;
}

ist_status cli_object_run(cli_call *call, const char *word,
                          ist_status (*work)(const cli_object *object, ist_buffer *json, ist_error *err),
                          ist_status (*print)(const cli_call *call, const ist_buffer *json, ist_error *err),
                          ist_error *err)
{
    cli_object object = {.call = call};
    ist_buffer json = IST_BUFFER_INIT;
    ist_status status = cli_kind_of_word(call, word, &object.kind, err);
    if (status == IST_OK)
        status = name_of_kind(call, object.kind, &object.name, err);
    if (status == IST_OK)
        status = cli_catalog_open(call, &object.catalog, err);
    if (status == IST_OK)
        status = work(&object, &json, err);
    if (status == IST_OK)
        status = print(call, &json, err);
    ist_buffer_free(&json);
    ist_catalog_free(object.catalog);
    return status;
}

ist_status cli_catalog_list_all(ist_catalog *catalog, const cli_kind_of_object *kind, const char *parent,
                                yyjson_mut_doc *all, ist_error *err)
{
    yyjson_mut_val *items = yyjson_mut_arr(all);
    ist_buffer json = IST_BUFFER_INIT;
    char *token = NULL;
    ist_status status;
    yyjson_mut_doc_set_root(all, items);
    do {
        yyjson_doc *doc = NULL;
        ist_buffer_clear(&json);
        status = ist_catalog_list(catalog, kind->securable, parent, 0, token, &json, err);
        if (status == IST_OK)
            status = cli_parse_json(&json, &doc, err);
        free(token);
        token = NULL;
        if (status != IST_OK)
            break;
        size_t i, max;
        yyjson_val *item, *root = yyjson_doc_get_root(doc);
        yyjson_arr_foreach(yyjson_obj_get(root, kind->member), i, max, item)
            yyjson_mut_arr_append(items, yyjson_val_mut_copy(all, item));
        const char *next = yyjson_get_str(yyjson_obj_get(root, "next_page_token"));
        token = next && *next ? strdup(next) : NULL;
        yyjson_doc_free(doc);
    } while (token);
    ist_buffer_free(&json);
    return status;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* A value as one line of text; nothing for null and for what is empty. Times are told by their keys. */
static ist_status append_value(yyjson_val *value, const char *key, ist_buffer *out, ist_error *err)
{
    size_t size = strlen(key);
    bool time = (size > 3 && strcmp(key + size - 3, "_at") == 0) || (size > 5 && strcmp(key + size - 5, "_time") == 0) ||
                (size > 8 && strcmp(key + size - 8, "_time_ms") == 0);
    char text[32];
    if (yyjson_is_str(value))
        return ist_buffer_append(out, yyjson_get_str(value), yyjson_get_len(value), err);
    if (yyjson_is_int(value) && time)
        return ist_buffer_append_string(out, yyjson_get_sint(value) > 0 ? cli_time(yyjson_get_sint(value), text) : "never",
                                        err);
    if (!value || yyjson_is_null(value) || (yyjson_is_ctn(value) && unsafe_yyjson_get_len(value) == 0))
        return ist_buffer_append(out, "", 0, err);
    if (yyjson_is_arr(value)) { /* words, divided by commas; anything else as JSON */
        size_t i, max;
        yyjson_val *item;
        bool words = true;
        yyjson_arr_foreach(value, i, max, item)
            words = words && yyjson_is_str(item);
        yyjson_arr_foreach(value, i, max, item) {
            ist_status status = words ? ist_buffer_printf(out, err, "%s%s", i ? ", " : "", yyjson_get_str(item)) : IST_OK;
            if (status != IST_OK)
                return status;
        }
        if (words)
            return IST_OK;
    }
    char *json = yyjson_val_write(value, 0, NULL);
    ist_status status = json ? ist_buffer_append_string(out, json, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    free(json);
    return status;
}

static void print_line(const char *key, int width, const char *value)
{
    printf("%-*s  ", width, key);
    cli_print_safe(stdout, value);
    putchar('\n');
}

/* {"a": "b"...}, one a line. */
static void print_map(const char *key, int width, yyjson_val *map)
{
    size_t i, max;
    yyjson_val *name, *value;
    yyjson_obj_foreach(map, i, max, name, value) {
        printf("%-*s  ", width, i == 0 ? key : "");
        cli_print_safe(stdout, yyjson_get_str(name));
        fputs(" = ", stdout);
        cli_print_safe(stdout, yyjson_is_str(value) ? yyjson_get_str(value) : "...");
        putchar('\n');
    }
}

static bool is_map_of_text(yyjson_val *value)
{
    size_t i, max;
    yyjson_val *name, *item;
    bool text = yyjson_is_obj(value);
    yyjson_obj_foreach(value, i, max, name, item)
        text = text && yyjson_is_str(item);
    return text;
}

static ist_status print_members(yyjson_val *object, ist_error *err)
{
    size_t i, max;
    yyjson_val *key, *value;
    int width = 0;
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    yyjson_obj_foreach(object, i, max, key, value)
        if ((int)yyjson_get_len(key) > width)
            width = (int)yyjson_get_len(key);
    yyjson_obj_foreach(object, i, max, key, value) {
        const char *name = yyjson_get_str(key);
        ist_buffer_clear(&text);
        if (strcmp(name, "columns") == 0)
            continue;
        if (is_map_of_text(value)) {
            print_map(name, width, value);
        } else if ((status = append_value(value, name, &text, err)) != IST_OK) {
            break;
        } else if (text.size) {
            print_line(name, width, text.data);
        }
    }
    ist_buffer_free(&text);
    return status;
}

static ist_status print_columns(yyjson_val *columns, ist_error *err)
{
    static const char *const members[] = {"name", "type_text", "comment"};
    cli_grid grid;
    size_t i, max;
    yyjson_val *column;
    ist_status status = cli_grid_init(&grid, 5, err);
    grid.most = 80;
    yyjson_arr_foreach(columns, i, max, column) {
        status = status == IST_OK ? cli_grid_add(&grid, " ", 1, err) : status;
        for (size_t m = 0; status == IST_OK && m < 3; m++) {
            const char *text = yyjson_get_str(yyjson_obj_get(column, members[m]));
            if (m == 2)
                status = yyjson_is_false(yyjson_obj_get(column, "nullable")) ? cli_grid_add(&grid, "not null", 8, err)
                                                                             : cli_grid_add(&grid, "", 0, err);
            if (status == IST_OK)
                status = cli_grid_add(&grid, text ? text : "", text ? strlen(text) : 0, err);
        }
    }
    if (status == IST_OK && grid.count > 0) {
        puts("columns");
        cli_grid_print(&grid, false);
    }
    cli_grid_free(&grid);
    return status;
}

ist_status cli_object_print(const cli_call *call, const ist_buffer *json, ist_error *err)
{
    yyjson_doc *doc = NULL;
    if (call->json)
        return cli_print_json(json->data, json->size, err);
    ist_status status = cli_parse_json(json, &doc, err);
    if (status == IST_OK)
        status = print_members(yyjson_doc_get_root(doc), err);
    if (status == IST_OK)
        status = print_columns(yyjson_obj_get(yyjson_doc_get_root(doc), "columns"), err);
    yyjson_doc_free(doc);
    return status;
}

/* The first of the members "a|b" that is there; *key becomes its name. */
static yyjson_val *first_member(yyjson_val *item, const char *names, char key[64])
{
    yyjson_val *value = NULL;
    const char *start;
    size_t size;
    for (size_t i = 0; !value && cli_choice_at(names, i, &start, &size); i++) {
        snprintf(key, 64, "%.*s", (int)size, start);
        value = yyjson_obj_get(item, key);
        if (yyjson_is_null(value) || (yyjson_is_str(value) && yyjson_get_len(value) == 0))
            value = NULL;
    }
    return value;
}

static ist_status add_row(cli_grid *grid, yyjson_val *item, const char *const *members, ist_buffer *text,
                          ist_error *err)
{
    ist_status status = IST_OK;
    for (; *members && status == IST_OK; members++) {
        char key[64];
        yyjson_val *value = first_member(item, *members, key);
        ist_buffer_clear(text);
        status = append_value(value, key, text, err);
        if (status == IST_OK)
            status = cli_grid_add(grid, text->size ? text->data : "", text->size, err);
    }
    return status;
}

ist_status cli_array_print(const cli_call *call, yyjson_val *array, const char *const *members, ist_error *err)
{
    cli_grid grid;
    ist_buffer text = IST_BUFFER_INIT;
    size_t columns = 0, i, max;
    yyjson_val *item;
    if (call->json) {
        char *json = yyjson_val_write(array, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
        puts(json ? json : "[]");
        free(json);
        return IST_OK;
    }
    while (members[columns])
        columns++;
    ist_status status = cli_grid_init(&grid, columns, err);
    grid.most = 100;
    for (size_t m = 0; status == IST_OK && m < columns; m++) {
        const char *name = members[m];
        char header[64];
        size_t size = strcspn(name, "|");
        snprintf(header, sizeof header, "%.*s", (int)size, name);
        for (char *at = header; *at; at++)
            *at = *at == '_' ? ' ' : *at;
        status = cli_grid_add(&grid, header, strlen(header), err);
    }
    yyjson_arr_foreach(array, i, max, item) {
        if (status == IST_OK)
            status = add_row(&grid, item, members, &text, err);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, true);
    cli_grid_free(&grid);
    ist_buffer_free(&text);
    return status;
}

/* ---- input and requests ------------------------------------------------------------------------------------------ */

ist_status cli_read_object(const char *path, yyjson_mut_doc **out, ist_error *err)
{
    ist_buffer text = {.limit = BODY_MAX};
    char chunk[8192];
    size_t n;
    ist_status status = IST_OK;
    *out = NULL;
    FILE *file = !path ? NULL : strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (path && !file)
        return ist_error_set(err, errno == ENOENT ? IST_NOT_FOUND : IST_IO, errno, path, "cannot open %s: %s", path,
                             strerror(errno));
    while (file && status == IST_OK && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
        status = ist_buffer_append(&text, chunk, n, err);
    if (file && file != stdin)
        fclose(file);
    if (status == IST_OK && !file)
        status = ist_buffer_append_string(&text, "{}", err);
    if (status == IST_OK) {
        yyjson_doc *doc = text.size ? yyjson_read(text.data, text.size, 0) : NULL;
        if (yyjson_is_obj(yyjson_doc_get_root(doc)))
            *out = yyjson_doc_mut_copy(doc, NULL);
        else
            status = ist_error_set(err, IST_BAD_INPUT, 0, path, "%s is not a JSON object", path);
        yyjson_doc_free(doc);
    }
    ist_buffer_free(&text);
    return status == IST_OK && !*out ? ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory") : status;
}

ist_status cli_request(ist_catalog *catalog, const char *method, const char *path, const char *body, yyjson_doc **out,
                       ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    *out = NULL;
    ist_status status = ist_catalog_request(catalog, method, path, body, &json, err);
    if (status == IST_OK && json.size)
        status = cli_parse_json(&json, out, err);
    ist_buffer_free(&json);
    return status;
}

ist_status cli_append_encoded(ist_buffer *path, const char *text, ist_error *err)
{
    ist_status status = IST_OK;
    for (; *text && status == IST_OK; text++) {
        unsigned char c = (unsigned char)*text;
        status = isalnum(c) || strchr("-._~", c) ? ist_buffer_append(path, text, 1, err)
                                                 : ist_buffer_printf(path, err, "%%%02X", c);
    }
    return status;
}
