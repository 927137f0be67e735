/* test_catalog.c: one suite for every catalog: the SQLite one in this process, and the same one behind its server,
 * reached through the REST client. */
#include "testing.h"

#include "isthmus/catalog.h"
#include "isthmus/server.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <yyjson.h>

typedef struct fixture {
    char *home;
    ist_server *server; /* NULL for the local catalog */
    ist_catalog *catalog;
    ist_error err;
    ist_buffer out;
} fixture;

static void open_catalog(fixture *f, bool remote)
{
    char path[4200];
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    if (remote) {
        ist_server_options server_options = IST_SERVER_OPTIONS_INIT;
        server_options.home = f->home;
        server_options.token = "secret";
        assert_ok(ist_server_start(&server_options, &f->server, &f->err), f->err);
        snprintf(path, sizeof path, "%s", ist_server_url(f->server));
        options.token = "secret";
    } else {
        snprintf(path, sizeof path, "sqlite:%s/catalog.db", f->home);
    }
    options.uri = path;
    assert_ok(ist_catalog_open(&options, &f->catalog, &f->err), f->err);
}

static int set_up(void **state, bool remote)
{
    fixture *f = calloc(1, sizeof *f);
    f->home = new_folder();
    *state = f;
    open_catalog(f, remote);
    return 0;
}

static int set_up_local(void **state)
{
    return set_up(state, false);
}

static int set_up_remote(void **state)
{
    return set_up(state, true);
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

/* The answer in f->out, parsed; freed by the caller. */
static yyjson_doc *parse(fixture *f)
{
    yyjson_doc *doc = yyjson_read(f->out.data, f->out.size, 0);
    assert_non_null(doc);
    ist_buffer_clear(&f->out);
    return doc;
}

static const char *text_at(yyjson_doc *doc, const char *pointer)
{
    return yyjson_get_str(yyjson_doc_ptr_get(doc, pointer));
}

/* Create, and check that what is returned is also what get returns. */
static yyjson_doc *create(fixture *f, ist_securable kind, const char *full_name, const char *body)
{
    ist_buffer again = IST_BUFFER_INIT;
    ist_buffer_clear(&f->out);
    assert_ok(ist_catalog_create(f->catalog, kind, body, &f->out, &f->err), f->err);
    assert_ok(ist_catalog_get(f->catalog, kind, full_name, &again, &f->err), f->err);
    assert_string_equal(f->out.data, again.data);
    ist_buffer_free(&again);
    return parse(f);
}

static void create_external(fixture *f, const char *name)
{
    char body[4200], full_name[300];
    snprintf(full_name, sizeof full_name, "main.default.%s", name);
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":\"EXTERNAL\","
             "\"data_source_format\":\"DELTA\",\"columns\":[],\"storage_location\":\"%s/data/%s\"}",
             name, f->home, name);
    yyjson_doc_free(create(f, IST_SECURABLE_TABLE, full_name, body));
}

#define assert_refused(call, f, expected, error_code)                                                                  \
    do {                                                                                                               \
        assert_int_equal((call), (expected));                                                                          \
        assert_string_equal((f)->err.where, (error_code));                                                             \
        assert_true((f)->err.message[0] != '\0');                                                                      \
    } while (0)

static void test_catalog_catalog__first_start(void **state)
{
    fixture *f = *state;
    assert_ok(ist_catalog_list(f->catalog, IST_SECURABLE_CATALOG, "", 0, NULL, &f->out, &f->err), f->err);
    yyjson_doc *doc = parse(f);
    assert_string_equal(text_at(doc, "/catalogs/0/name"), "main");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/catalogs")), 1);
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/next_page_token")));
    yyjson_doc_free(doc);
    assert_ok(ist_catalog_get(f->catalog, IST_SECURABLE_SCHEMA, "main.default", &f->out, &f->err), f->err);
}

static void test_catalog_catalog__every_member_comes_back(void **state)
{
    fixture *f = *state;
    char body[4200], root[4200];
    snprintf(body, sizeof body,
             "{\"name\":\"c\",\"comment\":\"K\\u00e9\",\"properties\":{\"a\":\"1\"},\"storage_root\":\"%s/root/\"}",
             f->home);
    yyjson_doc *doc = create(f, IST_SECURABLE_CATALOG, "c", body);
    assert_string_equal(text_at(doc, "/comment"), "K\xC3\xA9");
    assert_string_equal(text_at(doc, "/properties/a"), "1");
    assert_string_equal(text_at(doc, "/owner"), "admin");
    assert_int_equal(strlen(text_at(doc, "/id")), 36);
    assert_true(yyjson_get_sint(yyjson_doc_ptr_get(doc, "/created_at")) > 1600000000000);
    snprintf(root, sizeof root, "file://%s/root", f->home);
    assert_string_equal(text_at(doc, "/storage_root"), root);
    snprintf(root, sizeof root, "file://%s/root/__unitystorage/catalogs/%s", f->home, text_at(doc, "/id"));
    assert_string_equal(text_at(doc, "/storage_location"), root);
    yyjson_doc_free(doc);

    doc = create(f, IST_SECURABLE_SCHEMA, "c.s", "{\"name\":\"s\",\"catalog_name\":\"c\"}");
    assert_string_equal(text_at(doc, "/full_name"), "c.s");
    assert_true(yyjson_is_obj(yyjson_doc_ptr_get(doc, "/properties")));
    yyjson_doc_free(doc);

    snprintf(body, sizeof body,
             "{\"name\":\"t\",\"catalog_name\":\"c\",\"schema_name\":\"s\",\"table_type\":\"EXTERNAL\","
             "\"data_source_format\":\"DELTA\",\"storage_location\":\"file:%s/a%%20b/./x/../t/\",\"columns\":[{"
             "\"name\":\"id\",\"type_text\":\"BIGINT\",\"type_name\":\"LONG\",\"nullable\":false,\"partition_index\":0,"
             "\"type_json\":\"{\\\"name\\\":\\\"id\\\",\\\"type\\\":\\\"long\\\",\\\"nullable\\\":false,"
             "\\\"metadata\\\":{}}\"}]}",
             f->home);
    doc = create(f, IST_SECURABLE_TABLE, "`c`.s.`t`", body);
    snprintf(root, sizeof root, "file://%s/a%%20b/t", f->home);
    assert_string_equal(text_at(doc, "/storage_location"), root);
    assert_string_equal(text_at(doc, "/columns/0/type_text"), "bigint");
    assert_int_equal(yyjson_get_int(yyjson_doc_ptr_get(doc, "/columns/0/position")), 0);
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/columns/0/comment")));
    assert_string_equal(text_at(doc, "/catalog_name"), "c");
    assert_string_equal(text_at(doc, "/schema_name"), "s");
    yyjson_doc_free(doc);
}

static void test_catalog_catalog__missing_and_taken(void **state)
{
    fixture *f = *state;
    assert_refused(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "no.default.t", &f->out, &f->err), f,
                   IST_NOT_FOUND, "CATALOG_NOT_FOUND");
    assert_refused(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "main.no.t", &f->out, &f->err), f, IST_NOT_FOUND,
                   "SCHEMA_NOT_FOUND");
    assert_refused(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "main.default.t", &f->out, &f->err), f,
                   IST_NOT_FOUND, "TABLE_NOT_FOUND");
    assert_non_null(strstr(f->err.message, "main.default.t"));
    assert_int_equal(f->err.code, 404);
    assert_refused(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "main.default.T", &f->out, &f->err), f,
                   IST_NOT_FOUND, "TABLE_NOT_FOUND");
    assert_refused(ist_catalog_list(f->catalog, IST_SECURABLE_TABLE, "main.no", 0, NULL, &f->out, &f->err), f,
                   IST_NOT_FOUND, "SCHEMA_NOT_FOUND");
    assert_refused(ist_catalog_create(f->catalog, IST_SECURABLE_CATALOG, "{\"name\":\"main\"}", NULL, &f->err), f,
                   IST_ALREADY_EXISTS, "CATALOG_ALREADY_EXISTS");
    assert_int_equal(f->err.code, 400);
    assert_int_equal(f->out.size, 0);
}

static void test_catalog_catalog__bad_input(void **state)
{
    fixture *f = *state;
    static const struct {
        ist_securable kind;
        const char *body;
    } bad[] = {
        {IST_SECURABLE_CATALOG, ""},
        {IST_SECURABLE_CATALOG, "[]"},
        {IST_SECURABLE_CATALOG, "{\"name\":"},
        {IST_SECURABLE_CATALOG, "{}"},
        {IST_SECURABLE_CATALOG, "{\"name\":7}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a b\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a.b\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a/b\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a\\u0000b\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"\\u00e9\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a\",\"properties\":{\"x\":1}}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a\",\"properties\":[]}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a\",\"storage_root\":\"relative/path\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a\",\"storage_root\":\"ftp://h/p\"}"},
        {IST_SECURABLE_CATALOG, "{\"name\":\"a\",\"storage_root\":\"/x/__unitystorage/y\"}"},
        {IST_SECURABLE_SCHEMA, "{\"name\":\"a\"}"},
        {IST_SECURABLE_TABLE, "{\"name\":\"a\",\"catalog_name\":\"main\",\"schema_name\":\"default\"}"},
        {IST_SECURABLE_TABLE, "{\"name\":\"a\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
                              "\"table_type\":\"VIEW\",\"storage_location\":\"/x\"}"},
        {IST_SECURABLE_TABLE, "{\"name\":\"a\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
                              "\"table_type\":\"EXTERNAL\"}"},
        {IST_SECURABLE_TABLE, "{\"name\":\"a\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
                              "\"table_type\":\"EXTERNAL\",\"data_source_format\":\"XLS\","
                              "\"storage_location\":\"/x\"}"},
        {IST_SECURABLE_TABLE, "{\"name\":\"a\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
                              "\"table_type\":\"EXTERNAL\",\"storage_location\":\"/x\","
                              "\"columns\":[{\"name\":\"c\"}]}"},
        {IST_SECURABLE_TABLE, "{\"name\":\"a\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
                              "\"table_type\":\"EXTERNAL\",\"storage_location\":\"/x\",\"columns\":[{\"name\":\"c\","
                              "\"type_text\":\"int\",\"type_name\":\"INT\",\"type_json\":\"\\\"int\\\"\"}]}"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ist_catalog_create(f->catalog, bad[i].kind, bad[i].body, &f->out, &f->err) != IST_BAD_INPUT ||
            strcmp(f->err.where, "INVALID_ARGUMENT") != 0)
            fail_msg("%s: %s: %s", bad[i].body, ist_status_name(f->err.status), f->err.message);
    char body[400] = "{\"name\":\"";
    memset(body + 9, 'x', 256);
    strcpy(body + 265, "\"}");
    assert_refused(ist_catalog_create(f->catalog, IST_SECURABLE_CATALOG, body, &f->out, &f->err), f, IST_BAD_INPUT,
                   "INVALID_ARGUMENT");
    strcpy(body + 264, "\"}");
    assert_ok(ist_catalog_create(f->catalog, IST_SECURABLE_CATALOG, body, NULL, &f->err), f->err);

    static const char *const names[] = {"",        "t", "main.t",    "main.default.t.x", "main..t",
                                        ".",       "main.`t.x", "main.default.", "main.default.`t`x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_refused(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, names[i], &f->out, &f->err), f, IST_BAD_INPUT,
                       "INVALID_ARGUMENT");
    assert_refused(ist_catalog_list(f->catalog, IST_SECURABLE_CATALOG, "", -1, NULL, &f->out, &f->err), f,
                   IST_BAD_INPUT, "INVALID_ARGUMENT");
}

static void test_catalog_catalog__pages(void **state)
{
    fixture *f = *state;
    char name[16], token[300] = "";
    for (int i = 0; i < 23; i++) {
        snprintf(name, sizeof name, "t%02d", (i * 7) % 23);
        create_external(f, name);
    }
    int seen = 0, pages = 0;
    for (bool more = true; more; pages++) {
        assert_ok(ist_catalog_list(f->catalog, IST_SECURABLE_TABLE, "main.default", 10, token, &f->out, &f->err),
                  f->err);
        yyjson_doc *doc = parse(f);
        yyjson_val *table;
        size_t i, count;
        yyjson_arr_foreach(yyjson_doc_ptr_get(doc, "/tables"), i, count, table) {
            snprintf(name, sizeof name, "t%02d", seen++);
            assert_string_equal(yyjson_get_str(yyjson_obj_get(table, "name")), name);
        }
        more = text_at(doc, "/next_page_token") != NULL;
        if (more)
            snprintf(token, sizeof token, "%s", text_at(doc, "/next_page_token"));
        yyjson_doc_free(doc);
    }
    assert_int_equal(seen, 23);
    assert_int_equal(pages, 3);
}

static void test_catalog_catalog__update(void **state)
{
    fixture *f = *state;
    create_external(f, "t");
    assert_ok(ist_catalog_update(f->catalog, IST_SECURABLE_TABLE, "main.default.t",
                                 "{\"comment\":\"new\",\"properties\":{\"p\":\"q\"},\"columns\":[]}", NULL, &f->err),
              f->err);
    assert_ok(ist_catalog_update(f->catalog, IST_SECURABLE_TABLE, "main.default.t", "{\"new_name\":\"u\"}", &f->out,
                                 &f->err),
              f->err);
    yyjson_doc *doc = parse(f);
    assert_string_equal(text_at(doc, "/name"), "u");
    assert_string_equal(text_at(doc, "/comment"), "new");
    assert_string_equal(text_at(doc, "/properties/p"), "q");
    assert_true(yyjson_get_sint(yyjson_doc_ptr_get(doc, "/updated_at")) >=
                yyjson_get_sint(yyjson_doc_ptr_get(doc, "/created_at")));
    yyjson_doc_free(doc);
    assert_refused(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "main.default.t", &f->out, &f->err), f,
                   IST_NOT_FOUND, "TABLE_NOT_FOUND");
    create_external(f, "v");
    assert_refused(ist_catalog_update(f->catalog, IST_SECURABLE_TABLE, "main.default.v", "{\"new_name\":\"u\"}", NULL,
                                      &f->err),
                   f, IST_ALREADY_EXISTS, "TABLE_ALREADY_EXISTS");
    assert_refused(ist_catalog_update(f->catalog, IST_SECURABLE_TABLE, "main.default.v", "{\"new_name\":\"u v\"}", NULL,
                                      &f->err),
                   f, IST_BAD_INPUT, "INVALID_ARGUMENT");
    assert_refused(ist_catalog_update(f->catalog, IST_SECURABLE_SCHEMA, "main.no", "{\"comment\":\"x\"}", NULL,
                                      &f->err),
                   f, IST_NOT_FOUND, "SCHEMA_NOT_FOUND");
}

static void test_catalog_catalog__delete(void **state)
{
    fixture *f = *state;
    create_external(f, "t");
    assert_refused(ist_catalog_delete(f->catalog, IST_SECURABLE_SCHEMA, "main.default", false, &f->err), f,
                   IST_BAD_INPUT, "FAILED_PRECONDITION");
    assert_refused(ist_catalog_delete(f->catalog, IST_SECURABLE_CATALOG, "main", false, &f->err), f, IST_BAD_INPUT,
                   "FAILED_PRECONDITION");
    assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_TABLE, "main.default.t", false, &f->err), f->err);
    assert_refused(ist_catalog_delete(f->catalog, IST_SECURABLE_TABLE, "main.default.t", false, &f->err), f,
                   IST_NOT_FOUND, "TABLE_NOT_FOUND");
    create_external(f, "t");
    assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_CATALOG, "main", true, &f->err), f->err);
    assert_refused(ist_catalog_get(f->catalog, IST_SECURABLE_TABLE, "main.default.t", &f->out, &f->err), f,
                   IST_NOT_FOUND, "CATALOG_NOT_FOUND");
}

/* Reserve, create, use, drop; the files go with the table, and those beside it stay. */
static void test_catalog_catalog__managed_table(void **state)
{
    fixture *f = *state;
    char body[8400], location[4200], folder[4300], id[37];
    assert_ok(ist_catalog_create_staging_table(f->catalog, "main.default.m", &f->out, &f->err), f->err);
    yyjson_doc *doc = parse(f);
    snprintf(location, sizeof location, "%s", text_at(doc, "/staging_location"));
    snprintf(id, sizeof id, "%s", text_at(doc, "/id"));
    yyjson_doc_free(doc);
    snprintf(folder, sizeof folder, "file://%s/warehouse/__unitystorage/tables/%s", f->home, id);
    assert_string_equal(location, folder);

    snprintf(body, sizeof body, "{\"table_id\":\"%s\",\"operation\":\"READ_WRITE\"}", id);
    assert_ok(ist_catalog_get_credentials(f->catalog, body, &f->out, &f->err), f->err);
    doc = parse(f);
    assert_string_equal(text_at(doc, "/url"), location);
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/aws_temp_credentials")));
    yyjson_doc_free(doc);

    const char *form = "{\"name\":\"m\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"columns\":[],"
                       "\"table_type\":\"MANAGED\",\"data_source_format\":\"DELTA\",\"storage_location\":\"%s\","
                       "\"properties\":{\"io.unitycatalog.tableId\":\"%s\"}}";
    snprintf(body, sizeof body, form, location, "another");
    assert_refused(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f, IST_BAD_INPUT,
                   "INVALID_ARGUMENT");
    snprintf(body, sizeof body, form, "file:///elsewhere", id);
    assert_refused(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f, IST_NOT_FOUND,
                   "TABLE_NOT_FOUND");
    snprintf(body, sizeof body, form, location, id);
    doc = create(f, IST_SECURABLE_TABLE, "main.default.m", body);
    assert_string_equal(text_at(doc, "/table_id"), id);
    yyjson_doc_free(doc);
    assert_refused(ist_catalog_create_staging_table(f->catalog, "main.default.m", &f->out, &f->err), f,
                   IST_ALREADY_EXISTS, "TABLE_ALREADY_EXISTS");

    snprintf(body, sizeof body, "mkdir -p '%s/_delta_log' && touch '%s/_delta_log/0.json' '%s/../beside'", location + 7,
             location + 7, location + 7);
    assert_int_equal(system(body), 0);
    assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_TABLE, "main.default.m", false, &f->err), f->err);
    assert_int_equal(access(location + 7, F_OK), -1);
    snprintf(folder, sizeof folder, "%s/warehouse/__unitystorage/tables/beside", f->home);
    assert_int_equal(access(folder, F_OK), 0);

    snprintf(body, sizeof body, form, location, id); /* used once is used up */
    assert_refused(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f, IST_BAD_INPUT,
                   "FAILED_PRECONDITION");
}

static void test_catalog_catalog__external_tables_keep_out_of_managed_storage(void **state)
{
    fixture *f = *state;
    char body[8400];
    const char *form = "{\"name\":\"x\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"columns\":[],"
                       "\"table_type\":\"EXTERNAL\",\"storage_location\":\"file:%s%s\"}";
    assert_ok(ist_catalog_create_staging_table(f->catalog, "main.default.m", &f->out, &f->err), f->err);
    snprintf(body, sizeof body, form, f->home, "/warehouse/__unitystorag%65/tables/x");
    assert_refused(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f, IST_BAD_INPUT,
                   "INVALID_ARGUMENT");
    snprintf(body, sizeof body, form, f->home, "/a/../warehouse");
    assert_refused(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f, IST_BAD_INPUT,
                   "INVALID_ARGUMENT");
    snprintf(body, sizeof body, form, f->home, "/warehouse2");
    assert_ok(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f->err);
    char folder[4300];
    snprintf(folder, sizeof folder, "%s/warehouse2", f->home);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_TABLE, "main.default.x", false, &f->err), f->err);
    assert_int_equal(access(folder, F_OK), 0); /* dropping an external table leaves its files */
}

static void test_catalog_catalog__path_credentials(void **state)
{
    fixture *f = *state;
    assert_ok(ist_catalog_get_credentials(f->catalog, "{\"url\":\"file:/a//b/\",\"operation\":\"PATH_READ\"}", &f->out,
                                          &f->err),
              f->err);
    yyjson_doc *doc = parse(f);
    assert_string_equal(text_at(doc, "/url"), "file:///a/b");
    yyjson_doc_free(doc);
    assert_refused(ist_catalog_get_credentials(f->catalog, "{\"url\":\"s3://b/p\",\"operation\":\"PATH_READ\"}",
                                               &f->out, &f->err),
                   f, IST_BAD_INPUT, "FAILED_PRECONDITION");
    assert_refused(ist_catalog_get_credentials(f->catalog, "{\"url\":\"/p\",\"operation\":\"READ\"}", &f->out,
                                               &f->err),
                   f, IST_BAD_INPUT, "INVALID_ARGUMENT");
    assert_refused(ist_catalog_get_credentials(f->catalog, "{\"table_id\":\"x\",\"operation\":\"READ\"}", &f->out,
                                               &f->err),
                   f, IST_BAD_INPUT, "INVALID_ARGUMENT");
    assert_refused(ist_catalog_get_credentials(
                       f->catalog, "{\"table_id\":\"00000000-0000-4000-8000-00000000000f\",\"operation\":\"READ\"}",
                       &f->out, &f->err),
                   f, IST_NOT_FOUND, "TABLE_NOT_FOUND");
}

static void test_catalog_catalog__lineage(void **state)
{
    fixture *f = *state;
    static const char *const events[] = {
        /* a run that tells its inputs first and its outputs later */
        "{\"eventTime\":\"2026-11-23T09:00:00Z\",\"eventType\":\"START\",\"run\":{\"runId\":\"r1\"},"
        "\"job\":{\"namespace\":\"n\",\"name\":\"score\"},\"inputs\":[{\"namespace\":\"unitycatalog\",\"name\":"
        "\"main.default.a\"},{\"namespace\":\"file\",\"name\":\"/data/x y\"}]}",
        "{\"eventTime\":\"2026-11-23T09:01:00Z\",\"eventType\":\"COMPLETE\",\"run\":{\"runId\":\"r1\"},"
        "\"job\":{\"namespace\":\"n\",\"name\":\"score\",\"facets\":{\"jobType\":{\"integration\":\"RAY\"}}},"
        "\"outputs\":[{\"namespace\":\"unitycatalog\",\"name\":\"main.default.b\"}]}",
        /* a failed one */
        "{\"eventTime\":\"2026-11-23T09:02:00Z\",\"eventType\":\"FAIL\",\"run\":{\"runId\":\"r2\"},"
        "\"job\":{\"namespace\":\"n\",\"name\":\"bad\"},\"outputs\":[{\"namespace\":\"unitycatalog\",\"name\":"
        "\"main.default.b\"}]}",
        /* one that only read */
        "{\"eventTime\":\"2026-11-23T09:03:00Z\",\"eventType\":\"COMPLETE\",\"run\":{\"runId\":\"r3\"},"
        "\"job\":{\"namespace\":\"n\",\"name\":\"report\"},\"inputs\":[{\"namespace\":\"unitycatalog\",\"name\":"
        "\"main.default.b\"}]}",
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        assert_ok(ist_catalog_post_lineage(f->catalog, events[i], &f->err), f->err);
    assert_ok(ist_catalog_get_lineage(f->catalog, "main.`default`.b", 1, false, &f->out, &f->err), f->err);
    yyjson_doc *doc = parse(f);
    assert_string_equal(text_at(doc, "/table"), "main.default.b");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/upstream")), 2);
    assert_string_equal(text_at(doc, "/upstream/0/source"), "main.default.a");
    assert_string_equal(text_at(doc, "/upstream/1/source"), "file:///data/x%20y");
    assert_string_equal(text_at(doc, "/upstream/1/target"), "main.default.b");
    assert_string_equal(text_at(doc, "/upstream/1/job"), "score");
    assert_string_equal(text_at(doc, "/upstream/1/engine"), "ray");
    assert_string_equal(text_at(doc, "/upstream/1/run_id"), "r1");
    assert_string_equal(text_at(doc, "/upstream/1/event_time"), "2026-11-23T09:01:00Z");
    assert_string_equal(text_at(doc, "/downstream/0/job"), "report");
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/downstream/0/target")));
    yyjson_doc_free(doc);
    assert_ok(ist_catalog_get_lineage(f->catalog, "/data/x y", 1, false, &f->out, &f->err), f->err);
    doc = parse(f);
    assert_string_equal(text_at(doc, "/downstream/0/target"), "main.default.b");
    yyjson_doc_free(doc);
    assert_ok(ist_catalog_get_lineage(f->catalog, NULL, 1, false, &f->out, &f->err), f->err);
    doc = parse(f);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/edges")), 3);
    assert_string_equal(text_at(doc, "/edges/0/run_id"), "r3");
    yyjson_doc_free(doc);
    assert_refused(ist_catalog_post_lineage(f->catalog, "{\"eventTime\":\"x\"}", &f->err), f, IST_BAD_INPUT,
                   "INVALID_ARGUMENT");
}

static void post_run(fixture *f, const char *run, const char *state, const char *job, const char *rest)
{
    char event[4096];
    snprintf(event, sizeof event,
             "{\"eventTime\":\"2026-11-23T09:00:00Z\",\"eventType\":\"%s\",\"run\":{\"runId\":\"%s\"},\"job\":"
             "{\"namespace\":\"n\",\"name\":\"%s\",\"facets\":{\"jobType\":{\"integration\":\"SPARK\"}}}%s}",
             state, run, job, rest);
    assert_ok(ist_catalog_post_lineage(f->catalog, event, &f->err), f->err);
}

#define UC(name) "{\"namespace\":\"unitycatalog\",\"name\":\"" name "\"}"
#define FROM(source, target) ",\"inputs\":[" UC(source) "],\"outputs\":[" UC(target) "]"

/* Several steps, runs counted, columns as the newest run told them, an output that was told before its input. */
static void test_catalog_catalog__lineage_depth_and_columns(void **state)
{
    fixture *f = *state;
    static const char columns[] =
        ",\"inputs\":[" UC("main.default.a") "],\"outputs\":[{\"namespace\":\"unitycatalog\",\"name\":"
        "\"main.default.b\",\"facets\":{\"columnLineage\":{\"fields\":{\"y\":{\"inputFields\":[{\"namespace\":"
        "\"unitycatalog\",\"name\":\"main.default.a\",\"field\":\"x\",\"transformations\":[{\"type\":\"DIRECT\","
        "\"subtype\":\"AGGREGATION\"}]},{\"namespace\":\"unitycatalog\",\"name\":\"main.default.secret\",\"field\":"
        "\"z\"}]}},\"dataset\":[{\"namespace\":\"unitycatalog\",\"name\":\"main.default.a\",\"field\":\"k\","
        "\"transformations\":[{\"type\":\"INDIRECT\",\"subtype\":\"JOIN\"}]}]}}}]";
    post_run(f, "r1", "COMPLETE", "one", FROM("main.default.a", "main.default.b"));
    post_run(f, "r2", "COMPLETE", "one", columns);
    post_run(f, "r2", "COMPLETE", "one", columns);
    post_run(f, "r3", "COMPLETE", "two", FROM("main.default.b", "main.default.c"));
    post_run(f, "r4", "RUNNING", "three", ",\"outputs\":[" UC("main.default.d") "]");
    post_run(f, "r4", "COMPLETE", "three", ",\"inputs\":[" UC("main.default.c") "]");
    post_run(f, "r5", "COMPLETE", "circle", FROM("main.default.c", "main.default.a"));
    assert_ok(ist_catalog_get_lineage(f->catalog, "main.default.c", 10, true, &f->out, &f->err), f->err);
    yyjson_doc *doc = parse(f);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/upstream")), 3); /* b, a, and c that a is made from */
    assert_string_equal(text_at(doc, "/upstream/0/source"), "main.default.b");
    assert_string_equal(text_at(doc, "/upstream/1/source"), "main.default.a");
    assert_int_equal(yyjson_get_int(yyjson_doc_ptr_get(doc, "/upstream/1/runs")), 2);
    assert_string_equal(text_at(doc, "/upstream/1/run_id"), "r2");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/upstream/1/columns")), 2);
    assert_string_equal(text_at(doc, "/upstream/1/columns/0/source"), "x");
    assert_string_equal(text_at(doc, "/upstream/1/columns/0/target"), "y");
    assert_string_equal(text_at(doc, "/upstream/1/columns/0/subtype"), "AGGREGATION");
    assert_string_equal(text_at(doc, "/upstream/1/columns/1/type"), "INDIRECT");
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/upstream/1/columns/1/target")));
    yyjson_doc_free(doc);
    assert_ok(ist_catalog_get_lineage(f->catalog, "main.default.d", 1, false, &f->out, &f->err), f->err);
    doc = parse(f);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/upstream")), 1);
    assert_string_equal(text_at(doc, "/upstream/0/source"), "main.default.c");
    assert_null(yyjson_doc_ptr_get(doc, "/upstream/0/columns"));
    yyjson_doc_free(doc);
}

/* A table's lineage follows it when it or its schema is renamed, and stays after a drop. */
static void test_catalog_catalog__lineage_survives_renaming(void **state)
{
    fixture *f = *state;
    post_run(f, "r1", "COMPLETE", "early", FROM("main.default.a", "main.default.t")); /* before the table is registered */
    assert_ok(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE,
                                 "{\"name\":\"t\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":"
                                 "\"EXTERNAL\",\"data_source_format\":\"DELTA\",\"columns\":[],\"storage_location\":"
                                 "\"file:///data/lineage_t\"}",
                                 NULL, &f->err),
              f->err);
    assert_ok(ist_catalog_update(f->catalog, IST_SECURABLE_TABLE, "main.default.t", "{\"new_name\":\"u\"}", NULL, &f->err),
              f->err);
    post_run(f, "r2", "COMPLETE", "late", FROM("main.default.b", "main.default.u"));
    assert_ok(ist_catalog_update(f->catalog, IST_SECURABLE_SCHEMA, "main.default", "{\"new_name\":\"other\"}", NULL, &f->err),
              f->err);
    for (int dropped = 0; dropped < 2; dropped++) {
        assert_ok(ist_catalog_get_lineage(f->catalog, "main.other.u", 1, false, &f->out, &f->err), f->err);
        yyjson_doc *doc = parse(f);
        assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/upstream")), 2);
        assert_string_equal(text_at(doc, "/upstream/0/target"), "main.other.u");
        assert_string_equal(text_at(doc, "/nodes/0/name"), "main.other.u");
        assert_int_equal(yyjson_get_bool(yyjson_doc_ptr_get(doc, "/nodes/0/dropped")), dropped);
        yyjson_doc_free(doc);
        if (!dropped)
            assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_TABLE, "main.other.u", false, &f->err), f->err);
    }
}

/* A file that is no catalog, and one of a later Isthmus, are refused and left as they are. */
static void test_catalog_catalog__foreign_databases(void **state)
{
    fixture *f = *state;
    ist_catalog *catalog = NULL;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    char path[4200], uri[4300], text[32] = "";
    snprintf(path, sizeof path, "%s/foreign.db", f->home);
    snprintf(uri, sizeof uri, "sqlite:%s", path);
    options.uri = uri;
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 500; i++)
        fputs("not a database\n", file);
    fclose(file);
    assert_int_equal(ist_catalog_open(&options, &catalog, &f->err), IST_IO);
    assert_non_null(strstr(f->err.message, "not a database"));
    file = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "not a database\n");

    ist_catalog_free(f->catalog);
    f->catalog = NULL;
    sqlite3 *database = NULL;
    snprintf(path, sizeof path, "%s/catalog.db", f->home);
    snprintf(uri, sizeof uri, "sqlite:%s", path);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    assert_int_equal(ist_catalog_open(&options, &catalog, &f->err), IST_UNSUPPORTED);
    assert_non_null(strstr(f->err.message, "version 99"));
    options.uri = "sqlite:/nowhere/at/all.db";
    assert_int_equal(ist_catalog_open(&options, &catalog, &f->err), IST_IO);
    assert_non_null(strstr(f->err.message, "/nowhere/at/all.db"));
}

/* Of many creators of one name exactly one wins. */

enum { CREATORS = 8, NAMES = 10 };

static void *create_all(void *catalog)
{
    int *won = calloc(1, sizeof *won);
    for (int i = 0; i < NAMES; i++) {
        char body[100];
        ist_error err = IST_ERROR_INIT;
        snprintf(body, sizeof body, "{\"name\":\"s%d\",\"catalog_name\":\"main\"}", i);
        ist_status status = ist_catalog_create(catalog, IST_SECURABLE_SCHEMA, body, NULL, &err);
        *won += status == IST_OK;
        if (status != IST_OK && status != IST_ALREADY_EXISTS)
            *won += 1000;
    }
    return won;
}

static void test_catalog_catalog__one_winner(void **state)
{
    fixture *f = *state;
    pthread_t threads[CREATORS];
    int total = 0;
    for (int i = 0; i < CREATORS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, create_all, f->catalog), 0);
    for (int i = 0; i < CREATORS; i++) {
        int *won;
        pthread_join(threads[i], (void **)&won);
        total += *won;
        free(won);
    }
    assert_int_equal(total, NAMES);
}

/* What was acknowledged before a SIGKILL is there after it. */
static void test_catalog_catalog__sigkill_loses_nothing(void **state)
{
    fixture *f = *state;
    ist_catalog_free(f->catalog);
    f->catalog = NULL;
    int acknowledged = 0;
    for (int round = 0; round < 5; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            open_catalog(f, false);
            for (int i = acknowledged;; i++) {
                char body[100];
                snprintf(body, sizeof body, "{\"name\":\"k%06d\",\"catalog_name\":\"main\"}", i);
                if (ist_catalog_create(f->catalog, IST_SECURABLE_SCHEMA, body, NULL, &f->err) == IST_ALREADY_EXISTS)
                    continue; /* committed before the kill, not acknowledged */
                if (write(ends[1], &i, sizeof i) != sizeof i)
                    _exit(1);
            }
        }
        close(ends[1]);
        int done, count = 0;
        while (count < 5 + round * 7 && read(ends[0], &done, sizeof done) == sizeof done) {
            acknowledged = done + 1;
            count++;
        }
        kill(child, SIGKILL);
        while (read(ends[0], &done, sizeof done) == sizeof done)
            acknowledged = done + 1;
        waitpid(child, NULL, 0);
        close(ends[0]);
        assert_true(count > 0);
    }
    open_catalog(f, false);
    for (int i = 0; i < acknowledged; i++) {
        char name[32];
        snprintf(name, sizeof name, "main.k%06d", i);
        assert_ok(ist_catalog_get(f->catalog, IST_SECURABLE_SCHEMA, name, &f->out, &f->err), f->err);
    }
}

#define both(test) cmocka_unit_test_setup_teardown(test, set_up_local, tear_down), remote(test)
#define remote(test) {#test "__remote", test, set_up_remote, tear_down, NULL}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        both(test_catalog_catalog__first_start),
        both(test_catalog_catalog__every_member_comes_back),
        both(test_catalog_catalog__missing_and_taken),
        both(test_catalog_catalog__bad_input),
        both(test_catalog_catalog__pages),
        both(test_catalog_catalog__update),
        both(test_catalog_catalog__delete),
        both(test_catalog_catalog__managed_table),
        both(test_catalog_catalog__external_tables_keep_out_of_managed_storage),
        both(test_catalog_catalog__path_credentials),
        both(test_catalog_catalog__lineage),
        both(test_catalog_catalog__lineage_depth_and_columns),
        both(test_catalog_catalog__lineage_survives_renaming),
        both(test_catalog_catalog__one_winner),
        cmocka_unit_test_setup_teardown(test_catalog_catalog__foreign_databases, set_up_local, tear_down),
        cmocka_unit_test_setup_teardown(test_catalog_catalog__sigkill_loses_nothing, set_up_local, tear_down),
    };
    return run_group(tests, argc, argv);
}
