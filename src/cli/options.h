/*
 * options.h: commands, their options and what is printed about them, all from the same tables.
 *
 * A command is an entry of the table in main.c and a page in its cmd_<name>.c. The page's option table drives parsing,
 * --help, the man pages, docs/cli.md and shell completion: there is no second place to keep in step.
 *
 *     --name value, --name=value, --flag, "--" ends the options, -h is --help. Options and arguments may be mixed.
 */
#ifndef ISTHMUS_CLI_OPTIONS_H
#define ISTHMUS_CLI_OPTIONS_H

#include "isthmus/isthmus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an option's value is, and the type of the member of the command's values struct that it fills. */
typedef enum cli_kind {
    CLI_FLAG,   /* no value; bool */
    CLI_TEXT,   /* const char * */
    CLI_NUMBER, /* int64_t between min and max; -1 when neither given nor with a default */
    CLI_CHOICE, /* int: index of the word among those of `value`, which are divided by '|' */
    CLI_LIST,   /* cli_list: words divided by commas; may be repeated */
    CLI_TEXTS,  /* cli_list: a text each time it is given, commas and all */
    CLI_FILE    /* const char *: a file of "name = value" lines, names being options; those that are typed come after it */
} cli_kind;

typedef struct cli_list {
    char **items;
    size_t count;
} cli_list;

typedef struct cli_option {
    const char *name; /* without the dashes; NULL ends a table */
    cli_kind kind;
    size_t offset;        /* of the member in the values struct */
    const char *value;    /* what help calls the value: "N", "FILE", or the words of a choice */
    const char *fallback; /* the default, as a user would write it; NULL for none */
    const char *help;
    int64_t min, max;  /* CLI_NUMBER */
    const char *shown; /* a default that help tells and the parser does not set; NULL for none */
} cli_option;

typedef struct cli_example {
    const char *command;
    const char *what;
} cli_example;

/* Which of the common options a command takes; --help goes with all. */
enum { CLI_JSON = 1, CLI_QUIET = 2, CLI_CATALOG = 4, CLI_SOCKET = 8 };

typedef struct cli_page {
    const char *arguments; /* "TABLE FILE..."; "[X]" may be left out, "X..." may be repeated */
    unsigned common;
    bool passthrough; /* the first argument ends the options: the rest belongs to a program that is run */
    const cli_option *options; /* NULL for none */
    size_t values_size;        /* of the values struct */
    const char *description;   /* paragraphs divided by empty lines */
    const cli_example *examples;
} cli_page;

struct cli_call;

typedef struct cli_command {
    const char *name; /* "table show" */
    ist_status (*run)(struct cli_call *call, ist_error *err);
    const char *summary; /* one line, no full stop */
    const cli_page *page;
} cli_command;

/* One run of a command: what the user typed, parsed. */
typedef struct cli_call {
    const cli_command *command;
    const cli_command *commands; /* the whole table, ended by a NULL name */
    void *values;                /* the command's values struct */
    char **args;
    size_t arg_count;
    bool help;
    bool json;
    bool quiet;
    const char *catalog;
    const char *socket;
    cli_list file_words; /* the options of a CLI_FILE, as if typed */
    bool usage; /* the error is about how the command was typed: exit status 2 */
} cli_call;

/* The options that commands have in common, with offsets into cli_call, and the flag (CLI_JSON...) each belongs to; 0:
 * every command. */
extern const cli_option cli_common_options[];
unsigned cli_common_flag(const cli_option *option);

/* The command whose name is the first one or two words of argv; *used is their number. NULL: none. */
const cli_command *cli_find(const cli_command *commands, int argc, char **argv, int *used);

/* The name among `names` (a callback gives the i-th, NULL at the end) that is nearest to what was typed; NULL when
 * nothing is near. */
const char *cli_nearest(const char *typed, const char *(*names)(const void *, size_t), const void *payload);

/* The same among the commands: for a message about one that does not exist. */
const char *cli_nearest_command(const cli_command *commands, const char *typed);

/*
 * Parse what follows the command's name. Fills call->values (allocated here) and the rest of call.
 * Errors: IST_BAD_INPUT with call->usage set. With --help nothing else is checked.
 */
ist_status cli_parse(const cli_command *command, int argc, char **argv, cli_call *call, ist_error *err);
void cli_call_free(cli_call *call);

/* An error in the way a command was typed. */
ist_status cli_usage(cli_call *call, ist_error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Least and most arguments that page->arguments asks for; SIZE_MAX without end. */
void cli_argument_range(const cli_page *page, size_t *min, size_t *max);

/* Walk the options of a command, its own first, then the common ones it takes: i from 0 until NULL. *common tells. */
const cli_option *cli_option_at(const cli_page *page, size_t i, bool *common);

/* The i-th word of a '|'-divided list; false when there is none. */
bool cli_choice_at(const char *choices, size_t i, const char **start, size_t *size);

#endif
