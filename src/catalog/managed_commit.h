/*
 * managed_commit.h: the committer of catalog-managed tables (sys/committer.h), and what a catalog keeps of a Delta table.
 * Library-private.
 */
#ifndef ISTHMUS_CATALOG_MANAGED_COMMIT_H
#define ISTHMUS_CATALOG_MANAGED_COMMIT_H

#include "catalog/catalog_internal.h"
#include "isthmus/sys/committer.h"

#include <yyjson.h>

enum {
    IST__COMMITS_MAX = 10000,   /* of one answer that are believed; Unity Catalog gives 10 */
    IST__UNPUBLISHED_MAX = 10,  /* the most that Unity Catalog keeps of one table */
    IST__STAGED_NAME_MAX = 255, /* bytes of a staged commit's file name */
};

/* A ratified commit as the catalog tells it. */
typedef struct ist__commit_info {
    int64_t version;
    int64_t size;
    int64_t modified_ms;
    char name[IST__STAGED_NAME_MAX + 1]; /* of the file in _delta_log/_staged_commits */
} ist__commit_info;

typedef struct ist__commits {
    ist__commit_info *items; /* by version, rising by one */
    size_t count;
    int64_t latest; /* the newest version of all; 0 for a table without commits */
} ist__commits;

/* Whose answer it is: getCommits of the preview API, or loadTable of the Delta API (delta_api.h). */
typedef enum ist__commits_form { IST__COMMITS_PREVIEW, IST__COMMITS_DELTA } ist__commits_form;

/* Read a table's commits. Errors: IST_BAD_INPUT (no such answer; a name that is no staged commit's; a gap). */
ist_status ist__commits_parse(const char *json, size_t size, ist__commits_form form, ist__commits *out, ist_error *err);
void ist__commits_free(ist__commits *commits);

typedef struct ist__managed_table {
    const char *id;   /* the catalog's */
    const char *uri;  /* its storage_location, letter by letter */
    const char *name; /* "catalog.schema.table"; NULL with the preview API: only for messages there */
    bool registered;  /* false: only its place is reserved, and version 0 makes it */
    bool delta_api;   /* the server speaks the Delta API: it is used */
    const char *required; /* JSON: properties that the server asks of this new table, which is catalog-managed; NULL: the
                             writer chooses, and Unity Catalog's contract holds for catalog-managed tables */
} ist__managed_table;

/* catalog: held by the committer. Texts are copied. */
ist_status ist__managed_committer_new(ist_catalog *catalog, const ist__managed_table *table, ist_committer **out,
                                      ist_error *err);

/* The table that only had a place has been registered. */
void ist__managed_committer_registered(ist_committer *committer);

/* The columns of a table's description (ist_snapshot_describe) as CreateTable wants them, appended to out. */
ist_status ist__delta_columns(yyjson_val *description, ist_buffer *out, ist_error *err);
/* Its properties as Unity Catalog keeps them, added to `object`: the table's own, and those that stand for its protocol. */
void ist__delta_properties(yyjson_val *description, yyjson_mut_doc *doc, yyjson_mut_val *object);

#endif
