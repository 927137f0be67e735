/* log_name_fuzz.c: names of files in _delta_log. */
#include "delta/delta_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1);
    if (!name)
        return 0;
    memcpy(name, data, size);
    name[size] = '\0';
    name[strcspn(name, "\n")] = '\0'; /* corpus files end in a line feed */
    ist__log_name parsed = ist__log_parse_name(name);
    if (parsed.kind == IST__LOG_COMMIT) {
        char path[64];
        ist__log_commit_path(parsed.version, path);
        if (strcmp(strchr(path, '/') + 1, name) != 0)
            abort();
    }
    if (parsed.kind != IST__LOG_OTHER && (parsed.version < 0 || parsed.part > parsed.parts))
        abort();
    free(name);
    return 0;
}
