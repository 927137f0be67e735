/* output.c: tables, sizes, progress and JSON on the terminal. */
#define _XOPEN_SOURCE_EXTENDED 1
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

/* One character of UTF-8 text: its bytes and its columns on screen. Bytes that are no UTF-8 count as one character;
 * *good tells. Needs the locale that main sets. */
static size_t next_char(const char *text, size_t size, int *width, bool *good)
{
    mbstate_t state = {0};
    wchar_t c;
    size_t n = mbrtowc(&c, text, size, &state);
    *good = n != (size_t)-1 && n != (size_t)-2 && n != 0 && iswprint((wint_t)c);
    if (!*good) {
        *width = 0;
        return n == (size_t)-1 || n == (size_t)-2 || n == 0 ? 1 : n;
    }
    *width = wcwidth(c);
    if (*width < 0)
        *width = 0;
    return n;
}

/* Append one character, escaped where a terminal would not show it. */
static ist_status append_safe(ist_buffer *out, const char *text, size_t n, bool good, ist_error *err)
{
    if (good)
        return ist_buffer_append(out, text, n, err);
    switch (*text) {
    case '\n':
        return ist_buffer_append(out, "\\n", 2, err);
    case '\r':
        return ist_buffer_append(out, "\\r", 2, err);
    case '\t':
        return ist_buffer_append(out, "\\t", 2, err);
    default:
        for (size_t i = 0; i < n; i++) {
            ist_status status = ist_buffer_printf(out, err, "\\x%02x", (unsigned char)text[i]);
            if (status != IST_OK)
                return status;
        }
        return IST_OK;
    }
}

static ist_status make_safe(const char *text, size_t size, ist_buffer *out, ist_error *err)
{
    ist_status status = ist_buffer_append(out, "", 0, err);
    for (size_t i = 0; status == IST_OK && i < size;) {
        int width;
        bool good;
        size_t n = next_char(text + i, size - i, &width, &good);
        status = append_safe(out, text + i, n, good, err);
        i += n;
    }
    return status;
}

static size_t screen_width(const char *text)
{
    size_t total = 0;
    for (size_t size = strlen(text), i = 0; i < size;) {
        int width;
        bool good;
        i += next_char(text + i, size - i, &width, &good);
        total += (size_t)width;
    }
    return total;
}

void cli_print_safe(FILE *file, const char *text)
{
    ist_buffer safe = IST_BUFFER_INIT;
    if (make_safe(text, strlen(text), &safe, NULL) == IST_OK)
        fputs(safe.data, file);
    ist_buffer_free(&safe);
}

ist_status cli_grid_init(cli_grid *grid, size_t columns, ist_error *err)
{
    *grid = (cli_grid){.columns = columns, .most = 60};
    grid->right = calloc(columns + 1, sizeof *grid->right);
    grid->widths = calloc(columns + 1, sizeof *grid->widths);
    if (!grid->right || !grid->widths)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    return IST_OK;
}

ist_status cli_grid_add(cli_grid *grid, const char *text, size_t size, ist_error *err)
{
    if (grid->count == grid->capacity) {
        size_t capacity = grid->capacity ? grid->capacity * 2 : 64;
        char **cells = realloc(grid->cells, capacity * sizeof *cells);
        if (!cells)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
        grid->cells = cells;
        grid->capacity = capacity;
    }
    ist_buffer safe = IST_BUFFER_INIT;
    ist_status status = make_safe(text, size, &safe, err);
    if (status != IST_OK) {
        ist_buffer_free(&safe);
        return status;
    }
    size_t width = screen_width(safe.data);
    size_t *widest = &grid->widths[grid->count % grid->columns];
    if (width > grid->most)
        width = grid->most;
    if (width > *widest)
        *widest = width;
    grid->cells[grid->count++] = safe.data;
    return IST_OK;
}

/* As much of a cell as fits its column, padded on the side that its column asks for. *pending spaces go before it: a
 * line does not end in spaces. */
static void print_cell(const cli_grid *grid, size_t column, const char *text, size_t *pending)
{
    size_t room = grid->widths[column], width = screen_width(text), size = strlen(text);
    const char *more = "";
    if (width > room) {
        size_t bytes = 0, used = 0;
        while (bytes < size) {
            int w;
            bool good;
            size_t n = next_char(text + bytes, size - bytes, &w, &good);
            if (used + (size_t)w > room - 1)
                break;
            used += (size_t)w;
            bytes += n;
        }
        size = bytes;
        width = used + 1;
        more = "\u2026";
    }
    if (grid->right[column])
        *pending += room - width;
    if (width > 0) {
        printf("%*s%.*s%s", (int)*pending, "", (int)size, text, more);
        *pending = 0;
    }
    if (!grid->right[column])
        *pending += room - width;
}

void cli_grid_print(cli_grid *grid, bool header)
{
    for (size_t i = 0; i + grid->columns <= grid->count && grid->columns > 0; i += grid->columns) {
        size_t pending = 0;
        for (size_t column = 0; column < grid->columns; column++) {
            print_cell(grid, column, grid->cells[i + column], &pending);
            pending += 2;
        }
        putchar('\n');
        for (size_t column = 0; header && i == 0 && column < grid->columns; column++) {
            if (column > 0)
                fputs("  ", stdout);
            for (size_t j = 0; j < grid->widths[column]; j++)
                putchar('-');
            if (column + 1 == grid->columns)
                putchar('\n');
        }
    }
    for (size_t i = 0; i < grid->count; i++)
        free(grid->cells[i]);
    grid->count = 0;
}

void cli_grid_free(cli_grid *grid)
{
    for (size_t i = 0; i < grid->count; i++)
        free(grid->cells[i]);
    free(grid->cells);
    free(grid->right);
    free(grid->widths);
}

const char *cli_bytes(int64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *cli_count(int64_t count, char out[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%lld", (long long)count), n = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && digits[i - 1] != '-' && (size - i) % 3 == 0)
            out[n++] = ',';
        out[n++] = digits[i];
    }
    out[n] = '\0';
    return out;
}

const char *cli_time(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        snprintf(out, 32, "%lld ms", (long long)ms);
    return out;
}

static ist_status no_json_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to write JSON");
}

ist_status cli_print_mut(yyjson_mut_doc *doc, ist_error *err)
{
    size_t size;
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &size);
    if (!text)
        return no_json_memory(err);
    fwrite(text, 1, size, stdout);
    putchar('\n');
    free(text);
    return IST_OK;
}

ist_status cli_parse_json(const ist_buffer *json, yyjson_doc **out, ist_error *err)
{
    *out = yyjson_read(json->data ? json->data : "", json->size, 0);
    if (!*out)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "the answer is not JSON: %.100s",
                             json->data ? json->data : "");
    return IST_OK;
}

ist_status cli_print_json(const char *json, size_t size, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(json, size, 0);
    if (!doc)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "the answer is not JSON: %.100s", json);
    size_t written;
    char *text = yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &written);
    yyjson_doc_free(doc);
    if (!text)
        return no_json_memory(err);
    fwrite(text, 1, written, stdout);
    putchar('\n');
    free(text);
    return IST_OK;
}

ist_status cli_flush(ist_error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return ist_error_set(err, IST_IO, errno, NULL, "cannot write to standard output: %s", strerror(errno));
    return IST_OK;
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void cli_progress_start(cli_progress *progress, const cli_call *call, const char *what)
{
    *progress = (cli_progress){.on = !call->quiet && !call->json && isatty(STDERR_FILENO), .what = what};
    progress->started_us = progress->shown_us = now_us();
}

/* Is it time for another line? *seconds since the start are set then. */
static bool is_due(cli_progress *progress, double *seconds)
{
    enum { EVERY_US = 200000 };
    int64_t now = progress->on ? now_us() : 0;
    if (!progress->on || now - progress->shown_us < EVERY_US)
        return false;
    *seconds = (double)(now - progress->started_us) / 1e6;
    progress->shown_us = now;
    return true;
}

void cli_progress_rows(cli_progress *progress, int64_t rows)
{
    char count[32], rate[32];
    double seconds;
    if (is_due(progress, &seconds))
        fprintf(stderr, "\r\033[K%s: %s rows, %s rows/s", progress->what, cli_count(rows, count),
                cli_count((int64_t)((double)rows / seconds), rate));
}

void cli_progress_bytes(cli_progress *progress, int64_t bytes)
{
    char done[32], rate[32];
    double seconds;
    if (is_due(progress, &seconds))
        fprintf(stderr, "\r\033[K%s: %s, %s/s", progress->what, cli_bytes(bytes, done),
                cli_bytes((int64_t)((double)bytes / seconds), rate));
}

void cli_progress_time(cli_progress *progress)
{
    double seconds;
    if (is_due(progress, &seconds))
        fprintf(stderr, "\r\033[K%s: %.0f s", progress->what, seconds);
}

void cli_progress_end(cli_progress *progress)
{
    if (progress->on && progress->shown_us != progress->started_us)
        fputs("\r\033[K", stderr);
    progress->on = false;
}

void cli_note(const cli_call *call, const char *format, ...)
{
    if (call->quiet)
        return;
    va_list list;
    va_start(list, format);
    fputs("isthmus: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}
