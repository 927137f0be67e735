/* audit.c: who did what, or was refused. */
#include "catalog/local/schema.h"

const char ist__schema_audit[] =
    "CREATE TABLE audit (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, request_id TEXT NOT NULL, principal TEXT,"
    " peer TEXT, action TEXT NOT NULL, securable TEXT, http INTEGER NOT NULL, detail TEXT) STRICT;"
    "CREATE INDEX audit_by_principal ON audit (principal, id);"
    "CREATE INDEX audit_by_securable ON audit (securable, id);"
    "CREATE INDEX audit_by_time ON audit (at);";
