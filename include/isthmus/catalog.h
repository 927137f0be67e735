/*
 * catalog.h: names for tables. catalog.schema.table -> id, location, columns, by Unity Catalog's REST API.
 *
 * One contract, two implementations: a REST client (src/catalog/uc) for `isthmus serve` and other Unity Catalog
 * servers, and the SQLite catalog behind `isthmus serve` (src/catalog/local). Objects cross as Unity Catalog's own JSON
 * bodies (api/all.yaml: CatalogInfo, SchemaInfo, TableInfo), so that nothing is lost between servers and versions.
 *
 * Threading: an ist_catalog is internally locked and may be shared by threads.
 *
 *     ist_catalog_open(NULL, &catalog, &err);                      // the configured server
 *     ist_catalog_get_table(catalog, "main.demo.scores", &json, &err);
 *     ist_catalog_free(catalog);
 */
#ifndef ISTHMUS_CATALOG_H
#define ISTHMUS_CATALOG_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"
#include "isthmus/sys/credentials.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

typedef struct ist_catalog ist_catalog;

/*
 * Where the catalog is and as whom to ask. What is NULL here is looked for, in this order:
 *   1. $ISTHMUS_CATALOG and $ISTHMUS_TOKEN
 *   2. Databricks' settings: $DATABRICKS_HOST with $DATABRICKS_TOKEN, or with $DATABRICKS_CLIENT_ID and
 *      $DATABRICKS_CLIENT_SECRET (OAuth client credentials), or the profile $DATABRICKS_CONFIG_PROFILE
 *   3. what `isthmus serve` left in $ISTHMUS_HOME/server.json
 *   4. the profile DEFAULT, where ~/.databrickscfg ($DATABRICKS_CONFIG_FILE) has one
 * A token that was found goes to the server that it was found for, and to no other.
 */
typedef struct ist_catalog_options {
    uint32_t size;
    const char *uri; /* "http://127.0.0.1:8080"; "databricks:PROFILE", or "databricks" for what 2 and 4 say; or
                        "sqlite:/path/catalog.db" for the local catalog in this process */
    const char *token;
    const char *storage_root; /* local only: where managed tables live; NULL for the database's folder + /warehouse */
    const char *ca_file; /* PEM file of the authorities that https is checked against; NULL for $ISTHMUS_CA_FILE, else
                            the system's */
    int64_t timeout_ms;  /* most time that one call takes, with all its attempts; 0 for two minutes */
} ist_catalog_options;

#define IST_CATALOG_OPTIONS_INIT                                                                                       \
    { sizeof(ist_catalog_options), NULL, NULL, NULL, NULL, 0 }

/* Errors: IST_NOT_FOUND (no catalog configured: the message tells how to start one), IST_BAD_INPUT, IST_IO. */
IST_API ist_status ist_catalog_open(const ist_catalog_options *options, ist_catalog **out, ist_error *err);
IST_API void ist_catalog_free(ist_catalog *catalog);
/* Where it is: "https://host:port", or "sqlite:/path". Borrowed. */
IST_API const char *ist_catalog_uri(const ist_catalog *catalog);

/* What kind of object a call is about; Unity Catalog's securables. Full names have as many parts as the comment shows. */
typedef enum ist_securable {
    IST_SECURABLE_CATALOG,           /* catalog */
    IST_SECURABLE_SCHEMA,            /* catalog.schema */
    IST_SECURABLE_TABLE,             /* catalog.schema.table */
    IST_SECURABLE_VOLUME,            /* catalog.schema.volume */
    IST_SECURABLE_FUNCTION,          /* catalog.schema.function */
    IST_SECURABLE_REGISTERED_MODEL,  /* catalog.schema.model */
    IST_SECURABLE_MODEL_VERSION,     /* catalog.schema.model.1: the fourth part is the version's number */
    IST_SECURABLE_CREDENTIAL,        /* credential */
    IST_SECURABLE_EXTERNAL_LOCATION, /* location */
    IST_SECURABLE_METASTORE          /* "": there is one, which is neither made nor listed */
} ist_securable;

/*
 * The five operations, the same for every kind of object. Names are dotted full names ("main.demo.scores", parts may be
 * quoted by backquotes); a name with the wrong number of parts is IST_BAD_INPUT. Names are case-sensitive, as in the
 * open Unity Catalog server, of letters, digits, '_', '-' and '@', at most 255. Bodies are Unity Catalog's.
 * Errors: IST_NOT_FOUND, IST_ALREADY_EXISTS, IST_BAD_INPUT, IST_UNAUTHENTICATED, IST_FORBIDDEN, IST_RETRYABLE, IST_IO.
 * Where the catalog itself refused, err->where is Unity Catalog's error_code ("SCHEMA_NOT_FOUND": which of the three is
 * missing) and err->code the HTTP status that goes with it.
 */

/* body: CreateCatalog {name, comment, properties, storage_root}, CreateSchema {name, catalog_name, ...}, CreateTable
 * {name, catalog_name, schema_name, table_type MANAGED|EXTERNAL, data_source_format, columns, storage_location, ...}.
 * Appends the created object to out (NULL to drop it). */
IST_API ist_status ist_catalog_create(ist_catalog *catalog, ist_securable kind, const char *body, ist_buffer *out,
                                      ist_error *err);
IST_API ist_status ist_catalog_get(ist_catalog *catalog, ist_securable kind, const char *full_name, ist_buffer *out,
                                   ist_error *err);
/* patch: the members to change: new_name, comment, properties (all of them replaced; an empty object changes nothing);
 * tables also columns. Other Unity Catalog servers know no change of a table. */
IST_API ist_status ist_catalog_update(ist_catalog *catalog, ist_securable kind, const char *full_name,
                                      const char *patch, ist_buffer *out, ist_error *err);
/* force: also with what is inside. The data of a MANAGED table goes with it (what cannot be removed stays behind); the
 * data of an EXTERNAL table is not touched. */
IST_API ist_status ist_catalog_delete(ist_catalog *catalog, ist_securable kind, const char *full_name, bool force,
                                      ist_error *err);
/*
 * One page, by name: {"catalogs"|"schemas"|"tables": [...], "next_page_token": "..." or null after the last page}.
 *   parent       "" for catalogs, "main" for schemas, "main.demo" for tables
 *   max_results  0 for the server's default, which is also the most (100)
 *   page_token   NULL or "" for the first page
 */
IST_API ist_status ist_catalog_list(ist_catalog *catalog, ist_securable kind, const char *parent, int max_results,
                                    const char *page_token, ist_buffer *out, ist_error *err);

/*
 * Reserve the id and the location of a managed table before its first commit (UC POST /staging-tables).
 * Appends {id, name, catalog_name, schema_name, staging_location}. The table is then created with table_type MANAGED,
 * data_source_format DELTA, storage_location = staging_location and the property io.unitycatalog.tableId = id, once.
 */
IST_API ist_status ist_catalog_create_staging_table(ist_catalog *catalog, const char *full_name, ist_buffer *out,
                                                    ist_error *err);

/*
 * Short-lived credentials for storage, once.
 *   request  in Unity Catalog's words, one of
 *              {"table_id": of a table or a staging table, "operation": "READ"|"READ_WRITE"}
 *              {"volume_id", "operation": "READ_VOLUME"|"WRITE_VOLUME"}
 *              {"catalog_name", "schema_name", "model_name", "version",
 *               "operation": "READ_MODEL_VERSION"|"READ_WRITE_MODEL_VERSION"}
 *              {"url", "operation": "PATH_READ"|"PATH_READ_WRITE"|"PATH_CREATE_TABLE"}
 * Appends TemporaryCredentials, which hold secrets (isthmus/sys/credentials.h tells the members).
 */
IST_API ist_status ist_catalog_get_credentials(ist_catalog *catalog, const char *request, ist_buffer *out,
                                               ist_error *err);
/*
 * Credentials that renew themselves, for ist_store_options. Nothing is asked for before it is needed, and the same
 * request on this catalog gives the same credentials. They stay good when the catalog is freed; the caller frees them.
 *   request  as above, or shorter: {"table": full name}, {"volume": full name}, {"model": full name, "version"}; with
 *            all of them "operation" may be "READ" or "READ_WRITE". A name is looked up now
 */
IST_API ist_status ist_catalog_open_credentials(ist_catalog *catalog, const char *request, ist_credentials **out,
                                                ist_error *err);

/*
 * Commits of a catalog-managed Delta table (Unity Catalog's "Delta commits" preview API). The catalog says which staged
 * commit is a version; isthmus/table.h opens such a table with all that goes with it, so few need these two.
 *   request  {"table_id", "table_uri", "start_version", "end_version"?}
 * Appends {"commits": [{"version", "timestamp", "file_name", "file_size", "file_modification_timestamp"}...],
 * "latest_table_version"}: the ratified commits of that range which the catalog does not know to be published.
 */
IST_API ist_status ist_catalog_get_commits(ist_catalog *catalog, const char *request, ist_buffer *out,
                                           ist_error *err);
/*
 * Ratify a staged commit as the table's next version, or say what is published, or both.
 *   body  {"table_id", "table_uri", "commit_info"?: a commit as above, "latest_backfilled_version"?, "metadata"?}
 * The same commit again is no error. Errors besides the usual: IST_CONFLICT (another commit has that version),
 * IST_RETRYABLE with code 429 (too many unpublished commits: publish first; it is not repeated here), IST_BAD_INPUT (a
 * version is left out, or the table is none that the catalog commits to).
 */
IST_API ist_status ist_catalog_commit(ist_catalog *catalog, const char *body, ist_error *err);

/*
 * The columns member of CreateTable for a Delta schema.
 *   schema             Delta schema JSON, {"type": "struct", "fields": [...]}
 *   partition_columns  names in partition order; NULL with count 0 for none
 * Appends a JSON array of ColumnInfo. Needs no catalog. Errors: IST_BAD_INPUT.
 */
IST_API ist_status ist_catalog_columns(const char *schema, const char *const *partition_columns,
                                       size_t partition_column_count, ist_buffer *out, ist_error *err);

/*
 * Who may do what with an object. Privileges are Unity Catalog's: SELECT, MODIFY, USE CATALOG...
 *   full_name  "" for the metastore
 *   principal  whose grants: a user's or service principal's name, or a group's; NULL for everybody's
 *   changes    JSON: [{"principal", "add": [privilege...], "remove": [privilege...]}]; privileges also in small letters
 *              and with underscores, as they are written for Databricks
 * Appends {"privilege_assignments": [{"principal", "privileges": [...]}]}: what was granted on the object itself.
 * Errors besides the usual: IST_UNSUPPORTED (a sqlite: catalog).
 */
IST_API ist_status ist_catalog_get_grants(ist_catalog *catalog, ist_securable kind, const char *full_name,
                                          const char *principal, ist_buffer *out, ist_error *err);
IST_API ist_status ist_catalog_update_grants(ist_catalog *catalog, ist_securable kind, const char *full_name,
                                             const char *changes, ist_buffer *out, ist_error *err);

/*
 * Any REST call, for what has none here.
 *   method  GET, HEAD, PUT, POST, PATCH or DELETE; the first three are repeated after a passing fault
 *   path    from the host on, with its query, encoded: "/api/2.1/unity-catalog/volumes?catalog_name=main"
 *   body    JSON; NULL for none
 * Appends the answer, which is JSON, or nothing (also where a change is acknowledged in words). Errors besides the usual: IST_UNSUPPORTED (a sqlite: catalog).
 */
IST_API ist_status ist_catalog_request(ist_catalog *catalog, const char *method, const char *path, const char *body,
                                       ist_buffer *out, ist_error *err);

/* Record one OpenLineage RunEvent (JSON text; see isthmus/lineage.h). */
IST_API ist_status ist_catalog_post_lineage(ist_catalog *catalog, const char *event, ist_error *err);
/*
 * Append the lineage around a table; ist_lineage_draw makes a picture of it.
 *   full_name  a location ("file:///data/t") may stand for a table without a name; NULL for everything there is
 *   depth      most steps away from the table, 1 to 100
 *   columns    tell the edges between columns too
 * {"table", "nodes": [{"name", "kind": "TABLE"|"LOCATION"|"HIDDEN", "dropped"}...], "upstream": [edge...],
 * "downstream": [edge...], "truncated": is there more than was told}; for NULL {"edges": [...], "nodes", "truncated"}.
 * An edge is {"source", "target", "job", "engine", "run_id", "event_time", "runs", "columns"?}, of all runs of the job
 * between the two, with what the newest one told; newest first, nearest first. It joins what a run read and wrote (all
 * its events together); source is null where it only wrote, target where it only read. Failed runs are left out.
 * Columns are {"source", "target", "type": "DIRECT"|"INDIRECT", "subtype"}; target null: every row.
 * A table that the caller may not see is told as "hidden N". Errors: IST_UNSUPPORTED (the server keeps no lineage).
 */
IST_API ist_status ist_catalog_get_lineage(ist_catalog *catalog, const char *full_name, int depth, bool columns,
                                           ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
