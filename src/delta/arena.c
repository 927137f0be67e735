/* arena.c: memory that is freed all at once, in a chain of blocks. */
#include "delta/delta_internal.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_FIRST = 16 << 10, BLOCK_LARGEST = 1 << 20, ALIGNMENT = 8 };

typedef struct block {
    struct block *next;
    size_t used;
    size_t capacity;
    char data[];
} block;

typedef struct adopted {
    struct adopted *next;
    void *memory;
} adopted;

struct ist__arena {
    block *blocks; /* the first is the one being filled */
    adopted *adopted;
    size_t block_size;
    yyjson_alc *json;
};

ist_status ist__arena_new(ist__arena **out, ist_error *err)
{
    IST_TRY(ist__alloc(1, sizeof **out, (void **)out, err));
    (*out)->block_size = BLOCK_FIRST;
    return IST_OK;
}

void *ist__arena_alloc(ist__arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    block *current = arena->blocks;
    if (!current || current->capacity - current->used < size) {
        bool own = size > arena->block_size / 4; /* does not end the block being filled */
        size_t capacity = own ? size : arena->block_size;
        block *added = malloc(sizeof *added + capacity);
        if (!added)
            return NULL;
        *added = (block){.capacity = capacity};
        if (own && current) {
            added->next = current->next;
            current->next = added;
        } else {
            added->next = current;
            arena->blocks = added;
        }
        if (!own && arena->block_size < BLOCK_LARGEST)
            arena->block_size *= 2;
        current = added;
    }
    void *result = current->data + current->used;
    current->used += size;
    return result;
}

char *ist__arena_copy(ist__arena *arena, const char *text, size_t size)
{
    char *copy = size < SIZE_MAX ? ist__arena_alloc(arena, size + 1) : NULL;
    if (copy) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

bool ist__arena_adopt(ist__arena *arena, void *memory)
{
    adopted *entry = ist__arena_alloc(arena, sizeof *entry);
    if (!entry) {
        free(memory);
        return false;
    }
    *entry = (adopted){arena->adopted, memory};
    arena->adopted = entry;
    return true;
}

const yyjson_alc *ist__arena_json(ist__arena *arena)
{
    if (!arena->json)
        arena->json = yyjson_alc_dyn_new();
    return arena->json; /* NULL is yyjson's word for malloc */
}

void ist__arena_free(ist__arena *arena)
{
    if (!arena)
        return;
    for (adopted *entry = arena->adopted; entry; entry = entry->next)
        free(entry->memory);
    while (arena->blocks) {
        block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    if (arena->json)
        yyjson_alc_dyn_free(arena->json);
    free(arena);
}
