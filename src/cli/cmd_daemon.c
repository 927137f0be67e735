/* cmd_daemon.c: isthmus daemon, daemon status, daemon stop. */
#include "commands.h"
#include "daemon.h"
#include "output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

enum { SETTINGS_MAX = 32 };

typedef struct daemon_values {
    const char *config;
    bool sample_config;
    const char *settings[SETTINGS_MAX]; /* in the order of ist_daemon_setting_table; NULL where not given */
} daemon_values;

/* The daemon's own table of settings comes first; cli_daemon_prepare fills it in. */
static cli_option daemon_options[SETTINGS_MAX + 3];
static char setting_names[SETTINGS_MAX][32];

static const cli_example daemon_examples[] = {
    {"isthmus daemon", "Run it until Ctrl-C or SIGTERM"},
    {"isthmus daemon --memory 8G --spill-dir /scratch/isthmus", "With 8 GiB of memory for chunks, more on disk"},
    {"isthmus daemon --sample-config > ~/.isthmus/daemon.conf", "A configuration file with every setting explained"},
    {0},
};

const cli_page cmd_daemon_page = {
    .arguments = "",
    .options = daemon_options,
    .values_size = sizeof(daemon_values),
    .description =
        "Runs the node daemon in the foreground: it owns the shared memory through which Spark and Ray exchange data "
        "on this machine, and makes one commit of many that wait for the same table. One daemon serves one user.\n\n"
        "Settings come from the command line, else from the configuration file, else from the defaults. SIGTERM ends "
        "it in good order: commits under way are finished, those that wait are told to try again.",
    .examples = daemon_examples,
};

const cli_page cmd_daemon_status_page = {
    .arguments = "",
    .common = CLI_JSON | CLI_SOCKET,
    .description = "Prints the counters of the running node daemon. The exit status is 1 when none runs.",
};

const cli_page cmd_daemon_stop_page = {
    .arguments = "",
    .common = CLI_JSON | CLI_QUIET | CLI_SOCKET,
    .description = "Asks the running node daemon to end and waits until it has. Its chunks are freed.",
};

void cli_daemon_prepare(void)
{
    size_t n = 0;
    for (const ist_daemon_setting *s = ist_daemon_setting_table; s->name && n < SETTINGS_MAX; s++, n++) {
        snprintf(setting_names[n], sizeof *setting_names, "%s", s->name);
        for (char *p = setting_names[n]; *p; p++)
            if (*p == '_')
                *p = '-';
        daemon_options[n] = (cli_option){
            .name = setting_names[n],
            .kind = CLI_TEXT,
            .offset = offsetof(daemon_values, settings) + n * sizeof(const char *),
            .value = s->placeholder,
            .help = s->help,
            .shown = s->fallback && *s->fallback ? s->fallback : NULL,
        };
    }
    daemon_options[n++] = (cli_option){
        .name = "config", .kind = CLI_TEXT, .offset = offsetof(daemon_values, config), .value = "FILE",
        .help = "Configuration file. Otherwise daemon.conf beside the socket, if there is one."};
    daemon_options[n++] = (cli_option){
        .name = "sample-config", .kind = CLI_FLAG, .offset = offsetof(daemon_values, sample_config),
        .help = "Print a configuration file with every setting explained, and end."};
}

static ist_status print_sample(ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = ist_daemon_settings_sample(&text, err);
    if (status == IST_OK)
        fwrite(text.data, 1, text.size, stdout);
    ist_buffer_free(&text);
    return status;
}

ist_status cmd_daemon(cli_call *call, ist_error *err)
{
    const daemon_values *values = call->values;
    ist_daemon_settings settings;
    ist_status status = IST_OK;
    if (values->sample_config)
        return print_sample(err);
    ist_daemon_settings_init(&settings);
    /* The socket's folder is where the configuration file is looked for; the other flags come after that file. */
    for (int pass = 0; status == IST_OK && pass < 2; pass++) {
        for (size_t i = 0; status == IST_OK && ist_daemon_setting_table[i].name && i < SETTINGS_MAX; i++)
            if (values->settings[i] && (pass == 1 || strcmp(ist_daemon_setting_table[i].name, "socket") == 0)) {
                status = ist_daemon_settings_set(&settings, ist_daemon_setting_table[i].name, values->settings[i], err);
                call->usage = status == IST_BAD_INPUT;
            }
        if (status == IST_OK && pass == 0)
            status = ist_daemon_settings_load(&settings, values->config, err);
    }
    return status == IST_OK ? ist_daemon_run(&settings, err) : status;
}

ist_status cli_daemon_counters(const cli_call *call, ist_buffer *out, ist_error *err)
{
    ist_exchange_client *client = NULL;
    ist_status status = ist_exchange_client_open(call->socket, &client, err);
    if (status == IST_OK)
        status = ist_exchange_counters(client, out, err);
    ist_exchange_client_free(client);
    return status;
}

static bool ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text), n = strlen(ending);
    return size >= n && strcmp(text + size - n, ending) == 0;
}

ist_status cli_print_counters(const ist_buffer *json, const char *indent, ist_error *err)
{
    yyjson_doc *doc = NULL;
    ist_status status = cli_parse_json(json, &doc, err);
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, max, key, value)
    {
        char text[32];
        const char *name = yyjson_get_str(key);
        int64_t number = yyjson_get_sint(value);
        if (!name)
            continue;
        bool bytes = strstr(name, "bytes") || strncmp(name, "memory_", 7) == 0;
        printf("%s%-16s", indent, name);
        if (ends_with(name, "_ms"))
            printf("%.1f s\n", (double)number / 1000);
        else if (bytes)
            printf("%s\n", cli_bytes(number, text));
        else
            printf("%lld\n", (long long)number);
    }
    yyjson_doc_free(doc);
    return status;
}

ist_status cmd_daemon_status(cli_call *call, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    ist_status status = cli_daemon_counters(call, &json, err);
    if (status == IST_OK)
        status = call->json ? cli_print_json(json.data, json.size, err) : cli_print_counters(&json, "", err);
    ist_buffer_free(&json);
    return status;
}

ist_status cmd_daemon_stop(cli_call *call, ist_error *err)
{
    enum { WAIT_MS = 30000, STEP_MS = 20 };
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    pid_t pid = 0;
    ist_status status = cli_daemon_counters(call, &json, err);
    if (status == IST_OK && (status = cli_parse_json(&json, &doc, err)) == IST_OK)
        pid = (pid_t)yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), "pid"));
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    if (status != IST_OK)
        return status;
    if (pid <= 1 || kill(pid, SIGTERM) != 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot end the daemon (process %d): %s", (int)pid,
                             pid <= 1 ? "it tells no process id" : strerror(errno));
    /* It is gone when nobody answers: its process may stay as a zombie of whoever started it. */
    ist_exchange_client *client = NULL;
    for (int waited = 0; ist_exchange_client_open(call->socket, &client, NULL) == IST_OK; waited += STEP_MS) {
        ist_exchange_client_free(client);
        if (waited >= WAIT_MS)
            return ist_error_set(err, IST_RETRYABLE, 0, NULL, "the daemon (process %d) has not ended after %d s",
                                 (int)pid, WAIT_MS / 1000);
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
    }
    if (call->json)
        printf("{\"stopped\": %d}\n", (int)pid);
    else if (!call->quiet)
        printf("the daemon (process %d) has ended\n", (int)pid);
    return IST_OK;
}
