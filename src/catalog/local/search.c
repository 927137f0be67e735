/*
 * search.c: names, indexed by all their runs of three characters (SQLite's FTS5, tokenizer trigram).
 *
 * `names` has a row per object, which triggers of the objects' tables keep (schema.c); `names_text` is the index of it. A
 * row holds the object's own name: what it is in is joined at the moment, so that renaming a schema changes one row.
 */
#include "catalog/local/search.h"

#include "catalog/catalog_json.h"
#include "catalog/local/grants.h"
#include "catalog/local/schema.h"

#include <string.h>

#define NAMES_OF(kind, table) "SELECT id, parent_id, " kind ", name FROM " table

/* kind: an ist_securable */
const char ist__schema_search[] =
    "CREATE TABLE names (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, parent_id TEXT NOT NULL,"
    " kind INTEGER NOT NULL, name TEXT NOT NULL COLLATE NOCASE) STRICT;"
    "CREATE INDEX names_by_name ON names (name);"
    "CREATE VIRTUAL TABLE names_text USING fts5 (name, content = 'names', content_rowid = 'number',"
    " tokenize = 'trigram');"
    "CREATE TRIGGER names_added AFTER INSERT ON names BEGIN"
    " INSERT INTO names_text (rowid, name) VALUES (new.number, new.name); END;"
    "CREATE TRIGGER names_removed AFTER DELETE ON names BEGIN"
    " INSERT INTO names_text (names_text, rowid, name) VALUES ('delete', old.number, old.name); END;"
    "CREATE TRIGGER names_changed AFTER UPDATE ON names BEGIN"
    " INSERT INTO names_text (names_text, rowid, name) VALUES ('delete', old.number, old.name);"
    " INSERT INTO names_text (rowid, name) VALUES (new.number, new.name); END;"
    "INSERT INTO names (id, parent_id, kind, name) " NAMES_OF("0", "catalogs") " UNION ALL " NAMES_OF("1", "schemas")
    " UNION ALL " NAMES_OF("2", "tables") " UNION ALL " NAMES_OF("3", "volumes") " UNION ALL " NAMES_OF("4", "functions")
    " UNION ALL " NAMES_OF("5", "registered_models") ";";

/* Of the names that `found` has, those whose full name holds all of the text ?2; those that begin with ?1 first. */
#define SEARCH(found)                                                                                                  \
    "WITH found AS (" found "), full (kind, id, own, name) AS (SELECT n.kind, n.id, n.name,"                            \
    " coalesce(c.name || '.' || s.name || '.', top.name || '.', '') || n.name FROM found JOIN names n USING (number)"  \
    " LEFT JOIN schemas s ON s.id = n.parent_id LEFT JOIN catalogs c ON c.id = s.parent_id"                            \
    " LEFT JOIN catalogs top ON top.id = n.parent_id)"                                                                 \
    " SELECT kind, id, name FROM full WHERE instr(lower(name), lower(?2))"                                             \
    " ORDER BY instr(lower(own), lower(?1)) <> 1, kind, name"

static const char by_beginning[] =
    SEARCH("SELECT number FROM names WHERE name >= ?1 AND name < ?1 || char(0x10FFFF) LIMIT ?3");
static const char by_piece[] =
    SEARCH("SELECT rowid AS number FROM names_text ('\"' || replace(?1, '\"', '\"\"') || '\"') LIMIT ?3");

static ist_status find(ist__session *session, ist__db *db, const char *text, yyjson_mut_doc *doc, ist_error *err)
{
    enum { INDEXED = 3 }; /* characters that the index has; names are ASCII */
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *objects = yyjson_mut_obj_add_arr(doc, root, "objects");
    const char *dot = strrchr(text, '.'), *own = dot ? dot + 1 : text;
    sqlite3_stmt *row;
    int found = 0, looked_at = 0;
    IST_TRY(strlen(own) < INDEXED
                ? ist__db_run(db, by_beginning, &row, err, "tti", own, text, (int64_t)IST__SEARCH_LOOKED_MAX)
                : ist__db_run(db, by_piece, &row, err, "tti", own, text, (int64_t)IST__SEARCH_LOOKED_MAX));
    while (row && found < IST__SEARCH_FOUND_MAX) {
        ist_securable kind = (ist_securable)sqlite3_column_int(row, 0);
        looked_at++;
        if (ist__resolve_id(session, db, kind, ist__db_text(row, 1), IST__ACTION_SEE, NULL, NULL) == IST_OK) {
            yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, objects);
            const char *type = ist__securable_type(kind);
            yyjson_mut_obj_add_str(doc, object, "kind", kind == IST_SECURABLE_REGISTERED_MODEL ? "model" : type);
            yyjson_mut_obj_add_strcpy(doc, object, "full_name", ist__db_text(row, 2));
            found++;
        }
        IST_TRY(ist__db_next(db, &row, err));
    }
    yyjson_mut_obj_add_bool(doc, root, "truncated", row || looked_at == IST__SEARCH_LOOKED_MAX);
    return IST_OK;
}

ist_status ist__local_search(ist__session *session, const char *text, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    if (strlen(text) > IST__SEARCH_TEXT_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "q is longer than %d bytes", IST__SEARCH_TEXT_MAX);
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    ist_status status = ist__db_end(db, find(session, db, text, doc, err), err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}
