/* table.c: see table.h. */
#include "table.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ist_status cli_catalog_open(const cli_call *call, ist_catalog **out, ist_error *err)
{
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    options.uri = call->catalog;
    return ist_catalog_open(&options, out, err);
}

ist_status cli_absolute(const char *location, ist_buffer *out, ist_error *err)
{
    char folder[PATH_MAX];
    if (location[0] == '/' || strchr(location, ':'))
        return ist_buffer_append_string(out, location, err);
    if (!getcwd(folder, sizeof folder))
        return ist_error_set(err, IST_IO, errno, NULL, "cannot tell the working folder: %s", strerror(errno));
    /* "." and ".." are undone where the folder exists; one that does not exist yet is joined as it is. */
    char *real = realpath(location, NULL);
    while (strncmp(location, "./", 2) == 0)
        location += 2;
    ist_status status = real ? ist_buffer_append_string(out, real, err)
                             : ist_buffer_printf(out, err, "%s/%s", folder, location);
    free(real);
    return status;
}

/* Parts of a dotted name; dots inside backquotes do not count. */
static size_t count_parts(const char *name)
{
    size_t parts = 1;
    bool quoted = false;
    for (; *name; name++) {
        if (*name == '`')
            quoted = !quoted;
        else if (*name == '.' && !quoted)
            parts++;
    }
    return parts;
}

/* Is it a location? Otherwise *name gets the full name. */
static ist_status classify(const char *typed, bool *location, ist_buffer *name, ist_error *err)
{
    size_t parts = count_parts(typed);
    if (!*typed)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "TABLE is empty");
    *location = strpbrk(typed, "/:") || parts == 1 || strcmp(typed, "..") == 0 || strcmp(typed, ".") == 0;
    if (*location)
        return IST_OK;
    if (parts > 3)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "'%s' has %zu parts; a table's name is catalog.schema.table or schema.table, and a folder "
                             "whose name has dots is written with a slash (./%s)",
                             typed, parts, typed);
    return ist_buffer_printf(name, err, "%s%s", parts == 2 ? "main." : "", typed);
}

ist_status cli_table_identity(const char *typed, ist_buffer *out, ist_error *err)
{
    bool location = false;
    ist_buffer path = IST_BUFFER_INIT;
    ist_store *store = NULL;
    ist_status status = classify(typed, &location, out, err);
    if (status == IST_OK && location && (status = cli_absolute(typed, &path, err)) == IST_OK &&
        (status = ist_store_open(path.data, NULL, &store, err)) == IST_OK)
        status = ist_buffer_append_string(out, ist_store_uri(store), err);
    ist_store_free(store);
    ist_buffer_free(&path);
    return status;
}

static ist_status open_name(const cli_call *call, ist_table_operation operation, cli_table *out, ist_error *err)
{
    ist_status status = cli_catalog_open(call, &out->catalog, err);
    if (status == IST_OK)
        status = ist_table_open(out->catalog, out->name, operation, &out->opened, err);
    if (status != IST_OK)
        return status;
    out->store = ist_table_store(out->opened);
    out->committer = ist_table_committer(out->opened);
    out->uri = strdup(ist_table_uri(out->opened));
    return out->uri ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
}

ist_status cli_table_open(const cli_call *call, const char *typed, ist_table_operation operation, cli_table *out,
                          ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    bool location = false;
    *out = (cli_table){.typed = typed};
    options.create = operation == IST_TABLE_CREATE;
    ist_status status = classify(typed, &location, &text, err);
    if (status == IST_OK && location) {
        status = cli_absolute(typed, &text, err);
        out->uri = text.data;
        if (status == IST_OK)
            status = ist_store_open(out->uri, &options, &out->store, err);
    } else if (status == IST_OK) {
        out->name = text.data;
        status = open_name(call, operation, out, err);
    }
    if (status != IST_OK) {
        cli_table_error(out, err);
        cli_table_close(out);
    }
    return status;
}

void cli_table_close(cli_table *table)
{
    if (table->opened)
        ist_table_free(table->opened); /* with its store */
    else
        ist_store_free(table->store);
    ist_catalog_free(table->catalog);
    free(table->name);
    free(table->uri);
    *table = (cli_table){0};
}

ist_status cli_table_error(const cli_table *table, ist_error *err)
{
    return table->name && !strstr(err->message, table->name) ? ist_error_context(err, "%s", table->name) : err->status;
}

/* ---- streams --------------------------------------------------------------------------------------------------- */

typedef struct watch {
    struct ArrowArrayStream in;
    int64_t left; /* -1: no limit */
    int64_t rows;
    cli_progress *progress;
} watch;

static int watch_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    watch *self = stream->private_data;
    return self->in.get_schema(&self->in, out);
}

static int watch_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    watch *self = stream->private_data;
    if (self->left == 0) {
        *out = (struct ArrowArray){0};
        return 0;
    }
    int code = self->in.get_next(&self->in, out);
    if (code != 0 || !out->release)
        return code;
    if (self->left >= 0 && out->length > self->left) {
        /* Cutting the end off: lengths only, which is what a shorter array over the same buffers is. */
        out->length = self->left;
        for (int64_t i = 0; i < out->n_children; i++) {
            if (out->children[i]->length > out->offset + self->left)
                out->children[i]->length = out->offset + self->left;
            if (out->children[i]->null_count > 0)
                out->children[i]->null_count = -1;
        }
    }
    if (self->left >= 0)
        self->left -= out->length;
    self->rows += out->length;
    cli_progress_rows(self->progress, self->rows);
    return 0;
}

static const char *watch_get_last_error(struct ArrowArrayStream *stream)
{
    watch *self = stream->private_data;
    return self->in.get_last_error(&self->in);
}

static void watch_release(struct ArrowArrayStream *stream)
{
    watch *self = stream->private_data;
    self->in.release(&self->in);
    free(self);
    stream->release = NULL;
}

ist_status cli_stream_watch(struct ArrowArrayStream *in, int64_t limit, cli_progress *progress,
                            struct ArrowArrayStream *out, ist_error *err)
{
    watch *self = calloc(1, sizeof *self);
    if (!self) {
        in->release(in);
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    }
    *self = (watch){.in = *in, .left = limit, .progress = progress};
    in->release = NULL;
    *out = (struct ArrowArrayStream){watch_get_schema, watch_get_next, watch_get_last_error, watch_release, self};
    return IST_OK;
}

/* ---- lineage --------------------------------------------------------------------------------------------------- */

enum { LINEAGE_WAIT_MS = 2000 }; /* most that a command's end waits for its event to be on its way */

void cli_lineage(const cli_call *call, const cli_table *table, const ist_lineage_run *run)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer event = IST_BUFFER_INIT, counters = IST_BUFFER_INIT;
    ist_emitter_options options = IST_EMITTER_OPTIONS_INIT;
    ist_emitter *emitter = NULL;
    yyjson_doc *doc = NULL;
    options.catalog_uri = call->catalog;
    const char *problem = NULL;
    ist_status status = ist_lineage_event(run, &event, &err);
    if (status == IST_OK)
        status = ist_emitter_open(&options, &emitter, &err);
    if (status == IST_OK) {
        ist_emitter_emit(emitter, event.data);
        if (!ist_emitter_flush(emitter, LINEAGE_WAIT_MS))
            problem = "what is to know of it does not answer";
        status = ist_emitter_counters(emitter, &counters, &err);
    }
    if (status == IST_OK && !problem && cli_parse_json(&counters, &doc, &err) == IST_OK)
        problem = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "last_error"));
    if (status != IST_OK)
        problem = err.message;
    if (problem && table->catalog) /* for a location, a catalog is only told if there is one */
        cli_note(call, "%s: lineage not recorded: %s", table->typed, problem);
    yyjson_doc_free(doc);
    ist_emitter_free(emitter);
    ist_buffer_free(&counters);
    ist_buffer_free(&event);
}
