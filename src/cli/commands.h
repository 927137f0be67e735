/* commands.h: what each cmd_<name>.c gives to the table in main.c. */
#ifndef ISTHMUS_CLI_COMMANDS_H
#define ISTHMUS_CLI_COMMANDS_H

#include "options.h"

ist_status cmd_table_show(cli_call *call, ist_error *err);
ist_status cmd_table_log(cli_call *call, ist_error *err);
ist_status cmd_table_cat(cli_call *call, ist_error *err);
ist_status cmd_table_append(cli_call *call, ist_error *err);
ist_status cmd_table_list(cli_call *call, ist_error *err);
ist_status cmd_help(cli_call *call, ist_error *err);
ist_status cmd_completion(cli_call *call, ist_error *err);
ist_status cmd_version(cli_call *call, ist_error *err);

extern const cli_page cmd_table_show_page;
extern const cli_page cmd_table_log_page;
extern const cli_page cmd_table_cat_page;
extern const cli_page cmd_table_append_page;
extern const cli_page cmd_table_list_page;
extern const cli_page cmd_help_page;
extern const cli_page cmd_completion_page;
extern const cli_page cmd_version_page;

#endif
