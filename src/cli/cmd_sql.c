/*
 * cmd_sql.c: isthmus sql.
 *
 * Ctrl-C is waited for by a thread of its own: the first one cancels the statement at the warehouse, the next ends the
 * program. Where the result is being printed there is nothing to cancel, and the first ends it.
 */
#include "catalog_objects.h"
#include "commands.h"
#include "rows.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

enum { TEXT_MAX = 16 << 20, PROGRESS_MS = 200, EXIT_INTERRUPTED = 130 };

typedef struct sql_values {
    const char *file;
    cli_list params;
    const char *warehouse;
    const char *schema;
    int64_t limit;
    int64_t timeout;
    bool csv, arrow, history;
} sql_values;

static const cli_option options[] = {
    {"file", CLI_TEXT, offsetof(sql_values, file), "FILE", NULL, "Read the statement from a file.", 0, 0, NULL},
    {"param", CLI_TEXTS, offsetof(sql_values, params), "NAME=VALUE[:TYPE]", NULL,
     "What stands for :NAME in the statement, like low=0.5:DOUBLE; without a type it is a STRING. May be repeated.", 0,
     0, NULL},
    {"schema", CLI_TEXT, offsetof(sql_values, schema), "SCHEMA", NULL,
     "Where names without a schema are: demo, or main.demo.", 0, 0, NULL},
    {"warehouse", CLI_TEXT, offsetof(sql_values, warehouse), "ID", NULL,
     "The warehouse that runs it. Otherwise $DATABRICKS_WAREHOUSE_ID, or embedded.", 0, 0, NULL},
    {"limit", CLI_NUMBER, offsetof(sql_values, limit), "N", NULL,
     "Most rows of the result; with --history most statements, otherwise 20.", 1, INT32_MAX, NULL},
    {"timeout", CLI_NUMBER, offsetof(sql_values, timeout), "SECONDS", NULL,
     "Cancel the statement if it is not done by then.", 1, INT32_MAX, NULL},
    {"csv", CLI_FLAG, offsetof(sql_values, csv), NULL, NULL, "Print CSV with a header; null is an empty value.", 0, 0,
     NULL},
    {"arrow", CLI_FLAG, offsetof(sql_values, arrow), NULL, NULL, "Write an Arrow IPC stream.", 0, 0, NULL},
    {"history", CLI_FLAG, offsetof(sql_values, history), NULL, NULL, "Show the statements that were run last.", 0, 0,
     NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus sql \"SELECT bucket, count(*) FROM main.demo.scores GROUP BY bucket\"", "A query as a table"},
    {"isthmus sql --json --param low=0.5:DOUBLE \"SELECT * FROM main.demo.scores WHERE score > :low\"",
     "With a parameter, as JSON lines"},
    {"isthmus sql --arrow --file report.sql > report.arrow", "A statement from a file, its result as Arrow IPC"},
    {"isthmus sql --history", "Who ran what, and how it ended"},
    {0},
};

const cli_page cmd_sql_page = {
    .arguments = "[QUERY]",
    .common = CLI_JSON | CLI_QUIET | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(sql_values),
    .description = "Runs one SQL statement on a warehouse of the server and prints its result: aligned columns, with "
                   "--json one object a line, with --csv CSV, with --arrow an Arrow IPC stream. Without QUERY and --file "
                   "the statement is read from standard input. Where an error has a place in the statement, it is shown. "
                   "Ctrl-C cancels the statement.",
    .examples = examples,
};

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

static ist_status read_text(FILE *file, const char *name, ist_buffer *out, ist_error *err)
{
    char chunk[8192];
    size_t n;
    ist_status status = IST_OK;
    out->limit = TEXT_MAX;
    while (status == IST_OK && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
        status = ist_buffer_append(out, chunk, n, err);
    if (status == IST_OK && ferror(file))
        status = ist_error_set(err, IST_IO, errno, name, "cannot read %s: %s", name, strerror(errno));
    return status;
}

static ist_status read_statement(cli_call *call, ist_buffer *out, ist_error *err)
{
    const sql_values *values = call->values;
    if (call->arg_count && values->file)
        return cli_usage(call, err, "give QUERY or --file, not both");
    if (call->arg_count)
        return ist_buffer_append_string(out, call->args[0], err);
    if (!values->file && isatty(STDIN_FILENO))
        return cli_usage(call, err, "give a QUERY, or --file, or a statement on standard input");
    FILE *file = values->file && strcmp(values->file, "-") != 0 ? fopen(values->file, "re") : stdin;
    const char *name = file == stdin ? "standard input" : values->file;
    if (!file)
        return ist_error_set(err, IST_IO, errno, name, "cannot open %s: %s", name, strerror(errno));
    ist_status status = read_text(file, name, out, err);
    if (file != stdin)
        fclose(file);
    return status;
}

/* Is it what a type looks like? "12:30" is a value. */
static bool is_type(const char *text)
{
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    return word > 1 && (text[word] == '\0' || text[word] == '(');
}

/* "low=0.5:DOUBLE", divided in place. */
static ist_status parse_parameter(cli_call *call, char *typed, ist_statement_parameter *out, ist_error *err)
{
    char *equals = strchr(typed, '=');
    if (!equals || equals == typed)
        return cli_usage(call, err, "--param needs NAME=VALUE[:TYPE], not '%s'", typed);
    *equals = '\0';
    char *colon = strrchr(equals + 1, ':');
    bool typed_value = colon && is_type(colon + 1);
    if (typed_value)
        *colon = '\0';
    *out = (ist_statement_parameter){typed, equals + 1, typed_value ? colon + 1 : NULL};
    return IST_OK;
}

/* What is asked of the warehouse. Texts are borrowed from the call and from `catalog`. */
static ist_status make_options(cli_call *call, ist_statement_parameter *parameters, char catalog[512],
                               ist_statement_options *out, ist_error *err)
{
    const sql_values *values = call->values;
    const char *dot = values->schema ? strchr(values->schema, '.') : NULL;
    for (size_t i = 0; i < values->params.count; i++) {
        ist_status status = parse_parameter(call, values->params.items[i], &parameters[i], err);
        if (status != IST_OK)
            return status;
    }
    if (dot && dot - values->schema < 512) {
        snprintf(catalog, 512, "%.*s", (int)(dot - values->schema), values->schema);
        out->catalog = catalog;
    }
    out->schema = dot ? dot + 1 : values->schema;
    out->warehouse_id = values->warehouse;
    out->parameters = parameters;
    out->parameter_count = values->params.count;
    out->row_limit = values->limit > 0 ? values->limit : 0;
    out->timeout_ms = values->timeout > 0 ? values->timeout * 1000 : 0;
    return IST_OK;
}

/* ---- Ctrl-C ------------------------------------------------------------------------------------------------------ */

/* What a Ctrl-C ends. */
typedef struct interrupts {
    pthread_mutex_t mutex; /* held while the statement is cancelled, so that it is not freed meanwhile */
    ist_statement *running;
    bool wanted; /* it came before the statement was known */
} interrupts;

static void *await_interrupts(void *payload)
{
    interrupts *self = payload;
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    for (;;) {
        sigwait(&set, &number);
        pthread_mutex_lock(&self->mutex);
        if (self->wanted)
            _exit(EXIT_INTERRUPTED);
        self->wanted = true;
        if (self->running)
            ist_statement_cancel(self->running, NULL);
        pthread_mutex_unlock(&self->mutex);
    }
    return NULL;
}

static void watch_interrupts(interrupts *self)
{
    pthread_t thread;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* in this thread and those it starts */
    if (pthread_create(&thread, NULL, await_interrupts, self) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* From here on Ctrl-C cancels this statement; with NULL, when it has ended, the next one ends the program. */
static void set_running(interrupts *self, ist_statement *statement)
{
    pthread_mutex_lock(&self->mutex);
    if (statement && self->wanted)
        ist_statement_cancel(statement, NULL);
    if (!statement)
        self->wanted = true;
    self->running = statement;
    pthread_mutex_unlock(&self->mutex);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* A part of the statement, with what a terminal could take for a command as spaces. Returns its width on screen. */
static int print_part(const char *text, size_t size)
{
    mbstate_t state = {0};
    int columns = 0;
    for (size_t at = 0; at < size;) {
        wchar_t wide;
        size_t used = mbrtowc(&wide, text + at, size - at, &state);
        bool good = used != 0 && used <= size - at && wcwidth(wide) >= 0;
        if (good)
            fwrite(text + at, 1, used, stderr);
        else
            fputc(' ', stderr);
        columns += good ? wcwidth(wide) : 1;
        at += good ? used : 1;
    }
    return columns;
}

/* The line that an error is about, with a caret under its place; err->where is "line 2, pos 9", both from 1. */
static void print_place(const char *text, const ist_error *err)
{
    unsigned line, position;
    if (sscanf(err->where, "line %9u, pos %9u", &line, &position) != 2 || line == 0 || position == 0)
        return;
    while (--line > 0 && (text = strchr(text, '\n')) != NULL)
        text++;
    if (!text)
        return;
    size_t size = strcspn(text, "\r\n"), before = 0;
    for (unsigned i = 1; i < position && before < size; i++) /* positions count characters */
        do
            before++;
        while (before < size && ((unsigned char)text[before] & 0xC0) == 0x80);
    fputs("    ", stderr);
    int columns = print_part(text, before);
    print_part(text + before, size - before);
    fprintf(stderr, "\n    %*s^\n", columns, "");
}

/* ---- the statement ----------------------------------------------------------------------------------------------- */

static ist_status run(const cli_call *call, ist_catalog *catalog, const char *text, const ist_statement_options *wanted,
                      ist_statement **out, ist_error *err)
{
    static interrupts waiting = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    ist_statement_state state = IST_STATEMENT_PENDING;
    cli_progress progress;
    watch_interrupts(&waiting);
    cli_progress_start(&progress, call, "running");
    ist_status status = ist_statement_submit(catalog, text, wanted, out, err);
    if (status == IST_OK)
        set_running(&waiting, *out);
    while (status == IST_OK && state != IST_STATEMENT_SUCCEEDED) {
        cli_progress_time(&progress);
        status = ist_statement_wait(*out, progress.on ? PROGRESS_MS : -1, &state, err);
    }
    cli_progress_end(&progress);
    set_running(&waiting, NULL);
    return status;
}

static void print_count(const cli_call *call, const ist_statement *statement, int64_t printed)
{
    const sql_values *values = call->values;
    char rows[32];
    bool cut = ist_statement_is_truncated(statement);
    if (!call->json && !values->csv && !values->arrow)
        printf("(%s row%s%s)\n", cli_count(printed, rows), printed == 1 ? "" : "s", cut ? ", there are more" : "");
    else if (cut)
        cli_note(call, "the result has more rows than these %s", cli_count(printed, rows));
}

static ist_status print(const cli_call *call, ist_statement *statement, ist_error *err)
{
    const sql_values *values = call->values;
    struct ArrowArrayStream rows = {0}, stream = {0};
    cli_progress progress;
    int64_t total = 0;
    ist_status status = ist_statement_read(statement, &rows, err);
    if (status != IST_OK)
        return status;
    cli_progress_start(&progress, call, "reading");
    progress.on = progress.on && !isatty(STDOUT_FILENO); /* rows on the screen are progress enough */
    status = cli_stream_watch(&rows, -1, &progress, &stream, err);
    if (status == IST_OK && values->arrow)
        status = ist_stream_write_ipc(&stream, STDOUT_FILENO, &total, err);
    else if (status == IST_OK)
        status = cli_rows_print(&stream, call->json ? IST_RENDER_JSON : values->csv ? IST_RENDER_CSV : IST_RENDER_TEXT,
                                &total, err);
    if (stream.release)
        stream.release(&stream);
    cli_progress_end(&progress);
    if (status == IST_OK)
        print_count(call, statement, total);
    return status;
}

static ist_status show_history(cli_call *call, ist_catalog *catalog, ist_error *err)
{
    static const char *const members[] = {"query_start_time_ms", "user_name", "warehouse_id", "status", "duration",
                                          "rows_produced",       "query_text", NULL};
    const sql_values *values = call->values;
    yyjson_doc *doc = NULL;
    char path[100];
    snprintf(path, sizeof path, "/api/2.0/sql/history/queries?max_results=%d",
             values->limit > 0 ? (int)values->limit : 20);
    ist_status status = cli_request(catalog, "GET", path, NULL, &doc, err);
    if (status == IST_OK)
        status = cli_array_print(call, yyjson_obj_get(yyjson_doc_get_root(doc), "res"), members, err);
    yyjson_doc_free(doc);
    return status;
}

static ist_status execute(cli_call *call, ist_catalog *catalog, const char *text, const ist_statement_options *wanted,
                          ist_error *err)
{
    ist_statement *statement = NULL;
    ist_status status = run(call, catalog, text, wanted, &statement, err);
    if (status == IST_OK)
        status = print(call, statement, err);
    else if (err && !call->json)
        print_place(text, err);
    ist_statement_free(statement);
    return status;
}

ist_status cmd_sql(cli_call *call, ist_error *err)
{
    const sql_values *values = call->values;
    ist_statement_options wanted = IST_STATEMENT_OPTIONS_INIT;
    ist_statement_parameter *parameters = calloc(values->params.count + 1, sizeof *parameters);
    char default_catalog[512];
    ist_catalog *catalog = NULL;
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (!parameters)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (values->csv + values->arrow + call->json > 1)
        status = cli_usage(call, err, "--json, --csv and --arrow exclude each other");
    else if (values->arrow && isatty(STDOUT_FILENO))
        status = cli_usage(call, err, "--arrow writes bytes that a terminal cannot show: redirect standard output");
    else if (values->history && (call->arg_count || values->file))
        status = cli_usage(call, err, "--history takes no statement");
    if (status == IST_OK)
        status = make_options(call, parameters, default_catalog, &wanted, err);
    if (status == IST_OK && !values->history)
        status = read_statement(call, &text, err);
    if (status == IST_OK)
        status = cli_catalog_open(call, &catalog, err);
    if (status == IST_OK)
        status = values->history ? show_history(call, catalog, err)
                                 : execute(call, catalog, text.data ? text.data : "", &wanted, err);
    ist_catalog_free(catalog);
    ist_buffer_free(&text);
    free(parameters);
    return status;
}
