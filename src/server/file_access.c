/* file_access.c: from a token to a store, and pages of folders. */
#include "server/file_access.h"

#include "catalog/catalog_json.h"
#include "store/file_wire.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES_MAX = 4 << 20 };

ist_status ist__files_open(const ist__file_signer *signer, const char *token, bool write, ist_store **out,
                           ist_error *err)
{
    ist__file_grant grant;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    IST_TRY(ist__file_token_check(signer, token, write, &grant, err));
    options.create = write;
    ist_status status = ist_store_open(grant.root, &options, out, err);
    ist__file_grant_free(&grant);
    return status;
}

/* One name of a folder. */
typedef struct item {
    char *name;
    uint64_t size;
    int64_t modified_ms;
    bool folder;
} item;

/* The names of a page, and one more where there are more. */
typedef struct page {
    item *items;
    size_t count, capacity;
    size_t most; /* of one kind */
    bool folders;
    const char *start_after;
    size_t taken; /* of the kind that is being listed */
    ist_status status;
    ist_error *err;
} page;

static ist_status add_item(page *p, const ist_store_entry *entry)
{
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 64;
        item *items = realloc(p->items, capacity * sizeof *items);
        if (!items)
            return ist_error_set(p->err, IST_NO_MEMORY, 0, NULL, "no memory for a page of %zu names", capacity);
        p->items = items;
        p->capacity = capacity;
    }
    const char *slash = strrchr(entry->path, '/');
    item *added = &p->items[p->count];
    *added = (item){NULL, entry->size, entry->modified_ms, p->folders};
    IST_TRY(ist__strdup(slash ? slash + 1 : entry->path, &added->name, p->err));
    p->count++;
    p->taken++;
    return IST_OK;
}

static bool take_entry(const ist_store_entry *entry, void *payload)
{
    page *p = payload;
    const char *slash = strrchr(entry->path, '/');
    if (p->start_after && strcmp(slash ? slash + 1 : entry->path, p->start_after) <= 0)
        return true;
    p->status = add_item(p, entry);
    return p->status == IST_OK && p->taken <= p->most;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const item *)a)->name, ((const item *)b)->name);
}

static ist_status write_page(const page *p, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *objects = yyjson_mut_obj_add_arr(doc, root, "objects");
    yyjson_mut_val *folders = yyjson_mut_obj_add_arr(doc, root, "folders");
    yyjson_mut_doc_set_root(doc, root);
    size_t bytes = 0, i = 0;
    for (; i < p->count && i < p->most && bytes < PAGE_BYTES_MAX; i++) {
        const item *it = &p->items[i];
        bytes += strlen(it->name) + 64;
        if (it->folder) {
            yyjson_mut_arr_add_str(doc, folders, it->name);
            continue;
        }
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, objects);
        yyjson_mut_obj_add_str(doc, object, "name", it->name);
        yyjson_mut_obj_add_uint(doc, object, "size", it->size);
        yyjson_mut_obj_add_sint(doc, object, "modified_ms", it->modified_ms);
    }
    ist__json_add_text(doc, root, "next", i < p->count ? p->items[i - 1].name : NULL);
    /* A name that is no UTF-8 is told as it is: Isthmus' store reads it. */
    size_t size = 0;
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &size);
    yyjson_mut_doc_free(doc);
    ist_status status = text ? ist_buffer_append(out, text, size, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a page");
    free(text);
    return status;
}

ist_status ist__files_list(ist_store *store, const char *folder, const char *start_after, uint64_t most,
                           ist_buffer *out, ist_error *err)
{
    page p = {.start_after = start_after, .err = err};
    ist_status status = IST_OK;
    p.most = most == 0 || most > IST__FILE_WIRE_PAGE_MAX ? IST__FILE_WIRE_PAGE_MAX : (size_t)most;
    folder = folder ? folder : "";
    IST_TRY_GOTO(ist_store_list(store, folder, start_after, take_entry, &p, err));
    IST_TRY_GOTO(p.status);
    p.folders = true;
    p.taken = 0;
    IST_TRY_GOTO(ist_store_list_folders(store, folder, take_entry, &p, err));
    IST_TRY_GOTO(p.status);
    if (p.count)
        qsort(p.items, p.count, sizeof *p.items, compare_items);
    status = write_page(&p, out, err);
done:
    for (size_t i = 0; i < p.count; i++)
        free(p.items[i].name);
    free(p.items);
    return status;
}
