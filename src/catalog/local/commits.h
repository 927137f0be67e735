/*
 * commits.h: the catalog as the one who says which staged commit is a table's next version. Library-private.
 *
 * Versions follow each other without a gap, and each has one file, for ever. At most IST__COMMITS_MAX are unpublished: a
 * writer that finds so many publishes first. README.md tells what a crash leaves at each step.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_COMMITS_H
#define ISTHMUS_CATALOG_LOCAL_COMMITS_H

#include "catalog/local/local_internal.h"

enum {
    IST__COMMITS_MAX = 10,         /* unpublished, of one table; as in Unity Catalog */
    IST__COMMITS_REMEMBERED = 100, /* published ones whose file names are kept, to know a commit that is sent again */
};

/* A staged commit. */
typedef struct ist__commit {
    int64_t version;
    int64_t timestamp; /* milliseconds */
    const char *file_name; /* in _delta_log/_staged_commits */
    int64_t file_size;
    int64_t file_modified; /* milliseconds */
} ist__commit;

/* How the members of a commit are written: "file_name" or "file-name". */
typedef enum ist__commit_style { IST__COMMIT_SNAKE, IST__COMMIT_KEBAB } ist__commit_style;

/* Read a commit's five members; file_name is borrowed. Errors: INVALID_ARGUMENT. */
ist_status ist__commit_read(yyjson_val *object, ist__commit_style style, ist__commit *out, ist_error *err);

/*
 * Ratify a commit, or note what is published, or both, inside the caller's transaction.
 *   commit     NULL for none
 *   published  the last version that is published; negative where the request does not say
 *   *replayed  set where this very commit was ratified before: then nothing is to be changed
 * Errors: COMMIT_VERSION_CONFLICT (the version is another file's), RESOURCE_EXHAUSTED (too many unpublished),
 * INVALID_ARGUMENT (a gap; more published than there is).
 */
ist_status ist__commit_add(ist__db *db, const char *table_id, const ist__commit *commit, int64_t published,
                           bool *replayed, ist_error *err);
/* Append the unpublished commits from `start` to `end`, newest first, to a JSON array. */
ist_status ist__commits_append(ist__db *db, const char *table_id, int64_t start, int64_t end, ist__commit_style style,
                               yyjson_mut_doc *doc, yyjson_mut_val *list, ist_error *err);
/* The last version that was ratified; 0 for none. */
ist_status ist__commits_latest(ist__db *db, const char *table_id, int64_t *out, ist_error *err);

/* The backend's calls: Unity Catalog's preview API. */
ist_status ist__local_get_commits(void *self, const char *request, ist_buffer *out, ist_error *err);
ist_status ist__local_commit(void *self, const char *body, ist_error *err);

#endif
