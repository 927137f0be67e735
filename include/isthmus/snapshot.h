/*
 * snapshot.h: a Delta table as of one version.
 *
 * A snapshot is the result of replaying the transaction log (Delta PROTOCOL.md, "Action Reconciliation"): protocol,
 * metadata, live files, app transactions, domain metadata. It is immutable; opening again shows later versions.
 *
 * Threading: a snapshot is immutable and may be shared by threads; so is what it lends.
 *
 *     ist_snapshot *snapshot;
 *     ist_snapshot_open(store, NULL, &snapshot, &err);
 *     printf("version %lld\n", (long long)ist_snapshot_version(snapshot));
 *     ist_snapshot_free(snapshot);
 */
#ifndef ISTHMUS_SNAPSHOT_H
#define ISTHMUS_SNAPSHOT_H

#include "isthmus/arrow.h"
#include "isthmus/store.h"
#include "isthmus/sys/committer.h"

IST_BEGIN_DECLS

typedef struct ist_snapshot ist_snapshot;

typedef struct ist_snapshot_options {
    uint32_t size;
    int64_t version;      /* the version to open; -1 for the newest */
    int64_t timestamp_ms; /* the newest version committed at or before this; -1 for none. Not with version */
    const ist_committer *committer; /* of a catalog-managed table (isthmus/table.h); NULL where the storage decides */
} ist_snapshot_options;

#define IST_SNAPSHOT_OPTIONS_INIT                                                                                      \
    { sizeof(ist_snapshot_options), -1, -1, NULL }

/*
 * Replay the log of the table at the store's root.
 *   store    kept by the snapshot's user, not by the snapshot: it is only needed during the call
 *   options  NULL for the newest version
 * Errors: IST_NOT_FOUND (no Delta table here, or no such version), IST_UNSUPPORTED (the table needs a reader feature
 * that Isthmus does not implement, named in the message; or it is catalog-managed and there is no committer), IST_BAD_INPUT (corrupt or truncated commit or checkpoint: the
 * file and what is wrong), IST_IO.
 */
IST_API ist_status ist_snapshot_open(ist_store *store, const ist_snapshot_options *options, ist_snapshot **out,
                                     ist_error *err);
IST_API void ist_snapshot_free(ist_snapshot *snapshot);

IST_API int64_t ist_snapshot_version(const ist_snapshot *snapshot);
/* Commit time of the version, ms since the epoch: in-commit timestamp where the table has them, else the file's. */
IST_API int64_t ist_snapshot_timestamp_ms(const ist_snapshot *snapshot);
/* The table's root URI. Borrowed, like every string below. */
IST_API const char *ist_snapshot_uri(const ist_snapshot *snapshot);
/* The id in the table's metaData action. */
IST_API const char *ist_snapshot_table_id(const ist_snapshot *snapshot);
/* The logical schema as Delta's JSON (PROTOCOL.md, "Schema Serialization Format"). */
IST_API const char *ist_snapshot_schema_json(const ist_snapshot *snapshot);
/* The logical schema as Arrow; partition columns stand where the schema has them. out is the caller's. */
IST_API ist_status ist_snapshot_schema(const ist_snapshot *snapshot, struct ArrowSchema *out, ist_error *err);
IST_API size_t ist_snapshot_partition_column_count(const ist_snapshot *snapshot);
IST_API const char *ist_snapshot_partition_column(const ist_snapshot *snapshot, size_t i);
/* A table property ("delta.appendOnly"); NULL where it is not set. */
IST_API const char *ist_snapshot_property(const ist_snapshot *snapshot, const char *key);
IST_API size_t ist_snapshot_file_count(const ist_snapshot *snapshot);
IST_API int64_t ist_snapshot_size_bytes(const ist_snapshot *snapshot);
/* Live rows (deletion vectors taken off); -1 where a file has no statistics. */
IST_API int64_t ist_snapshot_row_count(const ist_snapshot *snapshot);
/* The newest version of an app transaction; -1 where the table has none under that id. */
IST_API int64_t ist_snapshot_app_version(const ist_snapshot *snapshot, const char *app_id);

/* Append the snapshot's description as one JSON object: uri, id, name, description, version, timestamp, protocol,
 * features, schema, partitionColumns, properties, files, bytes, rows. */
IST_API ist_status ist_snapshot_describe(const ist_snapshot *snapshot, ist_buffer *out, ist_error *err);

/*
 * Append the table's history, newest first, as a JSON array of {version, timestamp, operation, operationParameters,
 * operationMetrics, engineInfo, txnId, ...}: each commit's commitInfo. Versions whose commit file was cleaned up are
 * left out.
 *   committer  as in ist_snapshot_options
 *   limit      most entries; 0 for all
 */
IST_API ist_status ist_table_history(ist_store *store, const ist_committer *committer, size_t limit,
                                     ist_buffer *out, ist_error *err);

/*
 * Write a checkpoint of the snapshot (classic, or V2 where the table's delta.checkpointPolicy or features ask for it)
 * and then _last_checkpoint. Harmless to repeat. Errors: IST_IO, IST_UNSUPPORTED, IST_BAD_INPUT (the version of a
 * catalog-managed table is not published yet).
 */
IST_API ist_status ist_checkpoint_write(ist_store *store, const ist_snapshot *snapshot, ist_error *err);

IST_END_DECLS

#endif
