/* object_cache.c: objects by name, in a table of slots. */
#include "catalog/local/object_cache.h"

#include "catalog/local/local_internal.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = IST__NAME_PARTS_MAX * (IST__NAME_MAX + 1) };

struct ist__object_cache {
    pthread_mutex_t mutex;
    size_t bytes;
    ist__cached_object *slots[IST__OBJECT_CACHE_SLOTS];
};

ist_status ist__object_cache_open(ist__local *local, ist_error *err)
{
    IST_TRY(ist__alloc(1, sizeof *local->objects, (void **)&local->objects, err));
    pthread_mutex_init(&local->objects->mutex, NULL);
    return IST_OK;
}

static size_t size_of(const ist__cached_object *object)
{
    return object ? sizeof *object + object->name_size + object->json_size : 0;
}

/* Call with the mutex held, as what follows. */
static void set_slot(ist__object_cache *cache, ist__cached_object **slot, ist__cached_object *object)
{
    cache->bytes += size_of(object) - size_of(*slot);
    ist__object_cache_release(*slot);
    *slot = object;
}

static void empty(ist__object_cache *cache)
{
    for (int i = 0; i < IST__OBJECT_CACHE_SLOTS; i++)
        set_slot(cache, &cache->slots[i], NULL);
}

void ist__object_cache_close(ist__local *local)
{
    if (!local->objects)
        return;
    empty(local->objects);
    pthread_mutex_destroy(&local->objects->mutex);
    free(local->objects);
}

void ist__object_cache_release(ist__cached_object *object)
{
    if (object && atomic_fetch_sub(&object->references, 1) == 1)
        free(object);
}

const char *ist__cached_object_json(const ist__cached_object *object)
{
    return object->text + object->name_size;
}

/* The parts one after the other, each ended by NUL. */
static size_t write_key(const ist__name *name, char out[KEY_MAX])
{
    size_t at = 0;
    for (int i = 0; i < name->count; i++) {
        size_t size = strlen(name->part[i]) + 1;
        memcpy(out + at, name->part[i], size);
        at += size;
    }
    return at;
}

static ist__cached_object **slot_of(ist__object_cache *cache, ist_securable kind, const char *key, size_t size)
{
    uint64_t hash = 14695981039346656037u ^ (uint64_t)kind; /* FNV-1a: a crowded slot costs a look-up, nothing more */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)key[i]) * 1099511628211u;
    return &cache->slots[(hash >> 32) & (IST__OBJECT_CACHE_SLOTS - 1)];
}

ist__cached_object *ist__object_cache_find(ist__local *local, ist_securable kind, const ist__name *name)
{
    ist__object_cache *cache = local->objects;
    char key[KEY_MAX];
    unsigned commits = atomic_load(&local->commits);
    int64_t oldest = ist__monotonic_us() - IST__OBJECT_CACHE_LIFE_MS * 1000;
    size_t size = write_key(name, key);
    pthread_mutex_lock(&cache->mutex);
    ist__cached_object *object = *slot_of(cache, kind, key, size);
    bool good = object && object->kind == kind && object->commits == commits && object->read_at_us > oldest &&
                object->name_size == size && memcmp(object->text, key, size) == 0;
    if (good)
        atomic_fetch_add(&object->references, 1);
    pthread_mutex_unlock(&cache->mutex);
    return good ? object : NULL;
}

unsigned ist__object_cache_begin(ist__local *local)
{
    return atomic_load(&local->commits);
}

void ist__object_cache_put(ist__local *local, unsigned begun, ist_securable kind, const ist__name *name,
                           const ist__chain *chain, const char *json, size_t json_size)
{
    ist__object_cache *cache = local->objects;
    char key[KEY_MAX];
    size_t size = write_key(name, key), bytes = sizeof(ist__cached_object) + size + json_size;
    bool under_way = begun % 2 == 1 || begun != atomic_load(&local->commits);
    ist__cached_object *object = under_way || bytes > IST__OBJECT_CACHE_BYTES / 16 ? NULL : malloc(bytes);
    if (!object)
        return;
    *object = (ist__cached_object){.references = 1, .kind = kind, .commits = begun, .chain = *chain, .name_size = size,
                                   .json_size = json_size, .read_at_us = ist__monotonic_us()};
    memcpy(object->text, key, size);
    memcpy(object->text + size, json, json_size);
    pthread_mutex_lock(&cache->mutex);
    if (cache->bytes + bytes > IST__OBJECT_CACHE_BYTES)
        empty(cache);
    set_slot(cache, slot_of(cache, kind, key, size), object);
    pthread_mutex_unlock(&cache->mutex);
}
