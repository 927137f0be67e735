/* warehouse.c: warehouses started, described, stopped; whose a token is. */
#include "warehouse/warehouse_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { WAREHOUSES_MAX = 64, FILES_KEPT_BACK = 2048 /* of open files, for connections and the catalog */ };
#define MIB ((uint64_t)1 << 20)

/* Start ------------------------------------------------------------------------------------------------------------ */

/* Bytes of memory that this process may use: the machine's or its container's. */
static uint64_t memory_of_machine(void)
{
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        ist_buffer text = IST_BUFFER_INIT;
        if (ist__read_file(limits[i], 64, &text, NULL) == IST_OK && isdigit((unsigned char)text.data[0])) {
            uint64_t limit = strtoull(text.data, NULL, 10);
            memory = limit < memory ? limit : memory;
        }
        ist_buffer_free(&text);
    }
    return memory;
}

static void set_defaults(ist_warehouse_options *o)
{
    o->workers = o->workers ? o->workers : (uint32_t)get_nprocs();
    o->worker_memory = o->worker_memory ? o->worker_memory : memory_of_machine() / 2 / o->workers;
    o->queue = o->queue ? o->queue : 20000;
    o->user_queue = o->user_queue ? o->user_queue : (o->queue + 1) / 2;
    o->result_bytes = o->result_bytes ? o->result_bytes : 32768 * MIB;
    o->statement_bytes = o->statement_bytes ? o->statement_bytes : o->result_bytes / 2;
    o->result_life_s = o->result_life_s ? o->result_life_s : 3600;
    o->statement_timeout_s = o->statement_timeout_s ? o->statement_timeout_s : 2 * 24 * 3600;
    o->idle_s = o->idle_s ? o->idle_s : 600;
}

static ist_status copy_command(ist__warehouses *all, const char *const *command, ist_error *err)
{
    size_t count = 0;
    while (command && command[count])
        count++;
    if (count == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the command that starts an engine is empty");
    IST_TRY(ist__alloc(count + 1, sizeof *all->command, (void **)&all->command, err));
    for (size_t i = 0; i < count; i++)
        IST_TRY(ist__strdup(command[i], &all->command[i], err));
    return IST_OK;
}

/* "NAME=sc://host:port" */
static ist_status add_spark(ist__warehouses *all, const char *text, ist_error *err)
{
    warehouse *w = &all->list[all->count];
    const char *equals = strchr(text, '=');
    size_t size = equals ? (size_t)(equals - text) : 0;
    bool good = size > 0 && size <= IST__WAREHOUSE_NAME_MAX && strncmp(equals + 1, "sc://", 5) == 0;
    for (size_t i = 0; good && i < size; i++)
        good = isalnum((unsigned char)text[i]) || text[i] == '-' || text[i] == '_';
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "'%.200s' does not name a warehouse: NAME=sc://host:port, the name of letters, digits, -"
                             " and _", text);
    memcpy(w->id, text, size);
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->list[i].id, w->id) == 0)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "there are two warehouses with the name %s", w->id);
    w->kind = "spark";
    all->count++;
    return ist__strdup(equals + 1, &w->spark_url, err);
}

static ist_status make_warehouses(ist__warehouses *all, const char *const *spark, ist_error *err)
{
    size_t count = 0;
    while (spark && spark[count])
        count++;
    if (count >= WAREHOUSES_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "there are more than %d warehouses", WAREHOUSES_MAX);
    IST_TRY(ist__alloc(count + 1, sizeof *all->list, (void **)&all->list, err));
    for (size_t i = 0; i <= count; i++)
        all->list[i].all = all;
    snprintf(all->list[0].id, sizeof all->list[0].id, IST__WAREHOUSE_DEFAULT);
    all->list[0].kind = "duckdb";
    all->count = 1;
    for (size_t i = 0; i < count; i++)
        IST_TRY(add_spark(all, spark[i], err));
    return IST_OK;
}

/* Folders of engines that went with a server before. Nothing else is touched. */
static void remove_old_folders(const char *results_dir)
{
    DIR *folder = opendir(results_dir);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        ist_buffer path = IST_BUFFER_INIT;
        bool engine = strncmp(entry->d_name, IST__ENGINE_FOLDER, strlen(IST__ENGINE_FOLDER)) == 0;
        if (engine && ist_buffer_printf(&path, NULL, "%s/%s", results_dir, entry->d_name) == IST_OK)
            ist__remove_tree(path.data);
        ist_buffer_free(&path);
    }
    if (folder)
        closedir(folder);
}

/* The folder of results and of the engines' own files. */
static ist_status make_results_dir(ist__warehouses *all, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    IST_TRY(ist_buffer_printf(&path, err, "%s/results", all->host.local->home));
    all->results_dir = path.data;
    if (mkdir(all->results_dir, 0700) != 0 && errno != EEXIST)
        return ist_error_set(err, IST_IO, errno, all->results_dir, "cannot make the folder %s: %s", all->results_dir,
                             strerror(errno));
    remove_old_folders(all->results_dir);
    return IST_OK;
}

/* As many open files as may be: each chunk of a result is one. */
static void set_budgets(ist__warehouses *all)
{
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NOFILE, &files);
    }
    rlim_t most = files.rlim_cur == RLIM_INFINITY || files.rlim_cur > 1 << 20 ? 1 << 20 : files.rlim_cur;
    all->store.files_max = (int)(most > 2 * FILES_KEPT_BACK ? most - FILES_KEPT_BACK : most / 2);
    all->store.bytes_max = (int64_t)all->options.result_bytes;
    all->store.statement_bytes_max = (int64_t)all->options.statement_bytes;
}

static ist_status make_token(ist__warehouses *all, ist_error *err)
{
    char secret[IST__SECRET_TEXT];
    IST_TRY(ist__secret_make(secret, err));
    snprintf(all->token, sizeof all->token, IST__WAREHOUSE_TOKEN_PREFIX "%s", secret + strlen("ist_"));
    explicit_bzero(secret, sizeof secret);
    return IST_OK;
}

static ist_status start_loop(ist__warehouses *all, ist_error *err)
{
    all->epoll = epoll_create1(EPOLL_CLOEXEC);
    all->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all->on_wakeup};
    if (all->epoll < 0 || all->wakeup < 0 || epoll_ctl(all->epoll, EPOLL_CTL_ADD, all->wakeup, &event) != 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot start the warehouses: %s", strerror(errno));
    int code = pthread_create(&all->thread, NULL, ist__warehouses_loop, all);
    all->has_thread = code == 0;
    return code == 0 ? IST_OK
                     : ist_error_set(err, IST_IO, code, NULL, "cannot start the warehouses: %s", strerror(code));
}

static ist_status fail_unfinished(ist__local *local, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_write(&local->admin, &db, err));
    return ist__db_end(db, ist__query_reopen(db, err), err);
}

ist_status ist__warehouses_start(const ist_warehouse_options *options, const ist__warehouse_host *host,
                                 ist__warehouses **out, ist_error *err)
{
    ist__warehouses *all;
    ist_status status = IST_OK;
    *out = NULL;
    IST_TRY(ist__alloc(1, sizeof *all, (void **)&all, err));
    all->options = *options;
    all->host = *host;
    all->epoll = all->wakeup = -1;
    all->last_unrecorded = &all->unrecorded;
    pthread_mutex_init(&all->mutex, NULL);
    pthread_cond_init(&all->quiet, NULL);
    all->options.engine_command = all->options.spark = NULL; /* the caller's; copied below */
    set_defaults(&all->options);
    set_budgets(all);
    IST_TRY_GOTO(copy_command(all, options->engine_command, err));
    IST_TRY_GOTO(make_warehouses(all, options->spark, err));
    IST_TRY_GOTO(make_results_dir(all, err));
    IST_TRY_GOTO(make_token(all, err));
    IST_TRY_GOTO(ist__link_signer_init(&all->signer, err));
    IST_TRY_GOTO(fail_unfinished(host->local, err));
    IST_TRY_GOTO(ist__warehouses_set_catalog(all, "", "", err));
    IST_TRY_GOTO(start_loop(all, err));
    *out = all;
    return IST_OK;
done:
    ist__warehouses_free(all);
    return status;
}

ist_status ist__warehouses_set_catalog(ist__warehouses *all, const char *url, const char *ca_file, ist_error *err)
{
    char *copy_url = NULL, *copy_ca = NULL;
    IST_TRY(ist__strdup(url, &copy_url, err));
    ist_status status = ist__strdup(ca_file, &copy_ca, err);
    if (status != IST_OK) {
        free(copy_url);
        return status;
    }
    free(all->url);
    free(all->ca_file);
    all->url = copy_url;
    all->ca_file = copy_ca;
    return IST_OK;
}

/* Stop ------------------------------------------------------------------------------------------------------------- */

void ist__warehouses_poke(ist__warehouses *all)
{
    uint64_t one = 1;
    if (write(all->wakeup, &one, sizeof one) < 0 && errno != EAGAIN) /* EAGAIN: it is awake as can be */
        abort();
}

void ist__warehouses_stop(ist__warehouses *all)
{
    if (!all || !all->has_thread)
        return;
    pthread_mutex_lock(&all->mutex);
    all->stopping = true;
    pthread_mutex_unlock(&all->mutex);
    ist__warehouses_poke(all);
    pthread_join(all->thread, NULL);
    all->has_thread = false;
    pthread_mutex_lock(&all->mutex);
    while (all->recording || all->unrecorded) {
        if (!all->recording)
            ist__queries_record(all);
        while (all->recording)
            pthread_cond_wait(&all->quiet, &all->mutex);
    }
    pthread_mutex_unlock(&all->mutex);
}

static void free_statements(ist__warehouses *all)
{
    for (int i = 0; i < IST__STATEMENT_BUCKETS; i++)
        for (ist__statement *s = all->by_id[i], *next; s; s = next) {
            next = s->next_by_id;
            ist__statement_release(s);
        }
}

void ist__warehouses_free(ist__warehouses *all)
{
    if (!all)
        return;
    free_statements(all);
    for (int i = 0; i < all->count; i++)
        free(all->list[i].spark_url);
    for (size_t i = 0; all->command && all->command[i]; i++)
        free(all->command[i]);
    if (all->epoll >= 0)
        close(all->epoll);
    if (all->wakeup >= 0)
        close(all->wakeup);
    free(all->list);
    free(all->command);
    free(all->url);
    free(all->ca_file);
    free(all->results_dir);
    pthread_cond_destroy(&all->quiet);
    pthread_mutex_destroy(&all->mutex);
    OPENSSL_cleanse(all, sizeof *all);
    free(all);
}

/* Tokens ----------------------------------------------------------------------------------------------------------- */

static bool is_same(const char *kept, const char *shown)
{
    return *kept && strlen(shown) == strlen(kept) && CRYPTO_memcmp(kept, shown, strlen(kept)) == 0;
}

bool ist__warehouse_is_token(const char *token)
{
    return strncmp(token, IST__WAREHOUSE_TOKEN_PREFIX, strlen(IST__WAREHOUSE_TOKEN_PREFIX)) == 0;
}

/* The statement that runs with this token; with the mutex held. */
static ist__statement *statement_of_token(ist__warehouses *all, const char *token)
{
    for (int i = 0; i < all->count; i++)
        for (worker *w = all->list[i].workers; w; w = w->next)
            if (w->statement && is_same(w->statement->token, token))
                return w->statement;
    return NULL;
}

/* A statement's principal as he is now: his rights may have changed since the statement began. */
static ist_status principal_of_statement(ist__statement *s, const ist__principal **out, ist_error *err)
{
    ist__session reader = {.local = s->all->host.local, .who = &ist__principal_nobody};
    ist__db *db;
    IST_TRY(ist__session_read(&reader, &db, err));
    IST_TRY(ist__db_end(db, ist__principal_named(db, s->user, out, err), err));
    if (*out && strcmp((*out)->id, s->user_id) == 0)
        return IST_OK;
    ist__principal_release(*out); /* another, who took the name */
    *out = NULL;
    return IST_OK;
}

ist_status ist__warehouses_principal(ist__warehouses *all, const char *token, const ist__principal **out,
                                     ist_error *err)
{
    *out = NULL;
    if (is_same(all->token, token)) {
        *out = &ist__principal_engine;
        return IST_OK;
    }
    pthread_mutex_lock(&all->mutex);
    ist__statement *s = statement_of_token(all, token);
    if (s)
        ist__statement_hold(s);
    pthread_mutex_unlock(&all->mutex);
    ist_status status = s ? principal_of_statement(s, out, err) : IST_OK;
    ist__statement_release(s);
    return status;
}

/* Warehouses told -------------------------------------------------------------------------------------------------- */

static warehouse *find(ist__warehouses *all, const char *id, ist_error *err)
{
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->list[i].id, id) == 0)
            return &all->list[i];
    ist__uc_error(err, IST__UC_RESOURCE_DOES_NOT_EXIST, "there is no warehouse '%.100s'", id);
    return NULL;
}

/* What its workers do. */
typedef struct load {
    int starting, running, busy;
} load;

static load load_of(const warehouse *at)
{
    load l = {0};
    for (const worker *w = at->workers; w; w = w->next) {
        l.starting += w->state == WORKER_STARTING;
        l.running += w->state != WORKER_STARTING;
        l.busy += w->state == WORKER_BUSY;
    }
    return l;
}

static void add_health(yyjson_mut_doc *doc, yyjson_mut_val *out, const warehouse *at)
{
    yyjson_mut_val *health = yyjson_mut_obj_add_obj(doc, out, "health");
    yyjson_mut_obj_add_str(doc, health, "status", *at->trouble ? "FAILED" : "HEALTHY");
    if (*at->trouble) {
        yyjson_mut_obj_add_str(doc, health, "summary", "Its engine does not start.");
        yyjson_mut_obj_add_strcpy(doc, health, "details", at->trouble);
    }
}

static void describe(yyjson_mut_doc *doc, yyjson_mut_val *out, const warehouse *at)
{
    const ist_warehouse_options *options = &at->all->options;
    load l = load_of(at);
    yyjson_mut_obj_add_str(doc, out, "id", at->id);
    yyjson_mut_obj_add_str(doc, out, "name", at->id);
    yyjson_mut_obj_add_str(doc, out, "state",
                           at->halting    ? "STOPPING"
                           : l.running    ? "RUNNING"
                           : l.starting   ? "STARTING"
                                          : "STOPPED");
    yyjson_mut_obj_add_str(doc, out, "creator_name", "admin");
    yyjson_mut_obj_add_str(doc, out, "warehouse_type", "PRO");
    yyjson_mut_obj_add_str(doc, out, "cluster_size", "Small");
    yyjson_mut_obj_add_int(doc, out, "min_num_clusters", 1);
    yyjson_mut_obj_add_uint(doc, out, "max_num_clusters", options->workers);
    yyjson_mut_obj_add_int(doc, out, "num_clusters", l.running);
    yyjson_mut_obj_add_int(doc, out, "num_active_sessions", l.busy + at->queue.count);
    yyjson_mut_obj_add_uint(doc, out, "auto_stop_mins", (options->idle_s + 59) / 60);
    yyjson_mut_obj_add_uint(doc, out, "statement_timeout", options->statement_timeout_s);
    yyjson_mut_obj_add_bool(doc, out, "enable_photon", false);
    yyjson_mut_obj_add_bool(doc, out, "enable_serverless_compute", false);
    yyjson_mut_obj_add_str(doc, out, "engine", at->kind);
    if (at->spark_url) /* for clients of Spark Connect; its parameters may hold a token */
        yyjson_mut_obj_add_strncpy(doc, out, "spark_connect_url", at->spark_url, strcspn(at->spark_url, ";"));
    yyjson_mut_obj_add_int(doc, out, "queued", at->queue.count);
    yyjson_mut_obj_add_int(doc, out, "running", l.busy);
    yyjson_mut_obj_add_uint(doc, out, "worker_memory", options->worker_memory);
    add_health(doc, out, at);
}

ist_status ist__warehouse_get(ist__warehouses *all, const char *id, ist_buffer *out, ist_error *err)
{
    const warehouse *at = find(all, id, err);
    if (!at)
        return IST_NOT_FOUND;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    pthread_mutex_lock(&all->mutex);
    describe(doc, root, at);
    pthread_mutex_unlock(&all->mutex);
    return ist__json_finish(doc, out, err);
}

ist_status ist__warehouse_list(ist__warehouses *all, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "warehouses");
    pthread_mutex_lock(&all->mutex);
    for (int i = 0; i < all->count; i++)
        describe(doc, yyjson_mut_arr_add_obj(doc, list), &all->list[i]);
    pthread_mutex_unlock(&all->mutex);
    return ist__json_finish(doc, out, err);
}

ist_status ist__warehouse_start(ist__warehouses *all, const char *id, ist_error *err)
{
    warehouse *at = find(all, id, err);
    if (!at)
        return IST_NOT_FOUND;
    pthread_mutex_lock(&all->mutex);
    at->wanted = true;
    pthread_mutex_unlock(&all->mutex);
    ist__warehouses_poke(all);
    return IST_OK;
}

ist_status ist__warehouse_stop(ist__warehouses *all, const char *id, ist_error *err)
{
    warehouse *at = find(all, id, err);
    if (!at)
        return IST_NOT_FOUND;
    pthread_mutex_lock(&all->mutex);
    at->halting = true;
    at->wanted = false;
    pthread_mutex_unlock(&all->mutex);
    ist__warehouses_poke(all);
    return IST_OK;
}
