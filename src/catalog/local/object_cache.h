/*
 * object_cache.h: the objects that were asked for by name a moment ago, as JSON. Library-private.
 *
 * Clients ask for the same few tables over and over. An entry is an object's chain and its JSON, the same for everybody:
 * who asks is authorized on the chain at each request. It is good as long as nothing at all is committed: `commits` is
 * odd while a COMMIT is under way and another even number after it, so that what is found is what a transaction begun
 * now would read. A process that opens the same database itself is not seen: for it no entry lives longer than a second.
 *
 *     unsigned begun = ist__object_cache_begin(local);      // before the transaction
 *     ... read the object in a transaction ...
 *     ist__object_cache_put(local, begun, kind, name, &chain, json, size);
 *
 * Threading: internally locked.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_OBJECT_CACHE_H
#define ISTHMUS_CATALOG_LOCAL_OBJECT_CACHE_H

#include "catalog/local/grants.h"

enum {
    IST__OBJECT_CACHE_SLOTS = 2048,            /* one object each, the later takes it; a power of two */
    IST__OBJECT_CACHE_BYTES = 4 * 1024 * 1024, /* what would go beyond starts it anew */
    IST__OBJECT_CACHE_LIFE_MS = 1000,
};

typedef struct ist__object_cache ist__object_cache;

typedef struct ist__cached_object {
    atomic_int references;
    ist_securable kind;
    unsigned commits;   /* none was made since it was read at this count */
    int64_t read_at_us; /* monotonic */
    ist__chain chain;
    size_t name_size, json_size;
    char text[]; /* the name's parts, each ended by NUL, then the JSON */
} ist__cached_object;

/* Made and freed with the catalog. */
ist_status ist__object_cache_open(ist__local *local, ist_error *err);
void ist__object_cache_close(ist__local *local);

/* Find an object: held, ist__object_cache_release; NULL where it is not there or no longer good. */
ist__cached_object *ist__object_cache_find(ist__local *local, ist_securable kind, const ist__name *name);
/* NULL is allowed. */
void ist__object_cache_release(ist__cached_object *object);
const char *ist__cached_object_json(const ist__cached_object *object);

/* To be called before the transaction that reads what is put. */
unsigned ist__object_cache_begin(ist__local *local);
/* Keep an object, unless a COMMIT came between. Where there is no memory it is not kept. */
void ist__object_cache_put(ist__local *local, unsigned begun, ist_securable kind, const ist__name *name,
                           const ist__chain *chain, const char *json, size_t size);

#endif
