/* help.h: the pages of commands as text, man page and Markdown, made from the tables of options.h. */
#ifndef ISTHMUS_CLI_HELP_H
#define ISTHMUS_CLI_HELP_H

#include "options.h"

#include <stdio.h>

/* `isthmus --help`: all commands. group: only those whose first word it is; NULL for all. */
void cli_help_overview(const cli_command *commands, const char *group, FILE *out);
void cli_help_text(const cli_command *command, FILE *out);

/* isthmus(1), or one command's page ("isthmus-table-show", section 1); command NULL: isthmus(1). */
void cli_help_man(const cli_command *commands, const cli_command *command, FILE *out);

/* docs/cli.md. */
void cli_help_markdown(const cli_command *commands, FILE *out);

/* What cmd_completion.c and cmd_help.c share: is `group` the first word of two-word commands? */
bool cli_is_group(const cli_command *commands, const char *group);

#endif
