/*
 * result_reader.c: the chunks of a result as one stream, fetched ahead by threads.
 *
 * Threads take chunks in their order and leave them decoded and checked; the stream gives them out in that order. A
 * chunk is begun while those that are begun and not yet read hold less than memory_bytes, by what the manifest tells;
 * one is always begun, so that a chunk of any size gets through. A failure is told when its chunk is reached: what came
 * before it is good. The thread that releases the stream waits for the others, whose downloads `stop` ends.
 */
#include "warehouse/result_reader.h"

#include "shim/stream.h"
#include "util/util.h"

#include <errno.h>
#include <nanoarrow/nanoarrow.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64 };

typedef struct slot {
    ist__fetched_chunk chunk;
    bool ready;
} slot;

typedef struct reader {
    ist__result_plan plan;
    atomic_bool stop;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    slot *slots; /* one for each chunk */
    ist__chunk_link *links;
    size_t begun;        /* chunks that threads have taken */
    size_t failed_at;    /* the first chunk that could not be had; SIZE_MAX for none */
    ist_error failure;
    int64_t held_bytes;
    /* The stream's own. */
    size_t current; /* chunk that is given out */
    size_t batch;   /* its next */
    struct ArrowSchema schema;
    ist_error error; /* what get_last_error tells */
    pthread_t threads[THREADS_MAX];
    int thread_count;
} reader;

/* Fetching --------------------------------------------------------------------------------------------------------- */

static bool may_begin(const reader *self)
{
    return self->held_bytes == 0 || self->held_bytes + self->plan.chunks[self->begun].bytes <= self->plan.memory_bytes;
}

/* The next chunk to fetch; false where there is none left. The mutex is held. */
static bool take_next(reader *self, size_t *chunk)
{
    while (!self->stop && self->failed_at == SIZE_MAX && self->begun < self->plan.source.chunk_count &&
           !may_begin(self))
        pthread_cond_wait(&self->changed, &self->mutex);
    if (self->stop || self->failed_at != SIZE_MAX || self->begun == self->plan.source.chunk_count)
        return false;
    *chunk = self->begun++;
    self->held_bytes += self->plan.chunks[*chunk].bytes;
    return true;
}

static void *fetch_chunks(void *payload)
{
    reader *self = payload;
    size_t index;
    pthread_mutex_lock(&self->mutex);
    while (take_next(self, &index)) {
        ist__chunk_source source = self->plan.source;
        ist__fetched_chunk chunk;
        ist_error err = IST_ERROR_INIT;
        source.chunk = index;
        source.size = self->plan.chunks[index];
        pthread_mutex_unlock(&self->mutex);
        ist_status status = ist__chunk_fetch(&source, &self->links[index], &chunk, &err);
        pthread_mutex_lock(&self->mutex);
        if (status == IST_OK) {
            self->slots[index].chunk = chunk;
            self->slots[index].ready = true;
        } else if (index < self->failed_at) {
            self->failed_at = index;
            self->failure = err;
        }
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

/* Giving out ------------------------------------------------------------------------------------------------------- */

/* Wait for the current chunk. The mutex is held. */
static ist_status await_current(reader *self)
{
    while (!self->slots[self->current].ready && self->failed_at > self->current)
        pthread_cond_wait(&self->changed, &self->mutex);
    if (self->slots[self->current].ready)
        return IST_OK;
    self->error = self->failure;
    return self->error.status;
}

static void drop_current(reader *self)
{
    ist__fetched_chunk_free(&self->slots[self->current].chunk);
    self->held_bytes -= self->plan.chunks[self->current].bytes;
    self->current++;
    self->batch = 0;
    pthread_cond_broadcast(&self->changed);
}

/* Do chunks have the same columns? Metadata may differ. */
static bool same_schema(const struct ArrowSchema *a, const struct ArrowSchema *b)
{
    bool same = strcmp(a->format, b->format) == 0 && a->n_children == b->n_children &&
                !a->dictionary == !b->dictionary && strcmp(a->name ? a->name : "", b->name ? b->name : "") == 0;
    for (int64_t i = 0; same && i < a->n_children; i++)
        same = same_schema(a->children[i], b->children[i]);
    return same && (!a->dictionary || same_schema(a->dictionary, b->dictionary));
}

/* The schema of the first chunk, or where there is none the manifest's. */
static ist_status make_schema(reader *self)
{
    if (self->schema.release)
        return IST_OK;
    if (self->plan.source.chunk_count == 0)
        return ist__manifest_schema(self->plan.manifest, &self->schema, &self->error);
    IST_TRY(await_current(self));
    if (ArrowSchemaDeepCopy(&self->slots[0].chunk.schema, &self->schema))
        return ist_error_set(&self->error, IST_NO_MEMORY, 0, NULL, "no memory for the result's schema");
    return IST_OK;
}

static ist_status next_batch(reader *self, struct ArrowArray *out)
{
    IST_TRY(make_schema(self));
    while (self->current < self->plan.source.chunk_count) {
        IST_TRY(await_current(self));
        ist__fetched_chunk *chunk = &self->slots[self->current].chunk;
        if (self->batch == 0 && !same_schema(&self->schema, &chunk->schema))
            return ist_error_set(&self->error, IST_IO, 0, NULL,
                                 "chunk %zu of statement %s has other columns than the first", self->current + 1,
                                 self->plan.source.statement_id);
        if (self->batch < chunk->count) {
            *out = chunk->batches[self->batch];
            chunk->batches[self->batch++].release = NULL;
            return IST_OK;
        }
        drop_current(self);
    }
    return IST_OK;
}

static int reader_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    reader *self = stream->private_data;
    pthread_mutex_lock(&self->mutex);
    ist_status status = make_schema(self);
    if (status == IST_OK && ArrowSchemaDeepCopy(&self->schema, out))
        status = ist_error_set(&self->error, IST_NO_MEMORY, 0, NULL, "no memory for the result's schema");
    pthread_mutex_unlock(&self->mutex);
    return ist__stream_errno(status);
}

static int reader_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    reader *self = stream->private_data;
    *out = (struct ArrowArray){0};
    pthread_mutex_lock(&self->mutex);
    ist_status status = next_batch(self, out);
    pthread_mutex_unlock(&self->mutex);
    return ist__stream_errno(status);
}

static const char *reader_get_last_error(struct ArrowArrayStream *stream)
{
    const reader *self = stream->private_data;
    return self->error.status == IST_OK ? NULL : self->error.message;
}

static void free_reader(reader *self)
{
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    for (int i = 0; i < self->thread_count; i++)
        pthread_join(self->threads[i], NULL);
    for (size_t i = 0; self->slots && i < self->plan.source.chunk_count; i++)
        ist__fetched_chunk_free(&self->slots[i].chunk);
    for (size_t i = 0; self->links && i < self->plan.source.chunk_count; i++)
        ist__chunk_link_free(&self->links[i]);
    if (self->schema.release)
        self->schema.release(&self->schema);
    free(self->slots);
    free(self->links);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

static void reader_release(struct ArrowArrayStream *stream)
{
    free_reader(stream->private_data);
    stream->release = NULL;
}

/* The whole -------------------------------------------------------------------------------------------------------- */

static ist_status copy_links(reader *self, const ist__chunk_links *links, ist_error *err)
{
    for (size_t i = 0; i < links->count; i++) {
        const ist__chunk_link *from = &links->items[i];
        ist__chunk_link *to = &self->links[from->chunk];
        if (to->url)
            continue;
        to->expires_ms = from->expires_ms;
        to->uid = from->uid;
        IST_TRY(ist__strdup(from->url, &to->url, err));
        if (from->headers)
            IST_TRY(ist__strdup(from->headers, &to->headers, err));
        if (from->socket)
            IST_TRY(ist__strdup(from->socket, &to->socket, err));
    }
    return IST_OK;
}

static ist_status start_threads(reader *self, ist_error *err)
{
    size_t wanted = self->plan.threads < THREADS_MAX ? (size_t)self->plan.threads : THREADS_MAX;
    for (size_t i = 0; i < wanted && i < self->plan.source.chunk_count; i++) {
        int code = pthread_create(&self->threads[i], NULL, fetch_chunks, self);
        if (code && i == 0)
            return ist_error_set(err, IST_IO, code, NULL, "cannot start a thread: %s", strerror(code));
        if (code)
            break; /* the others do it */
        self->thread_count++;
    }
    return IST_OK;
}

ist_status ist__result_read(const ist__result_plan *plan, struct ArrowArrayStream *out, ist_error *err)
{
    reader *self = NULL;
    ist_status status = IST_OK;
    size_t count = plan->source.chunk_count;
    IST_TRY(ist__alloc(1, sizeof *self, (void **)&self, err));
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
    self->plan = *plan;
    self->plan.source.stop = &self->stop;
    self->failed_at = SIZE_MAX;
    if (count) {
        IST_TRY_GOTO(ist__alloc(count, sizeof *self->slots, (void **)&self->slots, err));
        IST_TRY_GOTO(ist__alloc(count, sizeof *self->links, (void **)&self->links, err));
        IST_TRY_GOTO(copy_links(self, plan->links, err));
        IST_TRY_GOTO(start_threads(self, err));
    }
    *out = (struct ArrowArrayStream){reader_get_schema, reader_get_next, reader_get_last_error, reader_release, self};
    return IST_OK;
done:
    free_reader(self);
    return status;
}
