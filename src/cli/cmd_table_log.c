/* cmd_table_log.c: isthmus table log. */
#include "commands.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

typedef struct log_values {
    int64_t limit;
} log_values;

static const cli_option options[] = {
    {"limit", CLI_NUMBER, offsetof(log_values, limit), "N", "20", "Most versions to show; 0 for all.", 0,
     INT64_MAX, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus table log main.demo.scores", "The last 20 versions"},
    {"isthmus table log --limit 0 --json /data/scores", "All of them, with everything that was recorded"},
    {0},
};

const cli_page cmd_table_log_page = {
    .arguments = "TABLE",
    .common = CLI_JSON | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(log_values),
    .description = "Shows a table's history, newest first: what each version did, when, how many rows it wrote and "
                   "which engine. With --json it is an array of the commits' commitInfo. Versions whose log file was "
                   "cleaned up are left out.\n\n" CLI_TABLE_HELP,
    .examples = examples,
};

/* Rows that a commit wrote, under the names that engines give them. */
static const char *metric(yyjson_val *commit, char out[32])
{
    static const char *const names[] = {"numOutputRows", "num_added_rows", "numRecords"};
    yyjson_val *metrics = yyjson_obj_get(commit, "operationMetrics");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        yyjson_val *value = yyjson_obj_get(metrics, names[i]);
        if (yyjson_is_str(value))
            return cli_count(strtoll(yyjson_get_str(value), NULL, 10), out);
        if (yyjson_is_int(value))
            return cli_count(yyjson_get_sint(value), out);
    }
    return "";
}

static ist_status add_text(cli_grid *grid, const char *text, ist_error *err)
{
    return cli_grid_add(grid, text ? text : "", text ? strlen(text) : 0, err);
}

static ist_status add_commit(cli_grid *grid, yyjson_val *commit, ist_error *err)
{
    char version[32], time[32], rows[32];
    yyjson_val *timestamp = yyjson_obj_get(commit, "timestamp");
    char *parameters = yyjson_val_write(yyjson_obj_get(commit, "operationParameters"), 0, NULL);
    snprintf(version, sizeof version, "%lld", (long long)yyjson_get_sint(yyjson_obj_get(commit, "version")));
    const char *cells[] = {
        version,
        yyjson_is_int(timestamp) ? cli_time(yyjson_get_sint(timestamp), time) : "",
        yyjson_get_str(yyjson_obj_get(commit, "operation")),
        metric(commit, rows),
        yyjson_get_str(yyjson_obj_get(commit, "engineInfo")),
        parameters,
    };
    ist_status status = IST_OK;
    for (size_t i = 0; status == IST_OK && i < sizeof cells / sizeof *cells; i++)
        status = add_text(grid, cells[i], err);
    free(parameters);
    return status;
}

static ist_status print_history(yyjson_val *commits, ist_error *err)
{
    static const char *const header[] = {"version", "time", "operation", "rows", "engine", "parameters"};
    enum { COLUMNS = sizeof header / sizeof *header };
    cli_grid grid;
    ist_status status = cli_grid_init(&grid, COLUMNS, err);
    for (size_t i = 0; status == IST_OK && i < COLUMNS; i++)
        status = add_text(&grid, header[i], err);
    if (status == IST_OK)
        grid.right[0] = grid.right[3] = true;
    size_t i, max;
    yyjson_val *commit;
    yyjson_arr_foreach(commits, i, max, commit)
    {
        if (status == IST_OK)
            status = add_commit(&grid, commit, err);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, true);
    cli_grid_free(&grid);
    return status;
}

ist_status cmd_table_log(cli_call *call, ist_error *err)
{
    const log_values *values = call->values;
    cli_table table;
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = cli_table_open(call, call->args[0], IST_TABLE_READ, &table, err);
    if (status != IST_OK)
        return status;
    status = ist_table_history(table.store, table.committer, (size_t)values->limit, &json, err);
    if (status == IST_OK && call->json)
        status = cli_print_json(json.data, json.size, err);
    else if (status == IST_OK && (status = cli_parse_json(&json, &doc, err)) == IST_OK)
        status = print_history(yyjson_doc_get_root(doc), err);
    if (status != IST_OK)
        cli_table_error(&table, err);
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    cli_table_close(&table);
    return status;
}
