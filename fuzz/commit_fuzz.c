/* commit_fuzz.c: the lines of a commit file; what parses must format and parse again. */
#include "delta/delta_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ist_status format_again(const ist__action *action, void *payload, ist_error *err)
{
    ist__arena *arena = payload;
    ist_buffer line = IST_BUFFER_INIT;
    ist__action again;
    ist_status status = IST_OK;
    if (action->kind != IST__UNKNOWN) {
        status = ist__action_format(action, &line, err);
        if (status == IST_OK && ist__action_parse(line.data, line.size, arena, &again, err) == IST_BAD_INPUT)
            abort();
    }
    ist_buffer_free(&line);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist_error err = IST_ERROR_INIT;
    ist__arena *arena, *formatted;
    if (ist__arena_new(&arena, NULL) != IST_OK)
        return 0;
    if (ist__arena_new(&formatted, NULL) == IST_OK) {
        ist__actions_each((const char *)data, size, "fuzz", arena, format_again, formatted, &err);
        ist__arena_free(formatted);
    }
    ist__arena_free(arena);
    return 0;
}
