/*
 * memory_committer.h: a catalog that fits into a test: staged commits lie in the store, which of them are versions is kept
 * in memory. Committers made of one `memory_catalog` see the same versions, as processes do that ask one server.
 */
#ifndef ISTHMUS_TESTS_MEMORY_COMMITTER_H
#define ISTHMUS_TESTS_MEMORY_COMMITTER_H

#include "isthmus/sys/committer.h"
#include "util/util.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_VERSIONS = 512 };

typedef struct memory_catalog {
    pthread_mutex_t mutex;
    char paths[MEMORY_VERSIONS][100]; /* of ratified versions, from 1 on */
    uint64_t sizes[MEMORY_VERSIONS];
    int64_t latest;
    int64_t told_from; /* versions before it are not told any more: they are published */
} memory_catalog;

typedef struct memory_committer {
    ist_committer base;
    memory_catalog *catalog;
} memory_committer;

static inline ist_status memory_commit(ist_committer *self, ist_store *store, const ist_proposal *proposal,
                                       ist_error *err)
{
    memory_catalog *catalog = ((memory_committer *)self)->catalog;
    char path[100], uuid[37];
    if (proposal->version == 0)
        return ist_committer_filesystem()->ops->commit(NULL, store, proposal, err);
    ist__uuid(uuid);
    snprintf(path, sizeof path, "_delta_log/_staged_commits/%020" PRId64 ".%s.json", proposal->version, uuid);
    IST_TRY(ist_store_put(store, path, proposal->text, proposal->size, IST_PUT_IF_ABSENT, err));
    pthread_mutex_lock(&catalog->mutex);
    ist_status status = IST_OK;
    if (proposal->version != catalog->latest + 1) {
        status = ist_error_set(err, IST_ALREADY_EXISTS, 0, NULL, "taken");
    } else {
        catalog->latest++;
        memcpy(catalog->paths[catalog->latest], path, sizeof path);
        catalog->sizes[catalog->latest] = proposal->size;
    }
    pthread_mutex_unlock(&catalog->mutex);
    return status;
}

static inline ist_status memory_ratified(ist_committer *self, ist_ratified_commit_cb cb, void *payload, int64_t *latest,
                                         ist_error *err)
{
    memory_catalog *catalog = ((memory_committer *)self)->catalog;
    ist_status status = IST_OK;
    pthread_mutex_lock(&catalog->mutex);
    *latest = catalog->latest;
    for (int64_t v = catalog->told_from > 1 ? catalog->told_from : 1; status == IST_OK && v <= catalog->latest; v++)
        status = cb(&(ist_ratified_commit){v, catalog->paths[v], catalog->sizes[v], v}, payload, err);
    pthread_mutex_unlock(&catalog->mutex);
    return status;
}

static inline ist_status memory_publish(ist_committer *self, ist_store *store, int64_t version, ist_error *err)
{
    memory_catalog *catalog = ((memory_committer *)self)->catalog;
    ist_status status = IST_OK;
    pthread_mutex_lock(&catalog->mutex);
    for (int64_t v = 1; status == IST_OK && v <= version && v <= catalog->latest; v++) {
        ist_buffer text = IST_BUFFER_INIT;
        char to[64];
        snprintf(to, sizeof to, "_delta_log/%020" PRId64 ".json", v);
        status = ist_store_get(store, catalog->paths[v], &text, err);
        if (status == IST_OK)
            status = ist_store_put(store, to, text.data, text.size, IST_PUT_IF_ABSENT, err);
        if (status == IST_ALREADY_EXISTS)
            status = IST_OK;
        ist_buffer_free(&text);
    }
    pthread_mutex_unlock(&catalog->mutex);
    return status;
}

static inline void memory_free(ist_committer *self)
{
    free(self);
}

static inline ist_committer *memory_committer_new(memory_catalog *catalog)
{
    static const ist_committer_ops ops = {.commit = memory_commit, .ratified = memory_ratified,
                                          .publish = memory_publish, .free = memory_free};
    memory_committer *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    *self = (memory_committer){{.ops = &ops}, catalog};
    return &self->base;
}

#endif
