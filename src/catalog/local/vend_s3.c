/*
 * vend_s3.c: S3: a role assumed for an hour, narrowed down by a session policy to one prefix and to reading, or reading
 * and writing. What the role may not do, its session may not do either: the policy only takes away.
 */
#include "catalog/local/vend_internal.h"

#include "store/xml.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* @param also a second resource; NULL: none */
static yyjson_mut_val *add_statement(yyjson_mut_doc *doc, yyjson_mut_val *statements, const char *const *actions,
                                     const char *resource, const char *also)
{
    yyjson_mut_val *statement = yyjson_mut_arr_add_obj(doc, statements);
    yyjson_mut_obj_add_str(doc, statement, "Effect", "Allow");
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, statement, "Action");
    for (; *actions; actions++)
        yyjson_mut_arr_add_str(doc, list, *actions);
    yyjson_mut_val *resources = yyjson_mut_obj_add_arr(doc, statement, "Resource");
    yyjson_mut_arr_add_strcpy(doc, resources, resource);
    if (also)
        yyjson_mut_arr_add_strcpy(doc, resources, also);
    return statement;
}

/* Listing is of the bucket, on the condition that the prefix asked for is ours. */
static ist_status add_listing(yyjson_mut_doc *doc, yyjson_mut_val *statements, const ist__cloud_location *where,
                              const char *bucket, ist_error *err)
{
    static const char *const actions[] = {"s3:ListBucket", NULL};
    yyjson_mut_val *statement = add_statement(doc, statements, actions, bucket, NULL);
    ist_buffer below = IST_BUFFER_INIT;
    if (!where->key[0])
        return IST_OK;
    ist_status status = ist_buffer_printf(&below, err, "%s/*", where->key);
    yyjson_mut_val *condition = yyjson_mut_obj_add_obj(doc, statement, "Condition");
    yyjson_mut_val *like = yyjson_mut_obj_add_obj(doc, condition, "StringLike");
    yyjson_mut_val *prefixes = yyjson_mut_obj_add_arr(doc, like, "s3:prefix");
    yyjson_mut_arr_add_strcpy(doc, prefixes, where->key);
    if (status == IST_OK)
        yyjson_mut_arr_add_strcpy(doc, prefixes, below.data);
    ist_buffer_free(&below);
    return status;
}

ist_status ist__vend_s3_policy(const ist__cloud_location *where, bool write, ist_buffer *out, ist_error *err)
{
    static const char *const reading[] = {"s3:GetObject", NULL};
    static const char *const writing[] = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
                                          "s3:ListMultipartUploadParts", NULL};
    ist_buffer folder = IST_BUFFER_INIT, objects = IST_BUFFER_INIT, bucket = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    ist_status status;
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "Version", "2012-10-17");
    yyjson_mut_val *statements = yyjson_mut_obj_add_arr(doc, root, "Statement");
    if (strpbrk(where->key, "*?$")) { /* a policy's wildcards and variables: the rule would be about more */
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                               "no credentials can be narrowed down to s3://%s/%s: its name has '*', '?' or '$'",
                               where->bucket, where->key);
        goto done;
    }
    IST_TRY_GOTO(ist_buffer_printf(&bucket, err, "arn:aws:s3:::%s", where->bucket));
    IST_TRY_GOTO(ist_buffer_printf(&folder, err, "%s/%s", bucket.data, where->key));
    IST_TRY_GOTO(ist_buffer_printf(&objects, err, "%s%s*", folder.data, where->key[0] ? "/" : ""));
    /* Hadoop looks for an object of the folder's own name first, and takes "forbidden" for the end of it. */
    add_statement(doc, statements, write ? writing : reading, objects.data, where->key[0] ? folder.data : NULL);
    IST_TRY_GOTO(add_listing(doc, statements, where, bucket.data, err));
    status = ist__json_finish(doc, out, err);
    doc = NULL;
done:
    yyjson_mut_doc_free(doc);
    ist_buffer_free(&folder);
    ist_buffer_free(&objects);
    ist_buffer_free(&bucket);
    return status;
}

/* Answers of STS --------------------------------------------------------------------------------------------------- */

#define CREDENTIALS "AssumeRoleResponse/AssumeRoleResult/Credentials/"

typedef struct session {
    yyjson_mut_doc *doc;
    yyjson_mut_val *keys;
    int64_t expires_ms;
    int found; /* bits of members */
    char code[64];
} session;

static ist_status on_element(const char *path, const char *text, void *payload, ist_error *err)
{
    static const char *const members[][2] = {{CREDENTIALS "AccessKeyId", "access_key_id"},
                                             {CREDENTIALS "SecretAccessKey", "secret_access_key"},
                                             {CREDENTIALS "SessionToken", "session_token"}};
    (void)err;
    session *s = payload;
    for (int i = 0; i < 3; i++)
        if (strcmp(path, members[i][0]) == 0 && !(s->found & 1 << i) && *text) {
            yyjson_mut_obj_add_strcpy(s->doc, s->keys, members[i][1], text);
            s->found |= 1 << i;
        }
    if (strcmp(path, CREDENTIALS "Expiration") == 0)
        s->expires_ms = ist__cloud_time(text);
    if (strcmp(path, "ErrorResponse/Error/Code") == 0)
        snprintf(s->code, sizeof s->code, "%s", text);
    return IST_OK;
}

ist_status ist__vend_s3_read(const char *body, size_t size, yyjson_mut_doc *doc, yyjson_mut_val *keys,
                             int64_t *expires_ms, ist_error *err)
{
    session s = {.doc = doc, .keys = keys};
    IST_TRY(ist__xml_read(body, size, on_element, &s, err));
    if (s.found != 7 || s.expires_ms <= 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the token service's answer has no credentials");
    *expires_ms = s.expires_ms;
    return IST_OK;
}

static ist_status refused(const ist__vend_job *job, const ist__http_reply *reply, ist_error *err)
{
    session s = {.doc = job->doc, .keys = yyjson_mut_obj(job->doc)};
    if (reply->body.size)
        ist__xml_read(reply->body.data, reply->body.size, on_element, &s, NULL);
    return ist__uc_error(err, reply->status >= 500 ? IST__UC_TEMPORARILY_UNAVAILABLE : IST__UC_FAILED_PRECONDITION,
                         "the role %s cannot be assumed for %s: the token service answered %d %s", job->role_arn,
                         job->request->url, reply->status, s.code);
}

/* Requests --------------------------------------------------------------------------------------------------------- */

/* Sessions carry the principal's name into the service's own log; of 64 characters that it takes. */
static void session_name(const char *principal, char out[65])
{
    int size = snprintf(out, 65, "isthmus-%s", principal);
    for (int i = 0; i < size && i < 64; i++)
        if (!isalnum((unsigned char)out[i]) && !strchr("=,.@-", out[i]))
            out[i] = '-';
}

static ist_status make_body(const ist__vend_job *job, ist_buffer *body, ist_error *err)
{
    ist_buffer policy = IST_BUFFER_INIT;
    char name[65], seconds[24];
    ist_status status;
    session_name(job->request->principal, name);
    snprintf(seconds, sizeof seconds, "%lld", (long long)job->life_seconds);
    IST_TRY_GOTO(ist__vend_s3_policy(&job->where, job->request->write, &policy, err));
    IST_TRY_GOTO(ist_buffer_append_string(body, "Action=AssumeRole&Version=2011-06-15", err));
    IST_TRY_GOTO(ist__vend_field(body, "RoleArn", job->role_arn, err));
    IST_TRY_GOTO(ist__vend_field(body, "RoleSessionName", name, err));
    IST_TRY_GOTO(ist__vend_field(body, "DurationSeconds", seconds, err));
    if (job->external_id)
        IST_TRY_GOTO(ist__vend_field(body, "ExternalId", job->external_id, err));
    status = ist__vend_field(body, "Policy", policy.data, err);
done:
    ist_buffer_free(&policy);
    return status;
}

static ist_status sign(const ist__vend_job *job, ist__http_request *request, ist_error *err)
{
    const ist__vend_location *l = job->location;
    const char *region = l->region ? l->region : "us-east-1";
    snprintf(request->sigv4, sizeof request->sigv4, "aws:amz:%.64s:sts", region);
    IST_TRY(ist_buffer_append_string(&request->key, l->access_key_id, err));
    IST_TRY(ist_buffer_append_string(&request->secret, l->secret_access_key, err));
    if (l->session_token)
        IST_TRY(ist__http_header(request, err, "x-amz-security-token: %s", l->session_token));
    if (l->sts_endpoint || l->endpoint) /* stores that speak S3 answer for STS at the same address */
        IST_TRY(ist_buffer_printf(&request->url, err, "%s/", l->sts_endpoint ? l->sts_endpoint : l->endpoint));
    else
        IST_TRY(ist_buffer_printf(&request->url, err, "https://sts.%s.amazonaws.com/", region));
    return ist__http_header(request, err, "Content-Type: application/x-www-form-urlencoded");
}

static ist_status assume_role(ist__vend_job *job, yyjson_mut_val *keys, ist_error *err)
{
    ist__http_request request = {.method = "POST"};
    ist__http_reply reply = {0};
    ist_buffer body = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(make_body(job, &body, err));
    request.body = body.data;
    request.body_size = body.size;
    IST_TRY_GOTO(sign(job, &request, err));
    IST_TRY_GOTO(ist__http_send(job->http, &request, &reply, err));
    if (reply.status != 200)
        status = refused(job, &reply, err);
    else if (ist__vend_s3_read(reply.body.data ? reply.body.data : "", reply.body.size, job->doc, keys,
                               &job->expires_ms, err) != IST_OK)
        status = ist_error_context(err, "the role %s for %s", job->role_arn, job->request->url);
done:
    ist__http_request_free(&request);
    ist__http_reply_free(&reply);
    ist_buffer_free(&body);
    return status;
}

ist_status ist__vend_s3(ist__vend_job *job, ist_error *err)
{
    const ist__vend_location *l = job->location;
    yyjson_mut_val *keys = yyjson_mut_obj_add_obj(job->doc, job->root, "aws_temp_credentials");
    if (job->role_arn)
        return assume_role(job, keys, err);
    if (!l->give_keys)
        return ist__uc_error(err, IST__UC_FAILED_PRECONDITION,
                             "the storage configuration has no role_arn for %s, and no give_keys to give out its keys "
                             "as they are", job->request->url);
    yyjson_mut_obj_add_str(job->doc, keys, "access_key_id", l->access_key_id);
    yyjson_mut_obj_add_str(job->doc, keys, "secret_access_key", l->secret_access_key);
    yyjson_mut_obj_add_str(job->doc, keys, "session_token", l->session_token ? l->session_token : "");
    return IST_OK;
}
