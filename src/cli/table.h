/*
 * table.h: what the table commands share: from what the user typed to a store, streams that are counted and cut, and
 * the lineage of what was read and written.
 */
#ifndef ISTHMUS_CLI_TABLE_H
#define ISTHMUS_CLI_TABLE_H

#include "output.h"

/* A table that was named on the command line. */
typedef struct cli_table {
    const char *typed;
    char *name; /* catalog.schema.table; NULL for a location */
    char *uri;
    ist_catalog *catalog; /* NULL for a location, as the next two */
    ist_table *opened;
    const ist_committer *committer; /* also NULL where the storage decides */
    ist_store *store;
} cli_table;

/*
 * Find a table. With '/' or ':' in it, or as one word without a dot, TABLE is a location (relative ones start at the
 * working folder); otherwise a name of two or three parts ("demo.scores" is "main.demo.scores").
 *   operation  IST_TABLE_CREATE: a name that the catalog lacks gets a place (managed table); a missing folder is made
 */
ist_status cli_table_open(const cli_call *call, const char *typed, ist_table_operation operation, cli_table *out,
                          ist_error *err);
void cli_table_close(cli_table *table);

/* Put the table's name before an error that does not tell it; one about a location names that already. */
ist_status cli_table_error(const cli_table *table, ist_error *err);

/* Open the catalog that --catalog or the environment names. */
ist_status cli_catalog_open(const cli_call *call, ist_catalog **out, ist_error *err);

/* What lineage calls a table: its full name, or its location as a URI. Appended to out. */
ist_status cli_table_identity(const char *typed, ist_buffer *out, ist_error *err);

/* A path or file: URI as an absolute path or URI. Appended to out. */
ist_status cli_absolute(const char *location, ist_buffer *out, ist_error *err);

/* Wrap a stream: at most `limit` rows (-1: all), rows told to `progress`. Takes in; the wrapper releases it. */
ist_status cli_stream_watch(struct ArrowArrayStream *in, int64_t limit, cli_progress *progress,
                            struct ArrowArrayStream *out, ist_error *err);

/* Tell the catalog, where there is one, and OpenLineage's endpoint, where one is set, what this command read or wrote.
 * Never fails the command, and holds it up for two seconds at most. */
void cli_lineage(const cli_call *call, const cli_table *table, const ist_lineage_run *run);

/* The text that goes with every command that takes TABLE. */
#define CLI_TABLE_HELP                                                                                                 \
    "TABLE is a folder (/data/t, ./t, t), a file: URI, or a name that the catalog knows: catalog.schema.table, or "    \
    "schema.table in catalog main. A folder whose name has dots is written with a slash: ./data.delta."

#endif
