/*
 * store.h: bytes by name beneath one root location.
 *
 * A store is opened on the URI of a table or folder and every path given to it is relative to that root, with '/'
 * between segments, percent-encoded by nobody. A path that would leave the root (absolute, "..", a NUL) is
 * IST_BAD_INPUT. Backends implement isthmus/sys/storage.h: `file:` (also a plain absolute path), S3 (`s3:`), Azure
 * (`abfss:`, its Blob and Data Lake storage) and Google Cloud Storage (`gs:`); src/store/README.md tells of the clouds.
 *
 * Threading: a store is internally locked or stateless, shareable by threads. A reader may be shared (reads are
 * positioned); a writer belongs to one thread at a time.
 *
 *     ist_store *store;
 *     ist_store_open("file:///data/t", NULL, &store, &err);
 *     ist_store_put(store, "_delta_log/x.json", data, size, IST_PUT_IF_ABSENT, &err);   // IST_ALREADY_EXISTS: lost
 *     ist_store_free(store);
 */
#ifndef ISTHMUS_STORE_H
#define ISTHMUS_STORE_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"
#include "isthmus/sys/credentials.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

typedef struct ist_store ist_store;
typedef struct ist_store_reader ist_store_reader;
typedef struct ist_store_writer ist_store_writer;

typedef struct ist_store_options {
    uint32_t size; /* sizeof, set by the INIT macro */
    bool create;   /* make the root (a folder) if it is missing; otherwise a missing root is found out at first use */
    ist_credentials *credentials; /* borrowed, the store holds a reference of its own; NULL for the environment's */
} ist_store_options;

#define IST_STORE_OPTIONS_INIT                                                                                         \
    { sizeof(ist_store_options), false, NULL }

typedef struct ist_store_entry {
    const char *path; /* relative to the root; borrowed for the callback */
    uint64_t size;
    int64_t modified_ms; /* since the epoch */
} ist_store_entry;

typedef enum ist_put_mode { IST_PUT_IF_ABSENT, IST_PUT_REPLACE } ist_put_mode;

/*
 * Open a store on a root location.
 *   uri      "file:///abs/path", "file:/abs/path" or "/abs/path"; "s3://bucket/path" (s3a), "gs://bucket/path",
 *            "abfss://container@account.dfs.core.windows.net/path" (abfs, wasb, wasbs) or
 *            "https://account.blob.core.windows.net/container/path"; percent-encoding is undone in the URI forms
 *   options  NULL for the defaults
 *   out      the caller's; ist_store_free
 * Errors: IST_UNSUPPORTED (scheme), IST_BAD_INPUT (relative path), IST_IO.
 */
IST_API ist_status ist_store_open(const char *uri, const ist_store_options *options, ist_store **out, ist_error *err);
IST_API void ist_store_free(ist_store *store);

/* The root as a canonical URI without a trailing slash ("file:///data/t"). Borrowed from the store. */
IST_API const char *ist_store_uri(const ist_store *store);

/*
 * Append a whole object to `out`. Errors: IST_NOT_FOUND, IST_NO_MEMORY (past out's limit), IST_IO.
 * This and all that follows, in a cloud besides: IST_UNAUTHENTICATED (credentials missing, expired or wrong),
 * IST_FORBIDDEN (they are for something else), IST_RETRYABLE (a passing fault that outlasted the attempts made).
 */
IST_API ist_status ist_store_get(ist_store *store, const char *path, ist_buffer *out, ist_error *err);

/*
 * Write a whole object atomically: a reader sees all of it or nothing, also after a crash.
 * Errors: IST_ALREADY_EXISTS (IST_PUT_IF_ABSENT only; exactly one of many callers wins), IST_IO (disk full, read-only;
 * in a cloud also: whether it was written could not be found out, as the message then says).
 */
IST_API ist_status ist_store_put(ist_store *store, const char *path, const void *data, size_t size, ist_put_mode mode,
                                 ist_error *err);

/* Size and time of one object; entry->path is set to `path`. Errors: IST_NOT_FOUND. */
IST_API ist_status ist_store_stat(ist_store *store, const char *path, ist_store_entry *entry, ist_error *err);

/* Return true to go on, false to stop the listing (the listing then returns IST_OK). */
typedef bool (*ist_store_list_cb)(const ist_store_entry *entry, void *payload);

/*
 * The objects directly inside folder `folder` ("" is the root) in byte order of their names, folders left out.
 *   start_after  only names (last segment) that sort after it; NULL for all
 * A missing folder lists nothing.
 */
IST_API ist_status ist_store_list(ist_store *store, const char *folder, const char *start_after, ist_store_list_cb cb,
                                  void *payload, ist_error *err);

/* Remove an object; a missing one is no error. */
IST_API ist_status ist_store_delete(ist_store *store, const char *path, ist_error *err);

/*
 * Folders. In a local folder they are real; in a cloud store a folder is there while there is an object in it, making and
 * removing one does nothing there.
 */

/* The folders directly inside `folder`, in byte order; entry->size and modified_ms are 0. A missing folder lists nothing.
 * Errors: IST_UNSUPPORTED (the store cannot tell). */
IST_API ist_status ist_store_list_folders(ist_store *store, const char *folder, ist_store_list_cb cb, void *payload,
                                          ist_error *err);
/* Append a whole folder as {"objects": [{"name", "size", "modified_ms"}...], "folders": ["x"...]}. Errors: those of both
 * lists. */
IST_API ist_status ist_store_list_json(ist_store *store, const char *folder, ist_buffer *out, ist_error *err);
/* Make a folder and those that lead to it; one that is there is no error. Errors: IST_ALREADY_EXISTS (as an object). */
IST_API ist_status ist_store_make_folder(ist_store *store, const char *path, ist_error *err);
/* Remove an empty folder; a missing one is no error. Errors: IST_CONFLICT (something is in it). */
IST_API ist_status ist_store_delete_folder(ist_store *store, const char *path, ist_error *err);
/* Give an object or a folder another name, at once; folders that lead to it are made. Errors: IST_NOT_FOUND,
 * IST_ALREADY_EXISTS (nothing is replaced), IST_UNSUPPORTED (the store has no such operation). */
IST_API ist_status ist_store_rename(ist_store *store, const char *from, const char *to, ist_error *err);

/* Ranged reads of one object. */
IST_API ist_status ist_store_reader_open(ist_store *store, const char *path, ist_store_reader **out, ist_error *err);
IST_API uint64_t ist_store_reader_size(const ist_store_reader *reader);
/* Read exactly `size` bytes at `offset` into `data`. Errors: IST_BAD_INPUT (past the end), IST_IO. */
IST_API ist_status ist_store_reader_read(ist_store_reader *reader, uint64_t offset, void *data, size_t size,
                                         ist_error *err);
IST_API void ist_store_reader_free(ist_store_reader *reader);

/*
 * Stream a new object. Nothing is visible under `path` until ist_store_writer_close returns IST_OK; free without close
 * abandons it and removes what was written.
 */
IST_API ist_status ist_store_writer_open(ist_store *store, const char *path, ist_store_writer **out, ist_error *err);
IST_API ist_status ist_store_writer_write(ist_store_writer *writer, const void *data, size_t size, ist_error *err);
IST_API ist_status ist_store_writer_close(ist_store_writer *writer, ist_error *err);
IST_API void ist_store_writer_free(ist_store_writer *writer);

IST_END_DECLS

#endif
