/*
 * fake_commit_catalog.h: what Unity Catalog keeps of one catalog-managed table, in memory, behind either of its two APIs,
 * and what it is told to do wrong.
 */
#ifndef ISTHMUS_TESTS_FAKE_COMMIT_CATALOG_H
#define ISTHMUS_TESTS_FAKE_COMMIT_CATALOG_H

#include "catalog/managed_commit.h"
#include "testing.h"

#include <inttypes.h>
#include <yyjson.h>

#define TABLE_ID "11111111-2222-4333-8444-555555555555"
#define FAKE_TABLE_PATH "/catalogs/main/schemas/demo/tables/t"

enum { FAKE_VERSIONS = 512, FAKE_LIMIT = 10, FAKE_PAGE = 4 };

typedef struct fake_catalog {
    ist_catalog base;
    pthread_mutex_t mutex;
    char names[FAKE_VERSIONS][100];
    int64_t sizes[FAKE_VERSIONS];
    int64_t latest, backfilled;
    int posts;
    int lose_answers;        /* so many commits are made, and answered with 500 */
    char last_body[20000];   /* of the last commit */
    const char *id;          /* of the table that has the name */
    const char *delta_reply; /* to requests of the Delta API that are not about commits; NULL: 404 */
    char asked[8000];        /* those requests: a line for each */
} fake_catalog;

/* The members that the two APIs spell differently. */
typedef struct fake_words {
    const char *name, *size, *modified;
} fake_words;

static const fake_words fake_preview_words = {"file_name", "file_size", "file_modification_timestamp"};
static const fake_words fake_delta_words = {"file-name", "file-size", "file-modification-timestamp"};

/* [first, last], newest first. */
static void fake_list(const fake_catalog *f, int64_t first, int64_t last, const fake_words *words, ist_buffer *out)
{
    ist_buffer_printf(out, NULL, "\"commits\":[");
    for (int64_t v = last; v >= first; v--)
        ist_buffer_printf(out, NULL, "%s{\"version\":%" PRId64 ",\"timestamp\":5,\"%s\":\"%s\",\"%s\":%" PRId64 ",\"%s\":7}",
                          v == last ? "" : ",", v, words->name, f->names[v], words->size, f->sizes[v], words->modified);
    ist_buffer_printf(out, NULL, "]");
}

static ist_status fake_ratify(fake_catalog *f, yyjson_val *info, const fake_words *words, ist_error *err)
{
    int64_t version = yyjson_get_sint(yyjson_obj_get(info, "version"));
    const char *name = yyjson_get_str(yyjson_obj_get(info, words->name));
    if (version <= f->latest && strcmp(f->names[version], name) == 0)
        return IST_OK;
    if (version <= f->latest)
        return ist_error_set(err, IST_CONFLICT, 409, "COMMIT_VERSION_CONFLICT", "taken");
    if (version != f->latest + 1)
        return ist_error_set(err, IST_BAD_INPUT, 400, "INVALID_ARGUMENT", "a gap");
    if (version - f->backfilled > FAKE_LIMIT)
        return ist_error_set(err, IST_RETRYABLE, 429, "RESOURCE_EXHAUSTED", "too many commits");
    assert_true(yyjson_get_sint(yyjson_obj_get(info, "timestamp")) > 0);
    assert_true(yyjson_get_sint(yyjson_obj_get(info, words->modified)) > 0);
    f->latest = version;
    f->sizes[version] = yyjson_get_sint(yyjson_obj_get(info, words->size));
    snprintf(f->names[version], sizeof f->names[version], "%s", name);
    return IST_OK;
}

/* info, published: NULL where the request does not say. */
static ist_status fake_take(fake_catalog *f, const char *body, yyjson_val *info, yyjson_val *published,
                            const fake_words *words, ist_error *err)
{
    ist_status status = IST_OK;
    pthread_mutex_lock(&f->mutex);
    f->posts++;
    snprintf(f->last_body, sizeof f->last_body, "%s", body);
    int64_t before = f->backfilled;
    if (published && yyjson_get_sint(published) > f->latest)
        status = ist_error_set(err, IST_BAD_INPUT, 400, "INVALID_ARGUMENT", "published past the latest");
    else if (published && yyjson_get_sint(published) > f->backfilled)
        f->backfilled = yyjson_get_sint(published);
    if (status == IST_OK && info)
        status = fake_ratify(f, info, words, err);
    if (status != IST_OK)
        f->backfilled = before;
    if (status == IST_OK && info && f->lose_answers-- > 0)
        status = ist_error_set(err, IST_IO, 500, "COMMIT_STATE_UNKNOWN", "the server fell over");
    pthread_mutex_unlock(&f->mutex);
    return status;
}

/* ---- the preview API ------------------------------------------------------------------------------------------------ */

static ist_status fake_get_commits(void *self, const char *request, ist_buffer *out, ist_error *err)
{
    fake_catalog *f = self;
    (void)err;
    yyjson_doc *doc = yyjson_read(request, strlen(request), 0);
    int64_t start = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), "start_version"));
    assert_true(yyjson_equals_str(yyjson_obj_get(yyjson_doc_get_root(doc), "table_id"), TABLE_ID));
    yyjson_doc_free(doc);
    pthread_mutex_lock(&f->mutex);
    int64_t first = f->backfilled + 1 > start ? f->backfilled + 1 : start;
    int64_t last = first + FAKE_PAGE - 1 < f->latest ? first + FAKE_PAGE - 1 : f->latest;
    ist_buffer_printf(out, NULL, "{");
    fake_list(f, first, last, &fake_preview_words, out);
    ist_buffer_printf(out, NULL, ",\"latest_table_version\":%" PRId64 "}", f->latest);
    pthread_mutex_unlock(&f->mutex);
    return IST_OK;
}

static ist_status fake_commit(void *self, const char *body, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    ist_status status = fake_take(self, body, yyjson_obj_get(root, "commit_info"),
                                  yyjson_obj_get(root, "latest_backfilled_version"), &fake_preview_words, err);
    yyjson_doc_free(doc);
    return status;
}

/* ---- the Delta API -------------------------------------------------------------------------------------------------- */

static ist_status fake_load(fake_catalog *f, ist_buffer *out)
{
    pthread_mutex_lock(&f->mutex);
    ist_buffer_printf(out, NULL, "{\"metadata\":{\"table-uuid\":\"%s\"},", f->id);
    fake_list(f, f->backfilled + 1, f->latest, &fake_delta_words, out);
    if (f->latest)
        ist_buffer_printf(out, NULL, ",\"latest-table-version\":%" PRId64, f->latest);
    ist_buffer_printf(out, NULL, "}");
    pthread_mutex_unlock(&f->mutex);
    return IST_OK;
}

static ist_status fake_update(fake_catalog *f, const char *body, ist_buffer *out, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *update, *info = NULL, *published = NULL;
    size_t i, count;
    assert_true(yyjson_equals_str(yyjson_doc_ptr_get(doc, "/requirements/0/type"), "assert-table-uuid"));
    yyjson_arr_foreach(yyjson_obj_get(root, "updates"), i, count, update) {
        if (yyjson_equals_str(yyjson_obj_get(update, "action"), "add-commit"))
            info = yyjson_obj_get(update, "commit");
        if (yyjson_equals_str(yyjson_obj_get(update, "action"), "set-latest-backfilled-version"))
            published = yyjson_obj_get(update, "latest-published-version");
    }
    ist_status status = yyjson_equals_str(yyjson_doc_ptr_get(doc, "/requirements/0/uuid"), f->id)
                            ? fake_take(f, body, info, published, &fake_delta_words, err)
                            : ist_error_set(err, IST_CONFLICT, 409, "UPDATE_REQUIREMENT_CONFLICT", "another table");
    yyjson_doc_free(doc);
    return status == IST_OK ? fake_load(f, out) : status;
}

static ist_status fake_delta_request(void *self, const char *method, const char *path, const char *body, bool repeatable,
                                     ist_buffer *out, ist_error *err)
{
    fake_catalog *f = self;
    if (strcmp(path, FAKE_TABLE_PATH) == 0) {
        assert_true(repeatable);
        return body ? fake_update(f, body, out, err) : fake_load(f, out);
    }
    size_t used = strlen(f->asked);
    snprintf(f->asked + used, sizeof f->asked - used, "%s %s %s\n", method, path, body ? body : "");
    if (!f->delta_reply)
        return ist_error_set(err, IST_NOT_FOUND, 404, NULL, "the server has no such call");
    return ist_buffer_append_string(out, f->delta_reply, err);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void fake_free(void *self)
{
    (void)self;
}

static fake_catalog *fake_new(void)
{
    static const ist__catalog_backend backend = {.get_commits = fake_get_commits,
                                                 .commit = fake_commit,
                                                 .delta_request = fake_delta_request,
                                                 .free = fake_free};
    fake_catalog *f = calloc(1, sizeof *f);
    f->base.backend = &backend;
    f->base.self = f;
    f->id = TABLE_ID;
    atomic_init(&f->base.references, 1);
    pthread_mutex_init(&f->mutex, NULL);
    return f;
}

static void fake_end(fake_catalog *f)
{
    assert_int_equal(atomic_load(&f->base.references), 1); /* committers gave theirs back */
    pthread_mutex_destroy(&f->mutex);
    free(f);
}

/* A committer of the table main.demo.t; how it is in `table`. */
static ist_committer *fake_committer(fake_catalog *f, const ist__managed_table *table)
{
    ist_error err = IST_ERROR_INIT;
    ist_committer *committer;
    ist__managed_table whole = *table;
    whole.id = TABLE_ID;
    whole.uri = "memory:";
    whole.name = "main.demo.t";
    assert_ok(ist__managed_committer_new(&f->base, &whole, &committer, &err), err);
    return committer;
}

#endif
