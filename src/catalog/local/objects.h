/*
 * objects.h: the kinds of objects of the local catalog. Each is one row of statements and a few functions in a file of
 * its own, local_<kinds>.c; local_objects.c does the five operations on all of them. Library-private.
 *
 * Every operation runs inside a transaction that its caller began, as the session's principal, and authorizes first.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_OBJECTS_H
#define ISTHMUS_CATALOG_LOCAL_OBJECTS_H

#include "catalog/local/local_internal.h"

#define IST__MANAGED_PREFIX "__unitystorage" /* the segment under which the catalog lays out managed data */
#define IST__TABLE_ID_PROPERTY "io.unitycatalog.tableId"

/* One object on its way into the database. */
typedef struct ist__creation {
    ist__session *session;
    ist__db *db;
    yyjson_doc *doc;
    yyjson_val *root; /* the members, unwrapped */
    const char *name, *comment;
    char *properties;  /* JSON; NULL for none */
    ist__name container; /* the parent's name */
    ist__chain parent;
    char id[37]; /* random; a kind that knows better overwrites it */
    int64_t now;
} ist__creation;

/* A change on its way. */
typedef struct ist__change {
    ist__session *session;
    ist__db *db;
    yyjson_val *patch;
    const char *id;
    const ist__chain *chain;
    int64_t now;
    bool made; /* set by the kind where its own members change something */
} ist__change;

/* What differs between the kinds of object. Statements take the object's or the parent's id as ?1. */
typedef struct ist__kind {
    const char *wrapper; /* the member of a create body that holds the object; NULL where it is the body */
    const char *id;      /* the column of get and page with the object's id */
    const char *get;
    const char *page;    /* in the parent, after the name ?2, in order */
    const char *own_page; /* of these only what names in ?4 own or ids in ?3 have grants on; NULL where all are seen */
    const char *token;   /* the column of page that a page's token is made of; NULL for "name" */
    const char *update;  /* time ?2, principal ?3, comment ?4, properties ?5; what is NULL stays as it was */
    const char *remove;
    const char *managed; /* locations of the managed data of the object and of all in it; NULL where there is none */
    ist__action create;  /* asked of the parent */
    ist__uc_code taken;  /* where the name is another's */
    bool must_change;    /* an update with nothing in it is an error */
    /* Put the row there: everything but common checks and rights on the parent. */
    ist_status (*insert)(ist__creation *creation, ist_error *err);
    /* Change the kind's own members; NULL where it has none. */
    ist_status (*change)(ist__change *change, ist_error *err);
    /* Refuse a delete without force where something needs the object; NULL where nothing can. */
    ist_status (*check_unused)(ist__db *db, const char *id, const char *name, ist_error *err);
} ist__kind;

extern const ist__kind ist__kind_catalog, ist__kind_schema;                        /* local_containers.c */
extern const ist__kind ist__kind_table;                                            /* local_tables.c: reserve the id and the place of a managed table; the second inside the caller's transaction. */
extern const ist__kind ist__kind_volume;                                           /* local_volumes.c */
extern const ist__kind ist__kind_function;                                         /* local_functions.c */
extern const ist__kind ist__kind_registered_model, ist__kind_model_version;        /* local_models.c */
extern const ist__kind ist__kind_credential, ist__kind_external_location;          /* local_locations.c */

/* Parts of statements that the kinds share. */
#define IST__SELECT_COMMON "o.owner, o.created_at, o.created_by, o.updated_at, o.updated_by"
#define IST__IN_SCHEMA "JOIN schemas s ON s.id = o.parent_id JOIN catalogs c ON c.id = s.parent_id "
#define IST__BY_ID "WHERE o.id = ?1"
#define IST__PAGE "WHERE o.parent_id = ?1 AND o.name > ?2 ORDER BY o.name"
/* ?3 and ?4: JSON arrays. The + keeps SQLite from going through all of the parent by name. */
#define IST__OWN_PAGE(table)                                                                                           \
    "WHERE +o.parent_id = ?1 AND o.name > ?2 AND o.id IN (SELECT g.securable_id FROM grants g WHERE g.principal_id IN"  \
    " (SELECT value FROM json_each(?3)) UNION SELECT x.id FROM " table " x WHERE x.parent_id = ?1 AND x.owner IN"      \
    " (SELECT value FROM json_each(?4))) ORDER BY o.name"
/* A time never stays the same: etags are made of it. */
#define IST__SET_TIME " updated_at = max(?2, coalesce(updated_at, 0) + 1), updated_by = ?3"
#define IST__SET_COMMENT "comment = coalesce(?4, comment)," IST__SET_TIME
#define IST__SET_COMMON "properties = coalesce(?5, properties), " IST__SET_COMMENT

/* local_objects.c: the backend's five operations. `self` is a session. */
ist_status ist__local_create(void *self, ist_securable kind, const char *body, ist_buffer *out, ist_error *err);
ist_status ist__local_get(void *self, ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err);
ist_status ist__local_update(void *self, ist_securable kind, const ist__name *name, const char *patch, ist_buffer *out,
                             ist_error *err);
ist_status ist__local_remove(void *self, ist_securable kind, const ist__name *name, bool force, ist_error *err);
ist_status ist__local_list(void *self, ist_securable kind, const ist__name *parent, int max_results,
                           const char *page_token, ist_buffer *out, ist_error *err);

/* Their parts, for those that do more in the same transaction. The caller frees a creation also after an error. */
ist_status ist__creation_read(ist__creation *creation, ist_securable kind, const char *body, ist_error *err);
ist_status ist__creation_insert(ist__creation *creation, ist_securable kind, ist_error *err);
void ist__creation_free(ist__creation *creation);
/* Append an object as JSON. */
ist_status ist__object_append(ist__db *db, ist_securable kind, const char *id, ist_buffer *out, ist_error *err);
/* Is the name free in the parent? Errors: the kind's ALREADY_EXISTS. */
ist_status ist__object_check_free(ist__db *db, ist_securable kind, const char *parent_id, const char *name,
                                  ist_error *err);
/* How many objects a page has. Errors: INVALID_ARGUMENT (negative). */
ist_status ist__page_limit(int max_results, int *out, ist_error *err);

/* One of these values, or INVALID_ARGUMENT. `allowed` ends with NULL. */
ist_status ist__one_of(const char *value, const char *const *allowed, const char *key, ist_error *err);
/* Text of a column, borrowed; NULL for null. */
const char *ist__column_text(sqlite3_stmt *row, int column);

/* local_models.c: models of all schemas, by id; and the end of a version's upload. */
ist_status ist__local_list_all_models(ist__session *session, int max_results, const char *page_token, ist_buffer *out,
                                      ist_error *err);
ist_status ist__local_finalize_version(ist__session *session, const char *full_name, int64_t version, ist_buffer *out,
                                       ist_error *err);

/* local_tables.c: reserve the id and the place of a managed table; the second inside the caller's transaction. */
ist_status ist__local_create_staging_table(void *self, const ist__name *name, ist_buffer *out, ist_error *err);
ist_status ist__staging_insert(ist__session *session, ist__db *db, const ist__name *name, char id[37],
                               ist_buffer *location, ist_error *err);

/* local_credentials.c. The request is one of isthmus/catalog.h's, or a volume's or a model version's of the REST API. */
ist_status ist__local_get_credentials(void *self, const char *request, ist_buffer *out, ist_error *err);
/* Authorize an action on the table or, for its creator, the staging table with this id; append its location. */
ist_status ist__locate_table(ist__session *session, ist__db *db, const char *id, ist__action action, ist_buffer *out,
                             ist_error *err);
/* Errors: INVALID_ARGUMENT (no UUID). */
ist_status ist__uuid_check(const char *text, ist_error *err);

#endif
