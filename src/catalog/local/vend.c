/* vend.c: which service gives the credentials of a location. */
#include "catalog/local/vend.h"

#include <string.h>

/* Nobody guards the local disk but its file system: the answer has the location and no credentials. */
static ist_status vend_file(const ist__vend_request *request, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_null(doc, root, "aws_temp_credentials");
    yyjson_mut_obj_add_null(doc, root, "azure_user_delegation_sas");
    yyjson_mut_obj_add_null(doc, root, "gcp_oauth_token");
    yyjson_mut_obj_add_null(doc, root, "expiration_time");
    yyjson_mut_obj_add_str(doc, root, "url", request->url);
    return ist__json_finish(doc, out, err);
}

ist_status ist__vend(ist__local *local, const ist__vend_request *request, ist_buffer *out, ist_error *err)
{
    (void)local;
    if (strncmp(request->url, "file:", 5) == 0)
        return vend_file(request, out, err);
    return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "this server holds no credentials for %s", request->url);
}
