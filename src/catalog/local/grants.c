/*
 * grants.c: what each action needs, as one table; and the grants themselves.
 *
 * A principal's privileges at a level are those granted there to him or a group of his, and those granted at the levels
 * above it from the catalog on. OWNER is never inherited. README.md tells the model in prose.
 */
#include "catalog/local/grants.h"

#include "catalog/local/principals.h"
#include "catalog/local/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES_MAX = 1000 };

const char ist__schema_grants[] =
    /* privileges: bits, in the order of the table `privileges` of grants.c; a row without any is not kept */
    "CREATE TABLE grants (securable_id TEXT NOT NULL,"
    " principal_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE, privileges INTEGER NOT NULL,"
    " PRIMARY KEY (principal_id, securable_id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX grants_by_securable ON grants (securable_id);"
    /* row_filter: JSON. masked: the first column that has a mask. Whoever reads files reads past both. */
    "ALTER TABLE tables ADD COLUMN row_filter TEXT;"
    "ALTER TABLE tables ADD COLUMN masked TEXT;";

/* Privileges ------------------------------------------------------------------------------------------------------- */

#define BIT(n) ((uint32_t)1 << (n))
enum {
    CREATE_CATALOG = BIT(0),
    USE_CATALOG = BIT(1),
    CREATE_SCHEMA = BIT(2),
    USE_SCHEMA = BIT(3),
    CREATE_TABLE = BIT(4),
    SELECT = BIT(5),
    MODIFY = BIT(6),
    CREATE_FUNCTION = BIT(7),
    EXECUTE = BIT(8),
    CREATE_VOLUME = BIT(9),
    READ_VOLUME = BIT(10),
    WRITE_VOLUME = BIT(11),
    CREATE_MODEL = BIT(12),
    CREATE_EXTERNAL_LOCATION = BIT(13),
    READ_FILES = BIT(14),
    WRITE_FILES = BIT(15),
    CREATE_EXTERNAL_TABLE = BIT(16),
    CREATE_EXTERNAL_VOLUME = BIT(17),
    CREATE_MANAGED_STORAGE = BIT(18),
    CREATE_STORAGE_CREDENTIAL = BIT(19),
    MANAGE = BIT(20),
    OWNER = BIT(21), /* not granted: whoever goes by the owner's name has it */
};

#define ON(kind) BIT(IST_SECURABLE_##kind)
#define IN_SCHEMAS (ON(CATALOG) | ON(SCHEMA))
#define ALL_BUT_METASTORE                                                                                              \
    (IN_SCHEMAS | ON(TABLE) | ON(VOLUME) | ON(FUNCTION) | ON(REGISTERED_MODEL) | ON(CREDENTIAL) | ON(EXTERNAL_LOCATION))

/* The privileges by bit, and on which securables each can be granted: those it is about and those above them. */
static const struct {
    const char *name;
    uint32_t on;
} privileges[] = {
    {"CREATE CATALOG", ON(METASTORE)},
    {"USE CATALOG", ON(CATALOG)},
    {"CREATE SCHEMA", ON(CATALOG)},
    {"USE SCHEMA", IN_SCHEMAS},
    {"CREATE TABLE", IN_SCHEMAS},
    {"SELECT", IN_SCHEMAS | ON(TABLE)},
    {"MODIFY", IN_SCHEMAS | ON(TABLE)},
    {"CREATE FUNCTION", IN_SCHEMAS},
    {"EXECUTE", IN_SCHEMAS | ON(FUNCTION) | ON(REGISTERED_MODEL)},
    {"CREATE VOLUME", IN_SCHEMAS},
    {"READ VOLUME", IN_SCHEMAS | ON(VOLUME)},
    {"WRITE VOLUME", IN_SCHEMAS | ON(VOLUME)},
    {"CREATE MODEL", IN_SCHEMAS},
    {"CREATE EXTERNAL LOCATION", ON(METASTORE) | ON(CREDENTIAL)},
    {"READ FILES", ON(EXTERNAL_LOCATION)},
    {"WRITE FILES", ON(EXTERNAL_LOCATION)},
    {"CREATE EXTERNAL TABLE", ON(EXTERNAL_LOCATION)},
    {"CREATE EXTERNAL VOLUME", ON(EXTERNAL_LOCATION)},
    {"CREATE MANAGED STORAGE", ON(EXTERNAL_LOCATION)},
    {"CREATE STORAGE CREDENTIAL", ON(METASTORE)},
    {"MANAGE", ALL_BUT_METASTORE},
};

enum { PRIVILEGE_COUNT = sizeof privileges / sizeof *privileges };

/* Rules ------------------------------------------------------------------------------------------------------------ */

enum { METASTORE, CATALOG, SCHEMA, OBJECT, LEVEL_COUNT };

/* One way to be allowed: at each level one of `any` (none asked where it is 0), and one of `also` besides. */
typedef struct clause {
    uint32_t any[LEVEL_COUNT];
    uint32_t also[LEVEL_COUNT];
} clause;

#define ADMINISTER (OWNER | MANAGE)
#define THROUGH [CATALOG] = OWNER | USE_CATALOG, [SCHEMA] = OWNER | USE_SCHEMA

/* Three ways to administer what is in a schema, or to be told of it; `more` is what else counts on the object itself. */
#define IN_SCHEMA(more)                                                                                                \
    {.any = {[CATALOG] = ADMINISTER}}, {.any = {[CATALOG] = USE_CATALOG, [SCHEMA] = ADMINISTER}},                      \
    {                                                                                                                  \
        .any = {[CATALOG] = USE_CATALOG, [SCHEMA] = USE_SCHEMA, [OBJECT] = ADMINISTER | (more) }                       \
    }
#define DATA(needed) {.any = {THROUGH, [OBJECT] = needed}}
#define DATA_BOTH(needed, too) {.any = {THROUGH, [OBJECT] = needed}, .also = {[OBJECT] = too}}
#define CREATE_IN_SCHEMA(needed)                                                                                       \
    {.any = {[CATALOG] = OWNER | USE_CATALOG, [SCHEMA] = OWNER}},                                                      \
    {                                                                                                                  \
        .any = {[CATALOG] = OWNER | USE_CATALOG, [SCHEMA] = USE_SCHEMA}, .also = {[SCHEMA] = needed }                  \
    }
#define ALONE(needed) {.any = {[OBJECT] = needed}}

#define SCHEMA_OBJECTS (ON(TABLE) | ON(VOLUME) | ON(FUNCTION) | ON(REGISTERED_MODEL))
#define METASTORE_OBJECTS (ON(CREDENTIAL) | ON(EXTERNAL_LOCATION))

/*
 * What each action needs on each kind of securable: one of the clauses. What is not here nobody may but an
 * administrator or the metastore's owner, who may everything. A credential and an external location are at the level
 * OBJECT, with nothing between them and the metastore.
 */
static const struct rule {
    ist__action action;
    uint32_t on;
    int count;
    clause clauses[3];
} rules[] = {
    {IST__ACTION_SEE, ON(METASTORE), 1, {{{0}, {0}}}}, /* everybody */
    {IST__ACTION_SEE, ON(CATALOG), 1, {{.any = {[CATALOG] = ADMINISTER | USE_CATALOG}}}},
    {IST__ACTION_SEE, ON(SCHEMA), 2,
     {{.any = {[CATALOG] = ADMINISTER}}, {.any = {[CATALOG] = USE_CATALOG, [SCHEMA] = ADMINISTER | USE_SCHEMA}}}},
    {IST__ACTION_SEE, ON(TABLE), 3, {IN_SCHEMA(SELECT | MODIFY)}},
    {IST__ACTION_SEE, ON(VOLUME), 3, {IN_SCHEMA(READ_VOLUME | WRITE_VOLUME)}},
    {IST__ACTION_SEE, ON(FUNCTION) | ON(REGISTERED_MODEL), 3, {IN_SCHEMA(EXECUTE)}},
    {IST__ACTION_SEE, ON(CREDENTIAL), 1, {ALONE(ADMINISTER | CREATE_EXTERNAL_LOCATION)}},
    {IST__ACTION_SEE, ON(EXTERNAL_LOCATION), 1,
     {ALONE(ADMINISTER | READ_FILES | WRITE_FILES | CREATE_EXTERNAL_TABLE | CREATE_EXTERNAL_VOLUME |
            CREATE_MANAGED_STORAGE)}},

    {IST__ACTION_UPDATE, ON(CATALOG), 1, {{.any = {[CATALOG] = ADMINISTER}}}},
    {IST__ACTION_UPDATE, ON(SCHEMA), 2,
     {{.any = {[CATALOG] = ADMINISTER}}, {.any = {[CATALOG] = USE_CATALOG, [SCHEMA] = ADMINISTER}}}},
    {IST__ACTION_UPDATE, ON(TABLE), 3, {IN_SCHEMA(MODIFY)}},
    {IST__ACTION_UPDATE, ON(VOLUME) | ON(FUNCTION) | ON(REGISTERED_MODEL), 3, {IN_SCHEMA(0)}},
    {IST__ACTION_UPDATE, METASTORE_OBJECTS, 1, {ALONE(ADMINISTER)}},

    {IST__ACTION_DELETE, ON(CATALOG), 1, {{.any = {[CATALOG] = ADMINISTER}}}},
    {IST__ACTION_DELETE, ON(SCHEMA), 2,
     {{.any = {[CATALOG] = ADMINISTER}}, {.any = {[CATALOG] = USE_CATALOG, [SCHEMA] = ADMINISTER}}}},
    {IST__ACTION_DELETE, SCHEMA_OBJECTS, 3, {IN_SCHEMA(0)}},
    {IST__ACTION_DELETE, METASTORE_OBJECTS, 1, {ALONE(ADMINISTER)}},

    {IST__ACTION_GRANT, ON(CATALOG), 1, {{.any = {[CATALOG] = ADMINISTER}}}},
    {IST__ACTION_GRANT, ON(SCHEMA), 2,
     {{.any = {[CATALOG] = ADMINISTER}}, {.any = {[CATALOG] = USE_CATALOG, [SCHEMA] = ADMINISTER}}}},
    {IST__ACTION_GRANT, SCHEMA_OBJECTS, 3, {IN_SCHEMA(0)}},
    {IST__ACTION_GRANT, METASTORE_OBJECTS, 1, {ALONE(ADMINISTER)}},

    {IST__ACTION_READ, ON(TABLE), 1, {DATA(OWNER | SELECT)}},
    {IST__ACTION_READ, ON(VOLUME), 1, {DATA(OWNER | READ_VOLUME)}},
    {IST__ACTION_READ, ON(FUNCTION) | ON(REGISTERED_MODEL), 1, {DATA(OWNER | EXECUTE)}},
    {IST__ACTION_READ, ON(EXTERNAL_LOCATION), 1, {ALONE(OWNER | READ_FILES)}},

    {IST__ACTION_WRITE, ON(TABLE), 2, {DATA(OWNER), DATA_BOTH(SELECT, MODIFY)}},
    {IST__ACTION_WRITE, ON(VOLUME), 2, {DATA(OWNER), DATA_BOTH(READ_VOLUME, WRITE_VOLUME)}},
    {IST__ACTION_WRITE, ON(REGISTERED_MODEL), 1, {DATA(OWNER)}},
    {IST__ACTION_WRITE, ON(EXTERNAL_LOCATION), 2,
     {ALONE(OWNER), {.any = {[OBJECT] = READ_FILES}, .also = {[OBJECT] = WRITE_FILES}}}},

    {IST__ACTION_COMMIT, ON(TABLE), 1, {DATA(OWNER | MODIFY)}},

    {IST__ACTION_CREATE_CATALOG, ON(METASTORE), 1, {{.any = {[METASTORE] = CREATE_CATALOG}}}},
    {IST__ACTION_CREATE_CREDENTIAL, ON(METASTORE), 1, {{.any = {[METASTORE] = CREATE_STORAGE_CREDENTIAL}}}},
    {IST__ACTION_CREATE_EXTERNAL_LOCATION, ON(METASTORE), 1, {{.any = {[METASTORE] = CREATE_EXTERNAL_LOCATION}}}},
    {IST__ACTION_CREATE_EXTERNAL_LOCATION, ON(CREDENTIAL), 1, {ALONE(OWNER | CREATE_EXTERNAL_LOCATION)}},
    {IST__ACTION_CREATE_SCHEMA, ON(CATALOG), 2,
     {{.any = {[CATALOG] = OWNER}}, {.any = {[CATALOG] = USE_CATALOG}, .also = {[CATALOG] = CREATE_SCHEMA}}}},
    {IST__ACTION_CREATE_TABLE, ON(SCHEMA), 2, {CREATE_IN_SCHEMA(CREATE_TABLE)}},
    {IST__ACTION_CREATE_VOLUME, ON(SCHEMA), 2, {CREATE_IN_SCHEMA(CREATE_VOLUME)}},
    {IST__ACTION_CREATE_FUNCTION, ON(SCHEMA), 2, {CREATE_IN_SCHEMA(CREATE_FUNCTION)}},
    {IST__ACTION_CREATE_MODEL, ON(SCHEMA), 2, {CREATE_IN_SCHEMA(CREATE_MODEL | CREATE_FUNCTION)}},
    {IST__ACTION_CREATE_MODEL_VERSION, ON(REGISTERED_MODEL), 1, {DATA(OWNER)}},
    {IST__ACTION_CREATE_EXTERNAL_TABLE, ON(EXTERNAL_LOCATION), 1, {ALONE(OWNER | CREATE_EXTERNAL_TABLE)}},
    {IST__ACTION_CREATE_EXTERNAL_VOLUME, ON(EXTERNAL_LOCATION), 1, {ALONE(OWNER | CREATE_EXTERNAL_VOLUME)}},
    {IST__ACTION_CREATE_MANAGED_STORAGE, ON(EXTERNAL_LOCATION), 1, {ALONE(OWNER | CREATE_MANAGED_STORAGE)}},
};

static const struct rule *find_rule(ist__action action, ist_securable kind)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].action == action && (rules[i].on & BIT(kind)))
            return &rules[i];
    return NULL;
}

static int level_of(ist_securable kind)
{
    return kind == IST_SECURABLE_METASTORE ? METASTORE
           : kind == IST_SECURABLE_CATALOG ? CATALOG
           : kind == IST_SECURABLE_SCHEMA  ? SCHEMA
                                           : OBJECT;
}

/* Authorization ---------------------------------------------------------------------------------------------------- */

/* What a principal has at each level of a chain, inherited or not. */
typedef struct holdings {
    uint32_t at[LEVEL_COUNT];
    uint32_t inherited; /* by what comes below the last link */
} holdings;

static void add_level(holdings *h, const ist__principal *who, ist_securable kind, const char *id, const char *owner)
{
    uint32_t granted = ist__principal_grants(who, id) | h->inherited;
    h->at[level_of(kind)] = granted | (ist__principal_owns(who, owner) ? OWNER : 0);
    if (kind != IST_SECURABLE_METASTORE)
        h->inherited = granted;
}

static holdings holdings_of(const ist__principal *who, const ist__chain *chain)
{
    holdings h = {{0}, 0};
    for (int i = 0; i < chain->count; i++)
        add_level(&h, who, chain->link[i].kind, chain->link[i].id, chain->link[i].owner);
    return h;
}

static bool holds(const holdings *h, const clause *c)
{
    for (int level = 0; level < LEVEL_COUNT; level++)
        if ((c->any[level] && !(c->any[level] & h->at[level])) || (c->also[level] && !(c->also[level] & h->at[level])))
            return false;
    return true;
}

static bool may(const ist__principal *who, const holdings *h, ist__action action, ist_securable kind)
{
    const struct rule *rule = find_rule(action, kind);
    if (who->is_engine)
        return action == IST__ACTION_SEE || (action == IST__ACTION_READ && kind == IST_SECURABLE_TABLE);
    if (who->is_admin || (h->at[METASTORE] & OWNER))
        return true;
    for (int i = 0; rule && i < rule->count; i++)
        if (holds(h, &rule->clauses[i]))
            return true;
    return false;
}

/* In words, for messages. */
static const char *const action_names[IST__ACTION_COUNT] = {
    [IST__ACTION_SEE] = "see",
    [IST__ACTION_UPDATE] = "change",
    [IST__ACTION_DELETE] = "delete",
    [IST__ACTION_GRANT] = "administer the grants of",
    [IST__ACTION_READ] = "read the data of",
    [IST__ACTION_WRITE] = "write to",
    [IST__ACTION_COMMIT] = "commit to",
    [IST__ACTION_CREATE_CATALOG] = "create a catalog in",
    [IST__ACTION_CREATE_CREDENTIAL] = "create a storage credential in",
    [IST__ACTION_CREATE_EXTERNAL_LOCATION] = "create an external location with",
    [IST__ACTION_CREATE_SCHEMA] = "create a schema in",
    [IST__ACTION_CREATE_TABLE] = "create a table in",
    [IST__ACTION_CREATE_VOLUME] = "create a volume in",
    [IST__ACTION_CREATE_FUNCTION] = "create a function in",
    [IST__ACTION_CREATE_MODEL] = "create a model in",
    [IST__ACTION_CREATE_MODEL_VERSION] = "create or change versions of",
    [IST__ACTION_CREATE_EXTERNAL_TABLE] = "create an external table in",
    [IST__ACTION_CREATE_EXTERNAL_VOLUME] = "create an external volume in",
    [IST__ACTION_CREATE_MANAGED_STORAGE] = "put managed storage in",
};

/* One of the privileges of a mask, for a message: what can be granted for just this before what gives more. */
static const char *privilege_of(uint32_t mask)
{
    for (int i = 0; i < PRIVILEGE_COUNT; i++)
        if ((mask & ~(uint32_t)MANAGE) & BIT(i))
            return privileges[i].name;
    return mask & MANAGE ? "MANAGE" : "OWNER";
}

/* " and MODIFY on the table" for each privilege that the rule's last way, the one by grants, asks for in vain. */
static ist_status describe_missing(const holdings *h, ist__action action, ist_securable kind, ist_buffer *out,
                                   ist_error *err)
{
    const struct rule *rule = find_rule(action, kind);
    const char *const levels[] = {"metastore", "catalog", "schema", ist__securable_type(kind)};
    if (!rule)
        return ist_buffer_append_string(out, " and to be an administrator", err);
    const clause *way = &rule->clauses[rule->count - 1];
    for (int level = 0; level < LEVEL_COUNT; level++) {
        const uint32_t needed[] = {way->any[level], way->also[level]};
        for (int i = 0; i < 2; i++)
            if (needed[i] && !(needed[i] & h->at[level]))
                IST_TRY(ist_buffer_printf(out, err, " and %s on the %s", privilege_of(needed[i]), levels[level]));
    }
    return IST_OK;
}

ist_status ist__authorize(ist__session *session, ist__action action, const ist__chain *chain, ist_error *err)
{
    const ist__principal *who = session->who;
    if (who->is_admin)
        return IST_OK;
    ist_securable kind = chain->link[chain->count - 1].kind;
    holdings h = holdings_of(who, chain);
    if (may(who, &h, action, kind))
        return IST_OK;
    if (!may(who, &h, IST__ACTION_SEE, kind))
        return ist__uc_error(err, ist__securable_tables[kind].missing, "%s not found", ist__securable_label(kind));
    ist_buffer missing = IST_BUFFER_INIT;
    ist_status status = describe_missing(&h, action, kind, &missing, err);
    if (status == IST_OK)
        status = ist__uc_error(err, IST__UC_PERMISSION_DENIED, "%s may not %s this %s: that needs %s", who->name,
                               action_names[action], ist__securable_type(kind),
                               missing.data ? missing.data + sizeof " and " - 1 : "more");
    ist_buffer_free(&missing);
    return status;
}

bool ist__may_see(ist__session *session, const ist__chain *parent, ist_securable kind, const char *id,
                  const char *owner)
{
    if (session->who->is_admin)
        return true;
    holdings h = holdings_of(session->who, parent);
    add_level(&h, session->who, kind, id, owner);
    return may(session->who, &h, IST__ACTION_SEE, kind);
}

/* Grants ----------------------------------------------------------------------------------------------------------- */

/* ALL PRIVILEGES stands for all that can be granted on a kind, less that of granting them on. */
static uint32_t all_privileges(ist_securable kind)
{
    uint32_t all = 0;
    for (int i = 0; i < PRIVILEGE_COUNT; i++)
        if (privileges[i].on & BIT(kind))
            all |= BIT(i);
    return all & ~(uint32_t)MANAGE;
}

/* The bits of a privilege's name, with spaces as Unity Catalog writes it or with underscores as Databricks does. */
static ist_status privilege_bit(yyjson_val *value, ist_securable kind, uint32_t *out, ist_error *err)
{
    const char *text = yyjson_get_str(value);
    char name[64];
    if (!text || snprintf(name, sizeof name, "%s", text) >= (int)sizeof name)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a privilege is not the name of one");
    for (char *at = name; *at; at++)
        if (*at == '_')
            *at = ' ';
    if (strcmp(name, "ALL PRIVILEGES") == 0) {
        *out |= all_privileges(kind);
        return IST_OK;
    }
    for (int i = 0; i < PRIVILEGE_COUNT; i++) {
        if (strcmp(privileges[i].name, name) != 0)
            continue;
        if (!(privileges[i].on & BIT(kind)))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not a privilege on a %s", name,
                                 ist__securable_type(kind));
        *out |= BIT(i);
        return IST_OK;
    }
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "'%s' is not a privilege", name);
}

static ist_status read_privileges(yyjson_val *change, const char *key, ist_securable kind, uint32_t *out,
                                  ist_error *err)
{
    yyjson_val *list = yyjson_obj_get(change, key), *value;
    size_t i, count;
    *out = 0;
    if (list && !yyjson_is_null(list) && !yyjson_is_arr(list))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not an array of privileges", key);
    yyjson_arr_foreach(list, i, count, value) {
        IST_TRY(privilege_bit(value, kind, out, err));
    }
    return IST_OK;
}

static ist_status change_grant(ist__db *db, const ist__chain *chain, const char *principal_id, uint32_t add,
                               uint32_t remove, ist_error *err)
{
    const char *id = ist__chain_id(chain);
    IST_TRY(ist__db_run(db,
                        "INSERT INTO grants (securable_id, principal_id, privileges) VALUES (?1, ?2, ?3)"
                        " ON CONFLICT DO UPDATE SET privileges = privileges | ?3",
                        NULL, err, "tti", id, principal_id, (int64_t)add));
    IST_TRY(ist__db_run(db,
                        "UPDATE grants SET privileges = privileges & ~?3 WHERE securable_id = ?1 AND principal_id = ?2",
                        NULL, err, "tti", id, principal_id, (int64_t)remove));
    return ist__db_run(db, "DELETE FROM grants WHERE securable_id = ?1 AND principal_id = ?2 AND privileges = 0", NULL,
                       err, "tt", id, principal_id);
}

static void add_assignment(yyjson_mut_doc *doc, yyjson_mut_val *list, const char *principal, uint32_t bits)
{
    yyjson_mut_val *assignment = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_strcpy(doc, assignment, "principal", principal);
    yyjson_mut_val *names = yyjson_mut_obj_add_arr(doc, assignment, "privileges");
    for (int i = 0; i < PRIVILEGE_COUNT; i++)
        if (bits & BIT(i))
            yyjson_mut_arr_add_str(doc, names, privileges[i].name);
}

/*
 * Add what was granted on the chain's securable.
 *   only    NULL, or the one principal to tell of
 *   of      NULL, or the principal to whom and to whose groups it was granted
 */
static ist_status list_grants(ist__db *db, const ist__chain *chain, const char *only, const ist__principal *of,
                              yyjson_mut_doc *doc, yyjson_mut_val *list, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT p.name, g.privileges FROM grants g JOIN principals p ON p.id = g.principal_id"
                        " WHERE g.securable_id = ?1 ORDER BY p.name",
                        &row, err, "t", ist__chain_id(chain)));
    while (row) {
        const char *name = ist__db_text(row, 0);
        if ((!only || strcmp(only, name) == 0) && (!of || ist__principal_owns(of, name)))
            add_assignment(doc, list, name, (uint32_t)sqlite3_column_int64(row, 1));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

static ist_status apply_changes(ist__db *db, const ist__chain *chain, yyjson_val *changes, yyjson_mut_doc *doc,
                                yyjson_mut_val *list, ist_error *err)
{
    ist_securable kind = chain->link[chain->count - 1].kind;
    yyjson_val *change;
    size_t i, count;
    if (!yyjson_is_arr(changes) || yyjson_arr_size(changes) > CHANGES_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "changes is not an array of at most %d", CHANGES_MAX);
    yyjson_arr_foreach(changes, i, count, change) {
        const char *principal;
        char principal_id[37];
        uint32_t add, remove;
        IST_TRY(ist__json_text(change, "principal", true, &principal, err));
        IST_TRY(read_privileges(change, "add", kind, &add, err));
        IST_TRY(read_privileges(change, "remove", kind, &remove, err));
        IST_TRY(ist__principal_find(db, principal, principal_id, err));
        IST_TRY(change_grant(db, chain, principal_id, add, remove, err));
    }
    ist__db_rights_changed(db);
    /* The answer tells what the principals of the request have now, each once. */
    yyjson_arr_foreach(changes, i, count, change) {
        const char *principal = yyjson_get_str(yyjson_obj_get(change, "principal"));
        bool told = false;
        for (size_t before = 0; before < i && !told; before++)
            told = yyjson_equals_str(yyjson_obj_get(yyjson_arr_get(changes, before), "principal"), principal);
        if (!told)
            IST_TRY(list_grants(db, chain, principal, NULL, doc, list, err));
    }
    return IST_OK;
}

/* Everything for whoever administers the securable; what concerns the caller for anyone else who may see it. */
static ist_status show_grants(ist__session *session, ist__db *db, const ist__chain *chain, const char *principal,
                              yyjson_mut_doc *doc, yyjson_mut_val *list, ist_error *err)
{
    bool all = ist__authorize(session, IST__ACTION_GRANT, chain, NULL) == IST_OK;
    return list_grants(db, chain, principal, all ? NULL : session->who, doc, list, err);
}

static yyjson_mut_doc *new_assignments(yyjson_mut_val **list)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    *list = yyjson_mut_obj_add_arr(doc, root, "privilege_assignments");
    return doc;
}

static ist_status finish_assignments(yyjson_mut_doc *doc, ist_status status, ist_buffer *out, ist_error *err)
{
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status ist__grants_get(ist__session *session, ist_securable kind, const ist__name *name, const char *principal,
                           ist_buffer *out, ist_error *err)
{
    ist__db *db;
    ist__chain chain;
    yyjson_mut_val *list;
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = new_assignments(&list);
    ist_status status = ist__resolve(session, db, kind, name, IST__ACTION_SEE, &chain, err);
    if (status == IST_OK)
        status = show_grants(session, db, &chain, principal, doc, list, err);
    return finish_assignments(doc, ist__db_end(db, status, err), out, err);
}

ist_status ist__grants_change(ist__session *session, ist_securable kind, const ist__name *name, const char *body,
                              ist_buffer *out, ist_error *err)
{
    ist__db *db;
    ist__chain chain;
    yyjson_doc *in = NULL;
    yyjson_mut_val *list;
    IST_TRY(ist__json_read_object(body, &in, err));
    ist_status status = ist__session_write(session, &db, err);
    if (status != IST_OK) {
        yyjson_doc_free(in);
        return status;
    }
    yyjson_mut_doc *doc = new_assignments(&list);
    status = ist__resolve(session, db, kind, name, IST__ACTION_GRANT, &chain, err);
    if (status == IST_OK)
        status = apply_changes(db, &chain, yyjson_obj_get(yyjson_doc_get_root(in), "changes"), doc, list, err);
    status = finish_assignments(doc, ist__db_end(db, status, err), out, err);
    yyjson_doc_free(in);
    return status;
}

ist_status ist__check_unfiltered(const ist__session *session, ist__db *db, const char *table_id, ist_error *err)
{
    sqlite3_stmt *row;
    if (session->who->is_engine) /* which puts the filter between the files and whoever asked it */
        return IST_OK;
    IST_TRY(ist__db_run(db, "SELECT name, row_filter, masked FROM tables WHERE id = ?1", &row, err, "t", table_id));
    if (row && sqlite3_column_type(row, 1) != SQLITE_NULL)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED,
                             "the table %s has the row filter %.300s: its files are given to nobody, read it by SQL",
                             ist__db_text(row, 0), ist__db_text(row, 1));
    if (row && sqlite3_column_type(row, 2) != SQLITE_NULL)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED,
                             "the table %s has a mask on its column %.300s: its files are given to nobody, read it by"
                             " SQL", ist__db_text(row, 0), ist__db_text(row, 2));
    return IST_OK;
}

ist_status ist__owner_change(ist__session *session, ist__db *db, const ist__chain *chain, const char *owner,
                             ist_error *err)
{
    char id[37];
    IST_TRY(ist__authorize(session, IST__ACTION_GRANT, chain, err));
    IST_TRY(ist__principal_find(db, owner, id, err));
    ist_securable kind = chain->link[chain->count - 1].kind;
    ist__db_rights_changed(db);
    return ist__db_run(db, ist__securable_tables[kind].set_owner, NULL, err, "tt", ist__chain_id(chain), owner);
}
