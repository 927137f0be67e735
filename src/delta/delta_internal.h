/*
 * delta_internal.h: the actions of a Delta log and what the files of src/delta share. Library-private.
 *
 *     log.c         file names of _delta_log, listing, the segment (checkpoint + commits) of a version
 *     actions.c     actions <-> JSON lines
 *     checkpoint_read.c, checkpoint_write.c    actions <-> Parquet (classic, multi-part, V2 with sidecars)
 *     snapshot.c    replay: the newest action per key wins
 *     deletion_vector.c    the roaring bitmaps
 *     scan.c, skip.c, scan_file.c, scan_stream.c    files -> rows (scan_internal.h)
 *     schema.c      Delta schema JSON <-> Arrow, merging, checking, column mapping
 *     features.c    which table features can be read and written
 *     stats.c       Parquet footer statistics -> Delta's stats JSON
 *     writer.c      rows -> files + add actions
 *     transaction.c, conflict.c    the commit protocol (README.md)
 *     filesystem_commit.c    put-if-absent: the committer of tables that no catalog commits to
 *
 * Strings in actions are borrowed from the arena of the log or snapshot that holds them.
 */
#ifndef ISTHMUS_DELTA_INTERNAL_H
#define ISTHMUS_DELTA_INTERNAL_H

#include "isthmus/scan.h"
#include "isthmus/snapshot.h"
#include "isthmus/sys/committer.h"
#include "isthmus/transaction.h"
#include "shim/bytes.h"
#include "util/util.h"

#include <yyjson.h>

/* Memory that is freed all at once: replaying a log makes many small strings that die together. (arena.c) */
typedef struct ist__arena ist__arena;
ist_status ist__arena_new(ist__arena **out, ist_error *err);
void *ist__arena_alloc(ist__arena *arena, size_t size); /* NULL when there is no memory; 8-aligned; not zeroed */
char *ist__arena_copy(ist__arena *arena, const char *text, size_t size); /* with a NUL after it; NULL: no memory */
/* Take malloc'ed memory: it is freed with the arena, at once when that fails (false: no memory). */
bool ist__arena_adopt(ist__arena *arena, void *memory);
/* Working memory for JSON documents, used again and again: at most one document of it is alive at a time. */
const yyjson_alc *ist__arena_json(ist__arena *arena);
void ist__arena_free(ist__arena *arena);

/* ---- actions ------------------------------------------------------------------------------------------------- */

typedef struct ist__pair {
    const char *key;
    const char *value; /* NULL for JSON null */
} ist__pair;

typedef struct ist__pairs {
    const ist__pair *items;
    size_t count;
} ist__pairs;

typedef struct ist__strings {
    const char *const *items;
    size_t count;
} ist__strings;

typedef struct ist__protocol {
    int min_reader_version;
    int min_writer_version;
    ist__strings reader_features; /* empty below 3 */
    ist__strings writer_features; /* empty below 7 */
} ist__protocol;

typedef struct ist__metadata {
    const char *id;
    const char *name;          /* may be NULL */
    const char *description;   /* may be NULL */
    const char *schema_string; /* Delta schema JSON */
    ist__strings partition_columns;
    ist__pairs configuration;
    int64_t created_time; /* ms; -1 absent */
} ist__metadata;

/* "deletionVector" of an add or remove. storage_type is 0 where there is none. */
typedef struct ist__dv {
    char storage_type; /* 'u', 'i' or 'p' */
    const char *path_or_inline;
    int32_t offset; /* -1 absent */
    int32_t size_in_bytes;
    int64_t cardinality;
} ist__dv;

typedef struct ist__add {
    const char *path; /* as in the log: percent-encoded, relative to the table, or an absolute URI */
    ist__pairs partition_values;
    int64_t size;
    int64_t modification_time;
    bool data_change;
    const char *stats; /* JSON text; NULL absent */
    ist__pairs tags;
    ist__dv dv;
    int64_t base_row_id;                /* -1 absent */
    int64_t default_row_commit_version; /* -1 absent */
    const char *clustering_provider;    /* may be NULL */
} ist__add;

typedef struct ist__remove {
    const char *path;
    int64_t deletion_timestamp; /* -1 absent */
    bool data_change;
    bool extended; /* extendedFileMetadata: partition_values, size and tags are present */
    ist__pairs partition_values;
    int64_t size;
    ist__dv dv;
    int64_t base_row_id;
    int64_t default_row_commit_version;
} ist__remove;

typedef struct ist__app {
    const char *app_id;
    int64_t version;
    int64_t last_updated; /* ms; -1 absent */
} ist__app;

typedef struct ist__domain {
    const char *domain;
    const char *configuration;
    bool removed;
} ist__domain;

typedef struct ist__cdc {
    const char *path;
    ist__pairs partition_values;
    int64_t size;
    bool data_change;
    ist__pairs tags;
} ist__cdc;

typedef struct ist__sidecar {
    const char *path; /* relative to _delta_log/_sidecars, or an absolute URI */
    int64_t size;
    int64_t modification_time;
} ist__sidecar;

typedef enum ist__action_kind {
    IST__ADD,
    IST__REMOVE,
    IST__METADATA,
    IST__PROTOCOL,
    IST__APP,
    IST__DOMAIN,
    IST__COMMIT_INFO,
    IST__CDC,
    IST__SIDECAR,
    IST__CHECKPOINT_METADATA,
    IST__UNKNOWN /* to be ignored, PROTOCOL.md "Actions" */
} ist__action_kind;

typedef struct ist__action {
    ist__action_kind kind;
    union {
        ist__add add;
        ist__remove remove;
        ist__metadata metadata;
        ist__protocol protocol;
        ist__app app;
        ist__domain domain;
        ist__cdc cdc;
        ist__sidecar sidecar;
        struct {
            int64_t in_commit_timestamp; /* -1 absent */
            const char *operation;       /* may be NULL */
            const char *json;            /* the whole commitInfo object */
        } commit_info;
        int64_t checkpoint_version; /* of checkpointMetadata */
    };
} ist__action;

/*
 * The fields of an action, one table for JSON and Parquet alike (actions.c). A field that is absent or null leaves NULL,
 * no items, false, and -1 for optional numbers.
 */
typedef enum ist__field_kind {
    IST__FIELD_STRING,
    IST__FIELD_CHAR, /* a string of one byte */
    IST__FIELD_INT32,
    IST__FIELD_INT64,
    IST__FIELD_BOOL,
    IST__FIELD_PAIRS,
    IST__FIELD_STRINGS,
    IST__FIELD_DV,    /* ist__dv by ist__dv_fields */
    IST__FIELD_FORMAT /* metaData.format: nothing is kept, it must be Parquet */
} ist__field_kind;

typedef enum ist__field_presence {
    IST__REQUIRED,
    IST__OPTIONAL,    /* written where it is set */
    IST__IF_EXTENDED, /* written where remove.extendedFileMetadata is true */
    IST__IF_READER_3, /* written from minReaderVersion 3 on */
    IST__IF_WRITER_7  /* written from minWriterVersion 7 on */
} ist__field_presence;

typedef struct ist__field {
    const char *name;
    uint16_t name_size;
    uint16_t offset; /* in ist__action; of ist__dv_fields in ist__dv */
    ist__field_kind kind;
    ist__field_presence presence;
    bool negative; /* a number below zero is good */
} ist__field;

extern const ist__field ist__dv_fields[];
extern const size_t ist__dv_field_count;

/* The name ("add") and fields of a kind of action. NULL fields: commitInfo, which is kept whole. */
const char *ist__action_name(ist__action_kind kind);
const ist__field *ist__action_fields(ist__action_kind kind, size_t *count);
/* Data files must be Parquet. provider: NULL where metaData.format names none. */
ist_status ist__metadata_check_provider(const char *provider, ist_error *err);
/* Is a field of an action, or of its deletion vector, at `slot` to be written? An absent optional one is left out. */
bool ist__field_is_set(const ist__field *field, const ist__action *action, const void *slot);
/* Make the action an empty one of its kind. */
void ist__action_init(ist__action *action, ist__action_kind kind);

/* Parse one JSON line into an action. Errors: IST_BAD_INPUT; the caller adds the file and line. (actions.c) */
ist_status ist__action_parse(const char *line, size_t size, ist__arena *arena, ist__action *out, ist_error *err);
/*
 * The same without copying: the action's strings point into the line, which is overwritten and must live as long as the
 * arena. YYJSON_PADDING_SIZE bytes after the line must be there; they come back unchanged.
 */
ist_status ist__action_parse_in_place(char *line, size_t size, ist__arena *arena, ist__action *out, ist_error *err);
/* The fields of an action from a JSON object, whose strings must outlive it. out is initialised here. */
ist_status ist__action_from_json(yyjson_val *object, ist__action_kind kind, ist__arena *arena, ist__action *out,
                                 ist_error *err);
/* Append one action as one JSON line with its '\n'. (actions.c) */
ist_status ist__action_format(const ist__action *action, ist_buffer *out, ist_error *err);
/* Append a string as JSON, in quotes. */
ist_status ist__json_append_string(ist_buffer *out, const char *text, ist_error *err);
ist_status ist__json_append_text(ist_buffer *out, const char *text, size_t size, ist_error *err);
/* Every line of a commit file or of writer output. A status other than IST_OK from the callback ends it and is returned
 * as it is (IST_CANCELLED to stop without an error). `name` is for messages. */
typedef ist_status (*ist__action_cb)(const ist__action *action, void *payload, ist_error *err);
ist_status ist__actions_each(const char *text, size_t size, const char *name, ist__arena *arena, ist__action_cb cb,
                             void *payload, ist_error *err);

/* ---- the snapshot's inside (snapshot.c) --------------------------------------------------------------------- */

struct ist_snapshot {
    ist__arena *arena;
    char *uri;
    int64_t version;
    int64_t timestamp_ms; /* ICT where enabled, else modification time of the newest commit file */
    bool has_in_commit_timestamp;
    int64_t checkpoint_version; /* of the checkpoint it was read from; -1 none */
    ist__protocol protocol;
    ist__metadata metadata;
    ist__add *files; /* live files in the order of the log: the checkpoint's, then the commits', oldest first */
    size_t file_count;
    ist__remove *tombstones; /* removes not yet expired: a checkpoint carries them */
    size_t tombstone_count;
    ist__app *apps;
    size_t app_count;
    ist__domain *domains; /* not removed */
    size_t domain_count;
};

/*
 * Append the members name, description, features, schema, partitionColumns and properties of a table's description.
 * IST_BAD_INPUT: the schema is not JSON.
 */
ist_status ist__table_describe(const ist__protocol *protocol, const ist__metadata *metadata, ist_buffer *out,
                               ist_error *err);

/* Live rows of a file: its statistics' numRecords less the deleted ones; -1 where unknown. */
int64_t ist__add_rows(const ist__add *add);

/* ---- the log (log.c) ---------------------------------------------------------------------------------------- */

/* What a file of _delta_log is, by its name. */
typedef enum ist__log_kind {
    IST__LOG_OTHER, /* also compacted commits and checksums: nobody needs them */
    IST__LOG_COMMIT,
    IST__LOG_CHECKPOINT,      /* n.checkpoint.parquet */
    IST__LOG_CHECKPOINT_PART, /* n.checkpoint.o.p.parquet */
    IST__LOG_CHECKPOINT_V2    /* n.checkpoint.uuid.json or .parquet */
} ist__log_kind;

typedef struct ist__log_name {
    ist__log_kind kind;
    int64_t version;
    int64_t part; /* from 1 */
    int64_t parts;
} ist__log_name;

ist__log_name ist__log_parse_name(const char *name);

/* A commit file: published, or ratified by a catalog. */
typedef struct ist__log_commit {
    int64_t version;
    int64_t modified_ms;
    uint64_t size;
} ist__log_commit;

/* A ratified commit that may not be published. */
typedef struct ist__log_ratified {
    ist__log_commit commit;
    char *path;
} ist__log_ratified;

/*
 * The log as its owner shows it: _delta_log, and for a catalog-managed table the commits that its catalog tells, which go
 * before published ones, and no version past the catalog's newest.
 */
typedef struct ist__log {
    ist_store *store;
    bool managed;                /* its catalog was asked */
    int64_t latest;              /* no version after it exists; INT64_MAX: the listing tells */
    ist__log_ratified *ratified; /* by version, without a gap */
    size_t ratified_count;
} ist__log;

/* Ask the committer (NULL: the storage decides) for its part of the log; the rest is read when it is asked for. */
ist_status ist__log_open(ist_store *store, const ist_committer *committer, ist__log *out, ist_error *err);
void ist__log_close(ist__log *log);

/* The files that make up one version: a checkpoint (or none) and the commits after it without a gap. */
typedef struct ist__log_segment {
    int64_t version;
    int64_t timestamp_ms;       /* of the newest file: the commit of `version`, else its checkpoint */
    int64_t checkpoint_version; /* -1 none */
    char **checkpoint_paths;    /* from the root */
    size_t checkpoint_count;
    ist__log_commit *commits; /* checkpoint_version + 1 ... version */
    size_t commit_count;
} ist__log_segment;

/* version: -1 for the newest. Errors: IST_NOT_FOUND (no table, no such version), IST_BAD_INPUT (a gap). */
ist_status ist__log_segment_find(const ist__log *log, int64_t version, ist__log_segment *out, ist_error *err);
void ist__log_segment_free(ist__log_segment *segment);

/* Every commit file there is, in order of version; *out is the caller's, by free. */
ist_status ist__log_list_commits(const ist__log *log, ist__log_commit **out, size_t *count, ist_error *err);

/* Version in the text of _last_checkpoint; -1 where it says nothing to go by. It is a hint and no more. */
int64_t ist__log_parse_hint(const char *text, size_t size);

/* "_delta_log/00000000000000000042.json" */
void ist__log_commit_path(int64_t version, char out[64]);
/* Version of the newest commit; -1 where there is none. start: a version known to exist, or -1. */
ist_status ist__log_latest_version(const ist__log *log, int64_t start, int64_t *version, ist_error *err);
/* Read commit `version` into text. IST_NOT_FOUND where there is none. */
ist_status ist__log_read_commit(const ist__log *log, int64_t version, ist_buffer *text, ist_error *err);
/* The commitInfo of a version; out->kind is IST__UNKNOWN where the commit has none. IST_NOT_FOUND as above. */
ist_status ist__log_commit_info(const ist__log *log, int64_t version, ist__arena *arena, ist__action *out,
                                ist_error *err);

/* ---- features (features.c) ---------------------------------------------------------------------------------- */

/* IST_UNSUPPORTED naming every feature in the way. managed: the table's catalog is there to be asked. */
ist_status ist__features_check_read(const ist__protocol *protocol, bool managed, ist_error *err);
ist_status ist__features_check_write(const ist__protocol *protocol, const ist__metadata *metadata, bool managed,
                                     ist_error *err);
/* Do the commits of this table belong to a catalog ("catalogManaged" or its preview)? */
bool ist__features_by_catalog(const ist__protocol *protocol);
/* Is a feature listed (or implied by legacy versions)? */
bool ist__features_supported(const ist__protocol *protocol, const char *feature);
/* Supported and switched on by its property ("delta.enableDeletionVectors", "delta.enableInCommitTimestamps"...). */
bool ist__features_enabled(const ist__protocol *protocol, const ist__metadata *metadata, const char *feature);

/* ---- schema (schema.c) -------------------------------------------------------------------------------------- */

const char *ist__pairs_get(ist__pairs pairs, const char *key); /* NULL absent */

typedef enum ist__mapping_mode { IST__MAPPING_NONE, IST__MAPPING_NAME, IST__MAPPING_ID } ist__mapping_mode;
ist__mapping_mode ist__schema_mapping_mode(const ist__metadata *metadata);

/*
 * Delta schema JSON -> Arrow schema with logical names. Every field's metadata keeps Delta's field metadata:
 * "delta.columnMapping.physicalName", "delta.columnMapping.id" (also as "PARQUET:field_id"), "delta.invariants"...
 * timestamp -> timestamp[us, UTC], timestamp_ntz -> timestamp[us], decimal(p,s) -> decimal128.
 */
ist_status ist__schema_to_arrow(const char *schema_json, struct ArrowSchema *out, ist_error *err);
/* Arrow -> Delta schema JSON. Errors: IST_UNSUPPORTED: the column and its type. */
ist_status ist__schema_from_arrow(const struct ArrowSchema *schema, ist_buffer *out, ist_error *err);
/* The same Arrow schema with physical names at every level, for the files: field i of it is field i of `logical` (also
 * the way to a column's physical name). Of the fields' metadata only "PARQUET:field_id" stays. */
ist_status ist__schema_physical(const struct ArrowSchema *logical, struct ArrowSchema *out, ist_error *err);
/* Names that differ at least by more than case; without column mapping also none of the characters that Spark refuses.
 * IST_BAD_INPUT. */
ist_status ist__schema_check_names(const char *schema_json, bool mapped, ist_error *err);
/* Has any column, at any level, this primitive type ("timestamp_ntz")? */
bool ist__schema_has_type(const char *schema_json, const char *type);
/*
 * Check rows of schema `input` against the table's schema; the table's schema, with add_columns grown by the input's new
 * columns (nullable, at any level of structs), is appended to `out`. Types never change. IST_BAD_INPUT: one message with
 * every column that does not fit.
 */
ist_status ist__schema_merge(const char *table_json, const struct ArrowSchema *input, bool add_columns,
                             const char *table_name, ist_buffer *out, bool *changed, ist_error *err);
/* Column mapping: every field that has no id gets the next one after *max_id, and a physical name. */
ist_status ist__schema_map_columns(const char *schema_json, int64_t *max_id, ist_buffer *out, ist_error *err);
/* Would files written for one schema be right in a table that has the other by now? IST_CONFLICT: the first column that
 * stands against it. */
ist_status ist__schema_fits(const char *written, const char *table, ist_error *err);

/* ---- deletion vectors (deletion_vector.c) ------------------------------------------------------------------- */

/* Clear the bits of deleted rows in a bitmap of `rows` set bits (malloc'ed here, the caller's). */
ist_status ist__dv_read(ist_store *store, const ist__dv *dv, int64_t rows, uint8_t **keep, ist_error *err);
/* The same from its bytes ("RoaringBitmapArray"): clears in keep, which has `rows` bits, and counts. */
ist_status ist__dv_parse(const uint8_t *data, size_t size, int64_t rows, uint8_t *keep, int64_t *deleted,
                         ist_error *err);
/* Copy the bits of rows [first, first + count) of a bitmap of `rows` to `out`, the first into the lowest bit. */
void ist__dv_slice(const uint8_t *keep, int64_t rows, int64_t first, int64_t count, uint8_t *out);
/* The path of a 'u' vector relative to the table: "<prefix>/deletion_vector_<uuid>.bin". */
ist_status ist__dv_path(const ist__dv *dv, ist_buffer *out, ist_error *err);

/* ---- checkpoints -------------------------------------------------------------------------------------------- */

/* Feed every action of the checkpoint made of `paths` (its parts) to cb; sidecars are followed. (checkpoint_read.c) */
ist_status ist__checkpoint_read(ist_store *store, const char *const *paths, size_t count, ist__arena *arena,
                                ist__action_cb cb, void *payload, ist_error *err);

/*
 * Append one Arrow value as statistics' JSON: numbers, strings (not truncated), dates, timestamps, decimals, booleans,
 * structs of them. *written is false, and nothing appended, for a null and for what has no such form. (stats_value.c)
 */
struct ArrowArrayView;
ist_status ist__stats_append_value(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row,
                                   ist_buffer *out, bool *written, ist_error *err);

/* ---- bridges from stores to shims (source.c) ---------------------------------------------------------------- */

/* Open an object of the store as a source for a shim; the source owns the reader. */
ist_status ist__source_open(ist_store *store, const char *path, ist__source *out, ist_error *err);
/* A data file's path from the log (percent-encoded, relative or absolute) -> path relative to the store's root.
 * IST_UNSUPPORTED for an absolute path outside the root. */
ist_status ist__data_path(const ist_store *store, const char *path, ist_buffer *out, ist_error *err);

#endif
