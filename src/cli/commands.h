/* commands.h: what each cmd_<name>.c gives to the table in main.c. */
#ifndef ISTHMUS_CLI_COMMANDS_H
#define ISTHMUS_CLI_COMMANDS_H

#include "options.h"

#include <limits.h>

ist_status cmd_table_show(cli_call *call, ist_error *err);
ist_status cmd_table_log(cli_call *call, ist_error *err);
ist_status cmd_table_cat(cli_call *call, ist_error *err);
ist_status cmd_table_append(cli_call *call, ist_error *err);
ist_status cmd_table_list(cli_call *call, ist_error *err);
ist_status cmd_catalog_list(cli_call *call, ist_error *err);
ist_status cmd_catalog_show(cli_call *call, ist_error *err);
ist_status cmd_catalog_create(cli_call *call, ist_error *err);
ist_status cmd_catalog_update(cli_call *call, ist_error *err);
ist_status cmd_catalog_delete(cli_call *call, ist_error *err);
ist_status cmd_catalog_grants(cli_call *call, ist_error *err);
ist_status cmd_catalog_grant(cli_call *call, ist_error *err);
ist_status cmd_catalog_revoke(cli_call *call, ist_error *err);
ist_status cmd_catalog_user(cli_call *call, ist_error *err);
ist_status cmd_catalog_group(cli_call *call, ist_error *err);
ist_status cmd_catalog_service_principal(cli_call *call, ist_error *err);
ist_status cmd_catalog_token(cli_call *call, ist_error *err);
ist_status cmd_catalog_secret(cli_call *call, ist_error *err);
ist_status cmd_catalog_audit(cli_call *call, ist_error *err);
ist_status cmd_fs_ls(cli_call *call, ist_error *err);
ist_status cmd_fs_cat(cli_call *call, ist_error *err);
ist_status cmd_fs_cp(cli_call *call, ist_error *err);
ist_status cmd_fs_rm(cli_call *call, ist_error *err);
ist_status cmd_sql(cli_call *call, ist_error *err);
ist_status cmd_lineage(cli_call *call, ist_error *err);
ist_status cmd_explain(cli_call *call, ist_error *err);
ist_status cmd_run(cli_call *call, ist_error *err);
ist_status cmd_serve(cli_call *call, ist_error *err);
ist_status cmd_daemon(cli_call *call, ist_error *err);
ist_status cmd_daemon_status(cli_call *call, ist_error *err);
ist_status cmd_daemon_stop(cli_call *call, ist_error *err);
ist_status cmd_status(cli_call *call, ist_error *err);
ist_status cmd_help(cli_call *call, ist_error *err);
ist_status cmd_completion(cli_call *call, ist_error *err);
ist_status cmd_version(cli_call *call, ist_error *err);

extern const cli_page cmd_table_show_page;
extern const cli_page cmd_table_log_page;
extern const cli_page cmd_table_cat_page;
extern const cli_page cmd_table_append_page;
extern const cli_page cmd_table_list_page;
extern const cli_page cmd_catalog_list_page;
extern const cli_page cmd_catalog_show_page;
extern const cli_page cmd_catalog_create_page;
extern const cli_page cmd_catalog_update_page;
extern const cli_page cmd_catalog_delete_page;
extern const cli_page cmd_catalog_grants_page;
extern const cli_page cmd_catalog_grant_page;
extern const cli_page cmd_catalog_revoke_page;
extern const cli_page cmd_catalog_user_page;
extern const cli_page cmd_catalog_group_page;
extern const cli_page cmd_catalog_service_principal_page;
extern const cli_page cmd_catalog_token_page;
extern const cli_page cmd_catalog_secret_page;
extern const cli_page cmd_catalog_audit_page;
extern const cli_page cmd_fs_ls_page;
extern const cli_page cmd_fs_cat_page;
extern const cli_page cmd_fs_cp_page;
extern const cli_page cmd_fs_rm_page;
extern const cli_page cmd_sql_page;
extern const cli_page cmd_lineage_page;
extern const cli_page cmd_explain_page;
extern const cli_page cmd_run_page;
extern const cli_page cmd_serve_page;
extern const cli_page cmd_daemon_page;
extern const cli_page cmd_daemon_status_page;
extern const cli_page cmd_daemon_stop_page;
extern const cli_page cmd_status_page;
extern const cli_page cmd_help_page;
extern const cli_page cmd_completion_page;
extern const cli_page cmd_version_page;

/* Fill cmd_daemon_page's options from the daemon's table of settings. Before anything looks at the page. */
void cli_daemon_prepare(void);

/* The Python that Isthmus' modules are run with, as cmd_run_page tells it (cmd_run.c). */
void cli_find_python(char path[PATH_MAX]);
/*
 * Become `python -m module [option] argument...`, with the call's arguments (cmd_run.c).
 *   option  before the arguments; NULL for none
 * Returns only where that fails: IST_NOT_FOUND, IST_IO, IST_NO_MEMORY.
 */
ist_status cli_become_python(const cli_call *call, const char *module, const char *option, ist_error *err);

/* The daemon's counters as JSON, and as lines of text (cmd_daemon.c). */
ist_status cli_daemon_counters(const cli_call *call, ist_buffer *out, ist_error *err);
ist_status cli_print_counters(const ist_buffer *json, const char *indent, ist_error *err);

#endif
