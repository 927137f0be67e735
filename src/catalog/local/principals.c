/* principals.c: who there is: users, service principals, groups, and their tokens. */
#include "catalog/local/session.h"

#include "catalog/local/schema.h"

#define ADMIN_ID "00000000-0000-4000-8000-000000000001"
#define ADMINS_ID "00000000-0000-4000-8000-000000000002"
#define EVERYONE_ID "00000000-0000-4000-8000-000000000003"

const char ist__schema_identity[] =
    "ALTER TABLE metastores ADD COLUMN owner TEXT;"
    "UPDATE metastores SET owner = 'admin';"
    /* kind: 0 user, 1 service principal, 2 group, as ist__principal_kind. name: unique over all kinds, because owners
     * are told by name. details: what SCIM clients stored besides, as JSON. */
    "CREATE TABLE principals (id TEXT PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL UNIQUE,"
    " display_name TEXT NOT NULL, external_id TEXT, active INTEGER NOT NULL, details TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;"
    "CREATE TABLE group_members (group_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE,"
    " member_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE,"
    " PRIMARY KEY (member_id, group_id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX group_members_by_group ON group_members (group_id);"
    /* kind: 0 personal token, 1 secret of a service principal, 2 OAuth access token. digest: SHA-256 in hexadecimal. */
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, kind INTEGER NOT NULL, digest TEXT NOT NULL UNIQUE,"
    " principal_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE, name TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, expires_at INTEGER, last_used_at INTEGER) STRICT;"
    "CREATE INDEX tokens_by_principal ON tokens (principal_id);"
    "INSERT INTO principals VALUES"
    " ('" ADMIN_ID "', 0, 'admin', 'admin', NULL, 1, '{}', 0, 0),"
    " ('" ADMINS_ID "', 2, 'admins', 'admins', NULL, 1, '{}', 0, 0),"
    " ('" EVERYONE_ID "', 2, 'account users', 'account users', NULL, 1, '{}', 0, 0);"
    "INSERT INTO group_members VALUES ('" ADMINS_ID "', '" ADMIN_ID "');";

const ist__principal ist__principal_admin = {.id = ADMIN_ID, .name = "admin", .is_admin = true};
const ist__principal ist__principal_nobody = {.id = "", .name = ""};
