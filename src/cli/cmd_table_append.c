/* cmd_table_append.c: isthmus table append: files -> rows -> one commit. */
#include "commands.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

typedef struct append_values {
    int mode;
    int format;
    bool merge_schema;
    bool overwrite_schema;
    bool direct;
    cli_list partition_by;
} append_values;

static const cli_option options[] = {
    {"mode", CLI_CHOICE, offsetof(append_values, mode), "append|overwrite|error|ignore", "append",
     "What to do where there is a table: add the rows, replace all rows, refuse, or do nothing.", 0, 0, NULL},
    {"format", CLI_CHOICE, offsetof(append_values, format), "auto|parquet|arrow|csv|json", "auto",
     "Format of the files; auto tells by their first bytes and the ending of their names.", 0, 0, NULL},
    {"merge-schema", CLI_FLAG, offsetof(append_values, merge_schema), NULL, NULL,
     "Add new columns of the files to the table.", 0, 0, NULL},
    {"overwrite-schema", CLI_FLAG, offsetof(append_values, overwrite_schema), NULL, NULL,
     "With --mode overwrite: the files' schema replaces the table's.", 0, 0, NULL},
    {"partition-by", CLI_LIST, offsetof(append_values, partition_by), "A,B", NULL, "Partition columns of a new table.", 0,
     0, NULL},
    {"direct", CLI_FLAG, offsetof(append_values, direct), NULL, NULL,
     "Commit from this process, also where a node daemon runs.", 0, 0, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus table append main.demo.scores part-*.parquet", "Files into a table, which is made if it is missing"},
    {"isthmus table append --merge-schema /data/scores more.csv", "A CSV file with a new column"},
    {"isthmus table append --mode overwrite --partition-by day scores today.jsonl", "Replace what is there"},
    {0},
};

const cli_page cmd_table_append_page = {
    .arguments = "TABLE FILE...",
    .common = CLI_JSON | CLI_QUIET | CLI_CATALOG | CLI_SOCKET,
    .options = options,
    .values_size = sizeof(append_values),
    .description =
        "Writes the rows of Parquet, Arrow IPC, CSV or JSON lines files into a Delta table, in one commit: all of the "
        "files or none. Columns are matched by name; a value of a type that would lose something is refused. CSV and "
        "JSON values are read as the types of the table's columns; those of a new table are inferred.\n\n"
        "Where a node daemon runs, an append is handed to it, so that many at once become few commits; otherwise, and "
        "for every change of the table's schema, this process commits.\n\n" CLI_TABLE_HELP
        " A table that a name has no table for is made as a managed table of the catalog.",
    .examples = examples,
};

/* A file as typed: split into the folder, as a store, and the name in it. */
static ist_status open_file(const char *typed, ist_store **store, char **name, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    *store = NULL;
    *name = NULL;
    ist_status status = cli_absolute(typed, &path, err);
    char *slash = status == IST_OK ? strrchr(path.data, '/') : NULL;
    if (status == IST_OK && (!slash || !slash[1]))
        status = ist_error_set(err, IST_BAD_INPUT, 0, typed, "'%s' is not the name of a file", typed);
    if (status == IST_OK && !(*name = strdup(slash + 1)))
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (status == IST_OK) {
        slash[slash == path.data] = '\0'; /* "/file" is in "/" */
        status = ist_store_open(path.data, NULL, store, err);
    }
    ist_buffer_free(&path);
    return status;
}

/* What the write goes through, from the first file's schema to the commit. */
typedef struct append {
    cli_call *call;
    const append_values *values;
    cli_table table;
    struct ArrowSchema known; /* the table's schema, for reading text; release NULL for a new table */
    ist_transaction *transaction;
    ist_buffer context;
    ist_writer *writer;
    ist_buffer actions;
    cli_progress progress;
    char app_id[64];
    ist_commit_result result;
    bool grouped; /* committed by the daemon */
    ist_lineage_column *columns; /* of the files: each becomes the table's column of that name */
    size_t column_count;
} append;

static ist_status open_newest(const append *self, ist_snapshot **out, ist_error *err)
{
    ist_snapshot_options newest = IST_SNAPSHOT_OPTIONS_INIT;
    newest.committer = self->table.committer;
    return ist_snapshot_open(self->table.store, &newest, out, err);
}

static ist_status read_known_schema(append *self, ist_error *err)
{
    ist_snapshot *snapshot = NULL;
    ist_status status = open_newest(self, &snapshot, err);
    if (status == IST_NOT_FOUND) {
        ist_error_clear(err);
        return IST_OK;
    }
    if (status == IST_OK && !self->values->overwrite_schema)
        status = ist_snapshot_schema(snapshot, &self->known, err);
    ist_snapshot_free(snapshot);
    return status;
}

/* The first file decides what the transaction is about. */
static ist_status begin(append *self, struct ArrowArrayStream *stream, ist_error *err)
{
    unsigned char random[16];
    struct ArrowSchema schema;
    ist_transaction_options txn = IST_TRANSACTION_OPTIONS_INIT;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return ist_error_set(err, IST_IO, 0, NULL, "the kernel gives no random bytes");
    int n = snprintf(self->app_id, sizeof self->app_id, "isthmus-cli-");
    for (size_t i = 0; i < sizeof random; i++)
        n += snprintf(self->app_id + n, sizeof self->app_id - (size_t)n, "%02x", random[i]);
    txn.mode = (ist_write_mode[]){IST_WRITE_APPEND, IST_WRITE_OVERWRITE, IST_WRITE_ERROR,
                                  IST_WRITE_IGNORE}[self->values->mode];
    txn.merge_schema = self->values->merge_schema;
    txn.overwrite_schema = self->values->overwrite_schema;
    txn.partition_columns = (const char *const *)self->values->partition_by.items;
    txn.partition_column_count = self->values->partition_by.count;
    txn.table_name = self->table.name;
    txn.engine = "isthmus-cli";
    txn.committer = self->table.committer;
    ist_status status = ist_stream_schema(stream, &schema, err);
    if (status != IST_OK)
        return status;
    status = ist_transaction_begin(self->table.store, &txn, &schema, &self->transaction, err);
    schema.release(&schema);
    if (status == IST_OK && !ist_transaction_is_noop(self->transaction))
        status = ist_transaction_write_context(self->transaction, &self->context, err);
    if (status == IST_OK && !ist_transaction_is_noop(self->transaction))
        status = ist_writer_open(self->table.store, self->context.data, &self->writer, err);
    return status;
}

/* Remember which columns a file has, for lineage; `dataset` is the file as typed until record_lineage knows its URI. */
static ist_status note_columns(append *self, const char *typed, struct ArrowArrayStream *stream, ist_error *err)
{
    struct ArrowSchema schema;
    ist_status status = ist_stream_schema(stream, &schema, err);
    if (status != IST_OK)
        return status;
    size_t more = (size_t)schema.n_children;
    ist_lineage_column *columns = realloc(self->columns, (self->column_count + more + 1) * sizeof *columns);
    if (columns)
        self->columns = columns;
    for (size_t i = 0; columns && i < more; i++) {
        char *name = strdup(schema.children[i]->name);
        if (name)
            columns[self->column_count++] = (ist_lineage_column){name, typed, name, "IDENTITY"};
    }
    schema.release(&schema);
    return columns ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
}

static ist_status write_file(append *self, const char *typed, ist_error *err)
{
    static const ist_file_format formats[] = {IST_FILE_AUTO, IST_FILE_PARQUET, IST_FILE_ARROW, IST_FILE_CSV,
                                              IST_FILE_JSON};
    ist_store *store;
    char *name;
    struct ArrowArrayStream file = {0}, stream = {0};
    ist_file_options read = IST_FILE_OPTIONS_INIT;
    read.format = formats[self->values->format];
    read.schema = self->known.release ? &self->known : NULL;
    ist_status status = open_file(typed, &store, &name, err);
    if (status == IST_OK)
        status = ist_file_read(store, name, &read, &file, err);
    if (status == IST_OK)
        status = cli_stream_watch(&file, -1, &self->progress, &stream, err);
    if (status == IST_OK && !self->transaction)
        status = begin(self, &stream, err);
    if (status == IST_OK)
        status = note_columns(self, typed, &stream, err);
    if (status == IST_OK && self->writer)
        status = ist_writer_write(self->writer, &stream, err);
    if (status != IST_OK && (!name || !strstr(err->message, name)))
        ist_error_context(err, "%s", typed);
    if (stream.release)
        stream.release(&stream);
    ist_store_free(store);
    free(name);
    return status;
}

/* Hand the append to the node's daemon. *taken is false where there is none. */
static ist_status commit_group(append *self, bool *taken, ist_error *err)
{
    enum { ATTEMPTS = 3 }; /* with one key, so that what was committed before an answer got lost counts once */
    ist_exchange_client *client = NULL;
    ist_commit_member member = {
        .table_uri = ist_store_uri(self->table.store),
        .table_name = self->table.name,
        .context = self->context.data,
        .actions = self->actions.data,
        .actions_size = self->actions.size,
        .app_id = self->app_id,
        .engine = "isthmus-cli",
    };
    ist_buffer access = IST_BUFFER_INIT;
    ist_status status = self->table.opened ? ist_table_access(self->table.opened, &access, err) : IST_OK;
    member.access = access.data;
    if (status == IST_OK)
        status = ist_exchange_client_open(self->call->socket, &client, err);
    *taken = status != IST_NOT_FOUND || self->call->socket;
    if (!*taken) {
        ist_error_clear(err);
        ist_buffer_free(&access);
        return IST_OK;
    }
    if (status == IST_OK)
        status = ist_commit_group(client, &member, &self->result, err);
    for (int i = 1; status == IST_RETRYABLE && i < ATTEMPTS; i++) {
        ist_exchange_client_free(client);
        client = NULL;
        ist_error_clear(err);
        sleep(1);
        status = ist_exchange_client_open(self->call->socket, &client, err);
        if (status == IST_OK)
            status = ist_commit_group(client, &member, &self->result, err);
    }
    ist_exchange_client_free(client);
    ist_buffer_free(&access);
    self->grouped = status == IST_OK;
    return status;
}

static ist_status commit(append *self, ist_error *err)
{
    bool taken = false;
    ist_status status = IST_OK;
    if (self->values->mode == 0 && !self->values->direct && !ist_transaction_changes_metadata(self->transaction))
        status = commit_group(self, &taken, err);
    if (status == IST_OK && !taken)
        status = ist_transaction_add(self->transaction, self->context.data, self->actions.data, self->actions.size,
                                     err);
    if (status == IST_OK && !taken)
        status = ist_transaction_commit(self->transaction, &self->result, err);
    if (status != IST_OK)
        return status;
    if (self->result.outcome == IST_COMMIT_CONFLICTED)
        return ist_error_set(err, IST_CONFLICT, 0, NULL, "a concurrent commit (version %lld) is in the way: %s",
                             (long long)self->result.version, self->result.reason);
    if (self->result.outcome == IST_COMMIT_RETRYABLE)
        return ist_error_set(err, IST_RETRYABLE, 0, NULL, "not committed, try again: %s", self->result.reason);
    return IST_OK;
}

static void record_lineage(append *self, const ist_snapshot *snapshot)
{
    size_t count = self->call->arg_count - 1;
    ist_lineage_dataset *inputs = calloc(count, sizeof *inputs);
    ist_buffer *names = calloc(count, sizeof *names);
    bool named = inputs && names;
    for (size_t i = 0; named && i < count; i++) {
        named = cli_absolute(self->call->args[i + 1], &names[i], NULL) == IST_OK;
        inputs[i] = (ist_lineage_dataset){.name = names[i].data, .version = -1, .rows = -1, .bytes = -1};
        for (size_t k = 0; named && k < self->column_count; k++)
            if (self->columns[k].dataset == self->call->args[i + 1])
                self->columns[k].dataset = names[i].data;
    }
    ist_lineage_dataset output = {
        .name = self->table.name ? self->table.name : ist_store_uri(self->table.store),
        .schema_json = ist_snapshot_schema_json(snapshot),
        .version = self->result.version,
        .rows = self->result.rows,
        .bytes = self->result.bytes,
        .columns = self->columns,
        .column_count = self->column_count,
    };
    ist_lineage_run run = {.job = "isthmus table append", .engine = "isthmus", .run_id = NULL, .state = "COMPLETE",
                           .inputs = inputs, .input_count = count, .outputs = &output, .output_count = 1};
    if (named)
        cli_lineage(self->call, &self->table, &run);
    for (size_t i = 0; names && i < count; i++)
        ist_buffer_free(&names[i]);
    free(names);
    free(inputs);
}

static ist_status print_result(const append *self, ist_error *err)
{
    char rows[32], files[32], bytes[32];
    const ist_commit_result *result = &self->result;
    bool noop = ist_transaction_is_noop(self->transaction);
    if (self->call->json) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *root = yyjson_mut_obj(doc);
        yyjson_mut_doc_set_root(doc, root);
        yyjson_mut_obj_add_str(doc, root, "table", self->table.name ? self->table.name : self->table.uri);
        yyjson_mut_obj_add_bool(doc, root, "committed", !noop);
        yyjson_mut_obj_add_int(doc, root, "version",
                               noop ? ist_transaction_read_version(self->transaction) : result->version);
        yyjson_mut_obj_add_int(doc, root, "rows", result->rows);
        yyjson_mut_obj_add_int(doc, root, "files", result->files);
        yyjson_mut_obj_add_int(doc, root, "bytes", result->bytes);
        yyjson_mut_obj_add_int(doc, root, "attempts", result->attempts);
        yyjson_mut_obj_add_str(doc, root, "by", self->grouped ? "daemon" : "direct");
        ist_status status = cli_print_mut(doc, err);
        yyjson_mut_doc_free(doc);
        return status;
    }
    if (noop)
        printf("%s: there is a table already, nothing was written\n", self->table.typed);
    else
        printf("%s: version %lld, %s rows in %s files (%s)%s\n", self->table.typed, (long long)result->version,
               cli_count(result->rows, rows), cli_count(result->files, files), cli_bytes(result->bytes, bytes),
               self->grouped ? ", committed by the daemon" : "");
    return IST_OK;
}

/* After the commit: the catalog and lineage, which know the table as it now is. */
static ist_status after_commit(append *self, ist_error *err)
{
    ist_snapshot *snapshot = NULL;
    ist_status status = open_newest(self, &snapshot, err);
    if (status == IST_OK && self->table.opened &&
        (ist_table_is_new(self->table.opened) || ist_transaction_changes_metadata(self->transaction)))
        status = ist_table_register(self->table.opened, snapshot, err);
    if (status == IST_OK)
        record_lineage(self, snapshot);
    ist_snapshot_free(snapshot);
    return status;
}

static ist_status append_files(append *self, ist_error *err)
{
    cli_call *call = self->call;
    bool noop = false;
    ist_status status = read_known_schema(self, err);
    cli_progress_start(&self->progress, call, self->table.typed);
    for (size_t i = 1; status == IST_OK && !noop && i < call->arg_count; i++) {
        status = write_file(self, call->args[i], err);
        noop = status == IST_OK && ist_transaction_is_noop(self->transaction);
    }
    cli_progress_end(&self->progress);
    if (status != IST_OK || noop)
        return status;
    status = ist_writer_finish(self->writer, &self->actions, err);
    if (status != IST_OK)
        return status;
    status = commit(self, err);
    if (status == IST_OK)
        return after_commit(self, err);
    /* After a fault the files may be part of a version whose answer got lost; only a decided "no" lets them go. */
    if (status == IST_CONFLICT)
        ist_writer_discard(self->table.store, self->actions.data, self->actions.size);
    return status;
}

ist_status cmd_table_append(cli_call *call, ist_error *err)
{
    append self = {.call = call, .values = call->values};
    if (self.values->overwrite_schema && self.values->mode != 1)
        return cli_usage(call, err, "--overwrite-schema goes with --mode overwrite");
    ist_status status = cli_table_open(call, call->args[0], IST_TABLE_CREATE, &self.table, err);
    if (status != IST_OK)
        return status;
    status = append_files(&self, err);
    if (status == IST_OK)
        status = print_result(&self, err);
    else
        cli_table_error(&self.table, err);
    for (size_t i = 0; i < self.column_count; i++)
        free((char *)self.columns[i].input);
    free(self.columns);
    ist_writer_free(self.writer);
    ist_transaction_free(self.transaction);
    ist_buffer_free(&self.context);
    ist_buffer_free(&self.actions);
    if (self.known.release)
        self.known.release(&self.known);
    cli_table_close(&self.table);
    return status;
}
