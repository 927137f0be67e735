/* scratch_catalog.h: a SQLite catalog of a fuzz target's own, in memory-backed storage where there is some; gone at exit. */
#ifndef ISTHMUS_FUZZ_SCRATCH_CATALOG_H
#define ISTHMUS_FUZZ_SCRATCH_CATALOG_H

#include "isthmus/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_folder[64];
static ist_catalog *catalog;

static void scratch_catalog_remove(void)
{
    char command[128];
    ist_catalog_free(catalog);
    snprintf(command, sizeof command, "rm -rf '%s'", scratch_folder);
    if (system(command) != 0)
        perror(command);
}

static void scratch_catalog_open(void)
{
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    char uri[128];
    strcpy(scratch_folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/isthmus_fuzz_XXXXXX" : "/tmp/isthmus_fuzz_XXXXXX");
    if (!mkdtemp(scratch_folder))
        abort();
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", scratch_folder);
    options.uri = uri;
    if (ist_catalog_open(&options, &catalog, NULL) != IST_OK)
        abort();
    atexit(scratch_catalog_remove);
}

#endif
