/*
 * worker_frame_fuzz.c: whatever bytes come from a worker: frames, messages, columns, names to resolve, lineage.
 *
 * Names are resolved in a catalog with a table, a view and a function, as an administrator and as nobody, to whom nothing
 * may be told.
 */
#include "catalog/local/principals.h"
#include "scratch_catalog.h"
#include "warehouse/name_resolver.h"
#include "warehouse/warehouse_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_columns(const ist__worker_message *message)
{
    ist_buffer text = IST_BUFFER_INIT;
    if (ist__worker_columns_write(message->columns, &text, NULL) != IST_OK)
        abort();
    yyjson_doc *doc = yyjson_read(text.data, text.size, 0);
    if (yyjson_arr_size(yyjson_doc_get_root(doc)) != yyjson_arr_size(message->columns))
        abort();
    yyjson_doc_free(doc);
    ist_buffer_free(&text);
}

static void set_up(void)
{
    static const char table[] = "{\"name\":\"t\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"columns\":[],"
                                "\"table_type\":\"EXTERNAL\",\"data_source_format\":\"DELTA\","
                                "\"storage_location\":\"file:///nowhere/t\"}";
    static const char view[] = "{\"name\":\"v\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"columns\":[],"
                               "\"table_type\":\"VIEW\",\"view_definition\":\"SELECT 1\"}";
    static const char function[] =
        "{\"function_info\":{\"name\":\"f\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"input_params\":{},"
        "\"data_type\":\"BOOLEAN\",\"full_data_type\":\"BOOLEAN\",\"routine_body\":\"SQL\","
        "\"routine_definition\":\"true\",\"parameter_style\":\"S\",\"is_deterministic\":true,"
        "\"sql_data_access\":\"CONTAINS_SQL\",\"is_null_call\":false,\"security_type\":\"DEFINER\","
        "\"specific_name\":\"f\"}}";
    scratch_catalog_open();
    if (ist_catalog_create(catalog, IST_SECURABLE_TABLE, table, NULL, NULL) != IST_OK ||
        ist_catalog_create(catalog, IST_SECURABLE_TABLE, view, NULL, NULL) != IST_OK ||
        ist_catalog_create(catalog, IST_SECURABLE_FUNCTION, function, NULL, NULL) != IST_OK)
        abort();
}

static void resolve(const ist__principal *who, const ist__worker_message *message)
{
    ist__local *local = ((ist__session *)catalog->self)->local;
    ist_buffer text = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    ist_status status = ist__names_resolve(local, who, message->id, message->tables, message->functions, &text, &err);
    yyjson_doc *doc = yyjson_read(text.data, text.size, 0);
    if ((status == IST_OK) != (doc != NULL) || status == IST_INTERNAL || status == IST_NO_MEMORY)
        abort();
    if (doc && who == &ist__principal_nobody && strstr(text.data, "table_id"))
        abort();
    yyjson_doc_free(doc);
    ist_buffer_free(&text);
}

static void tell_lineage(const ist__worker_message *message)
{
    warehouse at = {.kind = "duckdb"};
    ist__statement statement = {.at = &at, .lineage = yyjson_val_write(message->lineage, 0, NULL)};
    ist_buffer event = IST_BUFFER_INIT;
    if (ist__statement_lineage(&statement, &event, NULL) != IST_OK)
        abort();
    ist__local_post_lineage(catalog->self, event.data, NULL);
    ist_buffer_free(&event);
    free(statement.lineage);
}

static void take(const ist__worker_message *message)
{
    if (message->type == IST__WORKER_RESOLVE) {
        resolve(&ist__principal_admin, message);
        resolve(&ist__principal_nobody, message);
    }
    if (message->columns)
        read_columns(message);
    if (message->lineage)
        tell_lineage(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__channel channel;
    const char *frame;
    size_t length;
    if (!catalog)
        set_up();
    ist__channel_init(&channel, -1);
    if (ist_buffer_append(&channel.in, data, size, NULL) == IST_OK)
        while (ist__channel_next(&channel, &frame, &length, NULL) == IST_OK && frame) {
            ist__worker_message message;
            if (ist__worker_message_read(frame, length, &message, NULL) == IST_OK)
                take(&message);
            ist__worker_message_free(&message);
        }
    ist__channel_close(&channel);
    return 0;
}
