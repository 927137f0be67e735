/* cmd_table_show.c: isthmus table show. */
#include "commands.h"
#include "table.h"

#include <string.h>

typedef struct show_values {
    int64_t version;
} show_values;

static const cli_option options[] = {
    {"version", CLI_NUMBER, offsetof(show_values, version), "N", NULL, "As of this version; otherwise the newest.", 0,
     INT64_MAX, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus table show main.demo.scores", "A table by name"},
    {"isthmus table show --json --version 3 /data/scores", "Its description at version 3 as JSON"},
    {0},
};

const cli_page cmd_table_show_page = {
    .arguments = "TABLE",
    .common = CLI_JSON | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(show_values),
    .description = "Shows what a Delta table is as of one version: where it is, its schema, partitioning, size, "
                   "properties and protocol.\n\n" CLI_TABLE_HELP,
    .examples = examples,
};

/* "array<struct<a: long, b: string>>" */
static ist_status append_type(yyjson_val *type, ist_buffer *out, ist_error *err)
{
    const char *kind = yyjson_get_str(yyjson_is_obj(type) ? yyjson_obj_get(type, "type") : type);
    ist_status status = ist_buffer_append_string(out, kind ? kind : "?", err);
    if (!yyjson_is_obj(type) || !kind || status != IST_OK)
        return status;
    if (strcmp(kind, "array") == 0) {
        if ((status = ist_buffer_append(out, "<", 1, err)) == IST_OK)
            status = append_type(yyjson_obj_get(type, "elementType"), out, err);
    } else if (strcmp(kind, "map") == 0) {
        if ((status = ist_buffer_append(out, "<", 1, err)) == IST_OK)
            status = append_type(yyjson_obj_get(type, "keyType"), out, err);
        if (status == IST_OK && (status = ist_buffer_append(out, ", ", 2, err)) == IST_OK)
            status = append_type(yyjson_obj_get(type, "valueType"), out, err);
    } else {
        yyjson_arr_iter fields = yyjson_arr_iter_with(yyjson_obj_get(type, "fields"));
        const char *before = "<";
        for (yyjson_val *field; status == IST_OK && (field = yyjson_arr_iter_next(&fields)); before = ", ") {
            const char *name = yyjson_get_str(yyjson_obj_get(field, "name"));
            status = ist_buffer_printf(out, err, "%s%s: ", before, name ? name : "");
            if (status == IST_OK)
                status = append_type(yyjson_obj_get(field, "type"), out, err);
        }
    }
    return status == IST_OK ? ist_buffer_append(out, ">", 1, err) : status;
}

static ist_status add_text(cli_grid *grid, const char *text, ist_error *err)
{
    return cli_grid_add(grid, text, strlen(text), err);
}

static ist_status print_columns(const ist_snapshot *snapshot, ist_error *err)
{
    const char *schema = ist_snapshot_schema_json(snapshot);
    yyjson_doc *doc = yyjson_read(schema, strlen(schema), 0);
    yyjson_arr_iter fields = yyjson_arr_iter_with(yyjson_obj_get(yyjson_doc_get_root(doc), "fields"));
    ist_buffer type = IST_BUFFER_INIT;
    cli_grid grid;
    ist_status status = cli_grid_init(&grid, 4, err);
    grid.most = 100;
    for (yyjson_val *field; status == IST_OK && (field = yyjson_arr_iter_next(&fields));) {
        const char *name = yyjson_get_str(yyjson_obj_get(field, "name"));
        ist_buffer_clear(&type);
        status = add_text(&grid, " ", err);
        if (status == IST_OK)
            status = add_text(&grid, name ? name : "", err);
        if (status == IST_OK)
            status = append_type(yyjson_obj_get(field, "type"), &type, err);
        if (status == IST_OK)
            status = cli_grid_add(&grid, type.data, type.size, err);
        if (status == IST_OK)
            status = add_text(&grid, yyjson_is_false(yyjson_obj_get(field, "nullable")) ? "not null" : "", err);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, false);
    cli_grid_free(&grid);
    ist_buffer_free(&type);
    yyjson_doc_free(doc);
    return status;
}

static void print_line(const char *key, const char *value)
{
    printf("%-12s", key);
    cli_print_safe(stdout, value);
    putchar('\n');
}

/* {"delta.appendOnly": "true", ...}, one a line. */
static void print_properties(yyjson_val *properties)
{
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(properties, i, max, key, value)
    {
        printf("%-12s", i == 0 ? "properties" : "");
        cli_print_safe(stdout, yyjson_get_str(key));
        fputs(" = ", stdout);
        cli_print_safe(stdout, yyjson_is_str(value) ? yyjson_get_str(value) : "null");
        putchar('\n');
    }
}

static void print_features(yyjson_val *root)
{
    size_t i, max;
    yyjson_val *feature;
    yyjson_arr_foreach(yyjson_obj_get(root, "features"), i, max, feature)
    {
        fputs(i == 0 ? "features    " : ", ", stdout);
        cli_print_safe(stdout, yyjson_is_str(feature) ? yyjson_get_str(feature) : "?");
    }
    if (max > 0)
        putchar('\n');
}

static ist_status print_snapshot(const cli_table *table, const ist_snapshot *snapshot, yyjson_val *root, ist_error *err)
{
    char text[32], bytes[32];
    yyjson_val *protocol = yyjson_obj_get(root, "protocol");
    if (table->name)
        print_line("name", table->name);
    print_line("location", ist_snapshot_uri(snapshot));
    print_line("id", ist_snapshot_table_id(snapshot));
    printf("version     %lld (%s)\n", (long long)ist_snapshot_version(snapshot),
           cli_time(ist_snapshot_timestamp_ms(snapshot), text));
    int64_t rows = ist_snapshot_row_count(snapshot);
    print_line("rows", rows < 0 ? "unknown: files without statistics" : cli_count(rows, text));
    printf("files       %s (%s)\n", cli_count((int64_t)ist_snapshot_file_count(snapshot), text),
           cli_bytes(ist_snapshot_size_bytes(snapshot), bytes));
    printf("protocol    reader %lld, writer %lld\n",
           (long long)yyjson_get_sint(yyjson_obj_get(protocol, "minReaderVersion")),
           (long long)yyjson_get_sint(yyjson_obj_get(protocol, "minWriterVersion")));
    print_features(root);
    for (size_t i = 0; i < ist_snapshot_partition_column_count(snapshot); i++) {
        fputs(i == 0 ? "partitions  " : ", ", stdout);
        cli_print_safe(stdout, ist_snapshot_partition_column(snapshot, i));
    }
    if (ist_snapshot_partition_column_count(snapshot) > 0)
        putchar('\n');
    print_properties(yyjson_obj_get(root, "properties"));
    puts("columns");
    return print_columns(snapshot, err);
}

ist_status cmd_table_show(cli_call *call, ist_error *err)
{
    const show_values *values = call->values;
    cli_table table;
    ist_snapshot *snapshot = NULL;
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_snapshot_options which = IST_SNAPSHOT_OPTIONS_INIT;
    which.version = values->version;
    ist_status status = cli_table_open(call, call->args[0], IST_TABLE_READ, &table, err);
    if (status != IST_OK)
        return status;
    which.committer = table.committer;
    status = ist_snapshot_open(table.store, &which, &snapshot, err);
    if (status == IST_OK)
        status = ist_snapshot_describe(snapshot, &json, err);
    if (status == IST_OK && call->json)
        status = cli_print_json(json.data, json.size, err);
    else if (status == IST_OK && (status = cli_parse_json(&json, &doc, err)) == IST_OK)
        status = print_snapshot(&table, snapshot, yyjson_doc_get_root(doc), err);
    if (status != IST_OK)
        cli_table_error(&table, err);
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    ist_snapshot_free(snapshot);
    cli_table_close(&table);
    return status;
}
