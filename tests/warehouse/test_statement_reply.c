/* test_statement_reply.c: answers that do not fit themselves. */
#include "testing.h"

#include "warehouse/statement_reply.h"

#include <string.h>

#define HEAD "{\"statement_id\":\"a-1\",\"status\":{\"state\":\"SUCCEEDED\"},\"manifest\":{\"format\":\"ARROW_STREAM\","

static void test_statement_reply__what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "is no JSON object"},
        {"[]", "is no JSON object"},
        {"{}", "has no statement_id"},
        {"{\"statement_id\":\"../x\",\"status\":{\"state\":\"RUNNING\"}}", "has no statement_id"},
        {"{\"statement_id\":\"a\",\"status\":{\"state\":\"DONE\"}}", "has the state DONE"},
        {"{\"statement_id\":\"a\",\"status\":{\"state\":\"SUCCEEDED\"}}", "has no manifest"},
        {HEAD "\"total_row_count\":5}}", "tells 5 rows, and its chunks 0"},
        {HEAD "\"total_chunk_count\":2,\"chunks\":[{\"chunk_index\":0,\"row_count\":1}]}}", "tells 1 chunks of 2"},
        {HEAD "\"chunks\":[{\"chunk_index\":1,\"row_count\":1}]}}", "in their order: 1 follows 0"},
        {HEAD "\"chunks\":[{\"chunk_index\":0,\"row_count\":-1}]}}", "rows of chunk 0"},
        {HEAD "\"chunks\":[{\"chunk_index\":0,\"row_count\":1e30}]}}", "rows of chunk 0"},
        {HEAD "\"chunks\":[{\"chunk_index\":0,\"row_count\":1,\"byte_count\":\"9\"}]}}", "bytes of chunk 0"},
        {HEAD "\"chunks\":[{\"chunk_index\":0,\"row_count\":1},{\"chunk_index\":1,\"row_offset\":2,\"row_count\":1}]}}",
         "has chunk 1 begin at row 2"},
        {HEAD "\"chunks\":[{\"chunk_index\":0,\"row_count\":1}]},\"result\":{\"external_links\":[{\"chunk_index\":1,"
              "\"external_link\":\"http://a/\"}]}}",
         "is none of the 1"},
        {HEAD "\"chunks\":[{\"chunk_index\":0,\"row_count\":1}]},\"result\":{\"external_links\":[{\"chunk_index\":0,"
              "\"external_link\":\"file:///etc/passwd\"}]}}",
         "no usable link for chunk 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist__statement_reply reply;
        ist_error err = IST_ERROR_INIT;
        assert_int_equal(ist__statement_reply_read(cases[i].text, strlen(cases[i].text), &reply, &err), IST_BAD_INPUT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].text, err.message);
        ist__statement_reply_free(&reply);
    }
}

static void test_statement_reply__formats_that_are_not_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"statement_id\":\"a\",\"status\":{\"state\":\"SUCCEEDED\"},\"manifest\":{\"format\":\"CSV\"}}",
        HEAD "\"result_compression\":\"ZSTD\"}}",
    };
    for (size_t i = 0; i < 2; i++) {
        ist__statement_reply reply;
        assert_int_equal(ist__statement_reply_read(texts[i], strlen(texts[i]), &reply, NULL), IST_UNSUPPORTED);
        ist__statement_reply_free(&reply);
    }
}

static void test_statement_reply__links(void **state)
{
    (void)state;
    static const char text[] = "{\"external_links\":[{\"chunk_index\":2,\"external_link\":\"https://s/x?sig=1\","
                               "\"expiration\":\"2026-11-24T10:00:00Z\"},{\"chunk_index\":3,\"external_link\":"
                               "\"https://s/y\",\"http_headers\":{\"X-A\":\"1\"}}]}";
    ist__chunk_links links;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist__chunk_links_read(text, sizeof text - 1, 4, &links, &err), err);
    assert_int_equal(links.count, 2);
    assert_int_equal(links.items[0].expires_ms, 1795514400000);
    assert_null(links.items[0].headers);
    assert_int_equal(links.items[1].expires_ms, INT64_MAX);
    assert_string_equal(links.items[1].headers, "{\"X-A\":\"1\"}");
    ist__chunk_links_free(&links);
    assert_int_equal(ist__chunk_links_read(text, sizeof text - 1, 3, &links, &err), IST_BAD_INPUT);
    assert_int_equal(links.count, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement_reply__what_does_not_fit_is_refused),
        cmocka_unit_test(test_statement_reply__formats_that_are_not_read),
        cmocka_unit_test(test_statement_reply__links),
    };
    return run_group(tests, argc, argv);
}
