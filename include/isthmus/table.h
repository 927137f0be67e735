/*
 * table.h: a table of a catalog, opened by its name with all that reading and writing it needs: where it is, a store with
 * short-lived credentials that renew themselves, and who commits to it.
 *
 *     ist_table_open(catalog, "main.demo.scores", IST_TABLE_WRITE, &table, &err);
 *     options.committer = ist_table_committer(table);                       // of ist_transaction_options
 *     ist_transaction_begin(ist_table_store(table), &options, &schema, &txn, &err);
 *     ...
 *     ist_table_free(table);
 *
 * Threading: a table is immutable but for ist_table_register, and may be shared by threads.
 */
#ifndef ISTHMUS_TABLE_H
#define ISTHMUS_TABLE_H

#include "isthmus/catalog.h"
#include "isthmus/snapshot.h"
#include "isthmus/store.h"
#include "isthmus/sys/committer.h"

IST_BEGIN_DECLS

typedef struct ist_table ist_table;

typedef enum ist_table_operation {
    IST_TABLE_READ,
    IST_TABLE_WRITE,
    IST_TABLE_CREATE /* as IST_TABLE_WRITE; a name that the catalog has no table for gets a place (ist_table_is_new) */
} ist_table_operation;

/*
 * Open a table.
 *   catalog    held by the table; the caller may free it
 *   full_name  catalog.schema.table
 *   out        the caller's; ist_table_free
 * Errors: IST_NOT_FOUND (no such table; with IST_TABLE_CREATE no such schema), IST_FORBIDDEN (the catalog lets this
 * principal not do that: the message is the catalog's, with the table's name before it), IST_UNSUPPORTED (a view, or not
 * Delta), and those of ist_catalog_get, ist_catalog_get_credentials and ist_store_open.
 */
IST_API ist_status ist_table_open(ist_catalog *catalog, const char *full_name, ist_table_operation operation,
                                  ist_table **out, ist_error *err);
IST_API void ist_table_free(ist_table *table);

/* What follows is borrowed from the table. */
IST_API const char *ist_table_name(const ist_table *table);
IST_API const char *ist_table_id(const ist_table *table);
IST_API const char *ist_table_uri(const ist_table *table);
/* The catalog's TableInfo as it was when the table was opened, JSON; NULL for a new table. */
IST_API const char *ist_table_info(const ist_table *table);
IST_API ist_store *ist_table_store(const ist_table *table);
/* For ist_snapshot_options and ist_transaction_options; NULL where the storage decides which text is a version. */
IST_API const ist_committer *ist_table_committer(const ist_table *table);
/* Only a place is reserved: ist_table_register after the first commit makes the table. */
IST_API bool ist_table_is_new(const ist_table *table);

/*
 * Tell the catalog what the table is: a new table gets its name, an old one its present columns (where the catalog does
 * not learn them with the commits).
 *   snapshot  of the table, after the commit that made or changed it
 * Errors: IST_ALREADY_EXISTS (somebody else gave the name to another table meanwhile: the rows are at the place that was
 * reserved, and nobody sees them), and those of ist_catalog_create.
 */
IST_API ist_status ist_table_register(ist_table *table, const ist_snapshot *snapshot, ist_error *err);

/*
 * Append what another process needs to open the table as the same principal, as a JSON object: its place, and the
 * catalog's with the token. It is a secret: for pipes and sockets, not for files, logs or command lines.
 */
IST_API ist_status ist_table_access(const ist_table *table, ist_buffer *out, ist_error *err);
/* Open a table by what ist_table_access gave. Nothing is asked of the catalog but credentials, once they are needed.
 * Errors: IST_BAD_INPUT, and those of ist_store_open and ist_catalog_get_credentials. */
IST_API ist_status ist_table_open_access(const char *access, ist_table_operation operation, ist_table **out,
                                         ist_error *err);

IST_END_DECLS

#endif
