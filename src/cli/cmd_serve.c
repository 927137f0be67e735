/* cmd_serve.c: isthmus serve. */
#include "commands.h"
#include "output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

typedef struct serve_values {
    const char *address;
    int64_t port;
    const char *storage_root, *storage_config;
    int64_t credential_life;
    const char *tls_cert, *tls_key;
} serve_values;

static const cli_option options[] = {
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
    {"tls-cert", CLI_TEXT, offsetof(serve_values, tls_cert), "FILE", NULL,
     "Certificate (PEM): serve https. Without one the address must be a loopback one.", 0, 0, NULL},
    {"tls-key", CLI_TEXT, offsetof(serve_values, tls_key), "FILE", NULL, "Key of the certificate (PEM).", 0, 0, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus serve", "Run it until Ctrl-C or SIGTERM; everything on this machine finds it by itself"},
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
        "SIGTERM ends it in good order: requests under way are answered.",
    .examples = examples,
};

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
    server_options.tls_cert = values->tls_cert;
    server_options.tls_key = values->tls_key;
    /* Blocked before the server has threads, so that only sigwait below gets them. */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    ist_status status = ist_server_start(&server_options, &server, err);
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
