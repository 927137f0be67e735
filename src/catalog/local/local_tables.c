/*
 * local_tables.c: tables, views, and the staging tables that managed tables begin as.
 *
 * A staging table is an id and a place that nobody else has. Its creator writes version 0 there and then creates the
 * table at that place, once: the id becomes the table's.
 */
#include "catalog/local/objects.h"
#include "catalog/local/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Take the staging table at a location for the table that is being created; its id becomes the table's. */
static ist_status finalize_staging(ist__creation *c, const char *location, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(c->db, "SELECT id, created_by, committed_at FROM staging_tables WHERE location = ?1", &row, err,
                        "t", location));
    if (!row)
        return ist__uc_error(err, IST__UC_TABLE_NOT_FOUND, "Staging table not found: %s", location);
    snprintf(c->id, sizeof c->id, "%s", ist__column_text(row, 0));
    const char *creator = ist__column_text(row, 1);
    if (!creator || strcmp(creator, c->session->who->name) != 0)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "the staging table at %s is another principal's",
                             location);
    if (sqlite3_column_type(row, 2) != SQLITE_NULL)
        return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "Staging table already committed: %s", location);
    const char *told = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(c->root, "properties"), IST__TABLE_ID_PROPERTY));
    if (!told || strcmp(told, c->id) != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "the property " IST__TABLE_ID_PROPERTY " of a managed table must be its staging table's id");
    return ist__db_run(c->db, "UPDATE staging_tables SET committed_at = ?2 WHERE id = ?1", NULL, err, "ti", c->id,
                       c->now);
}

/* The place of a table that has data. */
static ist_status take_place(ist__creation *c, const char *type, const char *format, ist_buffer *out, ist_error *err)
{
    const char *location;
    IST_TRY(ist__json_text(c->root, "storage_location", true, &location, err));
    IST_TRY(ist__location_normalize(location, out, err));
    if (strcmp(type, "EXTERNAL") == 0)
        return ist__place_authorize_new(c->session, c->db, out->data, IST__ACTION_CREATE_EXTERNAL_TABLE, err);
    if (!format || strcmp(format, "DELTA") != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a managed table must have data_source_format DELTA");
    return finalize_staging(c, out->data, err);
}

/* One that a view names must be there, and its creator may see it. */
static ist_status check_dependency(ist__creation *c, yyjson_val *dependency, ist_error *err)
{
    yyjson_val *table = yyjson_obj_get(dependency, "table"), *function = yyjson_obj_get(dependency, "function");
    const char *full_name;
    ist__name name;
    if (!yyjson_is_obj(table) == !yyjson_is_obj(function))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "view_dependencies: each is of a table or of a function");
    IST_TRY(ist__json_text(table ? table : function, table ? "table_full_name" : "function_full_name", true, &full_name,
                           err));
    IST_TRY(ist__name_split(full_name, 3, &name, err));
    ist_status status = ist__resolve(c->session, c->db, table ? IST_SECURABLE_TABLE : IST_SECURABLE_FUNCTION, &name,
                                     IST__ACTION_SEE, NULL, err);
    if (status != IST_NOT_FOUND)
        return status;
    return ist__uc_error(err, IST__UC_NOT_FOUND, "View dependency %s does not exist: %s", table ? "table" : "function",
                         full_name);
}

/* The first column with a mask; NULL where there is none. */
static const char *first_masked(yyjson_val *columns)
{
    yyjson_val *column;
    size_t i, count;
    yyjson_arr_foreach(columns, i, count, column)
        if (yyjson_is_obj(yyjson_obj_get(column, "mask")))
            return yyjson_get_str(yyjson_obj_get(column, "name"));
    return NULL;
}

/* What a view is made of; *dependencies is malloc. */
static ist_status read_view(ist__creation *c, const char *type, const char **definition, char **dependencies,
                            ist_error *err)
{
    enum { DEPENDENCIES_MAX = 1000 };
    yyjson_val *all = yyjson_obj_get(c->root, "view_dependencies"), *list = yyjson_obj_get(all, "dependencies"), *one;
    size_t i, count;
    IST_TRY(ist__json_text(c->root, "view_definition", true, definition, err));
    if (yyjson_arr_size(list) > DEPENDENCIES_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "view_dependencies has more than %d", DEPENDENCIES_MAX);
    if (strcmp(type, "METRIC_VIEW") == 0 && yyjson_arr_size(list) == 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "view_dependencies must contain at least one entry for metric view");
    yyjson_arr_foreach(list, i, count, one)
        IST_TRY(check_dependency(c, one, err));
    if (!list)
        return ist__strdup("{\"dependencies\":[]}", dependencies, err);
    *dependencies = yyjson_val_write(all, 0, NULL);
    return *dependencies ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for JSON");
}

static ist_status insert_table(ist__creation *c, ist_error *err)
{
    static const char *const types[] = {"MANAGED", "EXTERNAL", "VIEW", "METRIC_VIEW", NULL};
    static const char *const formats[] = {"DELTA", "CSV", "JSON", "AVRO", "PARQUET", "ORC", "TEXT", NULL};
    const char *type, *format, *definition = NULL;
    char *columns = NULL, *dependencies = NULL;
    ist_buffer location = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY(ist__json_text(c->root, "table_type", true, &type, err));
    IST_TRY(ist__one_of(type, types, "table_type", err));
    IST_TRY(ist__json_text(c->root, "data_source_format", false, &format, err));
    if (format)
        IST_TRY(ist__one_of(format, formats, "data_source_format", err));
    IST_TRY_GOTO(ist__json_columns(c->root, &columns, err));
    if (strstr(type, "VIEW"))
        IST_TRY_GOTO(read_view(c, type, &definition, &dependencies, err));
    else
        IST_TRY_GOTO(take_place(c, type, format, &location, err));
    status = ist__db_run(c->db,
                         "INSERT INTO tables (id, parent_id, name, comment, properties, owner, created_at, created_by,"
                         " updated_at, updated_by, table_type, data_source_format, columns, storage_location,"
                         " view_definition, view_dependencies, masked)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7, ?6, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                         NULL, err, "ttttttittttttt", c->id, ist__chain_id(&c->parent), c->name, c->comment,
                         c->properties ? c->properties : "{}", c->session->who->name, c->now, type, format,
                         columns ? columns : "[]", location.data ? location.data : "", definition, dependencies,
                         first_masked(yyjson_obj_get(c->root, "columns")));
done:
    free(columns);
    free(dependencies);
    ist_buffer_free(&location);
    return status;
}

/* Only who administers the table sets a mask or takes one away. */
static ist_status change_masks(ist__change *change, ist_error *err)
{
    sqlite3_stmt *row;
    const char *masked = first_masked(yyjson_obj_get(change->patch, "columns"));
    IST_TRY(ist__db_run(change->db, "SELECT masked FROM tables WHERE id = ?1", &row, err, "t", change->id));
    if (!masked && (!row || sqlite3_column_type(row, 0) == SQLITE_NULL))
        return IST_OK;
    IST_TRY(ist__authorize(change->session, IST__ACTION_GRANT, change->chain, err));
    return ist__db_run(change->db, "UPDATE tables SET masked = ?2 WHERE id = ?1", NULL, err, "tt", change->id, masked);
}

/* row_filter: {function_name, input_column_names}; null takes it away. */
static ist_status change_row_filter(ist__change *change, ist_error *err)
{
    yyjson_val *filter = yyjson_obj_get(change->patch, "row_filter");
    const char *function;
    char *text = NULL;
    if (!filter)
        return IST_OK;
    IST_TRY(ist__authorize(change->session, IST__ACTION_GRANT, change->chain, err));
    if (!yyjson_is_null(filter)) {
        IST_TRY(ist__json_text(filter, "function_name", true, &function, err));
        text = yyjson_val_write(filter, 0, NULL);
        if (!text)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for JSON");
    }
    change->made = true;
    ist_status status = ist__db_run(change->db, "UPDATE tables SET row_filter = ?2 WHERE id = ?1", NULL, err, "tt",
                                    change->id, text);
    free(text);
    return status;
}

static ist_status change_table(ist__change *change, ist_error *err)
{
    char *columns;
    IST_TRY(change_row_filter(change, err));
    IST_TRY(ist__json_columns(change->patch, &columns, err));
    if (!columns)
        return IST_OK;
    ist_status allowed = change_masks(change, err);
    if (allowed != IST_OK) {
        free(columns);
        return allowed;
    }
    change->made = true;
    ist_status status = ist__db_run(change->db, "UPDATE tables SET columns = ?2 WHERE id = ?1", NULL, err, "tt",
                                    change->id, columns);
    free(columns);
    return status;
}

#define SELECT_TABLE                                                                                                   \
    "SELECT o.name, c.name AS catalog_name, s.name AS schema_name, o.table_type, o.data_source_format, o.columns,"     \
    " nullif(o.storage_location, '') AS storage_location, o.comment, o.properties, " IST__SELECT_COMMON                \
    ", o.id AS table_id, o.view_definition, o.view_dependencies,"            \
    " coalesce('{\"row_filter\":' || o.row_filter || '}', '{}') AS \"*\" FROM tables o " IST__IN_SCHEMA

const ist__kind ist__kind_table = {
    .id = "table_id",
    .get = SELECT_TABLE IST__BY_ID,
    .page = SELECT_TABLE IST__PAGE,
    .own_page = SELECT_TABLE IST__OWN_PAGE("tables"),
    .update = "UPDATE tables SET " IST__SET_COMMON " WHERE id = ?1",
    .remove = "DELETE FROM tables WHERE id = ?1",
    .managed = "SELECT storage_location FROM tables WHERE id = ?1 AND table_type = 'MANAGED'",
    .create = IST__ACTION_CREATE_TABLE,
    .taken = IST__UC_TABLE_ALREADY_EXISTS,
    .insert = insert_table,
    .change = change_table,
};

/* Staging ---------------------------------------------------------------------------------------------------------- */

ist_status ist__staging_insert(ist__session *session, ist__db *db, const ist__name *name, char id[37],
                               ist_buffer *location, ist_error *err)
{
    ist__chain schema;
    ist__name schema_name = *name;
    schema_name.count = 2;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_SCHEMA, &schema_name, IST__ACTION_CREATE_TABLE, &schema, err));
    const char *schema_id = ist__chain_id(&schema);
    IST_TRY(ist__object_check_free(db, IST_SECURABLE_TABLE, schema_id, name->part[2], err));
    ist__uuid(id);
    IST_TRY(ist__place_of_managed(session, db, schema_id, location, err));
    IST_TRY(ist_buffer_printf(location, err, "/tables/%s", id));
    return ist__db_run(db,
                       "INSERT INTO staging_tables (id, schema_id, name, location, created_at, created_by)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                       NULL, err, "ttttit", id, schema_id, name->part[2], location->data, ist__now_ms(),
                       session->who->name);
}

ist_status ist__local_create_staging_table(void *self, const ist__name *name, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    char id[37];
    ist_buffer location = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (((const ist__session *)self)->local->catalog_managed) /* clients that know it go to the Delta API then */
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "new managed tables of this server are catalog-managed: their place is asked for by POST "
                             IST__CATALOG_PATH "/delta/v1/catalogs/%s/schemas/%s/staging-tables",
                             name->part[0], name->part[1]);
    IST_TRY(ist__name_check(name->part[2], err));
    IST_TRY(ist__session_write(self, &db, err));
    IST_TRY_GOTO(ist__db_end(db, ist__staging_insert(self, db, name, id, &location, err), err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "name", name->part[2]);
    yyjson_mut_obj_add_str(doc, root, "catalog_name", name->part[0]);
    yyjson_mut_obj_add_str(doc, root, "schema_name", name->part[1]);
    yyjson_mut_obj_add_str(doc, root, "id", id);
    yyjson_mut_obj_add_str(doc, root, "staging_location", location.data);
    status = ist__json_finish(doc, out, err);
done:
    ist_buffer_free(&location);
    return status;
}
