/* uri_fuzz.c: the location of a store and a path in it, one line each. A store that opens must keep to its root. */
#include "isthmus/store.h"
#include "delta/delta_internal.h"
#include "store/http_store.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *uri = malloc(size + 1);
    ist_store *store = NULL;
    ist_buffer relative = IST_BUFFER_INIT;
    if (!uri)
        abort();
    memcpy(uri, data, size);
    uri[size] = '\0';
    char *path = strchr(uri, '\n');
    if (path)
        *path++ = '\0';
    if (ist_store_open(uri, NULL, &store, NULL) == IST_OK) {
        if (strncmp(ist_store_uri(store), "file:///", 8) != 0 && !ist__cloud_is_location(ist_store_uri(store)))
            abort();
        if (path && ist__data_path(store, path, &relative, NULL) == IST_OK &&
            ist__store_check_path(relative.data ? relative.data : "", NULL) == IST_OK &&
            (relative.data[0] == '/' || strstr(relative.data, "/../")))
            abort();
    }
    ist_store_free(store);
    ist_buffer_free(&relative);
    free(uri);
    return 0;
}
