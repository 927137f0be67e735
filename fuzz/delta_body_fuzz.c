/*
 * delta_body_fuzz.c: bodies of the two commit APIs, over a managed table.
 *
 * "@id" and "@uri" in an input stand for the table's. Each input goes to every path that takes such a body, in a session
 * whose work is rolled back, so that inputs do not build on each other.
 */
#include "catalog/local/commits.h"
#include "catalog/local/local_delta.h"
#include "scratch_catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char id[64], uri[512];

static void set_up(void)
{
    ist_buffer out = IST_BUFFER_INIT;
    char text[2048];
    scratch_catalog_open();
    if (ist_catalog_create_staging_table(catalog, "main.default.t", &out, NULL) != IST_OK)
        abort();
    yyjson_doc *doc = yyjson_read(out.data, out.size, 0);
    snprintf(id, sizeof id, "%s", yyjson_get_str(yyjson_doc_ptr_get(doc, "/id")));
    snprintf(uri, sizeof uri, "%s", yyjson_get_str(yyjson_doc_ptr_get(doc, "/staging_location")));
    yyjson_doc_free(doc);
    ist_buffer_free(&out);
    snprintf(text, sizeof text,
             "{\"name\":\"t\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":\"MANAGED\","
             "\"data_source_format\":\"DELTA\",\"storage_location\":\"%s\",\"properties\":{"
             "\"io.unitycatalog.tableId\":\"%s\"}}",
             uri, id);
    if (ist_catalog_create(catalog, IST_SECURABLE_TABLE, text, NULL, NULL) != IST_OK)
        abort();
}

static void append_body(const uint8_t *data, size_t size, ist_buffer *out)
{
    for (size_t i = 0; i < size; i++) {
        bool is_id = size - i >= 3 && memcmp(data + i, "@id", 3) == 0;
        bool is_uri = size - i >= 4 && memcmp(data + i, "@uri", 4) == 0;
        if (is_id || is_uri) {
            if (ist_buffer_append_string(out, is_id ? id : uri, NULL) != IST_OK)
                abort();
            i += is_id ? 2 : 3;
        } else if (data[i] && ist_buffer_append(out, data + i, 1, NULL) != IST_OK) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ist__name table = {3, {"main", "default", "t"}}, schema = {2, {"main", "default"}};
    ist_buffer body = IST_BUFFER_INIT, out = IST_BUFFER_INIT;
    if (!catalog)
        set_up();
    append_body(data, size, &body);
    const char *text = body.data ? body.data : "";
    ist__session session = *(ist__session *)catalog->self;
    ist__db *db;
    if (ist__session_write(&session, &db, NULL) != IST_OK)
        abort();
    session.transaction = db;
    ist_status statuses[] = {
        ist__delta_create(&session, &schema, text, &out, NULL), ist__delta_update(&session, &table, text, &out, NULL),
        ist__local_commit(&session, text, NULL),                ist__local_get_commits(&session, text, &out, NULL),
        ist__delta_load(&session, &table, &out, NULL),          ist__delta_report(&session, &table, text, NULL),
        ist__delta_rename(&session, &table, text, NULL),
    };
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i] == IST_INTERNAL || statuses[i] == IST_IO) /* the body is to blame, never the catalog */
            abort();
    ist__db_end(db, IST_IO, NULL); /* as it was */
    ist_buffer_free(&body);
    ist_buffer_free(&out);
    return 0;
}
