/* cmd_table_cat.c: isthmus table cat. */
#include "commands.h"
#include "rows.h"
#include "table.h"

#include <string.h>
#include <unistd.h>

typedef struct cat_values {
    cli_list columns;
    int64_t limit;
    int64_t version;
    bool csv;
    bool arrow;
} cat_values;

static const cli_option options[] = {
    {"columns", CLI_LIST, offsetof(cat_values, columns), "A,B", NULL, "Only these columns, in this order.", 0, 0, NULL},
    {"limit", CLI_NUMBER, offsetof(cat_values, limit), "N", NULL, "Most rows to print.", 0, INT64_MAX, NULL},
    {"version", CLI_NUMBER, offsetof(cat_values, version), "N", NULL, "As of this version; otherwise the newest.", 0,
     INT64_MAX, NULL},
    {"csv", CLI_FLAG, offsetof(cat_values, csv), NULL, NULL, "Print CSV with a header; null is an empty value.", 0, 0,
     NULL},
    {"arrow", CLI_FLAG, offsetof(cat_values, arrow), NULL, NULL, "Write an Arrow IPC stream.", 0, 0, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus table cat --limit 10 main.demo.scores", "A look at a table"},
    {"isthmus table cat --json --columns id,score scores | jq .score", "Two columns as JSON lines"},
    {"isthmus table cat --arrow scores > scores.arrow", "Everything as Arrow IPC, for any Arrow reader"},
    {0},
};

const cli_page cmd_table_cat_page = {
    .arguments = "TABLE",
    .common = CLI_JSON | CLI_QUIET | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(cat_values),
    .description = "Prints the rows of a table: aligned columns, with --json one object a line, with --csv CSV, with "
                   "--arrow an Arrow IPC stream. Rows come in no particular order. Aligned columns are at most 60 "
                   "characters wide; longer values are cut with an ellipsis.\n\n" CLI_TABLE_HELP,
    .examples = examples,
};

/* "(10 of 2,000,000 rows)" below the columns. */
static void print_count(const ist_snapshot *snapshot, int64_t printed)
{
    char rows[32], all[32];
    int64_t total = ist_snapshot_row_count(snapshot);
    if (total > printed)
        printf("(%s of %s rows)\n", cli_count(printed, rows), cli_count(total, all));
    else
        printf("(%s row%s)\n", cli_count(printed, rows), printed == 1 ? "" : "s");
}

static ist_status cat(cli_call *call, const cli_table *table, const ist_snapshot *snapshot, ist_error *err)
{
    const cat_values *values = call->values;
    ist_scan *scan = NULL;
    struct ArrowArrayStream rows = {0}, stream = {0};
    cli_progress progress;
    int64_t total = 0;
    ist_scan_options wanted = IST_SCAN_OPTIONS_INIT;
    wanted.columns = (const char *const *)values->columns.items;
    wanted.column_count = values->columns.count;
    ist_status status = ist_scan_open(snapshot, &wanted, &scan, err);
    if (status == IST_OK)
        status = ist_scan_read(scan, table->store, &rows, err);
    cli_progress_start(&progress, call, call->args[0]);
    progress.on = progress.on && !isatty(STDOUT_FILENO); /* rows on the screen are progress enough */
    if (status == IST_OK)
        status = cli_stream_watch(&rows, values->limit, &progress, &stream, err);
    if (status == IST_OK && values->arrow)
        status = ist_stream_write_ipc(&stream, STDOUT_FILENO, &total, err);
    else if (status == IST_OK)
        status = cli_rows_print(&stream, call->json ? IST_RENDER_JSON : values->csv ? IST_RENDER_CSV : IST_RENDER_TEXT,
                                &total, err);
    if (stream.release)
        stream.release(&stream);
    cli_progress_end(&progress);
    if (status == IST_OK && !values->arrow && !values->csv && !call->json)
        print_count(snapshot, total);
    ist_scan_free(scan);
    return status;
}

ist_status cmd_table_cat(cli_call *call, ist_error *err)
{
    const cat_values *values = call->values;
    cli_table table;
    ist_snapshot *snapshot = NULL;
    ist_snapshot_options which = IST_SNAPSHOT_OPTIONS_INIT;
    which.version = values->version;
    if (values->csv + values->arrow + call->json > 1)
        return cli_usage(call, err, "--json, --csv and --arrow exclude each other");
    if (values->arrow && isatty(STDOUT_FILENO))
        return cli_usage(call, err, "--arrow writes bytes that a terminal cannot show: redirect standard output");
    ist_status status = cli_table_open(call, call->args[0], IST_TABLE_READ, &table, err);
    if (status != IST_OK)
        return status;
    which.committer = table.committer;
    status = ist_snapshot_open(table.store, &which, &snapshot, err);
    if (status == IST_OK)
        status = cat(call, &table, snapshot, err);
    if (status == IST_OK) {
        ist_lineage_dataset input = {.name = table.name ? table.name : ist_store_uri(table.store),
                                     .version = ist_snapshot_version(snapshot), .rows = -1, .bytes = -1};
        ist_lineage_run run = {.job = "isthmus table cat", .engine = "isthmus", .state = "COMPLETE", .inputs = &input,
                               .input_count = 1};
        cli_lineage(call, &table, &run);
    } else {
        cli_table_error(&table, err);
    }
    ist_snapshot_free(snapshot);
    cli_table_close(&table);
    return status;
}
