/* result_store.c: budgets and the life of chunks. */
#include "warehouse/result_store.h"

#include "catalog/catalog_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1 << 20)

ist_status ist__result_new(ist__result_store *store, ist__result **out, ist_error *err)
{
    IST_TRY(ist__alloc(1, sizeof **out, (void **)out, err));
    atomic_init(&(*out)->references, 1);
    (*out)->store = store;
    return IST_OK;
}

ist__result *ist__result_hold(ist__result *result)
{
    if (result)
        atomic_fetch_add(&result->references, 1);
    return result;
}

static void free_chunk(ist__result_store *store, ist__chunk *chunk)
{
    if (chunk->fd >= 0) {
        close(chunk->fd);
        atomic_fetch_sub(&store->files, 1);
    }
    free(chunk->data);
    atomic_fetch_sub(&store->bytes, chunk->bytes);
}

void ist__result_release(ist__result *result)
{
    if (!result || atomic_fetch_sub(&result->references, 1) > 1)
        return;
    for (int i = 0; i < result->count; i++)
        free_chunk(result->store, &result->chunks[i]);
    free(result->chunks);
    free(result);
}

ist_status ist__result_store_charge(ist__result_store *store, int64_t bytes, ist_error *err)
{
    int64_t before = atomic_fetch_add(&store->bytes, bytes);
    if (before <= store->bytes_max - bytes)
        return IST_OK;
    atomic_fetch_sub(&store->bytes, bytes);
    return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED,
                         "the results that this server keeps have reached %" PRId64 " MiB: try again when others have"
                         " been fetched, or raise `isthmus serve --result-space`",
                         store->bytes_max / MIB);
}

void ist__result_store_discharge(ist__result_store *store, int64_t bytes)
{
    atomic_fetch_sub(&store->bytes, bytes);
}

/* Nothing is counted after an error. */
static ist_status charge(ist__result *result, int64_t bytes, ist_error *err)
{
    ist__result_store *store = result->store;
    if (bytes > store->statement_bytes_max - result->bytes)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED,
                             "the result is larger than the %" PRId64 " MiB that one may have on this server: narrow"
                             " the statement, or raise `isthmus serve --statement-space`",
                             store->statement_bytes_max / MIB);
    return ist__result_store_charge(store, bytes, err);
}

static ist_status check_file(int fd, int64_t bytes, ist_error *err)
{
    struct stat info;
    if (fd < 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a chunk came without its file");
    if (fstat(fd, &info) != 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot look at a chunk: %s", strerror(errno));
    if (!S_ISREG(info.st_mode) || info.st_size != bytes)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a chunk's file has %" PRId64 " bytes, not %" PRId64,
                             (int64_t)info.st_size, bytes);
    return IST_OK;
}

static ist_status read_all(int fd, char *out, int64_t size, ist_error *err)
{
    for (int64_t done = 0; done < size;) {
        ssize_t n = pread(fd, out + done, (size_t)(size - done), done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ist_error_set(err, IST_IO, n < 0 ? errno : 0, NULL, "cannot read a result: %s",
                                 n < 0 ? strerror(errno) : "its file is shorter than it was");
        done += n;
    }
    return IST_OK;
}

ist_status ist__chunk_read(const ist__chunk *chunk, char *out, ist_error *err)
{
    if (chunk->fd >= 0)
        return read_all(chunk->fd, out, chunk->bytes, err);
    if (chunk->bytes > 0)
        memcpy(out, chunk->data, (size_t)chunk->bytes);
    return IST_OK;
}

/* A small chunk into memory; a larger one stays where it is, if another file may be open. */
static ist_status settle(ist__result_store *store, ist__chunk *chunk, ist_error *err)
{
    if (chunk->bytes > IST__CHUNK_IN_MEMORY_MAX) {
        if (atomic_fetch_add(&store->files, 1) < store->files_max)
            return IST_OK;
        atomic_fetch_sub(&store->files, 1);
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED,
                             "the results that this server keeps are in %d files, as many as it may have open: try"
                             " again when others have been fetched, or raise its limit of open files (ulimit -n)",
                             store->files_max);
    }
    IST_TRY(ist__alloc((size_t)chunk->bytes, 1, (void **)&chunk->data, err));
    ist_status status = read_all(chunk->fd, chunk->data, chunk->bytes, err);
    if (status != IST_OK) {
        free(chunk->data);
        return status;
    }
    close(chunk->fd);
    chunk->fd = -1;
    return IST_OK;
}

static ist_status make_room(ist__result *result, ist_error *err)
{
    if (result->count < result->room)
        return IST_OK;
    int room = result->room ? 2 * result->room : 4;
    ist__chunk *chunks = realloc(result->chunks, (size_t)room * sizeof *chunks);
    if (!chunks)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a result's chunks");
    result->chunks = chunks;
    result->room = room;
    return IST_OK;
}

ist_status ist__result_add(ist__result *result, int fd, int64_t rows, int64_t bytes, ist_error *err)
{
    ist__chunk chunk = {.fd = fd, .bytes = bytes, .rows = rows, .row_offset = result->rows};
    ist_status status = check_file(fd, bytes, err);
    if (status == IST_OK && rows > INT64_MAX - result->rows)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "its chunks have more rows than can be counted");
    if (status == IST_OK)
        status = make_room(result, err);
    if (status == IST_OK)
        status = charge(result, bytes, err);
    if (status == IST_OK) {
        status = settle(result->store, &chunk, err);
        if (status != IST_OK)
            ist__result_store_discharge(result->store, bytes);
    }
    if (status != IST_OK) {
        if (fd >= 0)
            close(fd);
        return status;
    }
    result->chunks[result->count++] = chunk;
    result->rows += rows;
    result->bytes += bytes;
    return IST_OK;
}
