/* test_statement_client.c: statements and their results against a warehouse that misbehaves as it is told. */
#include "fake_warehouse.h"

#include <stddef.h>
#include <sys/un.h>

/* Read a stream to its end: the numbers must count through. Releases it. */
static ist_status read_all(struct ArrowArrayStream *stream, int64_t *rows, ist_error *err)
{
    struct ArrowArray batch = {0};
    ist_status status;
    *rows = 0;
    while ((status = ist_stream_next(stream, &batch, err)) == IST_OK && batch.release) {
        const int64_t *numbers = batch.children[0]->buffers[1];
        for (int64_t i = 0; i < batch.length; i++)
            assert_int_equal(numbers[batch.children[0]->offset + i], *rows + i);
        *rows += batch.length;
        batch.release(&batch);
    }
    stream->release(stream);
    return status;
}

static ist_statement *submit(ist_catalog *catalog, const ist_statement_options *options)
{
    ist_statement *statement = NULL;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_statement_submit(catalog, "SELECT n FROM t", options, &statement, &err), err);
    assert_ok(ist_statement_wait(statement, -1, NULL, &err), err);
    return statement;
}

/* Submit, wait, read: what became of it. */
static ist_status run(fake_warehouse *fake, const ist_statement_options *options, int64_t *rows, ist_error *err)
{
    struct ArrowArrayStream stream;
    ist_catalog *catalog = fake_open(fake);
    ist_statement *statement = submit(catalog, options);
    ist_error_clear(err);
    assert_ok(ist_statement_read(statement, &stream, err), *err);
    ist_status status = read_all(&stream, rows, err);
    ist_statement_free(statement);
    ist_catalog_free(catalog);
    return status;
}

static void test_statement_client__reads_a_result_in_order(void **state)
{
    (void)state;
    fake_warehouse fake = {0};
    ist_error err = IST_ERROR_INIT;
    ist_statement_options options = IST_STATEMENT_OPTIONS_INIT;
    const ist_statement_parameter parameters[] = {{"low", "7", "INT"}, {"name", NULL, NULL}};
    int64_t rows;
    options.warehouse_id = "w1";
    options.catalog = "main";
    options.parameters = parameters;
    options.parameter_count = 2;
    options.row_limit = 10;
    options.threads = 3;
    fake_start(&fake, 5);
    assert_ok(run(&fake, &options, &rows, &err), err);
    assert_int_equal(rows, 5 * ROWS_IN_CHUNK);
    assert_string_equal(fake.body,
                        "{\"statement\":\"SELECT n FROM t\",\"warehouse_id\":\"w1\",\"wait_timeout\":\"5s\","
                        "\"on_wait_timeout\":\"CONTINUE\",\"disposition\":\"EXTERNAL_LINKS\",\"format\":"
                        "\"ARROW_STREAM\",\"catalog\":\"main\",\"row_limit\":10,\"parameters\":[{\"name\":\"low\","
                        "\"value\":\"7\",\"type\":\"INT\"},{\"name\":\"name\"}]}");
    assert_int_equal(fake.downloads, 5);
    assert_int_equal(fake.link_requests, 4); /* the first came with the answer */
    assert_int_equal(fake.token_at_link, 0);
    assert_int_equal(fake.cancels, 0);
    fake_stop(&fake);
}

static void test_statement_client__memory_bounds_what_is_ahead(void **state)
{
    (void)state;
    fake_warehouse fake = {0};
    ist_error err = IST_ERROR_INIT;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    ist_statement_options options = IST_STATEMENT_OPTIONS_INIT;
    int64_t rows;
    options.memory_bytes = 1; /* less than a chunk: one at a time */
    fake_start(&fake, 6);
    ist_catalog *catalog = fake_open(&fake);
    ist_statement *statement = submit(catalog, &options);
    assert_ok(ist_statement_read(statement, &stream, &err), err);
    assert_ok(ist_stream_schema(&stream, &schema, &err), err);
    schema.release(&schema);
    usleep(50000);
    assert_int_equal(fake.downloads, 1);
    assert_ok(read_all(&stream, &rows, &err), err);
    assert_int_equal(rows, 6 * ROWS_IN_CHUNK);

    /* One that is not read to its end ends too. */
    assert_ok(ist_statement_read(statement, &stream, &err), err);
    stream.release(&stream);
    ist_statement_free(statement);
    ist_catalog_free(catalog);
    fake_stop(&fake);
}

static void test_statement_client__waits(void **state)
{
    (void)state;
    fake_warehouse fake = {.polls = 4, .busy = 1};
    ist_error err = IST_ERROR_INIT;
    ist_statement_state now = IST_STATEMENT_SUCCEEDED;
    ist_statement *statement = NULL;
    ist_buffer text = IST_BUFFER_INIT;
    fake_start(&fake, 1);
    ist_catalog *catalog = fake_open(&fake);
    assert_ok(ist_statement_submit(catalog, "SELECT 1", NULL, &statement, &err), err); /* put off once, then taken */
    assert_string_equal(ist_statement_id(statement), FAKE_ID);
    assert_ok(ist_statement_wait(statement, 0, &now, &err), err);
    assert_int_equal(now, IST_STATEMENT_RUNNING);
    assert_int_equal(ist_statement_manifest(statement, &text, &err), IST_BAD_INPUT);
    assert_int_equal(ist_statement_chunk_count(statement), 0);
    assert_ok(ist_statement_wait(statement, -1, &now, &err), err);
    assert_int_equal(now, IST_STATEMENT_SUCCEEDED);
    assert_int_equal(ist_statement_row_count(statement), ROWS_IN_CHUNK);
    assert_ok(ist_statement_manifest(statement, &text, &err), err);
    assert_non_null(strstr(text.data, "\"total_row_count\":1000"));
    ist_statement_free(statement);
    ist_catalog_free(catalog);
    ist_buffer_free(&text);
    fake_stop(&fake);
}

static void test_statement_client__the_deadline_cancels(void **state)
{
    (void)state;
    fake_warehouse fake = {.polls = 1 << 20};
    ist_error err = IST_ERROR_INIT;
    ist_statement_options options = IST_STATEMENT_OPTIONS_INIT;
    ist_statement *statement = NULL;
    options.timeout_ms = 200;
    fake_start(&fake, 1);
    ist_catalog *catalog = fake_open(&fake);
    assert_ok(ist_statement_submit(catalog, "SELECT 1", &options, &statement, &err), err);
    assert_int_equal(ist_statement_wait(statement, -1, NULL, &err), IST_RETRYABLE);
    assert_int_equal(fake.cancels, 1);
    ist_statement_free(statement);
    assert_int_equal(fake.cancels, 1);

    /* One that nobody will hear of any more. */
    assert_ok(ist_statement_submit(catalog, "SELECT 1", NULL, &statement, &err), err);
    ist_statement_free(statement);
    assert_int_equal(fake.cancels, 2);
    ist_catalog_free(catalog);
    fake_stop(&fake);
}

static void test_statement_client__failures_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        ist_status status;
        const char *message, *where;
    } cases[] = {
        {"{\"statement_id\":\"1\",\"status\":{\"state\":\"FAILED\",\"error\":{\"error_code\":\"BAD_REQUEST\","
         "\"message\":\"[PARSE_SYNTAX_ERROR] near 'FORM' (line 2, pos 9)\\n\\n== SQL ==\\nSELECT\\n---^^^\"}}}",
         IST_BAD_INPUT, "[PARSE_SYNTAX_ERROR] near 'FORM' (line 2, pos 9)", "line 2, pos 9"},
        {"{\"statement_id\":\"1\",\"status\":{\"state\":\"FAILED\",\"sql_state\":\"42501\",\"error\":{\"error_code\":"
         "\"BAD_REQUEST\",\"message\":\"no SELECT on t\"}}}",
         IST_FORBIDDEN, "no SELECT on t", ""},
        {"{\"statement_id\":\"1\",\"status\":{\"state\":\"FAILED\",\"error\":{\"error_code\":\"RESOURCE_EXHAUSTED\","
         "\"message\":\"the engine was killed\"}}}",
         IST_NO_MEMORY, "the engine was killed", ""},
        {"{\"statement_id\":\"1\",\"status\":{\"state\":\"CANCELED\"}}", IST_CANCELLED,
         "the statement was cancelled", ""},
        {"{\"statement_id\":\"1\",\"status\":{\"state\":\"CLOSED\"}}", IST_NOT_FOUND,
         "the result is no longer kept: submit it again", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_warehouse fake = {.submitted = cases[i].answer};
        ist_error err = IST_ERROR_INIT;
        ist_statement *statement = NULL;
        fake_start(&fake, 0);
        ist_catalog *catalog = fake_open(&fake);
        assert_ok(ist_statement_submit(catalog, "SELECT", NULL, &statement, &err), err);
        assert_int_equal(ist_statement_wait(statement, -1, NULL, &err), cases[i].status);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(err.where, cases[i].where);
        ist_statement_free(statement);
        ist_catalog_free(catalog);
        fake_stop(&fake);
    }
}

static void test_statement_client__breaks_are_mended(void **state)
{
    (void)state;
    fake_warehouse faults[] = {
        {.drop_after = 3000}, /* goes on where it broke, again and again */
        {.expired_links = true},
        {.dead_links = 2},
        {.cut_bodies = 2},
        {.lz4 = true},
        {.lz4 = true, .drop_after = 3000},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        fake_warehouse *fake = &faults[i];
        ist_error err = IST_ERROR_INIT;
        int64_t rows;
        fake_start(fake, 3);
        assert_ok(run(fake, NULL, &rows, &err), err);
        assert_int_equal(rows, 3 * ROWS_IN_CHUNK);
        assert_int_equal(fake->token_at_link, 0);
        if (fake->drop_after)
            assert_in_range(fake->downloads, 9, 12); /* of some 8,300 bytes each */
        fake_stop(fake);
    }
}

/* Links say that the server is on this machine: where its socket is not, or is another user's, HTTP does. */
static void test_statement_client__nobody_else_is_shown_a_link(void **state)
{
    (void)state;
    static const char name[] = "@isthmus-test-statement-client";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), visitors = 0, visitor;
    memcpy(address.sun_path + 1, name + 1, sizeof name - 2);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof name - 1)), 0);
    assert_int_equal(listen(listener, 8), 0);
    fake_warehouse fakes[] = {{.socket = "@isthmus-test-of-nobody", .uid = geteuid()},
                              {.socket = "no socket", .uid = geteuid()},
                              {.socket = name, .uid = geteuid() + 1}};
    for (size_t i = 0; i < sizeof fakes / sizeof *fakes; i++) {
        ist_error err = IST_ERROR_INIT;
        int64_t rows;
        fake_start(&fakes[i], 3);
        assert_ok(run(&fakes[i], NULL, &rows, &err), err);
        assert_int_equal(rows, 3 * ROWS_IN_CHUNK);
        assert_int_equal(fakes[i].downloads, 3);
        fake_stop(&fakes[i]);
    }
    for (char byte; (visitor = accept(listener, NULL, NULL)) >= 0; visitors++) {
        assert_int_equal(recv(visitor, &byte, 1, 0), 0);
        close(visitor);
    }
    assert_int_equal(visitors, 3);
    close(listener);
}

static void test_statement_client__fewer_rows_are_an_error(void **state)
{
    (void)state;
    static const struct {
        fake_warehouse fake;
        const char *message;
    } cases[] = {
        {{.told_rows = 1001}, "chunk 2 of 2 of statement " FAKE_ID ": expected 1001 rows in "},
        {{.cut_bodies = 100}, "chunk 1 of 2 of statement " FAKE_ID ": expected 1000 rows in "},
        {{.dead_links = 100}, "chunk 1 of 2 of statement " FAKE_ID ": its link answers HTTP 403"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_warehouse fake = cases[i].fake;
        ist_error err = IST_ERROR_INIT;
        ist_statement_options options = IST_STATEMENT_OPTIONS_INIT;
        int64_t rows;
        options.threads = 1;
        fake_start(&fake, 2);
        assert_int_equal(run(&fake, &options, &rows, &err), i < 2 ? IST_IO : IST_NOT_FOUND);
        if (strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s", err.message);
        assert_null(strstr(err.message, "s3cret"));
        assert_int_equal(rows, i == 0 ? ROWS_IN_CHUNK : 0);
        assert_int_equal(fake.downloads, i == 0 ? 4 : 3); /* each three times */
        fake_stop(&fake);
    }
}

static void test_statement_client__a_result_without_rows_has_a_schema(void **state)
{
    (void)state;
    fake_warehouse fake = {0};
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    ist_error err = IST_ERROR_INIT;
    int64_t rows;
    fake_start(&fake, 0);
    ist_catalog *catalog = fake_open(&fake);
    ist_statement *statement = submit(catalog, NULL);
    assert_ok(ist_statement_read(statement, &stream, &err), err);
    assert_ok(ist_stream_schema(&stream, &schema, &err), err);
    assert_int_equal(schema.n_children, 1);
    assert_string_equal(schema.children[0]->name, "n");
    assert_string_equal(schema.children[0]->format, "l");
    schema.release(&schema);
    assert_ok(read_all(&stream, &rows, &err), err);
    assert_int_equal(rows, 0);
    ist_statement_free(statement);
    ist_catalog_free(catalog);
    fake_stop(&fake);
}

static void test_statement_client__tasks_are_read_elsewhere(void **state)
{
    (void)state;
    fake_warehouse fake = {.dead_links = 1};
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    ist_buffer task = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    fake_start(&fake, 3);
    ist_catalog *catalog = fake_open(&fake);
    ist_statement *statement = submit(catalog, NULL);
    assert_int_equal(ist_statement_chunk_count(statement), 3);
    assert_int_equal(ist_statement_chunk_rows(statement, 1), ROWS_IN_CHUNK);
    assert_ok(ist_statement_chunk_task(statement, 1, &task, &err), err);
    assert_int_equal(ist_statement_chunk_task(statement, 3, &task, NULL), IST_BAD_INPUT);
    ist_statement_free(statement);
    ist_catalog_free(catalog);

    assert_ok(ist_statement_task_read(NULL, task.data, &stream, &err), err);
    assert_ok(ist_stream_next(&stream, &batch, &err), err);
    assert_int_equal(batch.length, ROWS_IN_CHUNK);
    assert_int_equal(((const int64_t *)batch.children[0]->buffers[1])[0], ROWS_IN_CHUNK);
    batch.release(&batch);
    stream.release(&stream);
    assert_int_equal(ist_statement_task_read(NULL, "{}", &stream, &err), IST_BAD_INPUT);
    ist_buffer_free(&task);
    fake_stop(&fake);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement_client__reads_a_result_in_order),
        cmocka_unit_test(test_statement_client__memory_bounds_what_is_ahead),
        cmocka_unit_test(test_statement_client__waits),
        cmocka_unit_test(test_statement_client__the_deadline_cancels),
        cmocka_unit_test(test_statement_client__failures_say_where),
        cmocka_unit_test(test_statement_client__breaks_are_mended),
        cmocka_unit_test(test_statement_client__nobody_else_is_shown_a_link),
        cmocka_unit_test(test_statement_client__fewer_rows_are_an_error),
        cmocka_unit_test(test_statement_client__a_result_without_rows_has_a_schema),
        cmocka_unit_test(test_statement_client__tasks_are_read_elsewhere),
    };
    return run_group(tests, argc, argv);
}
