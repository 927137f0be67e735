/* kept_tables.c: a short list of open tables, the last used first. */
#include "kept_tables.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct kept_table {
    char *access; /* a secret */
    ist_table *table;
    time_t used_at;
} kept_table;

struct kept_tables {
    pthread_mutex_t mutex;
    kept_tables_open_cb open;
    size_t count;
    kept_table all[KEPT_TABLES_MAX];
};

static time_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

ist_status kept_tables_new(kept_tables_open_cb open, kept_tables **out, ist_error *err)
{
    kept_tables *kept = calloc(1, sizeof *kept);
    *out = kept;
    if (!kept)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the daemon");
    pthread_mutex_init(&kept->mutex, NULL);
    kept->open = open;
    return IST_OK;
}

static void forget(kept_table *one)
{
    ist_table_free(one->table);
    if (one->access)
        explicit_bzero(one->access, strlen(one->access));
    free(one->access);
}

/* Take the last ones off the list: those beyond `most`, and those unused for too long. Call with the mutex held. */
static void trim(kept_tables *kept, size_t most)
{
    time_t oldest = now_s() - KEPT_TABLES_LIFE_S;
    while (kept->count > 0 && (kept->count > most || kept->all[kept->count - 1].used_at < oldest))
        forget(&kept->all[--kept->count]);
}

void kept_tables_free(kept_tables *kept)
{
    if (!kept)
        return;
    trim(kept, 0);
    pthread_mutex_destroy(&kept->mutex);
    free(kept);
}

ist_status kept_tables_take(kept_tables *kept, const char *access, ist_table **out, ist_error *err)
{
    *out = NULL;
    pthread_mutex_lock(&kept->mutex);
    trim(kept, KEPT_TABLES_MAX);
    for (size_t i = 0; i < kept->count; i++)
        if (strcmp(kept->all[i].access, access) == 0) {
            kept_table found = kept->all[i];
            kept->count--;
            memmove(&kept->all[i], &kept->all[i + 1], (kept->count - i) * sizeof found);
            *out = found.table;
            found.table = NULL;
            forget(&found);
            break;
        }
    pthread_mutex_unlock(&kept->mutex);
    return *out ? IST_OK : kept->open(access, out, err);
}

void kept_tables_give(kept_tables *kept, const char *access, ist_table *table, bool good)
{
    kept_table one = {.access = good ? strdup(access) : NULL, .table = table, .used_at = now_s()};
    if (!one.access) {
        forget(&one);
        return;
    }
    pthread_mutex_lock(&kept->mutex);
    trim(kept, KEPT_TABLES_MAX - 1);
    memmove(&kept->all[1], &kept->all[0], kept->count++ * sizeof one);
    kept->all[0] = one;
    pthread_mutex_unlock(&kept->mutex);
}
