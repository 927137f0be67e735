/* cmd_fs_cat.c: isthmus fs cat. */
#include "commands.h"
#include "fs_place.h"

#include <stdlib.h>

enum { STEP = 1 << 20 };

static const cli_example examples[] = {
    {"isthmus fs cat /Volumes/main/demo/raw/a.csv | head", "The beginning of a file"},
    {0},
};

const cli_page cmd_fs_cat_page = {
    .arguments = "PATH...",
    .common = CLI_CATALOG,
    .description = "Writes files to standard output, one after the other.\n\n" CLI_PATH_HELP,
    .examples = examples,
};

static ist_status copy_out(const cli_place *place, char *bytes, ist_error *err)
{
    ist_store_reader *reader = NULL;
    ist_status status = ist_store_reader_open(place->store, place->path.data, &reader, err);
    uint64_t size = status == IST_OK ? ist_store_reader_size(reader) : 0;
    for (uint64_t at = 0; status == IST_OK && at < size;) {
        size_t step = size - at < STEP ? (size_t)(size - at) : STEP;
        status = ist_store_reader_read(reader, at, bytes, step, err);
        if (status == IST_OK && fwrite(bytes, 1, step, stdout) != step)
            break; /* cli_flush tells */
        at += step;
    }
    ist_store_reader_free(reader);
    return status;
}

ist_status cmd_fs_cat(cli_call *call, ist_error *err)
{
    ist_status status = IST_OK;
    char *bytes = malloc(STEP);
    if (!bytes)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    for (size_t i = 0; status == IST_OK && i < call->arg_count; i++) {
        cli_place place;
        status = cli_place_open(call, call->args[i], false, &place, err);
        if (status == IST_OK)
            status = copy_out(&place, bytes, err);
        cli_place_close(&place);
    }
    free(bytes);
    return status;
}
