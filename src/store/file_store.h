/*
 * file_store.h: what a gateway needs of a store on a local folder beyond ist_store: the open files themselves. Library-
 * private. `store` and `writer` must be of a `file:` store.
 */
#ifndef ISTHMUS_STORE_FILE_STORE_H
#define ISTHMUS_STORE_FILE_STORE_H

#include "isthmus/store.h"

IST_BEGIN_DECLS

/* Open an object read-only; *fd is the caller's, left as it is by an
 * error. Errors: IST_NOT_FOUND, IST_BAD_INPUT (a folder, a bad path), IST_IO. */
ist_status ist__file_store_open(ist_store *store, const char *path, int *fd, ist_error *err);

/* The descriptor that a writer writes to, borrowed: bytes may be written through it, or a copy of it, instead. */
int ist__file_writer_fd(const ist_store_writer *writer);

/* ist_store_writer_close; with IST_PUT_IF_ABSENT it is IST_ALREADY_EXISTS where the name is taken. */
ist_status ist__file_writer_publish(ist_store_writer *writer, ist_put_mode mode, ist_error *err);

IST_END_DECLS

#endif
