/*
 * scan_stream.c: the rows of many files as one stream, which threads may decode ahead of its reader.
 *
 * Whoever decodes, the reader itself or a thread, takes one row group after the other: those of the file that it has
 * open, then those of a file that nobody has opened yet, and at the end those that are left of others' files. So files are
 * read side by side, and the last one, or the only one, by all. One decoder keeps the log's order.
 *
 * Threads put batches into a ring of BATCHES_AHEAD for each of them and wait where it is full. What is in memory is
 * therefore that many batches, and what the decoders hold. The first failure ends the stream; releasing it ends the
 * threads.
 */
#include "delta/scan_internal.h"
#include "shim/stream.h"

#include <errno.h>
#include <nanoarrow/nanoarrow.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES_AHEAD = 4, THREADS_MAX = 64 };
static const int64_t bytes_for_a_thread = 4 << 20; /* of files: less is decoded sooner than a thread is started */

/* Who decodes: the file it holds, and the row group of it that is open. */
typedef struct decoder {
    ist__data_file *file;
    ist__group_reader group;
} decoder;

typedef struct row_stream {
    ist_store *store;
    const ist__plan *plan;
    const ist__add *const *files;
    size_t count;
    void *owner;
    void (*free_owner)(void *owner);
    ist_error error;
    decoder own; /* the reader's, without threads */

    pthread_mutex_t lock; /* over what follows, and the files' users and next_group */
    pthread_cond_t changed;
    size_t next;           /* file that nobody has opened */
    size_t opening;        /* files that are being opened */
    ist__data_file *open;  /* a list */
    struct ArrowArray *ring;
    size_t capacity, first, filled;
    size_t threads_wanted, thread_count, running;
    pthread_t threads[THREADS_MAX];
    bool stopping;
    ist_status failure;
    ist_error failed_with;
} row_stream;

/* ---- who reads what ---------------------------------------------------------------------------------------------- */

/* The next row group of the file to be read. Under the lock. */
static bool take_group(ist__data_file *file, size_t *group)
{
    while (file->next_group < file->group_count) {
        *group = file->next_group++;
        if (file->may_match[*group])
            return true;
    }
    return false;
}

/* Give back the decoder's file. Under the lock. */
static void leave_file(row_stream *rows, decoder *self)
{
    ist__data_file *file = self->file, **link = &rows->open;
    self->file = NULL;
    if (!file || --file->users > 0)
        return;
    while (*link != file)
        link = &(*link)->next;
    *link = file->next;
    ist__data_file_free(file);
}

/* Open the next file of all. Under the lock, which is given away meanwhile. */
static ist_status open_next(row_stream *rows, decoder *self, ist_error *err)
{
    const ist__add *add = rows->files[rows->next++];
    ist__data_file *file = NULL;
    rows->opening++;
    pthread_mutex_unlock(&rows->lock);
    ist_status status = ist__data_file_open(rows->store, rows->plan, add, &file, err);
    pthread_mutex_lock(&rows->lock);
    rows->opening--;
    pthread_cond_broadcast(&rows->changed);
    if (status != IST_OK)
        return status;
    file->users = 1;
    file->next = rows->open;
    rows->open = file;
    self->file = file;
    return IST_OK;
}

/* Take part in a file of another decoder. Under the lock. */
static bool join_file(row_stream *rows, decoder *self, size_t *group)
{
    for (ist__data_file *file = rows->open; file; file = file->next) {
        if (take_group(file, group)) {
            file->users++;
            self->file = file;
            return true;
        }
    }
    return false;
}

/* What the decoder reads next; *found is false where nothing is left. Under the lock. */
static ist_status next_group(row_stream *rows, decoder *self, size_t *group, bool *found, ist_error *err)
{
    *found = self->file && take_group(self->file, group);
    while (!*found && !rows->stopping) {
        leave_file(rows, self);
        if (rows->next < rows->count) {
            IST_TRY(open_next(rows, self, err));
            *found = take_group(self->file, group);
        } else if (join_file(rows, self, group)) {
            *found = true;
        } else if (rows->opening > 0) {
            pthread_cond_wait(&rows->changed, &rows->lock);
        } else {
            break;
        }
    }
    return IST_OK;
}

/* The next batch of the decoder; out->release is NULL at the end. */
static ist_status decode(row_stream *rows, decoder *self, struct ArrowArray *out, ist_error *err)
{
    *out = (struct ArrowArray){0};
    for (;;) {
        size_t number = 0;
        bool found = false;
        if (self->group.file) {
            IST_TRY(ist__group_next(&self->group, rows->plan, out, err));
            if (out->release)
                return IST_OK;
            ist__group_close(&self->group);
        }
        pthread_mutex_lock(&rows->lock);
        ist_status status = next_group(rows, self, &number, &found, err);
        pthread_mutex_unlock(&rows->lock);
        IST_TRY(status);
        if (!found)
            return IST_OK;
        IST_TRY(ist__group_open(&self->group, self->file, number, err));
    }
}

static void decoder_close(row_stream *rows, decoder *self)
{
    ist__group_close(&self->group);
    pthread_mutex_lock(&rows->lock);
    leave_file(rows, self);
    pthread_mutex_unlock(&rows->lock);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* Hand over a batch. false: nobody wants it any more, and it is released. */
static bool put(row_stream *rows, struct ArrowArray *batch)
{
    pthread_mutex_lock(&rows->lock);
    while (rows->filled == rows->capacity && !rows->stopping)
        pthread_cond_wait(&rows->changed, &rows->lock);
    bool wanted = !rows->stopping;
    if (wanted) {
        rows->ring[(rows->first + rows->filled++) % rows->capacity] = *batch;
        pthread_cond_broadcast(&rows->changed);
    }
    pthread_mutex_unlock(&rows->lock);
    if (!wanted)
        batch->release(batch);
    return wanted;
}

static void *run(void *payload)
{
    row_stream *rows = payload;
    decoder self = {0};
    struct ArrowArray batch;
    ist_error error = IST_ERROR_INIT;
    ist_status status;
    do {
        status = decode(rows, &self, &batch, &error);
    } while (status == IST_OK && batch.release && put(rows, &batch));
    decoder_close(rows, &self);
    pthread_mutex_lock(&rows->lock);
    if (status != IST_OK && rows->failure == IST_OK) {
        rows->failure = status;
        rows->failed_with = error;
        rows->stopping = true;
    }
    rows->running--;
    pthread_cond_broadcast(&rows->changed);
    pthread_mutex_unlock(&rows->lock);
    return NULL;
}

/* Start the threads, or as many as there can be: with none of them the reader decodes. */
static void start(row_stream *rows)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are for the process's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&rows->lock);
    while (rows->thread_count < rows->threads_wanted &&
           pthread_create(&rows->threads[rows->thread_count], NULL, run, rows) == 0)
        rows->thread_count++;
    rows->running = rows->thread_count;
    rows->threads_wanted = 0;
    pthread_mutex_unlock(&rows->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The next batch that a thread made. */
static ist_status get(row_stream *rows, struct ArrowArray *out, ist_error *err)
{
    *out = (struct ArrowArray){0};
    pthread_mutex_lock(&rows->lock);
    while (rows->filled == 0 && rows->running > 0 && rows->failure == IST_OK)
        pthread_cond_wait(&rows->changed, &rows->lock);
    ist_status status = rows->failure;
    if (status != IST_OK) {
        *err = rows->failed_with;
    } else if (rows->filled > 0) {
        *out = rows->ring[rows->first];
        rows->first = (rows->first + 1) % rows->capacity;
        rows->filled--;
        pthread_cond_broadcast(&rows->changed);
    }
    pthread_mutex_unlock(&rows->lock);
    return status;
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

static int stream_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    row_stream *rows = stream->private_data;
    int code = ArrowSchemaDeepCopy(&rows->plan->rows, out);
    if (code != NANOARROW_OK)
        ist_error_set(&rows->error, IST_NO_MEMORY, 0, NULL, "no memory to scan the table");
    return code;
}

static int stream_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    row_stream *rows = stream->private_data;
    ist_error_clear(&rows->error);
    if (rows->threads_wanted > 0)
        start(rows);
    return ist__stream_errno(rows->thread_count > 0 ? get(rows, out, &rows->error)
                                                    : decode(rows, &rows->own, out, &rows->error));
}

static const char *stream_get_last_error(struct ArrowArrayStream *stream)
{
    row_stream *rows = stream->private_data;
    return rows->error.message[0] ? rows->error.message : NULL;
}

static void rows_free(row_stream *rows)
{
    pthread_mutex_lock(&rows->lock);
    rows->stopping = true;
    pthread_cond_broadcast(&rows->changed);
    pthread_mutex_unlock(&rows->lock);
    for (size_t i = 0; i < rows->thread_count; i++)
        pthread_join(rows->threads[i], NULL);
    for (; rows->filled > 0; rows->filled--, rows->first = (rows->first + 1) % rows->capacity)
        rows->ring[rows->first].release(&rows->ring[rows->first]);
    decoder_close(rows, &rows->own);
    free(rows->ring);
    pthread_cond_destroy(&rows->changed);
    pthread_mutex_destroy(&rows->lock);
    if (rows->free_owner)
        rows->free_owner(rows->owner);
    free(rows);
}

static void stream_release(struct ArrowArrayStream *stream)
{
    rows_free(stream->private_data);
    stream->release = NULL;
    stream->private_data = NULL;
}

/* As many threads as there is work for. */
static size_t threads_for(const ist__add *const *files, size_t count, uint32_t threads)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < count && bytes / bytes_for_a_thread < THREADS_MAX; i++)
        bytes += files[i]->size;
    size_t most = bytes / bytes_for_a_thread < THREADS_MAX ? (size_t)(bytes / bytes_for_a_thread) : THREADS_MAX;
    return threads < most ? threads : most;
}

ist_status ist__row_stream_open(ist_store *store, const ist__plan *plan, const ist__add *const *files, size_t count,
                                uint32_t threads, void *owner, void (*free_owner)(void *owner),
                                struct ArrowArrayStream *out, ist_error *err)
{
    row_stream *rows;
    IST_TRY(ist__alloc(1, sizeof *rows, (void **)&rows, err));
    rows->store = store;
    rows->plan = plan;
    rows->files = files;
    rows->count = count;
    rows->threads_wanted = threads_for(files, count, threads);
    rows->capacity = rows->threads_wanted * BATCHES_AHEAD;
    if (rows->capacity > 0 &&
        ist__alloc(rows->capacity, sizeof *rows->ring, (void **)&rows->ring, err) != IST_OK) {
        free(rows);
        return IST_NO_MEMORY;
    }
    pthread_mutex_init(&rows->lock, NULL);
    pthread_cond_init(&rows->changed, NULL);
    rows->owner = owner;
    rows->free_owner = free_owner;
    *out = (struct ArrowArrayStream){.get_schema = stream_get_schema,
                                     .get_next = stream_get_next,
                                     .get_last_error = stream_get_last_error,
                                     .release = stream_release,
                                     .private_data = rows};
    return IST_OK;
}

ist_status ist__row_stream_begin(struct ArrowArrayStream *stream, ist_error *err)
{
    row_stream *rows = stream->private_data;
    pthread_mutex_lock(&rows->lock);
    ist_status status = rows->next < rows->count ? open_next(rows, &rows->own, err) : IST_OK;
    pthread_mutex_unlock(&rows->lock);
    return status;
}
