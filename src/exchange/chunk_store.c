/*
 * chunk_store.c: exchanges, chunks, leases and their accounting.
 *
 * A chunk goes GRANTED -> SEALED -> FREED. It is charged to memory from its grant until its segment is no longer needed:
 * a freed chunk that a reader has still mapped stays charged until that reader lets go, for so long the pages exist. A
 * spilled chunk is charged to spill_used instead. Sealed chunks in memory stand in a list by last use, for spilling.
 *
 * A segment is a memfd. Sealing it (F_SEAL_*) is what lets a reader map it and trust it: neither its bytes nor its size
 * can change any more, whatever the writer still holds.
 */
#include "exchange/chunk_store.h"

#include "util/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* ---- tables by id -------------------------------------------------------------------------------------------- */

/* First member of everything that stands in a table. */
typedef struct node {
    struct node *next;
    char id[IST_ID_SIZE];
} node;

typedef struct table {
    node **slots;
    size_t slot_count; /* 0, or a power of two */
    size_t count;
} table;

/* FNV-1a. Ids are made here and random; those that a client makes up are only ever looked up. */
static size_t hash_id(const char *id)
{
    uint64_t hash = 1469598103934665603u;
    for (int i = 0; i < IST_ID_SIZE - 1; i++)
        hash = (hash ^ (uint8_t)id[i]) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32);
}

static node **table_slot(const table *t, const char *id)
{
    if (t->slot_count == 0)
        return NULL;
    node **at = &t->slots[hash_id(id) & (t->slot_count - 1)];
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static void *table_find(const table *t, const char *id)
{
    node **at = table_slot(t, id);
    return at ? *at : NULL;
}

/* Make room for one more, so that table_insert cannot fail. */
static ist_status table_reserve(table *t, ist_error *err)
{
    if (t->count < t->slot_count)
        return IST_OK;
    size_t slot_count = t->slot_count ? t->slot_count * 2 : 16;
    node **slots;
    IST_TRY(ist__alloc(slot_count, sizeof *slots, (void **)&slots, err));
    for (size_t i = 0; i < t->slot_count; i++) {
        for (node *n = t->slots[i], *next; n; n = next) {
            next = n->next;
            node **at = &slots[hash_id(n->id) & (slot_count - 1)];
            n->next = *at;
            *at = n;
        }
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = slot_count;
    return IST_OK;
}

static void table_insert(table *t, node *n)
{
    node **at = table_slot(t, n->id);
    n->next = *at;
    *at = n;
    t->count++;
}

static void table_remove(table *t, node *n)
{
    node **at = table_slot(t, n->id);
    *at = n->next;
    t->count--;
}

/* Some node of the table; NULL when it is empty. For emptying it: `from` remembers how far that is. */
static void *table_any(const table *t, size_t *from)
{
    for (; *from < t->slot_count; (*from)++)
        if (t->slots[*from])
            return t->slots[*from];
    return NULL;
}

/* ---- the state ----------------------------------------------------------------------------------------------- */

typedef enum chunk_state { GRANTED, SEALED, FREED } chunk_state;

/* Doubly linked, in a ring; the head is a link of it. */
typedef struct ring {
    struct ring *next, *prev;
} ring;

typedef struct exchange {
    node node; /* in store->exchanges */
    uint64_t leases;
    ring chunks; /* ist__chunk.of_exchange: granted and sealed */
} exchange;

struct ist__chunk {
    node node; /* in store->chunks while granted or sealed */
    chunk_state state;
    exchange *exchange;  /* NULL once freed */
    ist__holder *writer; /* while granted */
    ring of_exchange;
    ring of_list; /* granted: in the writer's grants; sealed and in memory: in store->by_use */
    int memory;   /* memfd; -1 when spilled */
    int file;     /* -1 when not spilled */
    uint64_t size;
    uint64_t charged; /* bytes in memory_used */
    int64_t rows;
    uint64_t maps; /* of all holders */
    bool spilling;
};

/* How many times a holder has something: a lease on an exchange, a map of a chunk. */
typedef struct share {
    node node; /* the exchange's or the chunk's id */
    uint64_t count;
    void *of;
} share;

struct ist__holder {
    ist__chunk_store *store;
    table leases;
    table maps;
    ring grants;
};

struct ist__chunk_store {
    table exchanges;
    table chunks;
    ring by_use; /* least recently used first */
    char *spill_dir;
    size_t holders;
    ist__chunk_counters counters;
};

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static void ring_init(ring *r)
{
    r->next = r->prev = r;
}

static void ring_remove(ring *r)
{
    r->prev->next = r->next;
    r->next->prev = r->prev;
    ring_init(r);
}

static void ring_append(ring *head, ring *r)
{
    r->prev = head->prev;
    r->next = head;
    head->prev->next = r;
    head->prev = r;
}

static uint64_t read_number(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    return strtoull(text, NULL, 10); /* "max" gives 0 */
}

uint64_t ist__chunk_store_default_limit(void)
{
    struct sysinfo node_info;
    uint64_t memory = sysinfo(&node_info) == 0 ? (uint64_t)node_info.totalram * node_info.mem_unit : (uint64_t)1 << 30;
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        uint64_t limit = read_number(limits[i]);
        if (limit && limit < memory)
            memory = limit;
    }
    return memory / 2;
}

ist_status ist__chunk_store_new(uint64_t limit, const char *spill_dir, ist__chunk_store **out, ist_error *err)
{
    ist__chunk_store *store;
    IST_TRY(ist__alloc(1, sizeof *store, (void **)&store, err));
    ring_init(&store->by_use);
    store->counters.memory_limit = limit;
    if (spill_dir && ist__strdup(spill_dir, &store->spill_dir, err) != IST_OK) {
        free(store);
        return IST_NO_MEMORY;
    }
    *out = store;
    return IST_OK;
}

void ist__chunk_store_counters(const ist__chunk_store *store, ist__chunk_counters *out)
{
    *out = store->counters;
    out->exchanges = store->exchanges.count;
    out->chunks = store->chunks.count;
}

ist_status ist__holder_new(ist__chunk_store *store, ist__holder **out, ist_error *err)
{
    ist__holder *holder;
    IST_TRY(ist__alloc(1, sizeof *holder, (void **)&holder, err));
    holder->store = store;
    ring_init(&holder->grants);
    store->holders++;
    *out = holder;
    return IST_OK;
}

/* ---- chunks -------------------------------------------------------------------------------------------------- */

static uint64_t pages(uint64_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

static void fill_info(const ist__chunk *chunk, ist_chunk_info *out)
{
    memcpy(out->id, chunk->node.id, IST_ID_SIZE);
    memcpy(out->exchange, chunk->exchange->node.id, IST_ID_SIZE);
    out->rows = chunk->rows;
    out->bytes = (int64_t)chunk->size;
    out->spilled = chunk->file >= 0;
}

/* Free what nobody needs any more of a freed chunk. */
static void chunk_destroy_if_unused(ist__chunk_store *store, ist__chunk *chunk)
{
    if (chunk->state != FREED || chunk->maps || chunk->spilling)
        return;
    if (chunk->memory >= 0)
        close(chunk->memory);
    if (chunk->file >= 0) {
        close(chunk->file);
        store->counters.spill_used -= chunk->size;
    }
    store->counters.memory_used -= chunk->charged;
    free(chunk);
}

static void chunk_free(ist__chunk_store *store, ist__chunk *chunk)
{
    table_remove(&store->chunks, &chunk->node);
    ring_remove(&chunk->of_exchange);
    ring_remove(&chunk->of_list);
    chunk->state = FREED;
    chunk->exchange = NULL;
    chunk->writer = NULL;
    store->counters.freed++;
    chunk_destroy_if_unused(store, chunk);
}

static ist_status no_memory(const ist__chunk_store *store, uint64_t more, ist_error *err)
{
    const ist__chunk_counters *c = &store->counters;
    const char *advice = store->spill_dir
                             ? "free datasets that are no longer needed, or raise it: isthmus daemon --memory"
                             : "free datasets that are no longer needed, raise it (isthmus daemon --memory), or let "
                               "chunks go to disk (--spill-dir)";
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL,
                         "the exchange's memory is used up: %" PRIu64 " of %" PRIu64 " MiB are in use, %" PRIu64
                         " MiB more were asked for; %s",
                         c->memory_used >> 20, c->memory_limit >> 20, (more + (1 << 20) - 1) >> 20, advice);
}

static bool has_room(const ist__chunk_store *store, uint64_t more)
{
    const ist__chunk_counters *c = &store->counters;
    return more <= c->memory_limit && c->memory_used <= c->memory_limit - more;
}

static ist_status resize(ist__chunk_store *store, ist__chunk *chunk, uint64_t size, ist_error *err)
{
    if (ftruncate(chunk->memory, (off_t)size) != 0)
        return ist_error_set(err, errno == ENOMEM ? IST_NO_MEMORY : IST_IO, errno, NULL,
                             "cannot make a segment %" PRIu64 " bytes large: %s", size, strerror(errno));
    store->counters.memory_used = store->counters.memory_used - chunk->charged + pages(size);
    chunk->charged = pages(size);
    chunk->size = size;
    return IST_OK;
}

static exchange *find_exchange(const ist__chunk_store *store, const char *id, ist_error *err)
{
    exchange *found = table_find(&store->exchanges, id);
    if (!found)
        ist_error_set(err, IST_NOT_FOUND, 0, id, "there is no exchange %s: nobody holds a lease on it any more", id);
    return found;
}

static ist__chunk *find_grant(const ist__holder *holder, const char *id, ist_error *err)
{
    ist__chunk *chunk = table_find(&holder->store->chunks, id);
    if (chunk && chunk->state == GRANTED && chunk->writer == holder)
        return chunk;
    ist_error_set(err, IST_NOT_FOUND, 0, id,
                  "chunk %s is not granted to this client: its exchange was freed, or it is sealed already", id);
    return NULL;
}

static ist__chunk *find_sealed(const ist__holder *holder, const char *id, ist_error *err)
{
    ist__chunk *chunk = table_find(&holder->store->chunks, id);
    if (chunk && chunk->state == SEALED)
        return chunk;
    ist_error_set(err, IST_NOT_FOUND, 0, id,
                  chunk ? "chunk %s is still being written"
                        : "there is no chunk %s: it was freed, or nobody holds its exchange any more",
                  id);
    return NULL;
}

ist_status ist__holder_grant(ist__holder *holder, const char *exchange_id, uint64_t size, ist__segment *out,
                             ist_error *err)
{
    ist__chunk_store *store = holder->store;
    ist__chunk *chunk = NULL;
    exchange *of = find_exchange(store, exchange_id, err);
    if (!of)
        return IST_NOT_FOUND;
    if (size > INT64_MAX - PAGE || !has_room(store, pages(size)))
        return no_memory(store, size, err);
    IST_TRY(table_reserve(&store->chunks, err));
    IST_TRY(ist__alloc(1, sizeof *chunk, (void **)&chunk, err));
    chunk->file = -1;
    chunk->memory = memfd_create("isthmus-chunk", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (chunk->memory < 0) {
        free(chunk);
        return ist_error_set(err, IST_NO_MEMORY, errno, NULL, "cannot make a shared memory segment: %s",
                             strerror(errno));
    }
    if (resize(store, chunk, pages(size), err) != IST_OK) {
        close(chunk->memory);
        free(chunk);
        return IST_NO_MEMORY;
    }
    ist__uuid(chunk->node.id);
    table_insert(&store->chunks, &chunk->node);
    chunk->exchange = of;
    chunk->writer = holder;
    ring_append(&of->chunks, &chunk->of_exchange);
    ring_append(&holder->grants, &chunk->of_list);
    store->counters.granted++;
    fill_info(chunk, &out->info);
    out->fd = chunk->memory;
    return IST_OK;
}

ist_status ist__holder_grow(ist__holder *holder, const char *id, uint64_t size, uint64_t *granted, ist_error *err)
{
    ist__chunk *chunk = find_grant(holder, id, err);
    if (!chunk)
        return IST_NOT_FOUND;
    if (size > chunk->size) {
        uint64_t more = size - chunk->size;
        if (size > INT64_MAX - PAGE || !has_room(holder->store, pages(more)))
            return no_memory(holder->store, more, err);
        IST_TRY(resize(holder->store, chunk, pages(size), err));
    }
    *granted = chunk->size;
    return IST_OK;
}

ist_status ist__holder_seal(ist__holder *holder, const char *id, uint64_t used, int64_t rows, ist_chunk_info *out,
                            ist_error *err)
{
    ist__chunk_store *store = holder->store;
    ist__chunk *chunk = find_grant(holder, id, err);
    if (!chunk)
        return IST_NOT_FOUND;
    if (used == 0 || used > chunk->size || rows < 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, id,
                             "cannot seal chunk %s with %" PRIu64 " bytes and %" PRId64 " rows: %" PRIu64
                             " bytes are granted",
                             id, used, rows, chunk->size);
    /* The seal that can be refused comes first: after that the grant can no longer be written to. */
    if (fcntl(chunk->memory, F_ADD_SEALS, F_SEAL_WRITE) != 0)
        return ist_error_set(err, IST_BAD_INPUT, errno, id,
                             errno == EBUSY ? "cannot seal chunk %s: its segment is still mapped for writing"
                                            : "cannot seal chunk %s",
                             id);
    IST_TRY(resize(store, chunk, used, err));
    if (fcntl(chunk->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return ist_error_set(err, IST_IO, errno, id, "cannot seal chunk %s: %s", id, strerror(errno));
    chunk->state = SEALED;
    chunk->writer = NULL;
    chunk->rows = rows;
    ring_remove(&chunk->of_list);
    ring_append(&store->by_use, &chunk->of_list);
    store->counters.sealed++;
    store->counters.bytes_sealed += used;
    fill_info(chunk, out);
    return IST_OK;
}

ist_status ist__holder_cancel(ist__holder *holder, const char *id, ist_error *err)
{
    ist__chunk *chunk = find_grant(holder, id, err);
    if (!chunk)
        return IST_NOT_FOUND;
    chunk_free(holder->store, chunk);
    return IST_OK;
}

ist_status ist__holder_free_chunk(ist__holder *holder, const char *id, ist_error *err)
{
    ist__chunk *chunk = find_sealed(holder, id, err);
    if (!chunk)
        return IST_NOT_FOUND;
    chunk_free(holder->store, chunk);
    return IST_OK;
}

/* ---- shares: leases and maps --------------------------------------------------------------------------------- */

static ist_status share_add(table *t, const char *id, void *of, ist_error *err)
{
    share *s = table_find(t, id);
    if (!s) {
        IST_TRY(table_reserve(t, err));
        IST_TRY(ist__alloc(1, sizeof *s, (void **)&s, err));
        memcpy(s->node.id, id, IST_ID_SIZE);
        s->of = of;
        table_insert(t, &s->node);
    }
    s->count++;
    return IST_OK;
}

static void share_drop(table *t, share *s)
{
    if (--s->count > 0)
        return;
    table_remove(t, &s->node);
    free(s);
}

static void exchange_unlease(ist__chunk_store *store, exchange *of)
{
    store->counters.leases--;
    if (--of->leases > 0)
        return;
    while (of->chunks.next != &of->chunks)
        chunk_free(store, CONTAINER(of->chunks.next, ist__chunk, of_exchange));
    table_remove(&store->exchanges, &of->node);
    free(of);
}

static void chunk_unmap(ist__chunk_store *store, ist__chunk *chunk)
{
    chunk->maps--;
    chunk_destroy_if_unused(store, chunk);
}

ist_status ist__holder_create(ist__holder *holder, char id[IST_ID_SIZE], ist_error *err)
{
    ist__chunk_store *store = holder->store;
    exchange *made;
    IST_TRY(table_reserve(&store->exchanges, err));
    IST_TRY(ist__alloc(1, sizeof *made, (void **)&made, err));
    ist__uuid(made->node.id);
    if (share_add(&holder->leases, made->node.id, made, err) != IST_OK) {
        free(made);
        return IST_NO_MEMORY;
    }
    ring_init(&made->chunks);
    made->leases = 1;
    store->counters.leases++;
    table_insert(&store->exchanges, &made->node);
    memcpy(id, made->node.id, IST_ID_SIZE);
    return IST_OK;
}

ist_status ist__holder_hold(ist__holder *holder, const char *id, ist_error *err)
{
    exchange *of = find_exchange(holder->store, id, err);
    if (!of)
        return IST_NOT_FOUND;
    IST_TRY(share_add(&holder->leases, id, of, err));
    of->leases++;
    holder->store->counters.leases++;
    return IST_OK;
}

ist_status ist__holder_release(ist__holder *holder, const char *id, ist_error *err)
{
    share *lease = table_find(&holder->leases, id);
    if (!lease)
        return ist_error_set(err, IST_NOT_FOUND, 0, id, "this client holds no lease on exchange %s", id);
    exchange *of = lease->of;
    share_drop(&holder->leases, lease);
    exchange_unlease(holder->store, of);
    return IST_OK;
}

ist_status ist__holder_map(ist__holder *holder, const char *id, ist__segment *out, ist_error *err)
{
    ist__chunk_store *store = holder->store;
    ist__chunk *chunk = find_sealed(holder, id, err);
    if (!chunk)
        return IST_NOT_FOUND;
    IST_TRY(share_add(&holder->maps, id, chunk, err));
    chunk->maps++;
    store->counters.mapped++;
    if (chunk->memory >= 0) {
        ring_remove(&chunk->of_list);
        ring_append(&store->by_use, &chunk->of_list);
    }
    fill_info(chunk, &out->info);
    out->fd = chunk->memory >= 0 ? chunk->memory : chunk->file;
    return IST_OK;
}

void ist__holder_unmap(ist__holder *holder, const char *id)
{
    share *map = table_find(&holder->maps, id);
    if (!map)
        return;
    ist__chunk *chunk = map->of;
    share_drop(&holder->maps, map);
    chunk_unmap(holder->store, chunk);
}

void ist__holder_free(ist__holder *holder)
{
    if (!holder)
        return;
    ist__chunk_store *store = holder->store;
    while (holder->grants.next != &holder->grants)
        chunk_free(store, CONTAINER(holder->grants.next, ist__chunk, of_list));
    size_t from = 0;
    for (share *map; (map = table_any(&holder->maps, &from));) {
        ist__chunk *chunk = map->of;
        share_drop(&holder->maps, map);
        chunk_unmap(store, chunk);
    }
    from = 0;
    for (share *lease; (lease = table_any(&holder->leases, &from));) {
        exchange *of = lease->of;
        share_drop(&holder->leases, lease);
        exchange_unlease(store, of);
    }
    free(holder->maps.slots);
    free(holder->leases.slots);
    free(holder);
    store->holders--;
}

void ist__chunk_store_free(ist__chunk_store *store)
{
    if (!store)
        return;
    free(store->exchanges.slots); /* empty: with the last holder went the last lease */
    free(store->chunks.slots);
    free(store->spill_dir);
    free(store);
}

/* ---- spilling ------------------------------------------------------------------------------------------------ */

bool ist__chunk_store_spill_begin(ist__chunk_store *store, ist__spill *out)
{
    if (!store->spill_dir)
        return false;
    for (ring *r = store->by_use.next; r != &store->by_use; r = r->next) {
        ist__chunk *chunk = CONTAINER(r, ist__chunk, of_list);
        if (chunk->maps || chunk->spilling)
            continue;
        chunk->spilling = true;
        *out = (ist__spill){chunk, store->spill_dir, chunk->memory, chunk->size, -1, IST_OK, IST_ERROR_INIT};
        return true;
    }
    return false;
}

static ist_status spill_to_file(ist__spill *spill, ist_error *err)
{
    ist_status status = IST_OK;
    ist_buffer path = IST_BUFFER_INIT;
    int file = -1, target = -1;
    IST_TRY_GOTO(ist_buffer_printf(&path, err, "%s/chunk-XXXXXX", spill->dir));
    if (mkdir(spill->dir, 0700) == 0 || errno == EEXIST)
        file = mkostemp(path.data, O_CLOEXEC);
    if (file < 0) {
        status = ist_error_set(err, IST_IO, errno, spill->dir, "cannot make a file in the spill folder %s: %s",
                               spill->dir, strerror(errno));
        goto done;
    }
    /* Readers get a descriptor that cannot write; the name goes at once, so that no crash leaves a file behind. */
    target = open(path.data, O_RDONLY | O_CLOEXEC);
    int open_errno = errno;
    unlink(path.data);
    if (target < 0) {
        status = ist_error_set(err, IST_IO, open_errno, spill->dir, "cannot open a spill file: %s",
                               strerror(open_errno));
        goto done;
    }
    off_t offset = 0;
    while ((uint64_t)offset < spill->size) {
        ssize_t n = sendfile(file, spill->source, &offset, (size_t)(spill->size - (uint64_t)offset));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            status = ist_error_set(err, IST_IO, errno, spill->dir, "cannot write to the spill folder %s: %s",
                                   spill->dir, strerror(errno));
            goto done;
        }
    }
    spill->target = target;
    target = -1;

done:
    if (target >= 0)
        close(target);
    if (file >= 0)
        close(file);
    ist_buffer_free(&path);
    return status;
}

void ist__spill_run(ist__spill *spill)
{
    spill->status = spill_to_file(spill, &spill->error);
}

ist_status ist__chunk_store_spill_end(ist__chunk_store *store, ist__spill *spill, ist_error *err)
{
    ist__chunk *chunk = spill->chunk;
    chunk->spilling = false;
    if (spill->status != IST_OK) {
        if (err)
            *err = spill->error;
    } else {
        store->counters.spill_writes++;
        store->counters.spilled_bytes += spill->size;
        if (chunk->state == FREED || chunk->maps) {
            close(spill->target);
        } else {
            close(chunk->memory);
            chunk->memory = -1;
            chunk->file = spill->target;
            ring_remove(&chunk->of_list);
            store->counters.memory_used -= chunk->charged;
            chunk->charged = 0;
            store->counters.spill_used += chunk->size;
        }
    }
    chunk_destroy_if_unused(store, chunk);
    return spill->status;
}
