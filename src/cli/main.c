/*
 * main.c: the isthmus command: finds the command in the table below, parses its options, runs it, reports its error.
 *
 * Everything here and in cmd_*.c uses libisthmus by its public headers only.
 */
#include "commands.h"
#include "help.h"
#include "output.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static const cli_command commands[] = {
    {"table show", cmd_table_show, "Show what a table is: schema, version, size, properties", &cmd_table_show_page},
    {"table log", cmd_table_log, "Show a table's history, newest first", &cmd_table_log_page},
    {"table cat", cmd_table_cat, "Print the rows of a table", &cmd_table_cat_page},
    {"table append", cmd_table_append, "Write files into a table, in one commit", &cmd_table_append_page},
    {"table list", cmd_table_list, "List the tables of a schema, the schemas, or the catalogs", &cmd_table_list_page},
    {"catalog list", cmd_catalog_list, "List the objects of one kind", &cmd_catalog_list_page},
    {"catalog show", cmd_catalog_show, "Show what the catalog knows about an object", &cmd_catalog_show_page},
    {"catalog create", cmd_catalog_create, "Make a catalog, schema, volume, function, model...",
     &cmd_catalog_create_page},
    {"catalog update", cmd_catalog_update, "Change comment, properties, owner or name", &cmd_catalog_update_page},
    {"catalog delete", cmd_catalog_delete, "Delete an object", &cmd_catalog_delete_page},
    {"catalog grants", cmd_catalog_grants, "Show who may do what with an object", &cmd_catalog_grants_page},
    {"catalog grant", cmd_catalog_grant, "Let somebody do something with an object", &cmd_catalog_grant_page},
    {"catalog revoke", cmd_catalog_revoke, "Take back what was granted", &cmd_catalog_revoke_page},
    {"catalog user", cmd_catalog_user, "Add, list and remove users", &cmd_catalog_user_page},
    {"catalog group", cmd_catalog_group, "Add, list and remove groups and their members", &cmd_catalog_group_page},
    {"catalog service-principal", cmd_catalog_service_principal, "Add, list and remove identities of programs",
     &cmd_catalog_service_principal_page},
    {"catalog token", cmd_catalog_token, "Make, list and revoke tokens", &cmd_catalog_token_page},
    {"catalog secret", cmd_catalog_secret, "Keep secrets for scripts", &cmd_catalog_secret_page},
    {"catalog audit", cmd_catalog_audit, "Show who did what", &cmd_catalog_audit_page},
    {"fs ls", cmd_fs_ls, "List a folder of a volume, a bucket or this machine", &cmd_fs_ls_page},
    {"fs cat", cmd_fs_cat, "Print files", &cmd_fs_cat_page},
    {"fs cp", cmd_fs_cp, "Copy files between volumes, buckets and this machine", &cmd_fs_cp_page},
    {"fs rm", cmd_fs_rm, "Remove files", &cmd_fs_rm_page},
    {"sql", cmd_sql, "Run a SQL statement on a warehouse", &cmd_sql_page},
    {"lineage", cmd_lineage, "Show what a table was made from, and what from it", &cmd_lineage_page},
    {"explain", cmd_explain, "Tell which way a script's or a table's data goes", &cmd_explain_page},
    {"run", cmd_run, "Run a Python script that uses Ray and Spark", &cmd_run_page},
    {"serve", cmd_serve, "Run the catalog server", &cmd_serve_page},
    {"daemon", cmd_daemon, "Run the node daemon", &cmd_daemon_page},
    {"daemon status", cmd_daemon_status, "Print the daemon's counters", &cmd_daemon_status_page},
    {"daemon stop", cmd_daemon_stop, "End the daemon", &cmd_daemon_stop_page},
    {"status", cmd_status, "Show what of Isthmus runs on this machine", &cmd_status_page},
    {"version", cmd_version, "Print the version", &cmd_version_page},
    {"help", cmd_help, "Print help, man pages, or the Markdown reference", &cmd_help_page},
    {"completion", cmd_completion, "Print shell completion for bash, zsh or fish", &cmd_completion_page},
    {0},
};

/* One line, or with --json one object, on standard error. */
static void print_error(const char *operation, bool json, const ist_error *err)
{
    if (!json) {
        fprintf(stderr, "isthmus: %s%s", operation, *operation ? ": " : "");
        cli_print_safe(stderr, err->message);
        if (*err->where && !strstr(err->message, err->where)) {
            fputs(" (", stderr);
            cli_print_safe(stderr, err->where);
            fputc(')', stderr);
        }
        fputc('\n', stderr);
        return;
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *error = yyjson_mut_obj_add_obj(doc, root, "error");
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, error, "operation", operation);
    yyjson_mut_obj_add_str(doc, error, "status", ist_status_name(err->status));
    yyjson_mut_obj_add_str(doc, error, "message", err->message);
    yyjson_mut_obj_add_str(doc, error, "where", err->where);
    yyjson_mut_obj_add_int(doc, error, "code", err->code);
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    fprintf(stderr, "%s\n", text ? text : "{\"error\": {\"status\": \"out of memory\"}}");
    free(text);
    yyjson_mut_doc_free(doc);
}

/* argv names no command. */
static int no_command(int argc, char **argv)
{
    if (argc < 1 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        cli_help_overview(commands, NULL, argc < 1 ? stderr : stdout);
        return argc < 1 ? 2 : 0;
    }
    bool group = cli_is_group(commands, argv[0]);
    if (group && (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        cli_help_overview(commands, argv[0], argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    char typed[128];
    snprintf(typed, sizeof typed, group ? "%s %s" : "%s", argv[0], argc > 1 ? argv[1] : "");
    const char *near = cli_nearest_command(commands, typed);
    ist_error err = IST_ERROR_INIT;
    if (near)
        ist_error_set(&err, IST_BAD_INPUT, 0, NULL, "unknown command '%s'; did you mean '%s'?", typed, near);
    else
        ist_error_set(&err, IST_BAD_INPUT, 0, NULL, "unknown command '%s' (isthmus --help lists them)", typed);
    bool json = false;
    for (int i = 1; i < argc; i++)
        json = json || strcmp(argv[i], "--json") == 0;
    print_error("", json, &err);
    return 2;
}

int main(int argc, char **argv)
{
    /* Widths of characters on screen; C.UTF-8 is always there, also where the user's locale is not. */
    setlocale(LC_CTYPE, "C.UTF-8");
    cli_daemon_prepare();
    argc--;
    argv++;
    char version[] = "version";
    if (argc == 1 && strcmp(argv[0], "--version") == 0)
        argv[0] = version;
    int used = 0;
    const cli_command *command = cli_find(commands, argc, argv, &used);
    if (!command)
        return no_command(argc, argv);
    ist_error err = IST_ERROR_INIT;
    cli_call call = {.commands = commands};
    ist_status status = cli_parse(command, argc - used, argv + used, &call, &err);
    if (status == IST_OK && call.help)
        cli_help_text(command, stdout);
    else if (status == IST_OK)
        status = command->run(&call, &err);
    ist_error flush_error = IST_ERROR_INIT;
    if (cli_flush(&flush_error) != IST_OK && status == IST_OK) {
        status = flush_error.status;
        err = flush_error;
    }
    if (status != IST_OK)
        print_error(command->name, call.json, &err);
    int exit_status = status == IST_OK ? 0 : call.usage ? 2 : 1;
    cli_call_free(&call);
    return exit_status;
}
