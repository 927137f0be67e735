/*
 * file_access.h: what the two ways to the files of a server have in common: file_broker.c (a Unix socket that passes open
 * files) and routes_files.c (HTTP). Library-private.
 */
#ifndef ISTHMUS_SERVER_FILE_ACCESS_H
#define ISTHMUS_SERVER_FILE_ACCESS_H

#include "catalog/local/file_token.h"
#include "isthmus/store.h"

/*
 * Open the root that a token is for.
 *   token   NULL where there was none
 *   write   the request changes something; the root is then made where it is missing
 * Errors: IST_UNAUTHENTICATED, IST_FORBIDDEN, those of ist_store_open.
 */
ist_status ist__files_open(const ist__file_signer *signer, const char *token, bool write, ist_store **out,
                           ist_error *err);

/*
 * Append a page of a folder: {"objects": [{"name", "size", "modified_ms"}], "folders": ["x"], "next": "name" or null}, both
 * kinds together in byte order of their names.
 *   folder       NULL or "" for the root; a missing one is empty
 *   start_after  names after this one; NULL for all
 *   most         names of the page; 0 for as many as a page takes
 */
ist_status ist__files_list(ist_store *store, const char *folder, const char *start_after, uint64_t most,
                           ist_buffer *out, ist_error *err);

#endif
