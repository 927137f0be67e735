/* cmd_serve.c: isthmus serve. */
#include "commands.h"
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct serve_values {
    const char *config;
    const char *address;
    int64_t port;
    const char *storage_root, *storage_config;
    int64_t credential_life, audit_days, audit_entries;
    bool catalog_managed;
    const char *tls_cert, *tls_key;
    cli_list warehouses;
    int64_t workers, worker_memory, idle, queue, user_queue, result_space, statement_space, result_life, statement_timeout;
} serve_values;

static const cli_option options[] = {
    {"config", CLI_FILE, offsetof(serve_values, config), "FILE", NULL,
     "File of settings, one to a line: name = value, each named as its option here. What is typed goes before it.", 0, 0,
     NULL},
    {"address", CLI_TEXT, offsetof(serve_values, address), "ADDRESS", "127.0.0.1", "Address to listen on.", 0, 0, NULL},
    {"port", CLI_NUMBER, offsetof(serve_values, port), "N", "0", "Port to listen on; 0 for a free one.", 0, 65535,
     NULL},
    {"storage-root", CLI_TEXT, offsetof(serve_values, storage_root), "FOLDER", NULL,
     "Where managed tables live. Otherwise warehouse in $ISTHMUS_HOME or ~/.isthmus.", 0, 0, NULL},
    {"storage-config", CLI_TEXT, offsetof(serve_values, storage_config), "FILE", NULL,
     "Keys and roles for buckets, to give short-lived credentials with. Nobody else may be able to read it.", 0, 0,
     NULL},
    {"credential-life", CLI_NUMBER, offsetof(serve_values, credential_life), "SECONDS", "3600",
     "How long credentials for local tables and volumes hold.", 1, 86400, NULL},
    {"audit-days", CLI_NUMBER, offsetof(serve_values, audit_days), "DAYS", "90",
     "How long an entry of the audit log is kept.", 1, 36500, NULL},
    {"audit-entries", CLI_NUMBER, offsetof(serve_values, audit_entries), "N", "1000000",
     "Most entries of the audit log; the oldest go first.", 1, 1000000000, NULL},
    {"catalog-managed", CLI_FLAG, offsetof(serve_values, catalog_managed), NULL, NULL,
     "Make every new managed table catalog-managed: this server commits to it. delta-rs and DuckDB do not read such.", 0,
     0, NULL},
    {"tls-cert", CLI_TEXT, offsetof(serve_values, tls_cert), "FILE", NULL,
     "Certificate (PEM): serve https. Without one the address must be a loopback one.", 0, 0, NULL},
    {"tls-key", CLI_TEXT, offsetof(serve_values, tls_key), "FILE", NULL, "Key of the certificate (PEM).", 0, 0, NULL},
    {"warehouse", CLI_LIST, offsetof(serve_values, warehouses), "NAME=URL", NULL,
     "SQL warehouse on a Spark Connect endpoint, like big=sc://host:15002, besides embedded, which is always there.", 0,
     0, NULL},
    {"workers", CLI_NUMBER, offsetof(serve_values, workers), "N", "0",
     "Most engine processes of a warehouse, each of which runs a statement at a time; 0: one per CPU.", 0, 1024, NULL},
    {"worker-memory", CLI_NUMBER, offsetof(serve_values, worker_memory), "MIB", "0",
     "Memory that one of them may use; 0: half of the machine's, divided among them.", 0, 1 << 30, NULL},
    {"idle", CLI_NUMBER, offsetof(serve_values, idle), "SECONDS", "600",
     "After how long one that had nothing to do ends.", 1, 30 * 86400, NULL},
    {"queue", CLI_NUMBER, offsetof(serve_values, queue), "N", "20000",
     "Most statements that wait in a warehouse; beyond it they are refused (429).", 1, 10000000, NULL},
    {"user-queue", CLI_NUMBER, offsetof(serve_values, user_queue), "N", "0",
     "Most of those that one user may have there; 0: half. Users take turns, however many statements each has.", 0,
     10000000, NULL},
    {"result-space", CLI_NUMBER, offsetof(serve_values, result_space), "MIB", "32768",
     "Disk space for the results that are kept, in the folder results of $ISTHMUS_HOME.", 1, 1 << 30, NULL},
    {"statement-space", CLI_NUMBER, offsetof(serve_values, statement_space), "MIB", "0",
     "Most of it for one statement's result; 0: half.", 0, 1 << 30, NULL},
    {"result-life", CLI_NUMBER, offsetof(serve_values, result_life), "SECONDS", "3600", "How long a result is kept.", 1,
     30 * 86400, NULL},
    {"statement-timeout", CLI_NUMBER, offsetof(serve_values, statement_timeout), "SECONDS", "172800",
     "Longest run of a statement.", 1, 30 * 86400, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus serve", "Run it until Ctrl-C or SIGTERM; everything on this machine finds it by itself"},
    {"isthmus serve --config /etc/isthmus/server.conf", "With its settings in a file: workers = 8, tls-cert = ..."},
    {"isthmus serve --port 8080 --storage-root /data/warehouse", "On a port of your choice, with its tables in /data"},
    {0},
};

const cli_page cmd_serve_page = {
    .arguments = "",
    .common = CLI_JSON | CLI_QUIET,
    .options = options,
    .values_size = sizeof(serve_values),
    .description =
        "Runs the catalog server in the foreground: names, ids and locations of tables by Unity Catalog's REST paths, "
        "kept in a SQLite database in $ISTHMUS_HOME (~/.isthmus). It prints its URL and writes it, with the token that "
        "every request needs, to server.json in that folder, readable by its owner only.\n\n"
        "It also runs SQL, by Databricks' statement execution API: in the warehouse embedded, whose engine is DuckDB, "
        "and in those that --warehouse names. Their processes are started when there is a statement, by the Python of "
        "`isthmus run`.\n\n"
        "SIGTERM ends it in good order: requests under way are answered.",
    .examples = examples,
};

/* Where it finds its workers is set by the caller. */
static ist_warehouse_options warehouse_options(const serve_values *values)
{
    ist_warehouse_options out = IST_WAREHOUSE_OPTIONS_INIT;
    out.workers = (uint32_t)values->workers;
    out.worker_memory = (uint64_t)values->worker_memory << 20;
    out.idle_s = (uint32_t)values->idle;
    out.queue = (uint32_t)values->queue;
    out.user_queue = (uint32_t)values->user_queue;
    out.result_bytes = (uint64_t)values->result_space << 20;
    out.statement_bytes = (uint64_t)values->statement_space << 20;
    out.result_life_s = (uint32_t)values->result_life;
    out.statement_timeout_s = (uint32_t)values->statement_timeout;
    return out;
}

/* Start with the warehouses of the command line, whose list is made to end with NULL. */
static ist_status start_server(const serve_values *values, ist_server_options *given, ist_server **out,
                               ist_error *err)
{
    char python[PATH_MAX];
    const char *const engine[] = {python, "-m", "isthmus.engine", NULL};
    const char **spark = calloc(values->warehouses.count + 1, sizeof *spark);
    ist_warehouse_options warehouses = warehouse_options(values);
    if (!spark)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    for (size_t i = 0; i < values->warehouses.count; i++)
        spark[i] = values->warehouses.items[i];
    cli_find_python(python);
    warehouses.engine_command = engine;
    warehouses.spark = spark;
    given->warehouses = &warehouses;
    ist_status status = ist_server_start(given, out, err);
    free(spark);
    return status;
}

ist_status cmd_serve(cli_call *call, ist_error *err)
{
    const serve_values *values = call->values;
    ist_server_options server_options = IST_SERVER_OPTIONS_INIT;
    ist_server *server = NULL;
    sigset_t signals;
    int signal_number;
    server_options.address = values->address;
    server_options.port = (uint16_t)values->port;
    server_options.storage_root = values->storage_root;
    server_options.storage_config = values->storage_config;
    server_options.credential_life_s = (uint32_t)values->credential_life;
    server_options.audit_days = (uint32_t)values->audit_days;
    server_options.audit_entries = (uint32_t)values->audit_entries;
    server_options.catalog_managed = values->catalog_managed;
    server_options.tls_cert = values->tls_cert;
    server_options.tls_key = values->tls_key;
    /* Blocked before the server has threads, so that only sigwait below gets them. */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    ist_status status = start_server(values, &server_options, &server, err);
    if (status != IST_OK)
        return status;
    if (call->json)
        printf("{\"url\": \"%s\"}\n", ist_server_url(server));
    else
        printf("%s\n", ist_server_url(server));
    fflush(stdout);
    cli_note(call, "serving; end it with Ctrl-C or SIGTERM");
    while (sigwait(&signals, &signal_number) != 0 && errno == EINTR)
        ;
    ist_server_stop(server);
    return IST_OK;
}
