/* principals.c: the tables of identities, and the cache from a token to its principal with groups and grants. */
#include "catalog/local/principals.h"

#include "catalog/local/digest.h"
#include "catalog/local/schema.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CACHE_SIZE = 1024,      /* tokens; one slot each, the later takes it */
    GROUPS_MAX = 1000,      /* of one principal */
    GRANTS_MAX = 1 << 20,   /* of one principal and his groups */
    USE_STEP_MS = 60 * 1000 /* how exactly last_used_at is kept */
};

const char ist__schema_identity[] =
    "ALTER TABLE metastores ADD COLUMN owner TEXT;"
    "UPDATE metastores SET owner = 'admin';"
    /* kind: 0 user, 1 service principal, 2 group, as ist__principal_kind. name: unique over all kinds, because owners
     * are told by name. */
    "CREATE TABLE principals (id TEXT PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL UNIQUE,"
    " display_name TEXT NOT NULL, external_id TEXT, active INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;"
    "CREATE TABLE group_members (group_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE,"
    " member_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE,"
    " PRIMARY KEY (member_id, group_id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX group_members_by_group ON group_members (group_id);"
    /* kind: 0 personal, 1 secret of a service principal, 2 OAuth, as ist__token_kind. digest: SHA-256, hexadecimal. */
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, kind INTEGER NOT NULL, digest TEXT NOT NULL UNIQUE,"
    " principal_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE, name TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, expires_at INTEGER, last_used_at INTEGER) STRICT;"
    "CREATE INDEX tokens_by_principal ON tokens (principal_id);"
    "CREATE INDEX tokens_by_expiry ON tokens (kind, expires_at);"
    "INSERT INTO principals VALUES"
    " ('" IST__ADMIN_ID "', 0, 'admin', 'admin', NULL, 1, 0, 0),"
    " ('" IST__ADMINS_ID "', 2, 'admins', 'admins', NULL, 1, 0, 0),"
    " ('" IST__EVERYONE_ID "', 2, '" IST__EVERYONE "', '" IST__EVERYONE "', NULL, 1, 0, 0);"
    "INSERT INTO group_members VALUES ('" IST__ADMINS_ID "', '" IST__ADMIN_ID "');";

const ist__principal ist__principal_admin = {.id = IST__ADMIN_ID, .name = "admin", .is_admin = true};
const ist__principal ist__principal_engine = {.id = "", .name = "engine of the warehouse", .is_engine = true};
const ist__principal ist__principal_nobody = {.id = "", .name = ""};

/* A principal's grants: open addressing by the securable's id. */
typedef struct grant {
    char securable_id[37];
    uint32_t privileges; /* 0: the slot is free */
} grant;

/* What is allocated for an ist__principal that was read from the database. */
typedef struct read_principal {
    ist__principal who;
    atomic_int references;
    grant *grants;
    size_t grant_slots; /* a power of two, or 0 */
    size_t grant_count;
} read_principal;

typedef struct slot {
    char digest[IST__DIGEST_TEXT];
    char token_id[37];
    const ist__principal *who; /* NULL: free */
    unsigned generation;
    int64_t expires_at;        /* INT64_MAX: never */
    int64_t used_at, noted_at; /* when used last, and what the database says of it */
} slot;

struct ist__identity {
    EVP_MD *sha256;
    char admin_digest[IST__DIGEST_TEXT]; /* of the home's token; "" where there is none */
    pthread_mutex_t mutex;
    slot slots[CACHE_SIZE];
};

ist_status ist__principals_open(ist__local *local, ist_error *err)
{
    IST_TRY(ist__alloc(1, sizeof *local->identity, (void **)&local->identity, err));
    pthread_mutex_init(&local->identity->mutex, NULL);
    local->identity->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    return IST_OK;
}

void ist__principals_close(ist__local *local)
{
    if (!local->identity)
        return;
    for (int i = 0; i < CACHE_SIZE; i++)
        ist__principal_release(local->identity->slots[i].who);
    pthread_mutex_destroy(&local->identity->mutex);
    EVP_MD_free(local->identity->sha256);
    free(local->identity);
}

/* Principals ------------------------------------------------------------------------------------------------------- */

static bool is_counted(const ist__principal *who)
{
    return who && who != &ist__principal_admin && who != &ist__principal_engine && who != &ist__principal_nobody;
}

void ist__principal_hold(const ist__principal *who)
{
    if (is_counted(who))
        atomic_fetch_add(&((read_principal *)(uintptr_t)who)->references, 1);
}

void ist__principal_release(const ist__principal *who)
{
    read_principal *read = (read_principal *)(uintptr_t)who;
    if (!is_counted(who) || atomic_fetch_sub(&read->references, 1) > 1)
        return;
    free(read->who.groups);
    free(read->grants);
    free(read);
}

bool ist__principal_owns(const ist__principal *who, const char *owner)
{
    if (!*owner)
        return false;
    bool owns = strcmp(who->name, owner) == 0;
    for (int i = 0; !owns && i < who->group_count; i++)
        owns = strcmp(who->groups[i].name, owner) == 0;
    return owns;
}

ist_status ist__principal_json(const ist__principal *who, ist_buffer *ids, ist_buffer *names, ist_error *err)
{
    yyjson_mut_doc *docs[] = {yyjson_mut_doc_new(NULL), yyjson_mut_doc_new(NULL)};
    yyjson_mut_val *lists[2];
    for (int i = 0; i < 2; i++) {
        lists[i] = yyjson_mut_arr(docs[i]);
        yyjson_mut_doc_set_root(docs[i], lists[i]);
    }
    yyjson_mut_arr_add_str(docs[0], lists[0], who->id);
    yyjson_mut_arr_add_str(docs[1], lists[1], who->name);
    for (int i = 0; i < who->group_count; i++) {
        yyjson_mut_arr_add_str(docs[0], lists[0], who->groups[i].id);
        yyjson_mut_arr_add_str(docs[1], lists[1], who->groups[i].name);
    }
    ist_status status = ist__json_finish(docs[0], ids, err);
    ist_status other = ist__json_finish(docs[1], names, status == IST_OK ? err : NULL);
    return status != IST_OK ? status : other;
}

static size_t hash_of(const char *id)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: ids are random, so nothing more is needed */
    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)hash;
}

static grant *find_grant(const read_principal *who, const char *id)
{
    size_t at = hash_of(id);
    for (;; at++) {
        grant *g = &who->grants[at & (who->grant_slots - 1)];
        if (!g->privileges || strcmp(g->securable_id, id) == 0)
            return g;
    }
}

uint32_t ist__principal_grants(const ist__principal *who, const char *securable_id)
{
    const read_principal *read = (const read_principal *)who;
    return is_counted(who) && read->grant_slots ? find_grant(read, securable_id)->privileges : 0;
}

static ist_status grow_grants(read_principal *who, ist_error *err)
{
    read_principal grown = {.grant_slots = who->grant_slots ? who->grant_slots * 2 : 16};
    IST_TRY(ist__alloc(grown.grant_slots, sizeof *grown.grants, (void **)&grown.grants, err));
    for (size_t i = 0; i < who->grant_slots; i++)
        if (who->grants[i].privileges)
            *find_grant(&grown, who->grants[i].securable_id) = who->grants[i];
    free(who->grants);
    who->grants = grown.grants;
    who->grant_slots = grown.grant_slots;
    return IST_OK;
}

static ist_status read_grants(ist__db *db, read_principal *who, const char *principal_id, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT securable_id, privileges FROM grants WHERE principal_id = ?1", &row, err, "t",
                        principal_id));
    while (row) {
        if (who->grant_count >= GRANTS_MAX)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "a principal has more than %d grants", GRANTS_MAX);
        if (2 * (who->grant_count + 1) > who->grant_slots)
            IST_TRY(grow_grants(who, err));
        grant *g = find_grant(who, ist__db_text(row, 0));
        who->grant_count += g->privileges == 0;
        snprintf(g->securable_id, sizeof g->securable_id, "%s", ist__db_text(row, 0));
        g->privileges |= (uint32_t)sqlite3_column_int64(row, 1);
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

/* The groups that a principal is in, by way of other groups too; everyone is in `account users`. */
static ist_status read_groups(ist__db *db, ist__principal *who, ist_error *err)
{
    sqlite3_stmt *row;
    int room = 0;
    IST_TRY(ist__db_run(db,
                        "WITH RECURSIVE found (id) AS (SELECT group_id FROM group_members WHERE member_id = ?1 UNION"
                        " SELECT m.group_id FROM group_members m JOIN found f ON m.member_id = f.id)"
                        " SELECT id, name FROM principals WHERE id IN (SELECT id FROM found) OR id = ?2",
                        &row, err, "tt", who->id, IST__EVERYONE_ID));
    while (row) {
        if (who->group_count == GROUPS_MAX)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "%s is in more than %d groups", who->name, GROUPS_MAX);
        if (who->group_count == room) {
            room = room ? room * 2 : 4;
            struct ist__group *groups = realloc(who->groups, (size_t)room * sizeof *groups);
            if (!groups)
                return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for groups");
            who->groups = groups;
        }
        struct ist__group *group = &who->groups[who->group_count++];
        snprintf(group->id, sizeof group->id, "%s", ist__db_text(row, 0));
        snprintf(group->name, sizeof group->name, "%s", ist__db_text(row, 1));
        who->is_admin |= strcmp(group->id, IST__ADMINS_ID) == 0;
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

/* With groups and grants, from a row that begins with id, name and kind. */
static ist_status read_row(ist__db *db, sqlite3_stmt *row, const ist__principal **out, ist_error *err)
{
    read_principal *read = NULL;
    IST_TRY(ist__alloc(1, sizeof *read, (void **)&read, err));
    atomic_init(&read->references, 1);
    snprintf(read->who.id, sizeof read->who.id, "%s", ist__db_text(row, 0));
    snprintf(read->who.name, sizeof read->who.name, "%s", ist__db_text(row, 1));
    read->who.kind = (ist__principal_kind)sqlite3_column_int(row, 2);
    read->who.is_admin = strcmp(read->who.id, IST__ADMINS_ID) == 0; /* the group itself, as an owner */
    ist_status status = read_groups(db, &read->who, err);
    if (status == IST_OK)
        status = read_grants(db, read, read->who.id, err);
    for (int i = 0; status == IST_OK && i < read->who.group_count; i++)
        status = read_grants(db, read, read->who.groups[i].id, err);
    if (status == IST_OK)
        *out = &read->who;
    else
        ist__principal_release(&read->who);
    return status;
}

ist_status ist__principal_named(ist__db *db, const char *name, const ist__principal **out, ist_error *err)
{
    sqlite3_stmt *row;
    *out = NULL;
    IST_TRY(ist__db_run(db, "SELECT id, name, kind FROM principals WHERE name = ?1 AND active = 1", &row, err, "t",
                        name));
    return row ? read_row(db, row, out, err) : IST_OK;
}

static ist_status read_principal_of(ist__db *db, const char *digest, slot *found, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT p.id, p.name, p.kind, t.expires_at, t.id, t.last_used_at FROM tokens t"
                        " JOIN principals p ON p.id = t.principal_id"
                        " WHERE t.digest = ?1 AND t.kind <> 1 AND p.active = 1",
                        &row, err, "t", digest));
    if (!row)
        return IST_OK;
    found->expires_at = sqlite3_column_type(row, 3) == SQLITE_NULL ? INT64_MAX : sqlite3_column_int64(row, 3);
    snprintf(found->token_id, sizeof found->token_id, "%s", ist__db_text(row, 4));
    found->noted_at = sqlite3_column_int64(row, 5);
    return read_row(db, row, &found->who, err);
}

/* Tokens ----------------------------------------------------------------------------------------------------------- */

static slot *slot_of(ist__identity *identity, const char *digest)
{
    return &identity->slots[strtoul((const char[]){digest[0], digest[1], digest[2], '\0'}, NULL, 16) % CACHE_SIZE];
}

static bool find_cached(ist__local *local, const char *digest, int64_t now, const ist__principal **out)
{
    ist__identity *identity = local->identity;
    pthread_mutex_lock(&identity->mutex);
    slot *s = slot_of(identity, digest);
    bool found = s->who && strcmp(s->digest, digest) == 0 && s->generation == atomic_load(&local->generation);
    if (found) {
        *out = now < s->expires_at ? s->who : NULL;
        s->used_at = now;
        ist__principal_hold(*out);
    }
    pthread_mutex_unlock(&identity->mutex);
    return found;
}

ist_status ist__principals_admit(ist__local *local, const char *token, ist_error *err)
{
    ist__identity *identity = local->identity;
    return ist__digest(identity->sha256, token, strlen(token), identity->admin_digest, err);
}

/* Compared as digests, in constant time: neither length nor content of the token shows in the time taken. */
static bool is_admin_token(const ist__identity *identity, const char *digest)
{
    return CRYPTO_memcmp(identity->admin_digest, digest, IST__DIGEST_TEXT) == 0;
}

ist_status ist__principal_of_token(ist__local *local, const char *token, const ist__principal **out, ist_error *err)
{
    ist__session reader = {.local = local, .who = &ist__principal_nobody};
    slot found = {.generation = atomic_load(&local->generation)}; /* before the database is read: stale at worst */
    int64_t now = ist__now_ms();
    ist__db *db;
    *out = NULL;
    if (strlen(token) > IST__TOKEN_TEXT_MAX)
        return IST_OK;
    IST_TRY(ist__digest(local->identity->sha256, token, strlen(token), found.digest, err));
    if (is_admin_token(local->identity, found.digest)) {
        *out = &ist__principal_admin;
        return IST_OK;
    }
    if (find_cached(local, found.digest, now, out))
        return IST_OK;
    IST_TRY(ist__session_read(&reader, &db, err));
    IST_TRY(ist__db_end(db, read_principal_of(db, found.digest, &found, err), err));
    if (!found.who || now >= found.expires_at) {
        ist__principal_release(found.who);
        return IST_OK;
    }
    found.used_at = now;
    *out = found.who;
    ist__principal_hold(*out);
    pthread_mutex_lock(&local->identity->mutex);
    slot *s = slot_of(local->identity, found.digest);
    const ist__principal *before = s->who;
    *s = found;
    pthread_mutex_unlock(&local->identity->mutex);
    ist__principal_release(before);
    return IST_OK;
}

ist_status ist__tokens_note_use(ist__local *local, ist__db *db, ist_error *err)
{
    ist__identity *identity = local->identity;
    for (int i = 0; i < CACHE_SIZE; i++) {
        char id[37] = "";
        int64_t used_at = 0;
        pthread_mutex_lock(&identity->mutex);
        slot *s = &identity->slots[i];
        if (s->who && s->used_at - s->noted_at >= USE_STEP_MS) {
            memcpy(id, s->token_id, sizeof id);
            used_at = s->noted_at = s->used_at;
        }
        pthread_mutex_unlock(&identity->mutex);
        if (*id)
            IST_TRY(ist__db_run(db, "UPDATE tokens SET last_used_at = ?2 WHERE id = ?1", NULL, err, "ti", id, used_at));
    }
    return IST_OK;
}

/* For the others --------------------------------------------------------------------------------------------------- */

ist_status ist__principal_find(ist__db *db, const char *name, char id[37], ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT id FROM principals WHERE name = ?1", &row, err, "t", name));
    if (!row)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "Principal not found: %.255s", name);
    snprintf(id, 37, "%s", ist__db_text(row, 0));
    return IST_OK;
}

ist_status ist__require_admin(const ist__session *session, ist_error *err)
{
    if (session->who->is_admin)
        return IST_OK;
    return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "%s is no administrator", session->who->name);
}
