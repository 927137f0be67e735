/*
 * sys/storage.h: what a storage backend implements. See isthmus/store.h for what each operation promises its caller.
 *
 * A backend embeds `struct ist_store` as its first member and fills `ops`. Paths reach it already checked: relative,
 * no empty, "." or ".." segment. Objects that a backend returns embed the matching base struct in the same way.
 */
#ifndef ISTHMUS_SYS_STORAGE_H
#define ISTHMUS_SYS_STORAGE_H

#include "isthmus/store.h"

IST_BEGIN_DECLS

typedef struct ist_store_ops {
    void (*free)(ist_store *store);
    ist_status (*get)(ist_store *store, const char *path, ist_buffer *out, ist_error *err);
    ist_status (*put)(ist_store *store, const char *path, const void *data, size_t size, ist_put_mode mode,
                      ist_error *err);
    ist_status (*stat)(ist_store *store, const char *path, ist_store_entry *entry, ist_error *err);
    ist_status (*list)(ist_store *store, const char *folder, const char *start_after, ist_store_list_cb cb,
                       void *payload, ist_error *err);
    ist_status (*remove)(ist_store *store, const char *path, ist_error *err);
    ist_status (*reader_open)(ist_store *store, const char *path, ist_store_reader **out, ist_error *err);
    ist_status (*reader_read)(ist_store_reader *reader, uint64_t offset, void *data, size_t size, ist_error *err);
    void (*reader_free)(ist_store_reader *reader);
    ist_status (*writer_open)(ist_store *store, const char *path, ist_store_writer **out, ist_error *err);
    ist_status (*writer_write)(ist_store_writer *writer, const void *data, size_t size, ist_error *err);
    ist_status (*writer_close)(ist_store_writer *writer, ist_error *err); /* publish; not called again */
    void (*writer_free)(ist_store_writer *writer);                       /* abandons what was not closed */
    /* Of folders; each may be NULL: IST_UNSUPPORTED to list and rename, nothing to do to make and remove. */
    ist_status (*list_folders)(ist_store *store, const char *folder, ist_store_list_cb cb, void *payload,
                               ist_error *err);
    ist_status (*make_folder)(ist_store *store, const char *path, ist_error *err);
    ist_status (*remove_folder)(ist_store *store, const char *path, ist_error *err);
    ist_status (*rename)(ist_store *store, const char *from, const char *to, ist_error *err);
} ist_store_ops;

struct ist_store {
    const ist_store_ops *ops;
    char *uri; /* canonical; malloc'ed by the backend, freed by ist_store_free after ops->free */
};

struct ist_store_reader {
    const ist_store_ops *ops;
    uint64_t size;
};

struct ist_store_writer {
    const ist_store_ops *ops;
};

/* Open an in-memory store ("memory:"): the fake that tests use, with the same promises. The caller's; ist_store_free. */
IST_API ist_status ist_store_open_memory(ist_store **out, ist_error *err);

IST_END_DECLS

#endif
