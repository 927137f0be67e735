/* cmd_table_cat.c: isthmus table cat. */
#include "commands.h"
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

enum { BLOCK_ROWS = 1000 }; /* rows whose widths are decided together */

/* Aligned columns. The grid keeps its widths from block to block. */
static ist_status print_grid(struct ArrowArrayStream *stream, ist_renderer *renderer, int64_t *total, ist_error *err)
{
    struct ArrowArray batch = {0};
    ist_buffer text = IST_BUFFER_INIT;
    size_t columns = ist_renderer_column_count(renderer);
    bool header = true;
    cli_grid grid;
    ist_status status = cli_grid_init(&grid, columns, err);
    for (size_t i = 0; status == IST_OK && i < columns; i++) {
        const char *name = ist_renderer_column_name(renderer, i);
        grid.right[i] = ist_renderer_column_is_number(renderer, i);
        status = cli_grid_add(&grid, name, strlen(name), err);
    }
    while (status == IST_OK && (status = ist_stream_next(stream, &batch, err)) == IST_OK && batch.release) {
        status = ist_renderer_set_batch(renderer, &batch, err);
        for (int64_t row = 0; status == IST_OK && row < batch.length; row++) {
            for (size_t i = 0; status == IST_OK && i < columns; i++) {
                bool is_null;
                ist_buffer_clear(&text);
                status = ist_renderer_cell(renderer, i, row, IST_RENDER_TEXT, &text, &is_null, err);
                if (status == IST_OK)
                    status = is_null ? cli_grid_add(&grid, "null", 4, err)
                                     : cli_grid_add(&grid, text.data, text.size, err);
            }
            ++*total;
            if (*total % BLOCK_ROWS == 0) {
                cli_grid_print(&grid, header);
                header = false;
            }
        }
        batch.release(&batch);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, header);
    cli_grid_free(&grid);
    ist_buffer_free(&text);
    return status;
}

/* A line per row: JSON or CSV. */
static ist_status print_lines(struct ArrowArrayStream *stream, ist_renderer *renderer, ist_render_form form,
                              int64_t *total, ist_error *err)
{
    enum { FLUSH_BYTES = 1 << 16 };
    struct ArrowArray batch = {0};
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (form == IST_RENDER_CSV && (status = ist_renderer_csv_header(renderer, &text, err)) == IST_OK)
        status = ist_buffer_append(&text, "\n", 1, err);
    while (status == IST_OK && (status = ist_stream_next(stream, &batch, err)) == IST_OK && batch.release) {
        status = ist_renderer_set_batch(renderer, &batch, err);
        for (int64_t row = 0; status == IST_OK && row < batch.length; row++, ++*total) {
            status = ist_renderer_row(renderer, row, form, &text, err);
            if (status == IST_OK)
                status = ist_buffer_append(&text, "\n", 1, err);
            if (status == IST_OK && text.size > FLUSH_BYTES) {
                if (fwrite(text.data, 1, text.size, stdout) != text.size)
                    status = cli_flush(err);
                ist_buffer_clear(&text);
            }
        }
        batch.release(&batch);
    }
    if (text.size > 0)
        fwrite(text.data, 1, text.size, stdout);
    ist_buffer_free(&text);
    return status;
}

static ist_status print_stream(const cli_call *call, struct ArrowArrayStream *stream, int64_t *total, ist_error *err)
{
    const cat_values *values = call->values;
    struct ArrowSchema schema;
    ist_renderer *renderer = NULL;
    ist_status status = ist_stream_schema(stream, &schema, err);
    if (status != IST_OK)
        return status;
    status = ist_renderer_new(&schema, &renderer, err);
    schema.release(&schema);
    if (status == IST_OK && (call->json || values->csv))
        status = print_lines(stream, renderer, call->json ? IST_RENDER_JSON : IST_RENDER_CSV, total, err);
    else if (status == IST_OK)
        status = print_grid(stream, renderer, total, err);
    ist_renderer_free(renderer);
    return status;
}

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
        status = print_stream(call, &stream, &total, err);
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
