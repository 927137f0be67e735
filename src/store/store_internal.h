/* store_internal.h: what the files of src/store share. Library-private. */
#ifndef ISTHMUS_STORE_INTERNAL_H
#define ISTHMUS_STORE_INTERNAL_H

#include "isthmus/sys/credentials.h"
#include "isthmus/sys/storage.h"

IST_BEGIN_DECLS

/* Relative, no empty, "." or ".." segment, not overlong; else IST_BAD_INPUT. */
ist_status ist__store_check_path(const char *path, ist_error *err);

/* root: absolute path, normalised ("/data/t"; "/" for the root folder itself). (file_store.c) */
ist_status ist__store_open_file(const char *root, bool create, ist_store **out, ist_error *err);

/* Append the canonical URI of such a root. (file_store.c) */
ist_status ist__store_file_uri(const char *root, ist_buffer *out, ist_error *err);
/* The same root through a server's file gateway, where the credentials have a token for that. (gateway_store.c) */
ist_status ist__store_open_gateway(const char *root, bool create, ist_credentials *credentials, ist_store **out,
                                   ist_error *err);

IST_END_DECLS

#endif
