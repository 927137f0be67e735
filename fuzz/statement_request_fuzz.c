/* statement_request_fuzz.c: the body of POST /api/2.0/sql/statements. What is taken keeps to its own rules. */
#include "warehouse/statement_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__statement_request request;
    if (ist__statement_request_read((const char *)data, size, &request, NULL) == IST_OK) {
        bool waits = request.wait_ms == 0 || (request.wait_ms >= 5000 && request.wait_ms <= 50000);
        if (!*request.statement || !*request.warehouse_id || !waits || request.row_limit < 0 ||
            request.byte_limit < 0 || (request.is_inline && request.format != IST__FORMAT_JSON_ARRAY))
            abort();
    }
    ist__statement_request_free_text(&request);
    return 0;
}
