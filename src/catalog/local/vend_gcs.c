/* vend_gcs.c: Google storage: an access token of the service account, narrowed down to one folder. */
#include "catalog/local/vend_internal.h"

#include "store/gcs_token.h"

#include <string.h>

enum { KEY_FILE_MAX = 64 << 10 };

static ist_status make_token(const ist__vend_job *job, const char *key_file, ist__gcs_token *out, ist_error *err)
{
    ist__gcs_token whole = {0};
    ist_status status = ist__gcs_token_get(job->http, key_file, &whole, err);
    if (status == IST_OK)
        status = ist__gcs_token_downscope(job->http, &whole, job->where.bucket, job->where.key, job->request->write,
                                          job->location->token_endpoint, out, err);
    ist__gcs_token_free(&whole);
    return status;
}

ist_status ist__vend_gcs(ist__vend_job *job, ist_error *err)
{
    ist__gcs_token token = {0};
    ist_buffer key_file = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(ist__read_file(job->location->key_file, KEY_FILE_MAX, &key_file, err));
    if (make_token(job, key_file.data ? key_file.data : "", &token, err) != IST_OK) {
        /* To whoever asks this is the server's trouble, not his own lack of a token. */
        ist_error cause = err ? *err : (ist_error)IST_ERROR_INIT;
        status = ist__uc_error(err, cause.status == IST_RETRYABLE ? IST__UC_TEMPORARILY_UNAVAILABLE
                                                                  : IST__UC_FAILED_PRECONDITION,
                               "no token for %s: %.1000s", job->request->url, cause.message);
        goto done;
    }
    int64_t longest = ist__now_ms() + job->life_seconds * 1000;
    job->expires_ms = token.expires_ms < longest ? token.expires_ms : longest;
    yyjson_mut_val *member = yyjson_mut_obj_add_obj(job->doc, job->root, "gcp_oauth_token");
    yyjson_mut_obj_add_strcpy(job->doc, member, "oauth_token", token.text.data);
done:
    if (key_file.data)
        explicit_bzero(key_file.data, key_file.capacity);
    ist_buffer_free(&key_file);
    ist__gcs_token_free(&token);
    return status;
}
