/* test_credentials.c: credentials renew themselves, once for all who wait, and say so when they cannot. */
#include "isthmus/sys/credentials.h"
#include "testing.h"
#include "util/util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* A provider that numbers its answers. */
typedef struct fake {
    atomic_int asked, asking, most_asking, freed;
    int64_t life_ms;  /* of what it gives; 0: for ever */
    int64_t delay_ms; /* until it answers */
    const char *text; /* instead of credentials */
    bool fails;
} fake;

static void pause_ms(int64_t ms)
{
    usleep((useconds_t)ms * 1000);
}

static ist_status fake_fetch(void *self, ist_buffer *json, ist_error *err)
{
    fake *f = self;
    int together = atomic_fetch_add(&f->asking, 1) + 1;
    if (together > f->most_asking)
        f->most_asking = together;
    int number = atomic_fetch_add(&f->asked, 1) + 1;
    pause_ms(f->delay_ms);
    atomic_fetch_sub(&f->asking, 1);
    if (f->fails)
        return ist_error_set(err, IST_RETRYABLE, 503, NULL, "the catalog is away");
    if (f->text)
        return ist_buffer_append_string(json, f->text, err);
    if (f->life_ms == 0)
        return ist_buffer_printf(json, err, "{\"n\":%d,\"expiration_time\":null}", number);
    return ist_buffer_printf(json, err, "{\"n\":%d,\"expiration_time\":%lld}", number,
                             (long long)(ist__now_ms() + f->life_ms));
}

static void fake_free(void *self)
{
    atomic_fetch_add(&((fake *)self)->freed, 1);
}

static const ist_credentials_ops fake_ops = {fake_fetch, fake_free};

static ist_credentials *new_fake(fake *f)
{
    ist_error err = IST_ERROR_INIT;
    ist_credentials *credentials;
    assert_ok(ist_credentials_new(&fake_ops, f, &credentials, &err), err);
    return credentials;
}

/* The number of the answer that a get is given. */
static int number_of(ist_credentials *credentials)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer json = IST_BUFFER_INIT;
    int number = 0;
    assert_ok(ist_credentials_get(credentials, &json, &err), err);
    assert_int_equal(strncmp(json.data, "{\"n\":", 5), 0);
    number = (int)strtol(json.data + 5, NULL, 10);
    ist_buffer_free(&json);
    return number;
}

static void test_store_credentials__asks_when_needed_only(void **state)
{
    (void)state;
    fake f = {.life_ms = 3600000};
    ist_credentials *credentials = new_fake(&f);
    assert_int_equal(f.asked, 0);
    assert_int_equal(number_of(credentials), 1);
    assert_int_equal(number_of(credentials), 1);
    assert_ptr_equal(ist_credentials_hold(credentials), credentials);
    ist_credentials_free(credentials);
    assert_int_equal(f.freed, 0);
    ist_credentials_free(credentials);
    assert_int_equal(f.freed, 1);
    ist_credentials_free(NULL);
    assert_null(ist_credentials_hold(NULL));

    fake forever = {0};
    credentials = new_fake(&forever);
    assert_int_equal(number_of(credentials), 1);
    assert_int_equal(number_of(credentials), 1);
    ist_credentials_free(credentials);
}

static void test_store_credentials__renews_before_expiry(void **state)
{
    (void)state;
    fake f = {.life_ms = 400}; /* renewed after half of it */
    ist_credentials *credentials = new_fake(&f);
    assert_int_equal(number_of(credentials), 1);
    assert_int_equal(number_of(credentials), 1);
    pause_ms(250);
    assert_int_equal(number_of(credentials), 2);
    ist_credentials_free(credentials);
}

static void test_store_credentials__goes_on_with_valid_ones_when_the_provider_fails(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer json = IST_BUFFER_INIT;
    fake f = {.life_ms = 400};
    ist_credentials *credentials = new_fake(&f);
    assert_int_equal(number_of(credentials), 1);
    f.fails = true;
    pause_ms(250);
    assert_int_equal(number_of(credentials), 1); /* about to expire, not expired */
    pause_ms(200);
    assert_int_equal(ist_credentials_get(credentials, &json, &err), IST_RETRYABLE);
    assert_string_equal(err.message, "the catalog is away");
    assert_int_equal(err.code, 503);
    f.fails = false;
    assert_true(number_of(credentials) > 1);
    ist_credentials_free(credentials);
    ist_buffer_free(&json);
}

static void test_store_credentials__refresh_asks_again(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    fake f = {.life_ms = 3600000};
    ist_credentials *credentials = new_fake(&f);
    assert_ok(ist_credentials_refresh(credentials, &err), err);
    assert_int_equal(number_of(credentials), 1);
    assert_ok(ist_credentials_refresh(credentials, &err), err); /* just answered */
    assert_int_equal(number_of(credentials), 1);
    pause_ms(2100);
    assert_ok(ist_credentials_refresh(credentials, &err), err);
    assert_int_equal(number_of(credentials), 2);
    ist_credentials_free(credentials);
}

static void *get_in_thread(void *payload)
{
    ist_credentials *credentials = payload;
    return (void *)(intptr_t)number_of(credentials);
}

static void *refresh_in_thread(void *payload)
{
    return (void *)(intptr_t)ist_credentials_refresh(payload, NULL);
}

static void test_store_credentials__many_threads_ask_once(void **state)
{
    (void)state;
    enum { THREADS = 20 };
    fake f = {.life_ms = 3600000, .delay_ms = 50};
    ist_credentials *credentials = new_fake(&f);
    pthread_t threads[THREADS];
    void *result;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, credentials), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        assert_int_equal((intptr_t)result, 1);
    }
    assert_int_equal(f.asked, 1);
    pause_ms(2100);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, refresh_in_thread, credentials), 0);
    pause_ms(10);
    assert_int_equal(number_of(credentials), 1); /* does not wait for the new ones: these are valid */
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        assert_int_equal((intptr_t)result, IST_OK);
    }
    assert_int_equal(f.asked, 2);
    assert_int_equal(f.most_asking, 1);
    ist_credentials_free(credentials);
}

static void test_store_credentials__answers_must_be_credentials(void **state)
{
    (void)state;
    const char *const bad[] = {"", "[]", "secret", "{\"expiration_time\":\"soon\"}", "{"};
    ist_error err = IST_ERROR_INIT;
    ist_buffer json = IST_BUFFER_INIT;
    ist_credentials *credentials;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ist_credentials_static(bad[i], &credentials, &err), IST_BAD_INPUT);
        fake f = {.text = bad[i]};
        credentials = new_fake(&f);
        assert_int_equal(ist_credentials_get(credentials, &json, &err), IST_BAD_INPUT);
        assert_null(strstr(err.message, "secret"));
        assert_int_equal(json.size, 0);
        ist_credentials_free(credentials);
    }
    ist_buffer_free(&json);
}

static void test_store_credentials__static_ones_expire(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer json = IST_BUFFER_INIT;
    ist_credentials *credentials;
    char text[100];
    snprintf(text, sizeof text, "{\"n\":7,\"expiration_time\":%lld}", (long long)ist__now_ms() + 200);
    assert_ok(ist_credentials_static(text, &credentials, &err), err);
    pause_ms(120); /* past half of their life: nobody else can give better ones */
    assert_int_equal(number_of(credentials), 7);
    assert_int_equal(ist_credentials_refresh(credentials, &err), IST_UNAUTHENTICATED);
    pause_ms(100);
    assert_int_equal(ist_credentials_get(credentials, &json, &err), IST_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, "get new ones"));
    ist_credentials_free(credentials);
    ist_buffer_free(&json);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_credentials__asks_when_needed_only),
        cmocka_unit_test(test_store_credentials__renews_before_expiry),
        cmocka_unit_test(test_store_credentials__goes_on_with_valid_ones_when_the_provider_fails),
        cmocka_unit_test(test_store_credentials__refresh_asks_again),
        cmocka_unit_test(test_store_credentials__many_threads_ask_once),
        cmocka_unit_test(test_store_credentials__answers_must_be_credentials),
        cmocka_unit_test(test_store_credentials__static_ones_expire),
    };
    return run_group(tests, argc, argv);
}
