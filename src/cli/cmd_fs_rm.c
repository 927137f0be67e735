/* cmd_fs_rm.c: isthmus fs rm. */
#include "commands.h"
#include "fs_place.h"

typedef struct rm_values {
    bool recursive;
} rm_values;

static const cli_option options[] = {
    {"recursive", CLI_FLAG, offsetof(rm_values, recursive), NULL, NULL, "Remove a folder with all that is in it.", 0, 0,
     NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus fs rm /Volumes/main/demo/raw/a.csv", "A file"},
    {"isthmus fs rm --recursive /Volumes/main/demo/raw/2025", "A folder"},
    {0},
};

const cli_page cmd_fs_rm_page = {
    .arguments = "PATH",
    .common = CLI_QUIET | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(rm_values),
    .description = "Removes a file, or with --recursive a folder. A volume itself stays (isthmus catalog drop volume "
                   "removes that).\n\n" CLI_PATH_HELP,
    .examples = examples,
};

typedef struct removal {
    const cli_place *place;
    int64_t files;
} removal;

static ist_status remove_at(const removal *r, const char *path, bool folder, ist_error *err)
{
    ist_buffer full = IST_BUFFER_INIT;
    ist_status status = cli_join(r->place->path.data ? r->place->path.data : "", path, &full, err);
    if (status == IST_OK)
        status = folder ? ist_store_delete_folder(r->place->store, full.data, err)
                        : ist_store_delete(r->place->store, full.data, err);
    ist_buffer_free(&full);
    return status;
}

static ist_status remove_file(const char *path, uint64_t size, void *payload, ist_error *err)
{
    removal *r = payload;
    (void)size;
    r->files++;
    return remove_at(r, path, false, err);
}

static ist_status remove_folder(const char *path, uint64_t size, void *payload, ist_error *err)
{
    (void)size;
    return remove_at(payload, path, true, err);
}

static ist_status run(cli_call *call, removal *r, ist_error *err)
{
    const rm_values *values = call->values;
    ist_store_entry entry;
    if (cli_place_stat(r->place, &entry)) {
        r->files = 1;
        return ist_store_delete(r->place->store, r->place->path.data, err);
    }
    if (!values->recursive)
        return ist_error_set(err, IST_NOT_FOUND, 0, call->args[0], "there is no file %s (--recursive removes a folder)",
                             call->args[0]);
    ist_status status = cli_place_walk(r->place, remove_file, remove_folder, r, err);
    if (status == IST_OK && r->place->path.size > 0)
        status = ist_store_delete_folder(r->place->store, r->place->path.data, err);
    return status;
}

ist_status cmd_fs_rm(cli_call *call, ist_error *err)
{
    cli_place place;
    removal r = {.place = &place};
    ist_status status = cli_place_open(call, call->args[0], true, &place, err);
    if (status == IST_OK)
        status = run(call, &r, err);
    if (status == IST_OK)
        cli_note(call, "removed %lld file%s", (long long)r.files, r.files == 1 ? "" : "s");
    cli_place_close(&place);
    return status;
}
