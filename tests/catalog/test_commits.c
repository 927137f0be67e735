/* test_commits.c: who says which staged commit is a version: one winner, no gap, ten unpublished, sent again. */
#include "testing.h"

#include "isthmus/catalog.h"
#include "isthmus/server.h"

#include <pthread.h>
#include <string.h>
#include <yyjson.h>

typedef struct fixture {
    char *home;
    ist_server *server;
    ist_catalog *catalog;
    char id[64], uri[4200];
    ist_error err;
    ist_buffer out;
} fixture;

static void open_catalog(fixture *f)
{
    char uri[4200];
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", f->home);
    options.uri = f->server ? ist_server_url(f->server) : uri;
    options.token = f->server ? "secret" : NULL;
    assert_ok(ist_catalog_open(&options, &f->catalog, &f->err), f->err);
}

/* A managed table "main.default.t". */
static void create_table(fixture *f)
{
    char body[8800];
    assert_ok(ist_catalog_create_staging_table(f->catalog, "main.default.t", &f->out, &f->err), f->err);
    yyjson_doc *doc = yyjson_read(f->out.data, f->out.size, 0);
    snprintf(f->id, sizeof f->id, "%s", yyjson_get_str(yyjson_doc_ptr_get(doc, "/id")));
    snprintf(f->uri, sizeof f->uri, "%s", yyjson_get_str(yyjson_doc_ptr_get(doc, "/staging_location")));
    yyjson_doc_free(doc);
    ist_buffer_clear(&f->out);
    snprintf(body, sizeof body,
             "{\"name\":\"t\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":\"MANAGED\","
             "\"data_source_format\":\"DELTA\",\"columns\":[],\"storage_location\":\"%s\",\"properties\":"
             "{\"io.unitycatalog.tableId\":\"%s\"}}",
             f->uri, f->id);
    assert_ok(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f->err);
}

static int set_up_at(void **state, bool served)
{
    fixture *f = calloc(1, sizeof *f);
    f->home = new_folder();
    if (served) {
        ist_server_options options = IST_SERVER_OPTIONS_INIT;
        options.home = f->home;
        options.token = "secret";
        assert_ok(ist_server_start(&options, &f->server, &f->err), f->err);
    }
    open_catalog(f);
    create_table(f);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_at(state, false);
}

static int set_up_served(void **state)
{
    return set_up_at(state, true);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_catalog_free(f->catalog);
    ist_server_stop(f->server);
    ist_buffer_free(&f->out);
    remove_folder(f->home);
    free(f);
    return 0;
}

/* Commit `version` as `file`; what is published too, where it is not negative. */
static ist_status commit(const fixture *f, int version, const char *file, int published, ist_error *err)
{
    char body[8800], backfilled[64] = "", info[256] = "";
    if (published >= 0)
        snprintf(backfilled, sizeof backfilled, ",\"latest_backfilled_version\":%d", published);
    if (file)
        snprintf(info, sizeof info,
                 ",\"commit_info\":{\"version\":%d,\"timestamp\":%d,\"file_name\":\"%s\",\"file_size\":7,"
                 "\"file_modification_timestamp\":9}",
                 version, version + 1000, file);
    snprintf(body, sizeof body, "{\"table_id\":\"%s\",\"table_uri\":\"%s\"%s%s}", f->id, f->uri, backfilled, info);
    return ist_catalog_commit(f->catalog, body, err);
}

/* The unpublished versions, newest first, as "3 2 1 of 3". */
static const char *versions(fixture *f, int start, int end)
{
    static char text[256];
    char request[4400], last[64] = "";
    if (end >= 0)
        snprintf(last, sizeof last, ",\"end_version\":%d", end);
    snprintf(request, sizeof request, "{\"table_id\":\"%s\",\"table_uri\":\"%s\",\"start_version\":%d%s}", f->id, f->uri,
             start, last);
    ist_buffer_clear(&f->out);
    assert_ok(ist_catalog_get_commits(f->catalog, request, &f->out, &f->err), f->err);
    yyjson_doc *doc = yyjson_read(f->out.data, f->out.size, 0);
    yyjson_val *one;
    size_t i, count, used = 0;
    yyjson_arr_foreach(yyjson_doc_ptr_get(doc, "/commits"), i, count, one)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d ",
                                 (int)yyjson_get_sint(yyjson_obj_get(one, "version")));
    snprintf(text + used, sizeof text - used, "of %d",
             (int)yyjson_get_sint(yyjson_doc_ptr_get(doc, "/latest_table_version")));
    yyjson_doc_free(doc);
    return text;
}

#define assert_refused(call, f, code)                                                                                  \
    do {                                                                                                               \
        assert_int_not_equal((call), IST_OK);                                                                          \
        assert_string_equal((f)->err.where, (code));                                                                   \
    } while (0)

static void test_commits_order__one_file_per_version_without_a_gap(void **state)
{
    fixture *f = *state;
    assert_string_equal(versions(f, 0, -1), "of 0");
    assert_refused(commit(f, 0, NULL, 3, &f->err), f, "INVALID_ARGUMENT"); /* nothing to publish yet */
    assert_ok(commit(f, 1, "1.a.json", -1, &f->err), f->err);
    assert_ok(commit(f, 1, "1.a.json", -1, &f->err), f->err); /* sent again */
    assert_int_equal(commit(f, 1, "1.b.json", -1, &f->err), IST_CONFLICT);
    assert_string_equal(f->err.where, "COMMIT_VERSION_CONFLICT");
    assert_refused(commit(f, 3, "3.json", -1, &f->err), f, "INVALID_ARGUMENT");
    assert_ok(commit(f, 2, "2.json", -1, &f->err), f->err);
    assert_string_equal(versions(f, 0, -1), "2 1 of 2");
    assert_string_equal(versions(f, 2, -1), "2 of 2");
    assert_string_equal(versions(f, 0, 1), "1 of 2");
}

static void test_commits_published__ten_at_most(void **state)
{
    fixture *f = *state;
    char file[32];
    for (int i = 1; i <= 10; i++) {
        snprintf(file, sizeof file, "%d.json", i);
        assert_ok(commit(f, i, file, -1, &f->err), f->err);
    }
    assert_int_equal(commit(f, 11, "11.json", -1, &f->err), IST_RETRYABLE);
    assert_int_equal(f->err.code, 429);
    assert_string_equal(f->err.where, "RESOURCE_EXHAUSTED");
    assert_refused(commit(f, 0, NULL, 11, &f->err), f, "INVALID_ARGUMENT"); /* more than there is */
    assert_ok(commit(f, 11, "11.json", 4, &f->err), f->err);
    assert_string_equal(versions(f, 0, -1), "11 10 9 8 7 6 5 of 11");
    assert_ok(commit(f, 0, NULL, 2, &f->err), f->err); /* old news */
    assert_ok(commit(f, 0, NULL, 11, &f->err), f->err);
    assert_string_equal(versions(f, 0, -1), "of 11");
    assert_ok(commit(f, 3, "3.json", -1, &f->err), f->err); /* sent again after all that */
    assert_int_equal(commit(f, 3, "x.json", -1, &f->err), IST_CONFLICT);
    assert_int_equal(commit(f, 11, "x.json", -1, &f->err), IST_CONFLICT);
    for (int i = 12; i <= 130; i++) { /* a table that lives long keeps few rows */
        snprintf(file, sizeof file, "%d.json", i);
        assert_ok(commit(f, i, file, i - 1, &f->err), f->err);
    }
    assert_string_equal(versions(f, 0, -1), "130 of 130");
    assert_ok(commit(f, 40, "40.json", -1, &f->err), f->err);
    assert_int_equal(commit(f, 5, "5.json", -1, &f->err), IST_CONFLICT); /* forgotten: never ratified twice */
}

static void test_commits_table__must_be_managed_and_here(void **state)
{
    fixture *f = *state;
    char id[64], uri[4200];
    snprintf(id, sizeof id, "%s", f->id);
    snprintf(uri, sizeof uri, "%s", f->uri);
    snprintf(f->uri, sizeof f->uri, "%s/x", uri);
    assert_refused(commit(f, 1, "1.json", -1, &f->err), f, "INVALID_ARGUMENT");
    snprintf(f->uri, sizeof f->uri, "%s/", uri); /* another spelling */
    assert_ok(commit(f, 1, "1.json", -1, &f->err), f->err);
    snprintf(f->id, sizeof f->id, "00000000-0000-4000-8000-00000000000f");
    assert_refused(commit(f, 1, "1.json", -1, &f->err), f, "TABLE_NOT_FOUND");
    snprintf(f->id, sizeof f->id, "t");
    assert_refused(commit(f, 1, "1.json", -1, &f->err), f, "INVALID_ARGUMENT");
    assert_ok(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE,
                                 "{\"name\":\"e\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":"
                                 "\"EXTERNAL\",\"data_source_format\":\"DELTA\",\"columns\":[],\"storage_location\":"
                                 "\"/data/e\"}",
                                 &f->out, &f->err),
              f->err);
    yyjson_doc *doc = yyjson_read(f->out.data, f->out.size, 0);
    snprintf(f->id, sizeof f->id, "%s", yyjson_get_str(yyjson_doc_ptr_get(doc, "/table_id")));
    yyjson_doc_free(doc);
    assert_refused(commit(f, 1, "1.json", -1, &f->err), f, "INVALID_ARGUMENT");
    assert_non_null(strstr(f->err.message, "managed"));
    snprintf(f->id, sizeof f->id, "%s", id);
    static const char *const names[] = {"../1.json", "a/b", "a\\\\b", "..", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_refused(commit(f, 2, names[i], -1, &f->err), f, "INVALID_ARGUMENT");
}

static void post(fixture *f, const char *more, const char *code)
{
    char body[8800];
    snprintf(body, sizeof body, "{\"table_id\":\"%s\",\"table_uri\":\"%s\"%s}", f->id, f->uri, more);
    if (code)
        assert_refused(ist_catalog_commit(f->catalog, body, &f->err), f, code);
    else
        assert_ok(ist_catalog_commit(f->catalog, body, &f->err), f->err);
}

#define INFO(version)                                                                                                  \
    ",\"commit_info\":{\"version\":" #version ",\"timestamp\":1,\"file_name\":\"" #version                             \
    ".json\",\"file_size\":1,\"file_modification_timestamp\":1}"

static void test_commits_metadata__changes_with_the_commit(void **state)
{
    fixture *f = *state;
    char more[4400];
    post(f, INFO(1) ",\"metadata\":{}", "INVALID_ARGUMENT");
    post(f, INFO(1) ",\"metadata\":{\"properties\":{\"properties\":{\"a\":\"b\"}}}", "INVALID_ARGUMENT");
    post(f, ",\"latest_backfilled_version\":0,\"metadata\":{\"description\":\"d\"}", "INVALID_ARGUMENT");
    post(f, "", "INVALID_ARGUMENT");
    snprintf(more, sizeof more,
             INFO(1) ",\"metadata\":{\"description\":\"d\",\"properties\":{\"properties\":{"
                     "\"io.unitycatalog.tableId\":\"%s\",\"a\":\"b\"}},\"schema\":{\"columns\":[{\"name\":\"c\","
                     "\"type_text\":\"INT\",\"type_name\":\"INT\",\"position\":0,\"type_json\":\"{\\\"name\\\":\\\"c\\\","
                     "\\\"type\\\":\\\"integer\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}\"}]}}",
             f->id);
    post(f, more, NULL);
    ist_buffer_clear(&f->out);
    assert_ok(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "main.default.t", &f->out, &f->err), f->err);
    yyjson_doc *doc = yyjson_read(f->out.data, f->out.size, 0);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/comment")), "d");
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/properties/a")), "b");
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/columns/0/type_text")), "int");
    yyjson_doc_free(doc);
    /* A commit that loses changes nothing, and one that is sent again changes nothing any more. */
    post(f, INFO(3) ",\"metadata\":{\"description\":\"e\"}", "INVALID_ARGUMENT");
    post(f, INFO(1) ",\"metadata\":{\"description\":\"e\"}", NULL);
    ist_buffer_clear(&f->out);
    assert_ok(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "main.default.t", &f->out, &f->err), f->err);
    assert_non_null(strstr(f->out.data, "\"comment\":\"d\""));
}

enum { RACERS = 32, ROUNDS = 20 };

typedef struct racer {
    fixture *f;
    pthread_barrier_t *start;
    int number;
    int versions[ROUNDS + 1];
} racer;

/* Each tries to be every next version; a loser goes on to the next. */
static void *race(void *payload)
{
    racer *r = payload;
    char file[32];
    pthread_barrier_wait(r->start);
    for (int version = 1; version <= ROUNDS;) {
        ist_error err = IST_ERROR_INIT;
        snprintf(file, sizeof file, "%d.%d.json", version, r->number);
        ist_status status = commit(r->f, version, file, version - 1, &err);
        if (status == IST_OK)
            r->versions[version] = 1;
        if (status == IST_OK || status == IST_CONFLICT)
            version++;
        else if (status == IST_BAD_INPUT && strstr(err.message, "next version"))
            continue; /* nobody has the one before yet */
        else
            fail_msg("version %d: %s: %s", version, ist_status_name(status), err.message);
    }
    return NULL;
}

static void test_commits_race__exactly_one_winner_per_version(void **state)
{
    fixture *f = *state;
    pthread_t threads[RACERS];
    pthread_barrier_t start;
    racer racers[RACERS];
    memset(racers, 0, sizeof racers);
    pthread_barrier_init(&start, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i].f = f;
        racers[i].start = &start;
        racers[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    for (int version = 1; version <= ROUNDS; version++) {
        int winners = 0;
        for (int i = 0; i < RACERS; i++)
            winners += racers[i].versions[version];
        assert_int_equal(winners, 1);
    }
    char expected[32];
    snprintf(expected, sizeof expected, "%d of %d", ROUNDS, ROUNDS);
    assert_string_equal(versions(f, 0, -1), expected);
}

/* What was acknowledged is on the disk: another opening of the database sees it. */
static void test_commits_durable__seen_by_the_next_process(void **state)
{
    fixture *f = *state;
    assert_ok(commit(f, 1, "1.json", -1, &f->err), f->err);
    ist_catalog_free(f->catalog);
    open_catalog(f);
    assert_string_equal(versions(f, 0, -1), "1 of 1");
    assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_TABLE, "main.default.t", false, &f->err), f->err);
    assert_refused(commit(f, 2, "2.json", -1, &f->err), f, "TABLE_NOT_FOUND");
}

int main(int argc, char **argv)
{
#define both(test)                                                                                                     \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down),                                                          \
        {                                                                                                              \
            #test "__served", test, set_up_served, tear_down, NULL                                                     \
        }
    const struct CMUnitTest tests[] = {
        both(test_commits_order__one_file_per_version_without_a_gap),
        both(test_commits_published__ten_at_most),
        both(test_commits_table__must_be_managed_and_here),
        both(test_commits_metadata__changes_with_the_commit),
        both(test_commits_race__exactly_one_winner_per_version),
        cmocka_unit_test_setup_teardown(test_commits_durable__seen_by_the_next_process, set_up, tear_down),
    };
    return run_group(tests, argc, argv);
}
