/* volume_path_fuzz.c: paths that users write. What splits names no place outside a volume. */
#include "isthmus/volume.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist_buffer path = IST_BUFFER_INIT, volume = IST_BUFFER_INIT, within = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    if (ist_buffer_append(&path, data, size, &err) != IST_OK || ist_buffer_append(&path, "", 1, &err) != IST_OK)
        abort();
    if (ist_volume_split(path.data, &volume, &within, &err) == IST_OK) {
        if (!ist_volume_is_path(path.data) || within.data[0] == '/' || strstr(within.data, "//"))
            abort();
        for (const char *at = within.data; *at; at += strcspn(at, "/"), at += *at == '/')
            if (strncmp(at, "../", 3) == 0 || strcmp(at, "..") == 0)
                abort();
    }
    ist_buffer_free(&path);
    ist_buffer_free(&volume);
    ist_buffer_free(&within);
    return 0;
}
