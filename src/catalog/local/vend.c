/* vend.c: which service gives the credentials of a location. */
#include "catalog/local/vend.h"

#include <string.h>

ist_status ist__vend(ist__local *local, const ist__vend_request *request, ist_buffer *out, ist_error *err)
{
    if (strncmp(request->url, "file:", 5) == 0)
        return ist__vend_file(local->file_signer, request->url, request->write, request->principal, out, err);
    return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "this server holds no credentials for %s", request->url);
}
