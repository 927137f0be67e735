/* cmd_fs_cp.c: isthmus fs cp. */
#include "commands.h"
#include "fs_place.h"

#include <stdlib.h>
#include <string.h>

enum { STEP = 4 << 20 };

typedef struct cp_values {
    bool recursive;
} cp_values;

static const cli_option options[] = {
    {"recursive", CLI_FLAG, offsetof(cp_values, recursive), NULL, NULL, "Copy a folder with all that is in it.", 0, 0,
     NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus fs cp a.csv /Volumes/main/demo/raw/", "A local file into a volume"},
    {"isthmus fs cp --recursive /Volumes/main/demo/raw ./raw", "A volume to a local folder"},
    {"isthmus fs cp s3://bucket/a.parquet dbfs:/Volumes/main/demo/raw/b.parquet", "From a bucket, under another name"},
    {0},
};

const cli_page cmd_fs_cp_page = {
    .arguments = "SOURCE TARGET",
    .common = CLI_JSON | CLI_QUIET | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(cp_values),
    .description = "Copies a file, or with --recursive a folder. A target that ends in '/' or is a folder gets the file "
                   "under its own name; the content of a folder goes into the target. A file appears at its target "
                   "when it is whole, and replaces what was there.\n\n" CLI_PATH_HELP,
    .examples = examples,
};

typedef struct copy {
    const cli_place *source, *target;
    cli_progress progress;
    char *bytes;
    int64_t files, copied;
} copy;

static ist_status copy_bytes(copy *c, ist_store_reader *reader, ist_store_writer *writer, ist_error *err)
{
    uint64_t size = ist_store_reader_size(reader);
    ist_status status = IST_OK;
    for (uint64_t at = 0; status == IST_OK && at < size;) {
        size_t step = size - at < STEP ? (size_t)(size - at) : STEP;
        status = ist_store_reader_read(reader, at, c->bytes, step, err);
        if (status == IST_OK)
            status = ist_store_writer_write(writer, c->bytes, step, err);
        at += step;
        c->copied += (int64_t)step;
        cli_progress_bytes(&c->progress, c->copied);
    }
    return status == IST_OK ? ist_store_writer_close(writer, err) : status;
}

static ist_status copy_file(copy *c, const char *from, const char *to, ist_error *err)
{
    ist_store_reader *reader = NULL;
    ist_store_writer *writer = NULL;
    ist_status status = ist_store_reader_open(c->source->store, from, &reader, err);
    if (status == IST_OK)
        status = ist_store_writer_open(c->target->store, to, &writer, err);
    if (status == IST_OK)
        status = copy_bytes(c, reader, writer, err);
    c->files += status == IST_OK;
    ist_store_writer_free(writer);
    ist_store_reader_free(reader);
    return status;
}

static const char *text_of(const ist_buffer *path)
{
    return path->data ? path->data : "";
}

static ist_status copy_one(const char *path, uint64_t size, void *payload, ist_error *err)
{
    copy *c = payload;
    ist_buffer from = IST_BUFFER_INIT, to = IST_BUFFER_INIT;
    (void)size;
    ist_status status = cli_join(text_of(&c->source->path), path, &from, err);
    if (status == IST_OK)
        status = cli_join(text_of(&c->target->path), path, &to, err);
    if (status == IST_OK)
        status = copy_file(c, from.data, to.data, err);
    ist_buffer_free(&from);
    ist_buffer_free(&to);
    return status;
}

static bool stop_at_first(const ist_store_entry *entry, void *payload)
{
    (void)entry;
    *(bool *)payload = true;
    return false;
}

/* A target that ends in '/', is the root, or has something in it. */
static bool is_folder(const cli_place *place)
{
    bool found = place->path.size == 0 || place->typed[strlen(place->typed) - 1] == '/';
    if (!found)
        ist_store_list(place->store, place->path.data, NULL, stop_at_first, &found, NULL);
    if (!found)
        ist_store_list_folders(place->store, place->path.data, stop_at_first, &found, NULL);
    return found;
}

static ist_status copy_to(copy *c, ist_error *err)
{
    const char *from = text_of(&c->source->path), *slash = strrchr(from, '/');
    ist_buffer to = IST_BUFFER_INIT;
    ist_status status = cli_join(text_of(&c->target->path), is_folder(c->target) ? slash ? slash + 1 : from : "", &to,
                                 err);
    if (status == IST_OK)
        status = copy_file(c, from, to.data, err);
    ist_buffer_free(&to);
    return status;
}

static ist_status run(cli_call *call, copy *c, ist_error *err)
{
    const cp_values *values = call->values;
    ist_store_entry entry;
    if (c->source->path.size == 0 && !values->recursive)
        return cli_usage(call, err, "%s is a folder: --recursive copies it", call->args[0]);
    if (!values->recursive || cli_place_stat(c->source, &entry))
        return copy_to(c, err);
    ist_status status = cli_place_walk(c->source, copy_one, NULL, c, err);
    if (status == IST_OK && c->files == 0)
        status = ist_error_set(err, IST_NOT_FOUND, 0, call->args[0], "there is nothing at %s", call->args[0]);
    return status;
}

ist_status cmd_fs_cp(cli_call *call, ist_error *err)
{
    cli_place source, target = {0};
    copy c = {.source = &source, .target = &target, .bytes = malloc(STEP)};
    char size[32];
    ist_status status = cli_place_open(call, call->args[0], false, &source, err);
    if (status == IST_OK)
        status = cli_place_open(call, call->args[1], true, &target, err);
    if (status == IST_OK && !c.bytes)
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    cli_progress_start(&c.progress, call, call->args[0]);
    if (status == IST_OK)
        status = run(call, &c, err);
    cli_progress_end(&c.progress);
    if (status == IST_OK && call->json)
        printf("{\"files\": %lld, \"bytes\": %lld}\n", (long long)c.files, (long long)c.copied);
    else if (status == IST_OK)
        cli_note(call, "copied %lld file%s, %s", (long long)c.files, c.files == 1 ? "" : "s", cli_bytes(c.copied, size));
    cli_place_close(&source);
    cli_place_close(&target);
    free(c.bytes);
    return status;
}
