/* local_internal.h: the SQLite catalog. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_LOCAL_INTERNAL_H
#define ISTHMUS_CATALOG_LOCAL_LOCAL_INTERNAL_H

#include "catalog/catalog_json.h"
#include "catalog/local/database.h"
#include "catalog/local/file_token.h"

typedef struct ist__local {
    ist__db *writer;
    ist__db *reader; /* its own connection: in WAL mode readers do not wait for the writer's fsync */
    char metastore_id[37];
    ist_buffer storage_root; /* a normalized location */
    const ist__file_signer *file_signer; /* of the server that serves this catalog; NULL: whoever opened it, opens files */
} ist__local;

/* One row as a JSON object under the names of its columns; "properties" and "columns" hold JSON already. */
yyjson_mut_val *ist__local_row(yyjson_mut_doc *doc, sqlite3_stmt *row);

/* local_lineage.c */
ist_status ist__local_post_lineage(void *self, const char *event, ist_error *err);
ist_status ist__local_get_lineage(void *self, const char *dataset, ist_buffer *out, ist_error *err);

#endif
