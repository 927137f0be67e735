/*
 * test_http_store.c: cloud storage. Without $ISTHMUS_TEST_STORE on a little S3 in this process, which loses answers on
 * request; with it (python/tests/test_cloud_stores.py) the suite of all stores on that location, with the credentials
 * of the environment.
 */
#include "conformance/store_conformance.h"
#include "store/fake_s3.h"
#include "isthmus/sys/storage.h"
#include "util/util.h"

#include <string.h>

static fake_s3 *fake;

static ist_store *open_with(const char *uri, ist_credentials *credentials)
{
    ist_error err = IST_ERROR_INIT;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    ist_store *store;
    options.credentials = credentials;
    assert_ok(ist_store_open(uri, &options, &store, &err), err);
    return store;
}

static ist_store *open_fake(ist_credentials *credentials)
{
    fake = fake_s3_start();
    setenv("AWS_ENDPOINT_URL", fake_s3_url(fake), 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    return open_with("s3://bucket/a/table", credentials);
}

static ist_store *conformance_open(void)
{
    const char *location = getenv("ISTHMUS_TEST_STORE");
    char uri[4096], uuid[37];
    if (!location)
        return open_fake(NULL);
    ist__uuid(uuid);
    snprintf(uri, sizeof uri, "%s/%s", location, uuid);
    return open_with(uri, NULL);
}

static void conformance_close(ist_store *store)
{
    ist_store_free(store);
    if (fake)
        fake_s3_stop(fake);
    fake = NULL;
}

STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_TEST)

static char *make_bytes(size_t size)
{
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    return bytes;
}

static void assert_bytes(ist_store *store, const char *path, const char *bytes, size_t size)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer buffer = IST_BUFFER_INIT;
    assert_ok(ist_store_get(store, path, &buffer, &err), err);
    assert_int_equal(buffer.size, size);
    assert_memory_equal(buffer.data, bytes, size);
    ist_buffer_free(&buffer);
}

enum { BIG = (20 << 20) + 12345, PIECE = 3000017 };

static ist_status write_big(ist_store_writer *writer, const char *bytes, ist_error *err)
{
    ist_status status = IST_OK;
    for (size_t at = 0; at < BIG && status == IST_OK; at += PIECE)
        status = ist_store_writer_write(writer, bytes + at, BIG - at < PIECE ? BIG - at : PIECE, err);
    return status;
}

static void test_store_http_store__writes_and_reads_in_parts(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = conformance_open();
    ist_store_writer *writer;
    ist_store_reader *reader;
    ist_store_entry entry;
    char *bytes = make_bytes(BIG), *copy = malloc(BIG);
    assert_ok(ist_store_writer_open(store, "p/big", &writer, &err), err);
    assert_ok(write_big(writer, bytes, &err), err);
    assert_int_equal(ist_store_stat(store, "p/big", &entry, &err), IST_NOT_FOUND);
    assert_ok(ist_store_writer_close(writer, &err), err);
    ist_store_writer_free(writer);
    assert_bytes(store, "p/big", bytes, BIG);

    assert_ok(ist_store_reader_open(store, "p/big", &reader, &err), err);
    assert_int_equal(ist_store_reader_size(reader), BIG);
    static const size_t reads[][2] = {{0, 10}, {10, 100}, {BIG - 8, 8}, {BIG - 70000, 70000}, {1 << 20, 5 << 20},
                                      {BIG - 100000, 20000}, {0, BIG}};
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        assert_ok(ist_store_reader_read(reader, reads[i][0], copy, reads[i][1], &err), err);
        assert_memory_equal(copy, bytes + reads[i][0], reads[i][1]);
    }
    assert_ok(ist_store_put(store, "p/big", "other", 5, IST_PUT_REPLACE, &err), err);
    assert_int_equal(ist_store_reader_read(reader, 3 << 20, copy, 2 << 20, &err), IST_IO);
    assert_non_null(strstr(err.message, "replaced"));
    ist_store_reader_free(reader);
    free(bytes);
    free(copy);
    conformance_close(store);
}

static void test_store_http_store__abandoned_uploads_are_dropped(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_fake(NULL);
    ist_store_writer *writer;
    ist_store_entry entry;
    char *bytes = make_bytes(BIG);
    assert_ok(ist_store_writer_open(store, "x", &writer, &err), err);
    assert_ok(write_big(writer, bytes, &err), err);
    assert_int_equal(fake->uploads_open, 1);
    ist_store_writer_free(writer);
    assert_int_equal(fake->uploads_open, 0);
    assert_int_equal(ist_store_stat(store, "x", &entry, &err), IST_NOT_FOUND);

    assert_ok(ist_store_writer_open(store, "x", &writer, &err), err);
    assert_ok(write_big(writer, bytes, &err), err);
    fake->torn = 1; /* S3 says 200, and then that it failed */
    assert_int_equal(ist_store_writer_close(writer, &err), IST_RETRYABLE);
    assert_non_null(strstr(err.message, "InternalError"));
    ist_store_writer_free(writer);
    assert_int_equal(ist_store_stat(store, "x", &entry, &err), IST_NOT_FOUND);
    assert_int_equal(fake->uploads_open, 0);
    free(bytes);
    conformance_close(store);
}

static void test_store_http_store__passing_faults_are_waited_out(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_fake(NULL);
    fake->unavailable = 2;
    assert_ok(ist_store_put(store, "x", "1", 1, IST_PUT_REPLACE, &err), err);
    fake->drop = 1;
    assert_bytes(store, "x", "1", 1);
    fake->unavailable = 100;
    assert_int_equal(ist_store_get(store, "x", &(ist_buffer)IST_BUFFER_INIT, &err), IST_RETRYABLE);
    assert_int_equal(err.code, 503);
    assert_non_null(strstr(err.message, "SlowDown"));
    conformance_close(store);
}

/* The put landed, its answer did not: whoever put it is told that it is theirs. */
static void test_store_http_store__a_lost_answer_does_not_turn_the_winner_away(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_fake(NULL);
    fake->lose_answers = 1;
    assert_ok(ist_store_put(store, "log/1", "mine", 4, IST_PUT_IF_ABSENT, &err), err);
    assert_int_equal(err.status, IST_OK);
    fake->drop = 1;
    assert_ok(ist_store_put(store, "log/2", "mine", 4, IST_PUT_IF_ABSENT, &err), err);
    assert_bytes(store, "log/2", "mine", 4);
    fake->lose_answers = 1; /* and a loser, the answer to whom is lost, has lost: with the same bytes, too */
    assert_int_equal(ist_store_put(store, "log/1", "mine", 4, IST_PUT_IF_ABSENT, &err), IST_ALREADY_EXISTS);
    conformance_close(store);
}

static void test_store_http_store__a_lost_answer_to_the_last_request_of_an_upload(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_fake(NULL);
    ist_store_writer *writer;
    char *bytes = make_bytes(BIG);
    assert_ok(ist_store_writer_open(store, "x", &writer, &err), err);
    assert_ok(write_big(writer, bytes, &err), err);
    while (fake->requests < 3) /* begin and two parts; the third goes with close */
        usleep(1000);
    fake->lose_answers = 2; /* the last part, then the completion */
    assert_ok(ist_store_writer_close(writer, &err), err);
    ist_store_writer_free(writer);
    assert_bytes(store, "x", bytes, BIG);
    free(bytes);
    conformance_close(store);
}

/* A provider whose first answer is refused. */
typedef struct provider {
    int asked;
    const char *const *tokens;
} provider;

static ist_status provide(void *self, ist_buffer *json, ist_error *err)
{
    provider *p = self;
    return ist_buffer_printf(json, err,
                             "{\"aws_temp_credentials\":{\"access_key_id\":\"K\",\"secret_access_key\":\"very secret\","
                             "\"session_token\":\"%s\"},\"expiration_time\":%lld}",
                             p->tokens[p->asked++], (long long)ist__now_ms() + 3600000);
}

static const ist_credentials_ops provider_ops = {provide, NULL};

static void test_store_http_store__refused_credentials_are_renewed_once(void **state)
{
    (void)state;
    static const char *const tokens[] = {"good", "better", "worse"};
    ist_error err = IST_ERROR_INIT;
    provider p = {0, tokens};
    ist_credentials *credentials;
    assert_ok(ist_credentials_new(&provider_ops, &p, &credentials, &err), err);
    ist_store *store = open_fake(credentials);
    ist_credentials_free(credentials); /* the store has its own reference */
    fake->token = "good";
    assert_ok(ist_store_put(store, "x", "1", 1, IST_PUT_IF_ABSENT, &err), err);
    assert_non_null(strstr(fake->last_authorization, "AWS4-HMAC-SHA256 Credential=K/"));
    assert_non_null(strstr(fake->last_authorization, "x-amz-security-token"));
    assert_int_equal(p.asked, 1);
    usleep(2100000); /* past the time in which a refresh is answered by the last one */
    fake->token = "better"; /* revoked before it expired */
    assert_bytes(store, "x", "1", 1);
    assert_int_equal(p.asked, 2);
    fake->token = "none";
    assert_int_equal(ist_store_get(store, "x", &(ist_buffer)IST_BUFFER_INIT, &err), IST_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, "s3://bucket/a/table/x"));
    assert_non_null(strstr(err.message, "expired"));
    assert_null(strstr(err.message, "secret"));
    assert_null(strstr(err.message, "better"));
    conformance_close(store);
}

/* The credentials that a writer began with are refused in the middle: the rest goes with new ones. */
static void test_store_http_store__credentials_may_expire_in_mid_write(void **state)
{
    (void)state;
    static const char *const tokens[] = {"first", "second", "third"};
    ist_error err = IST_ERROR_INIT;
    provider p = {0, tokens};
    ist_credentials *credentials;
    ist_store_writer *writer;
    char *bytes = make_bytes(BIG);
    assert_ok(ist_credentials_new(&provider_ops, &p, &credentials, &err), err);
    ist_store *store = open_fake(credentials);
    ist_credentials_free(credentials);
    fake->token = "first";
    assert_ok(ist_store_writer_open(store, "x", &writer, &err), err);
    assert_ok(ist_store_writer_write(writer, bytes, 10 << 20, &err), err);
    while (fake->requests < 2) /* begin, and the first part */
        usleep(1000);
    usleep(2100000);
    fake->token = "second";
    assert_ok(ist_store_writer_write(writer, bytes + (10 << 20), BIG - (10 << 20), &err), err);
    assert_ok(ist_store_writer_close(writer, &err), err);
    ist_store_writer_free(writer);
    assert_int_equal(p.asked, 2); /* parts that were refused at the same time share one answer */
    assert_bytes(store, "x", bytes, BIG);
    free(bytes);
    conformance_close(store);
}

static void test_store_http_store__says_what_is_missing(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_fake(NULL);
    fake->token = "needed";
    assert_int_equal(ist_store_get(store, "x", &(ist_buffer)IST_BUFFER_INIT, &err), IST_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
    fake_s3_stop(fake);
    fake = NULL;
    assert_int_equal(ist_store_get(store, "x", &(ist_buffer)IST_BUFFER_INIT, &err), IST_RETRYABLE);
    assert_non_null(strstr(err.message, "cannot reach S3"));
    ist_store_free(store);

    ist_credentials *credentials;
    assert_ok(ist_credentials_static("{\"gcp_oauth_token\":{\"oauth_token\":\"t\"}}", &credentials, &err), err);
    store = open_fake(credentials);
    fake->token = "needed";
    assert_int_equal(ist_store_get(store, "x", &(ist_buffer)IST_BUFFER_INIT, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "aws_temp_credentials"));
    ist_credentials_free(credentials);
    conformance_close(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest on_any[] = {
        STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_ENTRY)
        cmocka_unit_test(test_store_http_store__writes_and_reads_in_parts),
    };
    const struct CMUnitTest on_fake[] = {
        cmocka_unit_test(test_store_http_store__abandoned_uploads_are_dropped),
        cmocka_unit_test(test_store_http_store__passing_faults_are_waited_out),
        cmocka_unit_test(test_store_http_store__a_lost_answer_does_not_turn_the_winner_away),
        cmocka_unit_test(test_store_http_store__a_lost_answer_to_the_last_request_of_an_upload),
        cmocka_unit_test(test_store_http_store__refused_credentials_are_renewed_once),
        cmocka_unit_test(test_store_http_store__credentials_may_expire_in_mid_write),
        cmocka_unit_test(test_store_http_store__says_what_is_missing),
    };
    int failed = run_group(on_any, argc, argv);
    return getenv("ISTHMUS_TEST_STORE") ? failed : failed + run_group(on_fake, argc, argv);
}
