/* settings.c: the daemon's settings: one table, from which the flags, the config file and their documentation come. */
#include "daemon.h"

#include "isthmus/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIB ((uint64_t)1 << 40)
#define OFFSET(member) offsetof(ist_daemon_settings, member)

const ist_daemon_setting ist_daemon_setting_table[] = {
    {"socket", IST_DAEMON_PATH, 0, 0, "", "PATH",
     "socket to serve; default: $ISTHMUS_SOCKET, else daemon.sock in $ISTHMUS_HOME or ~/.isthmus", OFFSET(socket)},
    {"memory", IST_DAEMON_BYTES, 0, 1024 * TIB, "0", "SIZE",
     "most memory for chunks, like 8G; 0: half of what the node or container has", OFFSET(memory)},
    {"spill_dir", IST_DAEMON_PATH, 0, 0, "", "DIR",
     "folder on disk for chunks beyond that, relative to the socket's; empty: chunks stay in memory",
     OFFSET(spill_dir)},
    {"commit_threads", IST_DAEMON_COUNT, 1, 64, "4", "N", "tables that are committed to at the same time",
     OFFSET(commit_threads)},
    {"commit_batch", IST_DAEMON_COUNT, 1, 10000, "1000", "N", "most appends that are merged into one version",
     OFFSET(commit_batch)},
    {"max_clients", IST_DAEMON_COUNT, 1, 100000, "4096", "N", "most processes that may be connected",
     OFFSET(max_clients)},
    {NULL, IST_DAEMON_PATH, 0, 0, NULL, NULL, NULL, 0},
};

static bool same_name(const char *a, const char *b)
{
    while (*a && (*a == *b || (*a == '_' && *b == '-')))
        a++, b++;
    return *a == *b;
}

static const ist_daemon_setting *find(const char *name, ist_error *err)
{
    char known[512] = "";
    size_t used = 0;
    for (const ist_daemon_setting *s = ist_daemon_setting_table; s->name; s++) {
        if (same_name(s->name, name))
            return s;
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", s->name);
    }
    ist_error_set(err, IST_BAD_INPUT, 0, NULL, "there is no setting '%.64s'; there are: %s", name, known);
    return NULL;
}

static uint64_t unit(const char *suffix, bool *ok)
{
    static const char letters[] = "KMGT";
    const char *at = *suffix ? strchr(letters, *suffix) : NULL;
    *ok = !*suffix || (at && (!suffix[1] || strcmp(suffix + 1, "iB") == 0));
    return at && *ok ? (uint64_t)1 << (10 * (at - letters + 1)) : 1;
}

static ist_status set_number(const ist_daemon_setting *s, const char *text, uint64_t *out, ist_error *err)
{
    char *end = NULL;
    bool ok = *text >= '0' && *text <= '9';
    errno = 0;
    uint64_t number = ok ? strtoull(text, &end, 10) : 0;
    ok = ok && errno == 0;
    uint64_t factor = 1;
    if (ok && s->type == IST_DAEMON_BYTES)
        factor = unit(end, &ok);
    else if (ok)
        ok = *end == '\0';
    if (!ok)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s: '%.64s' is not a number%s", s->name, text,
                             s->type == IST_DAEMON_BYTES ? " of bytes (like 512M or 8G)" : "");
    if (number > s->max / factor || number * factor < s->min)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s: %.64s is not between %" PRIu64 " and %" PRIu64, s->name,
                             text, s->min, s->max);
    *out = number * factor;
    return IST_OK;
}

ist_status ist_daemon_settings_set(ist_daemon_settings *settings, const char *name, const char *value, ist_error *err)
{
    const ist_daemon_setting *s = find(name, err);
    if (!s)
        return IST_BAD_INPUT;
    void *member = (char *)settings + s->offset;
    if (s->type != IST_DAEMON_PATH)
        return set_number(s, value, member, err);
    if (strlen(value) >= IST_DAEMON_PATH_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s: a path may have %d bytes", s->name,
                             IST_DAEMON_PATH_MAX - 1);
    memcpy(member, value, strlen(value) + 1);
    return IST_OK;
}

void ist_daemon_settings_init(ist_daemon_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    for (const ist_daemon_setting *s = ist_daemon_setting_table; s->name; s++)
        ist_daemon_settings_set(settings, s->name, s->fallback, NULL);
}

/* ---- the config file ----------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copy text without the space around it. False when it does not fit or has a NUL. */
static bool copy_trimmed(const char *from, const char *to, char *out, size_t capacity)
{
    while (from < to && is_space(*from))
        from++;
    while (to > from && is_space(to[-1]))
        to--;
    size_t size = (size_t)(to - from);
    if (size >= capacity || memchr(from, '\0', size))
        return false;
    memcpy(out, from, size);
    out[size] = '\0';
    return true;
}

/* "name = value", a comment, or nothing. A '#' starts a comment at the start of a line only: paths may have it. */
static ist_status parse_line(ist_daemon_settings *settings, const char *line, size_t size, ist_error *err)
{
    char name[64], value[IST_DAEMON_PATH_MAX];
    const char *end = line + size, *equals = memchr(line, '=', size);
    while (line < end && is_space(*line))
        line++;
    if (line == end || *line == '#')
        return IST_OK;
    if (!equals || !copy_trimmed(line, equals, name, sizeof name) ||
        !copy_trimmed(equals + 1, end, value, sizeof value))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "not of the form: name = value");
    return ist_daemon_settings_set(settings, name, value, err);
}

ist_status ist_daemon_settings_parse(ist_daemon_settings *settings, const char *text, size_t size, const char *file,
                                     ist_error *err)
{
    int number = 0;
    for (const char *line = text, *end = text + size; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        number++;
        if (parse_line(settings, line, (size_t)(stop - line), err) != IST_OK)
            return err ? ist_error_context(err, "%s:%d", file, number) : IST_BAD_INPUT;
        line = newline ? newline + 1 : end;
    }
    return IST_OK;
}

static ist_status read_file(int file, const char *path, ist_buffer *out, ist_error *err)
{
    for (;;) {
        ist_status status = ist_buffer_reserve(out, 4096, err);
        if (status != IST_OK)
            return ist_error_set(err, IST_BAD_INPUT, 0, path, "%s is larger than %d bytes: no config file", path,
                                 IST_DAEMON_CONFIG_MAX);
        ssize_t n = read(file, out->data + out->size, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ist_error_set(err, IST_IO, errno, path, "cannot read %s: %s", path, strerror(errno));
        if (n == 0)
            return IST_OK;
        out->size += (size_t)n;
    }
}

/* daemon.conf beside the socket. */
static ist_status default_path(const ist_daemon_settings *settings, ist_buffer *out, ist_error *err)
{
    ist_status status = ist_exchange_socket_path(settings->socket, out, err);
    if (status != IST_OK)
        return status;
    const char *slash = strrchr(out->data, '/');
    out->size = slash ? (size_t)(slash - out->data) + 1 : 0;
    return ist_buffer_append_string(out, "daemon.conf", err);
}

ist_status ist_daemon_settings_load(ist_daemon_settings *settings, const char *path, ist_error *err)
{
    ist_buffer default_file = IST_BUFFER_INIT, text = {.limit = IST_DAEMON_CONFIG_MAX};
    ist_status status = path ? IST_OK : default_path(settings, &default_file, err);
    const char *name = path ? path : default_file.data;
    int file = -1;
    if (status == IST_OK) {
        file = open(name, O_RDONLY | O_CLOEXEC);
        if (file < 0 && (path || errno != ENOENT))
            status = ist_error_set(err, errno == ENOENT ? IST_NOT_FOUND : IST_IO, errno, name, "cannot read %s: %s",
                                   name, strerror(errno));
    }
    if (status == IST_OK && file >= 0)
        status = read_file(file, name, &text, err);
    if (status == IST_OK && file >= 0)
        status = ist_daemon_settings_parse(settings, text.data, text.size, name, err);
    if (file >= 0)
        close(file);
    ist_buffer_free(&text);
    ist_buffer_free(&default_file);
    return status;
}

/* ---- documentation ------------------------------------------------------------------------------------------- */

ist_status ist_daemon_settings_help(ist_buffer *out, ist_error *err)
{
    ist_status status = IST_OK;
    for (const ist_daemon_setting *s = ist_daemon_setting_table; s->name && status == IST_OK; s++) {
        char flag[64] = "";
        size_t used = (size_t)snprintf(flag, sizeof flag, "--%s %s", s->name, s->placeholder);
        for (size_t i = 2; i < used; i++)
            flag[i] = flag[i] == '_' ? '-' : flag[i];
        status = ist_buffer_printf(out, err, "  %-22s %s%s%s%s\n", flag, s->help, *s->fallback ? " (default " : "",
                                   s->fallback, *s->fallback ? ")" : "");
    }
    return status;
}

ist_status ist_daemon_settings_sample(ist_buffer *out, ist_error *err)
{
    ist_status status = ist_buffer_append_string(
        out, "# daemon.conf: settings of `isthmus daemon`, in the folder of its socket. Flags override them.\n", err);
    for (const ist_daemon_setting *s = ist_daemon_setting_table; s->name && status == IST_OK; s++)
        status = ist_buffer_printf(out, err, "\n# %s\n#%s = %s\n", s->help, s->name, s->fallback);
    return status;
}
