/* databricks_profile_fuzz.c: what a ~/.databrickscfg may hold. */
#include "catalog/catalog_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"DEFAULT", "a", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ist__profile profile;
        ist_error err = IST_ERROR_INIT;
        ist_status status = ist__profile_read((const char *)data, size, names[i], &profile, &err);
        if (status != IST_OK && status != IST_NOT_FOUND && status != IST_BAD_INPUT)
            abort();
        /* What it took is within bounds, and on one line. */
        if (status == IST_OK && (strpbrk(profile.host, "\n") || strpbrk(profile.token, "\n") ||
                                 strlen(profile.client_secret) >= sizeof profile.client_secret))
            abort();
    }
    return 0;
}
