/*
 * output.h: what commands print: aligned tables, sizes, progress, JSON, errors.
 *
 * Results go to standard output, everything else to standard error. Text from tables and logs is made safe for a
 * terminal: control characters are escaped, widths are those of the characters on screen.
 */
#ifndef ISTHMUS_CLI_OUTPUT_H
#define ISTHMUS_CLI_OUTPUT_H

#include "options.h"

#include <stdio.h>
#include <yyjson.h>

/* Rows of cells, printed with aligned columns. */
typedef struct cli_grid {
    size_t columns;
    char **cells; /* row by row; the first row is the header */
    size_t count, capacity;
    bool *right;    /* per column: numbers stand on the right */
    size_t *widths; /* on screen; grow only, so that later blocks of one table keep to the first one's columns */
    size_t most;    /* widest that a column may be; longer cells are cut with an ellipsis */
} cli_grid;

ist_status cli_grid_init(cli_grid *grid, size_t columns, ist_error *err);
/* The next cell, copied and made safe. */
ist_status cli_grid_add(cli_grid *grid, const char *text, size_t size, ist_error *err);
/* Print the rows and drop them; the widths stay. header: a rule goes below the first row. */
void cli_grid_print(cli_grid *grid, bool header);
void cli_grid_free(cli_grid *grid);

/* "1.5 GiB", "2,000,000". out holds 32 bytes. */
const char *cli_bytes(int64_t bytes, char out[32]);
const char *cli_count(int64_t count, char out[32]);
/* ms since the epoch as "2026-11-23 09:00:00 UTC". */
const char *cli_time(int64_t ms, char out[32]);

/* Text with control characters escaped. */
void cli_print_safe(FILE *file, const char *text);

/* A JSON document, indented, with a line end. */
ist_status cli_print_json(const char *json, size_t size, ist_error *err);
ist_status cli_print_mut(yyjson_mut_doc *doc, ist_error *err);
/* Parse what the library returned. */
ist_status cli_parse_json(const ist_buffer *json, yyjson_doc **out, ist_error *err);

/* Standard output is buffered: did everything reach it? Errors: IST_IO (disk full, closed pipe). */
ist_status cli_flush(ist_error *err);

/* One line that is written over on standard error, when that is a terminal and --quiet is not given. */
typedef struct cli_progress {
    bool on;
    const char *what;
    int64_t started_us, shown_us;
} cli_progress;
void cli_progress_start(cli_progress *progress, const cli_call *call, const char *what);
void cli_progress_rows(cli_progress *progress, int64_t rows);
void cli_progress_bytes(cli_progress *progress, int64_t bytes);
/* How long it takes already. */
void cli_progress_time(cli_progress *progress);
void cli_progress_end(cli_progress *progress);

/* Something worth knowing that is no error: "isthmus: <text>" on standard error, not with --quiet. */
void cli_note(const cli_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
