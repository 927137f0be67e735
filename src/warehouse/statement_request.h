/*
 * statement_request.h: Databricks' ExecuteStatementRequest, checked as Databricks checks it. Library-private.
 *
 * Threading: immutable once read.
 */
#ifndef ISTHMUS_WAREHOUSE_STATEMENT_REQUEST_H
#define ISTHMUS_WAREHOUSE_STATEMENT_REQUEST_H

#include "catalog/catalog_json.h"

enum {
    IST__STATEMENT_TEXT_MAX = 16 << 20, /* bytes */
    IST__STATEMENT_PARAMETERS_MAX = 256,
};

typedef enum ist__result_format {
    IST__FORMAT_JSON_ARRAY,
    IST__FORMAT_ARROW_STREAM,
    IST__FORMAT_CSV
} ist__result_format;

/* Texts are the request's own. */
typedef struct ist__statement_request {
    yyjson_doc *doc;
    const char *warehouse_id, *statement;
    const char *catalog, *schema; /* NULL where not given */
    const char *compression;      /* of each chunk: "LZ4_FRAME", static storage; NULL for none */
    yyjson_val *parameters;       /* an array of {name, value, type}; NULL where there are none */
    ist__result_format format;
    bool is_inline, cancel_on_timeout;
    int64_t wait_ms;
    int64_t row_limit, byte_limit; /* 0 for none */
} ist__statement_request;

/* "JSON_ARRAY", its media type. */
const char *ist__format_name(ist__result_format format);
const char *ist__format_content_type(ist__result_format format);

/* Free its text also after an error. Errors: INVALID_PARAMETER_VALUE, which names the member. */
ist_status ist__statement_request_read(const char *body, size_t size, ist__statement_request *out, ist_error *err);
/* Only texts and parameters go: what is left tells how the result is to be told. */
void ist__statement_request_free_text(ist__statement_request *request);

/* "0s", "5s" to "50s" as milliseconds. Errors: INVALID_PARAMETER_VALUE. */
ist_status ist__wait_timeout_read(const char *text, int64_t *out, ist_error *err);

#endif
