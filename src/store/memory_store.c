/*
 * memory_store.c: the fake store of the tests, with the promises of the real ones. One lock; objects in order of path.
 *
 * Bytes of an object never change: a put makes a new blob, and readers keep the one that they opened.
 */
#include "store/store_internal.h"
#include "util/util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct blob {
    atomic_int references;
    size_t size;
    char data[];
} blob;

typedef struct object {
    char *path;
    blob *content;
    int64_t modified_ms;
} object;

typedef struct memory_store {
    struct ist_store base;
    pthread_mutex_t lock;
    object *objects; /* sorted by path */
    size_t count, capacity;
} memory_store;

typedef struct memory_reader {
    struct ist_store_reader base;
    blob *content;
} memory_reader;

typedef struct memory_writer {
    struct ist_store_writer base;
    memory_store *store;
    char *path;
    ist_buffer bytes;
} memory_writer;

static blob *blob_hold(blob *content)
{
    atomic_fetch_add(&content->references, 1);
    return content;
}

static void blob_drop(blob *content)
{
    if (content && atomic_fetch_sub(&content->references, 1) == 1)
        free(content);
}

/* Where `path` is or would be; *found tells which. */
static size_t find(const memory_store *store, const char *path, bool *found)
{
    size_t low = 0, high = store->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(store->objects[middle].path, path);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

static ist_status no_such(const char *path, ist_error *err)
{
    return ist_error_set(err, IST_NOT_FOUND, 0, path, "there is no object %s", path);
}

/* A reference on the content of `path`, and its time. */
static ist_status hold(memory_store *store, const char *path, blob **content, int64_t *modified_ms, ist_error *err)
{
    bool found;
    pthread_mutex_lock(&store->lock);
    size_t at = find(store, path, &found);
    if (found) {
        *content = blob_hold(store->objects[at].content);
        if (modified_ms)
            *modified_ms = store->objects[at].modified_ms;
    }
    pthread_mutex_unlock(&store->lock);
    return found ? IST_OK : no_such(path, err);
}

static void memory_free(ist_store *base)
{
    memory_store *store = (memory_store *)base;
    for (size_t i = 0; i < store->count; i++) {
        free(store->objects[i].path);
        blob_drop(store->objects[i].content);
    }
    free(store->objects);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static ist_status memory_get(ist_store *base, const char *path, ist_buffer *out, ist_error *err)
{
    blob *content;
    IST_TRY(hold((memory_store *)base, path, &content, NULL, err));
    ist_status status = ist_buffer_append(out, content->data, content->size, err);
    blob_drop(content);
    return status;
}

/* Takes path and content when it succeeds. Called under the lock. */
static ist_status insert(memory_store *store, size_t at, char *path, blob *content, ist_error *err)
{
    if (store->count == store->capacity) {
        size_t capacity = store->capacity ? store->capacity * 2 : 16;
        object *objects = realloc(store->objects, capacity * sizeof *objects);
        if (!objects)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for %zu objects", capacity);
        store->objects = objects;
        store->capacity = capacity;
    }
    memmove(store->objects + at + 1, store->objects + at, (store->count - at) * sizeof *store->objects);
    store->objects[at] = (object){path, content, ist__now_ms()};
    store->count++;
    return IST_OK;
}

static ist_status memory_put(ist_store *base, const char *path, const void *data, size_t size, ist_put_mode mode,
                             ist_error *err)
{
    memory_store *store = (memory_store *)base;
    blob *content = NULL;
    char *name = NULL;
    ist_status status;
    IST_TRY_GOTO(ist__alloc(1, sizeof *content + size, (void **)&content, err));
    IST_TRY_GOTO(ist__strdup(path, &name, err));
    content->references = 1;
    content->size = size;
    if (size)
        memcpy(content->data, data, size);
    bool found;
    pthread_mutex_lock(&store->lock);
    size_t at = find(store, path, &found);
    if (found && mode == IST_PUT_IF_ABSENT) {
        status = ist_error_set(err, IST_ALREADY_EXISTS, 0, path, "%s exists already", path);
    } else if (found) {
        blob *old = store->objects[at].content;
        store->objects[at].content = content;
        store->objects[at].modified_ms = ist__now_ms();
        content = old;
    } else {
        status = insert(store, at, name, content, err);
        if (status == IST_OK) {
            name = NULL;
            content = NULL;
        }
    }
    pthread_mutex_unlock(&store->lock);
done:
    free(name);
    blob_drop(content);
    return status;
}

static ist_status memory_stat(ist_store *base, const char *path, ist_store_entry *entry, ist_error *err)
{
    blob *content;
    IST_TRY(hold((memory_store *)base, path, &content, &entry->modified_ms, err));
    entry->size = content->size;
    blob_drop(content);
    return IST_OK;
}

/* The next object directly inside `folder` whose name sorts after `after` (NULL: the first), copied to *name. */
static bool next_in_folder(memory_store *store, const char *folder, const char *after, char **name,
                           ist_store_entry *entry)
{
    size_t prefix = *folder ? strlen(folder) + 1 : 0;
    *name = NULL;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->count && !*name; i++) {
        const object *item = &store->objects[i];
        if (prefix && (strncmp(item->path, folder, prefix - 1) != 0 || item->path[prefix - 1] != '/'))
            continue;
        const char *last = item->path + prefix;
        if (strchr(last, '/') || (after && strcmp(last, after) <= 0))
            continue;
        *name = strdup(item->path);
        entry->size = item->content->size;
        entry->modified_ms = item->modified_ms;
        break;
    }
    pthread_mutex_unlock(&store->lock);
    return *name != NULL;
}

static ist_status memory_list(ist_store *base, const char *folder, const char *start_after, ist_store_list_cb cb,
                              void *payload, ist_error *err)
{
    (void)err;
    size_t prefix = *folder ? strlen(folder) + 1 : 0;
    char *name, *last = NULL;
    ist_store_entry entry;
    bool go_on = true;
    while (go_on && next_in_folder((memory_store *)base, folder, last ? last + prefix : start_after, &name, &entry)) {
        free(last);
        last = name;
        entry.path = name;
        go_on = cb(&entry, payload); /* the lock is free: the callback may use the store */
    }
    free(last);
    return IST_OK;
}

static ist_status memory_remove(ist_store *base, const char *path, ist_error *err)
{
    (void)err;
    memory_store *store = (memory_store *)base;
    bool found;
    pthread_mutex_lock(&store->lock);
    size_t at = find(store, path, &found);
    if (found) {
        free(store->objects[at].path);
        blob_drop(store->objects[at].content);
        store->count--;
        memmove(store->objects + at, store->objects + at + 1, (store->count - at) * sizeof *store->objects);
    }
    pthread_mutex_unlock(&store->lock);
    return IST_OK;
}

static ist_status memory_reader_open(ist_store *base, const char *path, ist_store_reader **out, ist_error *err)
{
    memory_reader *reader;
    blob *content;
    IST_TRY(hold((memory_store *)base, path, &content, NULL, err));
    ist_status status = ist__alloc(1, sizeof *reader, (void **)&reader, err);
    if (status != IST_OK) {
        blob_drop(content);
        return status;
    }
    reader->base = (struct ist_store_reader){base->ops, content->size};
    reader->content = content;
    *out = &reader->base;
    return IST_OK;
}

static ist_status memory_reader_read(ist_store_reader *base, uint64_t offset, void *data, size_t size, ist_error *err)
{
    (void)err;
    memcpy(data, ((memory_reader *)base)->content->data + offset, size);
    return IST_OK;
}

static void memory_reader_free(ist_store_reader *base)
{
    memory_reader *reader = (memory_reader *)base;
    blob_drop(reader->content);
    free(reader);
}

static ist_status memory_writer_open(ist_store *base, const char *path, ist_store_writer **out, ist_error *err)
{
    memory_writer *writer;
    IST_TRY(ist__alloc(1, sizeof *writer, (void **)&writer, err));
    writer->base.ops = base->ops;
    writer->store = (memory_store *)base;
    ist_status status = ist__strdup(path, &writer->path, err);
    if (status != IST_OK)
        free(writer);
    else
        *out = &writer->base;
    return status;
}

static ist_status memory_writer_write(ist_store_writer *base, const void *data, size_t size, ist_error *err)
{
    return ist_buffer_append(&((memory_writer *)base)->bytes, data, size, err);
}

static ist_status memory_writer_close(ist_store_writer *base, ist_error *err)
{
    memory_writer *writer = (memory_writer *)base;
    return memory_put(&writer->store->base, writer->path, writer->bytes.data, writer->bytes.size, IST_PUT_REPLACE, err);
}

static void memory_writer_free(ist_store_writer *base)
{
    memory_writer *writer = (memory_writer *)base;
    ist_buffer_free(&writer->bytes);
    free(writer->path);
    free(writer);
}

static const ist_store_ops memory_ops = {
    .free = memory_free,
    .get = memory_get,
    .put = memory_put,
    .stat = memory_stat,
    .list = memory_list,
    .remove = memory_remove,
    .reader_open = memory_reader_open,
    .reader_read = memory_reader_read,
    .reader_free = memory_reader_free,
    .writer_open = memory_writer_open,
    .writer_write = memory_writer_write,
    .writer_close = memory_writer_close,
    .writer_free = memory_writer_free,
};

ist_status ist_store_open_memory(ist_store **out, ist_error *err)
{
    memory_store *store;
    IST_TRY(ist__alloc(1, sizeof *store, (void **)&store, err));
    store->base.ops = &memory_ops;
    ist_status status = ist__strdup("memory:", &store->base.uri, err);
    if (status != IST_OK) {
        free(store);
        return status;
    }
    pthread_mutex_init(&store->lock, NULL);
    *out = &store->base;
    return IST_OK;
}
