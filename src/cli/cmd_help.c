/* cmd_help.c: isthmus help: the pages of commands as text, man page or Markdown. */
#include "commands.h"
#include "help.h"
#include "output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

typedef struct help_values {
    bool man;
    bool markdown;
    const char *output;
} help_values;

static const cli_option options[] = {
    {"man", CLI_FLAG, offsetof(help_values, man), NULL, NULL, "Print the page as a man page (roff).", 0, 0, NULL},
    {"markdown", CLI_FLAG, offsetof(help_values, markdown), NULL, NULL, "Print docs/cli.md: all commands.", 0, 0, NULL},
    {"output", CLI_TEXT, offsetof(help_values, output), "FOLDER", NULL,
     "With --man: write the man pages of all commands into this folder.", 0, 0, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus help table cat", "Help on one command"},
    {"isthmus help --man table cat | man -l -", "Its man page"},
    {0},
};

const cli_page cmd_help_page = {
    .arguments = "[COMMAND...]",
    .options = options,
    .values_size = sizeof(help_values),
    .description = "Prints the help of a command, or the list of commands.",
    .examples = examples,
};

static ist_status write_man_page(const cli_command *commands, const cli_command *command, const char *folder,
                                 ist_error *err)
{
    char path[4096];
    const char *name = command ? command->name : "";
    int size = snprintf(path, sizeof path, "%s/isthmus%s%s.1", folder, command ? "-" : "", name);
    if (size < 0 || (size_t)size >= sizeof path)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "--output: the folder's name is too long");
    for (char *p = path + strlen(folder); *p; p++)
        if (*p == ' ')
            *p = '-';
    FILE *file = fopen(path, "w");
    if (!file)
        return ist_error_set(err, IST_IO, errno, path, "cannot write %s: %s", path, strerror(errno));
    cli_help_man(commands, command, file);
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        return ist_error_set(err, IST_IO, errno, path, "cannot write %s: %s", path, strerror(errno));
    return IST_OK;
}

static ist_status write_man_pages(const cli_command *commands, const char *folder, ist_error *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return ist_error_set(err, IST_IO, errno, folder, "cannot make the folder %s: %s", folder, strerror(errno));
    ist_status status = write_man_page(commands, NULL, folder, err);
    for (const cli_command *command = commands; status == IST_OK && command->name; command++)
        status = write_man_page(commands, command, folder, err);
    return status;
}

ist_status cmd_help(cli_call *call, ist_error *err)
{
    const help_values *values = call->values;
    if (values->output && !values->man)
        return cli_usage(call, err, "--output goes with --man");
    if (values->output)
        return write_man_pages(call->commands, values->output, err);
    if (values->markdown) {
        cli_help_markdown(call->commands, stdout);
        return IST_OK;
    }
    const cli_command *command = NULL;
    if (call->arg_count > 0) {
        int used = 0;
        command = cli_find(call->commands, (int)call->arg_count, call->args, &used);
        if (!command && call->arg_count == 1 && !values->man && cli_is_group(call->commands, call->args[0])) {
            cli_help_overview(call->commands, call->args[0], stdout);
            return IST_OK;
        }
        if (!command || (size_t)used != call->arg_count)
            return cli_usage(call, err, "there is no command '%s%s%s'", call->args[0], call->arg_count > 1 ? " " : "",
                             call->arg_count > 1 ? call->args[1] : "");
    }
    if (values->man)
        cli_help_man(call->commands, command, stdout);
    else if (command)
        cli_help_text(command, stdout);
    else
        cli_help_overview(call->commands, NULL, stdout);
    return IST_OK;
}
