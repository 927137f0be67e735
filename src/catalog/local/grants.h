/*
 * grants.h: may this principal do that? Library-private. README.md tells the model, grants.c has it as one table.
 *
 * Every operation of the local catalog asks one of these before it does anything:
 *
 *     ist__chain chain;
 *     IST_TRY(ist__resolve(session, db, IST_SECURABLE_TABLE, name, IST__ACTION_UPDATE, &chain, err));
 *     ... ist__chain_id(&chain) is the table's id
 */
#ifndef ISTHMUS_CATALOG_LOCAL_GRANTS_H
#define ISTHMUS_CATALOG_LOCAL_GRANTS_H

#include "catalog/catalog_internal.h"
#include "catalog/local/session.h"

/* What can be asked. Actions that create are asked of the container. */
typedef enum ist__action {
    IST__ACTION_SEE,    /* know of it and read its metadata; lists hold what may be seen */
    IST__ACTION_UPDATE, /* comment, properties, columns, name */
    IST__ACTION_DELETE,
    IST__ACTION_GRANT,  /* read and change everybody's grants on it, and its owner */
    IST__ACTION_READ,   /* its data: a table's rows, a volume's or an external location's files, a model's artifacts;
                           execute a function */
    IST__ACTION_WRITE,  /* its data, which includes reading it */
    IST__ACTION_COMMIT, /* a table: a new version, and what a writer changes of its metadata */
    IST__ACTION_CREATE_CATALOG,           /* in the metastore */
    IST__ACTION_CREATE_CREDENTIAL,        /* in the metastore */
    IST__ACTION_CREATE_EXTERNAL_LOCATION, /* in the metastore; and of the credential that it uses */
    IST__ACTION_CREATE_SCHEMA,            /* in a catalog */
    IST__ACTION_CREATE_TABLE,             /* in a schema, as the next three; also staging tables */
    IST__ACTION_CREATE_VOLUME,
    IST__ACTION_CREATE_FUNCTION,
    IST__ACTION_CREATE_MODEL,
    IST__ACTION_CREATE_MODEL_VERSION,     /* in a registered model; also to finalize, change and delete one */
    IST__ACTION_CREATE_EXTERNAL_TABLE,    /* in an external location, as the next two */
    IST__ACTION_CREATE_EXTERNAL_VOLUME,
    IST__ACTION_CREATE_MANAGED_STORAGE,
    IST__ACTION_COUNT
} ist__action;

/* One securable and its ancestors, outermost first: metastore, catalog, schema, object. A model version stands for
 * itself with its model's rights: its chain is its model's. */
typedef struct ist__chain {
    int count;
    struct {
        ist_securable kind;
        char id[37];
        char owner[IST__PRINCIPAL_NAME_MAX + 1];
    } link[4];
} ist__chain;

/* The last link's id. */
const char *ist__chain_id(const ist__chain *chain);

/*
 * Find what a name leads to and authorize the action on it.
 *   name   of as many parts as the kind has; of none for the metastore
 *   out    the chain; may be NULL
 * Errors: <KIND>_NOT_FOUND, with the first level that is missing or that the principal may not see: the two cannot be
 * told apart; PERMISSION_DENIED, where he may see it but not do that.
 */
ist_status ist__resolve(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                        ist__action action, ist__chain *out, ist_error *err);
/* The same by id. */
ist_status ist__resolve_id(ist__session *session, ist__db *db, ist_securable kind, const char *id, ist__action action,
                           ist__chain *out, ist_error *err);
/*
 * The two halves of ist__resolve: what the names lead to, whoever asks (the chain ends before the first that is missing),
 * and whether he may. What was found stays true as long as the database does not change.
 */
ist_status ist__chain_find(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                           ist__chain *out, ist_error *err);
ist_status ist__chain_authorize(ist__session *session, ist_securable kind, const ist__name *name, ist__action action,
                                const ist__chain *chain, ist_error *err);
/* For a chain in hand. Errors: PERMISSION_DENIED; NOT_FOUND, where the principal may not see it. */
ist_status ist__authorize(ist__session *session, ist__action action, const ist__chain *chain, ist_error *err);
/* For lists: the chain's last link replaced by a row's kind, id and owner; may it be seen? */
bool ist__may_see(ist__session *session, const ist__chain *parent, ist_securable kind, const char *id,
                  const char *owner);

/*
 * Unity Catalog's PermissionsList of a securable: everybody's grants for whoever may administer them, the caller's own
 * and his groups' for anyone else who may see it.
 *   principal  NULL, or whose grants alone to tell
 */
ist_status ist__grants_get(ist__session *session, ist_securable kind, const ist__name *name, const char *principal,
                           ist_buffer *out, ist_error *err);
/* body: Unity Catalog's UpdatePermissions; all of it or nothing. Errors: PERMISSION_DENIED, NOT_FOUND (the principal),
 * INVALID_ARGUMENT. */
ist_status ist__grants_change(ist__session *session, ist_securable kind, const ist__name *name, const char *body,
                              ist_buffer *out, ist_error *err);
/* May a table's files be handed out at all? Not where a row filter or a column mask is to stand between them and their
 * reader, but for an engine, which applies them. Errors: PERMISSION_DENIED, which names it. */
ist_status ist__check_unfiltered(const ist__session *session, ist__db *db, const char *table_id, ist_error *err);
/* Give the chain's securable to another principal, if the caller may: for the PATCH of every kind with `owner` in it. */
ist_status ist__owner_change(ist__session *session, ist__db *db, const ist__chain *chain, const char *owner,
                             ist_error *err);

#endif
