/* options.c: the table-driven option parser. */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const cli_option cli_common_options[] = {
    {"json", CLI_FLAG, offsetof(cli_call, json), NULL, NULL, "Print JSON; errors too, on standard error.", 0, 0, NULL},
    {"quiet", CLI_FLAG, offsetof(cli_call, quiet), NULL, NULL,
     "Print no progress and no notes, only results and errors.",
     0, 0, NULL},
    {"catalog", CLI_TEXT, offsetof(cli_call, catalog), "URI", NULL,
     "The catalog that knows tables by name: http://HOST:PORT, https://HOST, databricks:PROFILE, or sqlite:/PATH. "
     "Otherwise $ISTHMUS_CATALOG, Databricks' settings, or the `isthmus serve` of this user.",
     0, 0, NULL},
    {"socket", CLI_TEXT, offsetof(cli_call, socket), "PATH", NULL,
     "The daemon's socket. Otherwise $ISTHMUS_SOCKET, or daemon.sock in $ISTHMUS_HOME or ~/.isthmus.", 0, 0, NULL},
    {"help", CLI_FLAG, offsetof(cli_call, help), NULL, NULL, "Print this help.", 0, 0, NULL},
    {0},
};

unsigned cli_common_flag(const cli_option *option)
{
    switch (option->offset) {
    case offsetof(cli_call, json):
        return CLI_JSON;
    case offsetof(cli_call, quiet):
        return CLI_QUIET;
    case offsetof(cli_call, catalog):
        return CLI_CATALOG;
    case offsetof(cli_call, socket):
        return CLI_SOCKET;
    default:
        return 0;
    }
}

const cli_option *cli_option_at(const cli_page *page, size_t i, bool *common)
{
    *common = false;
    for (const cli_option *option = page->options; option && option->name; option++)
        if (i-- == 0)
            return option;
    *common = true;
    for (const cli_option *option = cli_common_options; option->name; option++) {
        unsigned flag = cli_common_flag(option);
        if ((flag == 0 || (page->common & flag)) && i-- == 0)
            return option;
    }
    return NULL;
}

const cli_command *cli_find(const cli_command *commands, int argc, char **argv, int *used)
{
    const cli_command *found = NULL;
    for (const cli_command *command = commands; command->name; command++) {
        const char *space = strchr(command->name, ' ');
        size_t first = space ? (size_t)(space - command->name) : strlen(command->name);
        if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], command->name, first) != 0)
            continue;
        if (space && argc > 1 && strcmp(space + 1, argv[1]) == 0) {
            *used = 2;
            return command;
        }
        if (!space) {
            *used = 1;
            found = command;
        }
    }
    return found;
}

/* Edit distance where swapping two neighbours counts one; words longer than the table are taken as far apart. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= LONGEST || m >= LONGEST)
        return LONGEST;
    unsigned char d[LONGEST][LONGEST];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned char)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            unsigned char best = (unsigned char)(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (d[i - 1][j] + 1 < best)
                best = (unsigned char)(d[i - 1][j] + 1);
            if (d[i][j - 1] + 1 < best)
                best = (unsigned char)(d[i][j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = (unsigned char)(d[i - 2][j - 2] + 1);
            d[i][j] = best;
        }
    return d[n][m];
}

const char *cli_nearest(const char *typed, const char *(*names)(const void *, size_t), const void *payload)
{
    const char *best = NULL;
    size_t least = strlen(typed) / 3 + 2; /* further away than that is no typing error */
    const char *name;
    for (size_t i = 0; (name = names(payload, i)); i++) {
        size_t d = strncmp(name, typed, strlen(typed)) == 0 ? 1 : distance(typed, name);
        if (d < least) {
            least = d;
            best = name;
        }
    }
    return best;
}

static const char *command_name(const void *payload, size_t i)
{
    return ((const cli_command *)payload)[i].name;
}

const char *cli_nearest_command(const cli_command *commands, const char *typed)
{
    return cli_nearest(typed, command_name, commands);
}

static const char *option_name(const void *payload, size_t i)
{
    bool common;
    const cli_option *option = cli_option_at(payload, i, &common);
    return option ? option->name : NULL;
}

ist_status cli_usage(cli_call *call, ist_error *err, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    call->usage = true;
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s (isthmus %s --help tells more)", text, call->command->name);
}

bool cli_choice_at(const char *choices, size_t i, const char **start, size_t *size)
{
    for (;; i--) {
        *start = choices;
        *size = strcspn(choices, "|");
        if (i == 0)
            return true;
        if (choices[*size] == '\0')
            return false;
        choices += *size + 1;
    }
}

static ist_status add_word(cli_list *list, const char *text, size_t size, ist_error *err)
{
    char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (items)
        list->items = items;
    if (!items || !(items[list->count] = strndup(text, size)))
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    list->count++;
    return IST_OK;
}

static ist_status add_words(cli_list *list, const char *text, ist_error *err)
{
    for (const char *word = text;; word++) {
        size_t size = strcspn(word, ",");
        ist_status status = add_word(list, word, size, err);
        word += size;
        if (status != IST_OK || !*word)
            return status;
    }
}

static ist_status set_value(cli_call *call, const cli_option *option, void *base, const char *text, ist_error *err)
{
    void *member = (char *)base + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)member = true;
        return IST_OK;
    case CLI_TEXT:
    case CLI_FILE:
        *(const char **)member = text;
        return IST_OK;
    case CLI_NUMBER: {
        char *end;
        errno = 0;
        long long number = strtoll(text, &end, 10);
        if (end == text || *end || errno)
            return cli_usage(call, err, "--%s needs a whole number, not '%s'", option->name, text);
        if (number < option->min || number > option->max)
            return cli_usage(call, err, "--%s must be between %lld and %lld, not %lld", option->name,
                             (long long)option->min, (long long)option->max, number);
        *(int64_t *)member = number;
        return IST_OK;
    }
    case CLI_CHOICE: {
        const char *word;
        size_t size;
        for (size_t i = 0; cli_choice_at(option->value, i, &word, &size); i++)
            if (strlen(text) == size && strncmp(text, word, size) == 0) {
                *(int *)member = (int)i;
                return IST_OK;
            }
        return cli_usage(call, err, "--%s must be one of %s, not '%s'", option->name, option->value, text);
    }
    case CLI_LIST:
        return add_words(member, text, err);
    case CLI_TEXTS:
        return add_word(member, text, strlen(text), err);
    }
    return ist_error_set(err, IST_INTERNAL, 0, NULL, "option --%s has no kind", option->name);
}

/* The option that was typed as --name or --name=value. */
static const cli_option *find_option(const cli_page *page, const char *name, size_t size, bool *common)
{
    const cli_option *option;
    for (size_t i = 0; (option = cli_option_at(page, i, common)); i++)
        if (strlen(option->name) == size && strncmp(option->name, name, size) == 0)
            return option;
    return NULL;
}

static ist_status unknown_option(cli_call *call, const char *typed, size_t size, ist_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)size, typed);
    const char *near = cli_nearest(name, option_name, call->command->page);
    if (near)
        return cli_usage(call, err, "unknown option --%s; did you mean --%s?", name, near);
    return cli_usage(call, err, "unknown option --%s", name);
}

/* One option at argv[*i]; *i moves to its last word. */
static ist_status parse_option(cli_call *call, int argc, char **argv, int *i, ist_error *err)
{
    const char *word = argv[*i];
    if (strcmp(word, "-h") == 0)
        word = "--help";
    if (word[1] != '-')
        return cli_usage(call, err, "unknown option %s: options are written --name (\"--\" goes before arguments that "
                         "start with a dash)", word);
    const char *name = word + 2;
    size_t size = strcspn(name, "=");
    bool common;
    const cli_option *option = find_option(call->command->page, name, size, &common);
    if (!option)
        return unknown_option(call, name, size, err);
    const char *value = name[size] ? name + size + 1 : NULL;
    if (option->kind == CLI_FLAG) {
        if (value)
            return cli_usage(call, err, "--%s takes no value", option->name);
    } else if (!value) {
        if (*i + 1 >= argc)
            return cli_usage(call, err, "--%s needs a value: --%s %s", option->name, option->name, option->value);
        value = argv[++*i];
    }
    return set_value(call, option, common ? (void *)call : call->values, value, err);
}

/* "name = value" as a word like those that are typed; a flag's value is true or false. */
static ist_status take_line(cli_call *call, char *line, ist_error *err)
{
    static const char space[] = " \t\r\n";
    char word[LINE_MAX];
    char *value = strchr(line, '='), *end = line + strlen(line);
    line += strspn(line, space);
    if (*line == '#' || !*line)
        return IST_OK;
    while (end > line && strchr(space, end[-1]))
        *--end = '\0';
    if (!value || value < line)
        return cli_usage(call, err, "not of the form: name = value");
    size_t size = (size_t)(value++ - line);
    while (size > 0 && strchr(space, line[size - 1]))
        size--;
    value += strspn(value, space);
    bool common;
    const cli_option *option = find_option(call->command->page, line, size, &common);
    bool is_flag = option && option->kind == CLI_FLAG;
    if (is_flag && strcmp(value, "true") != 0)
        return strcmp(value, "false") == 0 ? IST_OK
                                           : cli_usage(call, err, "%s is neither true nor false", option->name);
    if (option && option->kind == CLI_FILE)
        return cli_usage(call, err, "a file of settings cannot name another one");
    snprintf(word, sizeof word, is_flag ? "--%.*s" : "--%.*s=%s", (int)size, line, value);
    ist_status status = add_word(&call->file_words, word, strlen(word), err);
    int i = 0;
    return status == IST_OK ? parse_option(call, 1, &call->file_words.items[call->file_words.count - 1], &i, err) : status;
}

static ist_status read_file(cli_call *call, const char *path, ist_error *err)
{
    char line[LINE_MAX];
    ist_status status = IST_OK;
    int number = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return ist_error_set(err, IST_IO, errno, path, "cannot read %s: %s", path, strerror(errno));
    while (status == IST_OK && fgets(line, sizeof line, file)) {
        number++;
        bool whole = strchr(line, '\n') || feof(file);
        status = whole ? take_line(call, line, err)
                       : cli_usage(call, err, "a line of settings has %d bytes at most", LINE_MAX - 2);
        if (status != IST_OK)
            ist_error_context(err, "%s:%d", path, number);
    }
    fclose(file);
    return status;
}

/* The files that are typed, before everything else that is. */
static ist_status read_files(cli_call *call, int argc, char **argv, ist_error *err)
{
    bool common;
    ist_status status = IST_OK;
    for (int i = 0; status == IST_OK && i < argc && strcmp(argv[i], "--") != 0; i++) {
        size_t size = strcspn(argv[i], "=");
        const cli_option *option =
            size > 2 ? find_option(call->command->page, argv[i] + 2, size - 2, &common) : NULL;
        if (!option || option->kind != CLI_FILE || strncmp(argv[i], "--", 2) != 0)
            continue;
        const char *path = argv[i][size] ? argv[i] + size + 1 : i + 1 < argc ? argv[i + 1] : NULL;
        if (path)
            status = read_file(call, path, err);
    }
    return status;
}

void cli_argument_range(const cli_page *page, size_t *min, size_t *max)
{
    *min = *max = 0;
    for (const char *p = page->arguments; *p;) {
        size_t size = strcspn(p, " ");
        bool repeats = size > 3 && strncmp(p + size - (p[size - 1] == ']' ? 4 : 3), "...", 3) == 0;
        if (*p != '[')
            ++*min;
        if (repeats)
            *max = SIZE_MAX;
        else if (*max != SIZE_MAX)
            ++*max;
        p += size;
        p += strspn(p, " ");
    }
}

static ist_status check_arguments(cli_call *call, ist_error *err)
{
    size_t min, max;
    cli_argument_range(call->command->page, &min, &max);
    if (call->arg_count < min) {
        const char *p = call->command->page->arguments;
        for (size_t i = 0; i < call->arg_count; i++)
            p += strcspn(p, " ") + 1;
        return cli_usage(call, err, "%.*s is missing: isthmus %s %s", (int)strcspn(p, " ."), p, call->command->name,
                         call->command->page->arguments);
    }
    if (call->arg_count > max)
        return cli_usage(call, err, "too many arguments: '%s'", call->args[max]);
    return IST_OK;
}

/* Whoever asks for help gets it, whatever else is wrong with the command. */
static bool asks_for_help(const cli_page *page, int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
        if (page->passthrough && argv[i][0] != '-')
            return false;
    }
    return false;
}

ist_status cli_parse(const cli_command *command, int argc, char **argv, cli_call *call, ist_error *err)
{
    const cli_page *page = command->page;
    call->command = command;
    call->values = calloc(1, page->values_size ? page->values_size : 1);
    call->args = calloc((size_t)argc + 1, sizeof *call->args);
    if (!call->values || !call->args)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (asks_for_help(page, argc, argv)) {
        call->help = true;
        return IST_OK;
    }
    /* --json first: it decides how every other complaint is printed. */
    for (int i = 0; (page->common & CLI_JSON) && i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            call->json = true;
    bool common;
    const cli_option *option;
    ist_status status;
    for (size_t i = 0; (option = cli_option_at(page, i, &common)); i++) {
        void *base = common ? (void *)call : call->values;
        if (option->fallback && (status = set_value(call, option, base, option->fallback, err)) != IST_OK)
            return status;
        if (!option->fallback && option->kind == CLI_NUMBER)
            *(int64_t *)((char *)base + option->offset) = -1;
    }
    if ((status = read_files(call, argc, argv, err)) != IST_OK)
        return status;
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1]) {
            if ((status = parse_option(call, argc, argv, &i, err)) != IST_OK)
                return status;
        } else {
            call->args[call->arg_count++] = argv[i];
            ended = ended || page->passthrough;
        }
    }
    return check_arguments(call, err);
}

void cli_call_free(cli_call *call)
{
    bool common;
    const cli_option *option;
    for (size_t i = 0; call->command && call->values && (option = cli_option_at(call->command->page, i, &common)); i++)
        if (option->kind == CLI_LIST || option->kind == CLI_TEXTS) {
            cli_list *list = (cli_list *)((char *)call->values + option->offset);
            for (size_t j = 0; j < list->count; j++)
                free(list->items[j]);
            free(list->items);
        }
    for (size_t i = 0; i < call->file_words.count; i++)
        free(call->file_words.items[i]);
    free(call->file_words.items);
    free(call->values);
    free(call->args);
}
