/*
 * vend.c: which service gives the credentials of a location, what they are made with, and the answers that are given
 * again. A storage credential of the catalog says which role is assumed; the configuration's keys say by whom.
 */
#include "catalog/local/vend.h"

#include "catalog/local/vend_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_SIZE = 256 };

/* An answer that was given. */
typedef struct answer {
    char *key; /* principal, operation and location */
    ist_buffer json;
    int64_t good_until_ms;
} answer;

struct ist__vendor {
    ist__vend_config config;
    ist__http *http;
    pthread_mutex_t lock; /* guards the answers */
    answer answers[CACHE_SIZE];
    size_t next; /* the one that is replaced next */
};

static void wipe(ist_buffer *json)
{
    if (json->data)
        explicit_bzero(json->data, json->capacity);
    ist_buffer_free(json);
}

void ist__vendor_free(ist__vendor *vendor)
{
    if (!vendor)
        return;
    for (size_t i = 0; i < CACHE_SIZE; i++) {
        free(vendor->answers[i].key);
        wipe(&vendor->answers[i].json);
    }
    ist__vend_config_free(&vendor->config);
    ist__http_free(vendor->http);
    pthread_mutex_destroy(&vendor->lock);
    free(vendor);
}

ist_status ist__vend_configure(ist_catalog *catalog, const char *path, ist_error *err)
{
    ist__vendor *vendor;
    IST_TRY(ist__alloc(1, sizeof *vendor, (void **)&vendor, err));
    pthread_mutex_init(&vendor->lock, NULL);
    ist_status status;
    IST_TRY_GOTO(ist__vend_config_read(path, &vendor->config, err));
    IST_TRY_GOTO(ist__http_new("the credential service", &vendor->http, err));
    ((ist__session *)catalog->self)->local->vendor = vendor;
    return IST_OK;
done:
    ist__vendor_free(vendor);
    return status;
}

/* Answers that are given again ------------------------------------------------------------------------------------- */

static ist_status recall(ist__vendor *vendor, const char *key, ist_buffer *out, bool *found, ist_error *err)
{
    ist_status status = IST_OK;
    int64_t now = ist__now_ms();
    *found = false;
    pthread_mutex_lock(&vendor->lock);
    for (size_t i = 0; i < CACHE_SIZE && !*found; i++) {
        const answer *a = &vendor->answers[i];
        if (!a->key || a->good_until_ms <= now || strcmp(a->key, key) != 0)
            continue;
        *found = true;
        status = ist_buffer_append(out, a->json.data, a->json.size, err);
    }
    pthread_mutex_unlock(&vendor->lock);
    return status;
}

static void remember(ist__vendor *vendor, const char *key, const char *json, size_t size, int64_t expires_ms)
{
    answer fresh = {.good_until_ms = ist__now_ms() + vendor->config.cache_seconds * 1000};
    if (expires_ms > 0 && expires_ms < fresh.good_until_ms)
        return;
    if (ist__strdup(key, &fresh.key, NULL) != IST_OK || ist_buffer_append(&fresh.json, json, size, NULL) != IST_OK) {
        free(fresh.key);
        return;
    }
    pthread_mutex_lock(&vendor->lock);
    answer old = vendor->answers[vendor->next];
    vendor->answers[vendor->next] = fresh;
    vendor->next = (vendor->next + 1) % CACHE_SIZE;
    pthread_mutex_unlock(&vendor->lock);
    free(old.key);
    wipe(&old.json);
}

/* Making credentials ----------------------------------------------------------------------------------------------- */

ist_status ist__vend_field(ist_buffer *body, const char *name, const char *value, ist_error *err)
{
    IST_TRY(ist_buffer_printf(body, err, "&%s=", name));
    return ist__uri_encode(value, strlen(value), "", body, err);
}

/* The form of the catalog's storage credential for a location, as JSON; nothing where no external location covers it. */
static ist_status find_credential(ist__local *local, const char *url, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    sqlite3_stmt *row;
    IST_TRY(ist__session_read(&local->admin, &db, err));
    ist_status status = ist__db_run(db,
                                    "SELECT k.credential FROM external_locations e JOIN credentials k"
                                    " ON k.id = e.credential_id WHERE e.url = ?1"
                                    " OR substr(?1, 1, length(e.url) + 1) = e.url || '/'"
                                    " ORDER BY length(e.url) DESC LIMIT 1",
                                    &row, err, "t", url);
    if (status == IST_OK && row)
        status = ist_buffer_append_string(out, (const char *)sqlite3_column_text(row, 0), err);
    return ist__db_end(db, status, err);
}

static void add_storage(ist__vend_job *job)
{
    const ist__vend_location *l = job->location;
    if (!l->endpoint && !l->region && !l->path_style_set)
        return;
    yyjson_mut_val *storage = yyjson_mut_obj_add_obj(job->doc, job->root, "isthmus_storage");
    if (l->endpoint)
        yyjson_mut_obj_add_str(job->doc, storage, "endpoint", l->endpoint);
    if (l->region)
        yyjson_mut_obj_add_str(job->doc, storage, "region", l->region);
    if (l->path_style_set || l->endpoint)
        yyjson_mut_obj_add_bool(job->doc, storage, "path_style", l->path_style_set ? l->path_style : true);
}

/* The members that are not this service's are null, as in Unity Catalog's answers. */
static void add_rest(ist__vend_job *job)
{
    static const char *const members[] = {"aws_temp_credentials", "azure_user_delegation_sas", "gcp_oauth_token"};
    for (size_t i = 0; i < 3; i++)
        if (!yyjson_mut_obj_get(job->root, members[i]))
            yyjson_mut_obj_add_null(job->doc, job->root, members[i]);
    if (job->expires_ms > 0)
        yyjson_mut_obj_add_sint(job->doc, job->root, "expiration_time", job->expires_ms);
    else
        yyjson_mut_obj_add_null(job->doc, job->root, "expiration_time");
    yyjson_mut_obj_add_str(job->doc, job->root, "url", job->request->url);
}

/*
 * A location must be written in the one way that its canonical form is: else "a%2Fb" and "a/b" would be two places to the
 * catalog, which compares locations, and one to the storage.
 */
static ist_status read_place(const char *url, ist__cloud_location *where, ist_error *err)
{
    ist_buffer canonical = IST_BUFFER_INIT;
    ist_status status = ist__cloud_location_read(url, where, err);
    if (status == IST_OK)
        status = ist__cloud_location_write(where, &canonical, err);
    if (status == IST_OK && strcmp(canonical.data, url) != 0)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                               "no credentials for the location %s: write it as %s", url, canonical.data);
    ist_buffer_free(&canonical);
    return status;
}

static ist_status make(ist__vend_job *job, ist_error *err)
{
    if (job->where.account[0])
        return ist__vend_azure(job, err);
    return strcmp(job->where.scheme, "gs") == 0 ? ist__vend_gcs(job, err) : ist__vend_s3(job, err);
}

static ist_status vend_new(ist__local *local, const ist__vend_request *request, ist_buffer *out, int64_t *expires_ms,
                           ist_error *err)
{
    const ist__vendor *vendor = local->vendor;
    ist__vend_job job = {.request = request, .http = vendor->http, .life_seconds = vendor->config.life_seconds};
    ist_buffer credential = IST_BUFFER_INIT;
    yyjson_doc *form = NULL;
    ist_status status;
    job.location = ist__vend_config_find(&vendor->config, request->url);
    if (!job.location)
        return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "the server's storage configuration has nothing for %s",
                             request->url);
    IST_TRY_GOTO(read_place(request->url, &job.where, err));
    IST_TRY_GOTO(find_credential(local, request->url, &credential, err));
    form = credential.size ? yyjson_read(credential.data, credential.size, 0) : NULL;
    yyjson_val *role = yyjson_obj_get(yyjson_doc_get_root(form), "aws_iam_role");
    job.role_arn = role ? yyjson_get_str(yyjson_obj_get(role, "role_arn")) : job.location->role_arn;
    job.external_id = role ? yyjson_get_str(yyjson_obj_get(role, "external_id")) : job.location->external_id;
    job.doc = yyjson_mut_doc_new(NULL);
    job.root = yyjson_mut_obj(job.doc);
    yyjson_mut_doc_set_root(job.doc, job.root);
    IST_TRY_GOTO(make(&job, err));
    add_rest(&job);
    add_storage(&job);
    *expires_ms = job.expires_ms;
    status = ist__json_finish(job.doc, out, err);
    job.doc = NULL;
done:
    yyjson_mut_doc_free(job.doc);
    yyjson_doc_free(form);
    ist_buffer_free(&credential);
    return status;
}

static ist_status vend_cloud(ist__local *local, const ist__vend_request *request, ist_buffer *out, ist_error *err)
{
    ist_buffer key = IST_BUFFER_INIT;
    size_t start = out->size;
    int64_t expires_ms = 0;
    bool found;
    ist_status status;
    IST_TRY_GOTO(ist_buffer_printf(&key, err, "%c %s\n%s", request->write ? 'w' : 'r', request->url,
                                   request->principal));
    IST_TRY_GOTO(recall(local->vendor, key.data, out, &found, err));
    if (found)
        goto done;
    IST_TRY_GOTO(vend_new(local, request, out, &expires_ms, err));
    remember(local->vendor, key.data, out->data + start, out->size - start, expires_ms);
done:
    ist_buffer_free(&key);
    return status;
}

ist_status ist__vend(ist__local *local, const ist__vend_request *request, ist_buffer *out, ist_error *err)
{
    if (strncmp(request->url, "file:", 5) == 0)
        return ist__vend_file(local->file_signer, request->url, request->write, request->principal, out, err);
    if (!local->vendor)
        return ist__uc_error(err, IST__UC_FAILED_PRECONDITION,
                             "this server holds no credentials for %s: start it with --storage-config", request->url);
    return vend_cloud(local, request, out, err);
}
