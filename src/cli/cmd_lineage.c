/* cmd_lineage.c: isthmus lineage. */
#include "commands.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct lineage_values {
    int64_t depth;
    bool columns;
    const char *svg;
} lineage_values;

static const cli_option options[] = {
    {"depth", CLI_NUMBER, offsetof(lineage_values, depth), "N", "5", "Most steps away from the table.", 1, 100, NULL},
    {"columns", CLI_FLAG, offsetof(lineage_values, columns), NULL, NULL, "Show which column came from which.", 0, 0,
     NULL},
    {"svg", CLI_TEXT, offsetof(lineage_values, svg), "FILE", NULL, "Draw it into a file; - is standard output.", 0, 0,
     NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus lineage main.demo.scores", "What the table was made from, and what was made from it"},
    {"isthmus lineage main.demo.scores --columns --svg scores.svg", "The same as a picture, column by column"},
    {"isthmus lineage --json", "Every edge the catalog knows"},
    {0},
};

const cli_page cmd_lineage_page = {
    .arguments = "[TABLE]",
    .common = CLI_JSON | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(lineage_values),
    .description = "Shows what a table was made from (upstream) and what was made from it (downstream), by which job "
                   "and engine, as a tree, as a picture, or with --json as the catalog tells it. Without TABLE: all "
                   "edges, newest first. Tables that you may not see are there without their names.\n\n" CLI_TABLE_HELP,
    .examples = examples,
};

static ist_status print(const lineage_values *values, const ist_buffer *drawn, ist_error *err)
{
    FILE *file = !values->svg || strcmp(values->svg, "-") == 0 ? stdout : fopen(values->svg, "w");
    bool good = file && fwrite(drawn->data, 1, drawn->size, file) == drawn->size;
    if (file && file != stdout)
        good = fclose(file) == 0 && good;
    return good ? IST_OK : ist_error_set(err, IST_IO, errno, values->svg, "cannot write %s: %s",
                                         values->svg ? values->svg : "the lineage", strerror(errno));
}

ist_status cmd_lineage(cli_call *call, ist_error *err)
{
    const lineage_values *values = call->values;
    ist_lineage_draw_options draw = IST_LINEAGE_DRAW_OPTIONS_INIT;
    ist_catalog *catalog = NULL;
    ist_buffer table = IST_BUFFER_INIT, json = IST_BUFFER_INIT, drawn = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (call->json && values->svg)
        return cli_usage(call, err, "--json and --svg exclude each other");
    draw.form = values->svg ? IST_LINEAGE_SVG : IST_LINEAGE_TEXT;
    draw.columns = values->columns;
    if (call->arg_count)
        status = cli_table_identity(call->args[0], &table, err);
    if (status == IST_OK)
        status = cli_catalog_open(call, &catalog, err);
    if (status == IST_OK)
        status = ist_catalog_get_lineage(catalog, table.data, (int)values->depth, values->columns, &json, err);
    if (status == IST_OK && call->json)
        status = cli_print_json(json.data, json.size, err);
    else if (status == IST_OK && (status = ist_lineage_draw(json.data, &draw, &drawn, err)) == IST_OK && drawn.size)
        status = print(values, &drawn, err);
    ist_buffer_free(&table);
    ist_buffer_free(&json);
    ist_buffer_free(&drawn);
    ist_catalog_free(catalog);
    return status;
}
