/* test_file_token.c: tokens for `file:` locations: what they allow, how long, and that nobody else can make one. */
#include "testing.h"

#include "catalog/local/file_token.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct fixture {
    char *home;
    ist__file_signer *signer;
    ist_error err;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->home = new_folder();
    assert_ok(ist__file_signer_open(f->home, 0, &f->signer, &f->err), f->err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist__file_signer_free(f->signer);
    remove_folder(f->home);
    free(f);
    return 0;
}

static ist_buffer make(fixture *f, bool write)
{
    ist_buffer token = IST_BUFFER_INIT;
    int64_t expires;
    assert_ok(ist__file_token_make(f->signer, "file:///data/t", write, "ann", &token, &expires, &f->err), f->err);
    return token;
}

static void test_catalog_file_token__says_what_it_was_made_for(void **state)
{
    fixture *f = *state;
    ist__file_grant grant;
    ist_buffer token = make(f, true);
    assert_ok(ist__file_token_check(f->signer, token.data, true, &grant, &f->err), f->err);
    assert_string_equal(grant.root, "file:///data/t");
    assert_string_equal(grant.principal, "ann");
    assert_int_equal(strlen(grant.id), 36);
    assert_true(grant.write);
    assert_in_range(grant.expires_ms, (int64_t)time(NULL) * 1000 + 3500000, (int64_t)time(NULL) * 1000 + 3700000);
    ist__file_grant_free(&grant);
    assert_null(strpbrk(token.data, "+/= \n{")); /* fits a header and a URL */
    ist_buffer_free(&token);
}

static void test_catalog_file_token__for_reading_does_not_write(void **state)
{
    fixture *f = *state;
    ist__file_grant grant;
    ist_buffer token = make(f, false);
    assert_ok(ist__file_token_check(f->signer, token.data, false, &grant, &f->err), f->err);
    ist__file_grant_free(&grant);
    assert_int_equal(ist__file_token_check(f->signer, token.data, true, &grant, &f->err), IST_FORBIDDEN);
    assert_null(strstr(f->err.message, token.data));
    ist_buffer_free(&token);
}

/* Every change of one character, every cut and an addition: refused, and the token is in no message. */
static void test_catalog_file_token__changed_is_refused(void **state)
{
    fixture *f = *state;
    ist__file_grant grant;
    ist_buffer token = make(f, false);
    for (size_t i = 0; i < token.size; i++) {
        char kept = token.data[i];
        token.data[i] = kept == 'A' ? 'B' : 'A';
        /* The last digit of a MAC has two bits that mean nothing. */
        if (i + 1 < token.size)
            assert_int_equal(ist__file_token_check(f->signer, token.data, false, &grant, &f->err),
                             IST_UNAUTHENTICATED);
        assert_null(strstr(f->err.message, token.data));
        token.data[i] = '\0';
        assert_int_equal(ist__file_token_check(f->signer, token.data, false, &grant, &f->err), IST_UNAUTHENTICATED);
        token.data[i] = kept;
    }
    assert_ok(ist_buffer_append_string(&token, "A", &f->err), f->err);
    assert_int_equal(ist__file_token_check(f->signer, token.data, false, &grant, &f->err), IST_UNAUTHENTICATED);
    assert_int_equal(ist__file_token_check(f->signer, NULL, false, &grant, &f->err), IST_UNAUTHENTICATED);
    assert_int_equal(ist__file_token_check(f->signer, ".", false, &grant, &f->err), IST_UNAUTHENTICATED);
    ist_buffer_free(&token);
}

static void test_catalog_file_token__holds_for_its_life_and_key(void **state)
{
    fixture *f = *state;
    ist__file_signer *brief, *again, *other;
    ist__file_grant grant;
    char *elsewhere = new_folder();
    ist_buffer token = make(f, false), short_token = IST_BUFFER_INIT;
    int64_t expires;
    assert_ok(ist__file_signer_open(f->home, 1, &brief, &f->err), f->err);
    assert_ok(ist__file_token_make(brief, "file:///t", false, "ann", &short_token, &expires, &f->err), f->err);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_int_equal(ist__file_token_check(brief, short_token.data, false, &grant, &f->err), IST_UNAUTHENTICATED);
    assert_non_null(strstr(f->err.message, "expired"));

    assert_ok(ist__file_signer_open(f->home, 0, &again, &f->err), f->err); /* a server started again */
    assert_ok(ist__file_token_check(again, token.data, false, &grant, &f->err), f->err);
    ist__file_grant_free(&grant);
    assert_ok(ist__file_signer_open(elsewhere, 0, &other, &f->err), f->err);
    assert_int_equal(ist__file_token_check(other, token.data, false, &grant, &f->err), IST_UNAUTHENTICATED);

    char path[4200];
    struct stat info;
    snprintf(path, sizeof path, "%s/files.key", f->home);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    ist__file_signer_free(brief);
    ist__file_signer_free(again);
    ist__file_signer_free(other);
    ist_buffer_free(&token);
    ist_buffer_free(&short_token);
    remove_folder(elsewhere);
}

static void test_catalog_file_token__a_bad_key_is_named(void **state)
{
    fixture *f = *state;
    ist__file_signer *signer;
    char path[4200];
    snprintf(path, sizeof path, "%s/files.key", f->home);
    FILE *file = fopen(path, "w");
    fputs("short", file);
    fclose(file);
    assert_int_equal(ist__file_signer_open(f->home, 0, &signer, &f->err), IST_BAD_INPUT);
    assert_non_null(strstr(f->err.message, "files.key"));
}

static void test_catalog_file_token__vends_credentials(void **state)
{
    fixture *f = *state;
    ist_buffer json = IST_BUFFER_INIT, home = IST_BUFFER_INIT;
    assert_ok(ist__file_signer_set_url(f->signer, "http://127.0.0.1:8080", &f->err), f->err);
    assert_ok(ist__vend_file(f->signer, "file:///data/t", true, "ann", &json, &f->err), f->err);
    assert_non_null(strstr(json.data, "\"endpoint\":\"http://127.0.0.1:8080/api/2.1/isthmus/files\""));
    assert_non_null(strstr(json.data, "\"socket\":\"@isthmus-files-"));
    assert_non_null(strstr(json.data, "\"url\":\"file:///data/t\""));
    assert_null(strstr(json.data, "\"expiration_time\":null"));

    ist_buffer_clear(&json); /* the catalog in this process: whoever opened it may open the files */
    assert_ok(ist__vend_file(NULL, "file:///data/t", true, "ann", &json, &f->err), f->err);
    assert_null(strstr(json.data, "isthmus_file_token"));

    static const char *const above[] = {"file:///", "file:///tmp"};
    for (size_t i = 0; i < 2; i++)
        if (i == 0 || strncmp(f->home, "/tmp/", 5) == 0)
            assert_int_equal(ist__vend_file(f->signer, above[i], false, "ann", &json, &f->err), IST_FORBIDDEN);
    assert_ok(ist_buffer_printf(&home, &f->err, "file://%s", f->home), f->err);
    assert_int_equal(ist__vend_file(f->signer, home.data, false, "ann", &json, &f->err), IST_FORBIDDEN);
    assert_ok(ist_buffer_append_string(&home, "/warehouse", &f->err), f->err);
    assert_ok(ist__vend_file(f->signer, home.data, false, "ann", &json, &f->err), f->err);
    ist_buffer_free(&home);
    ist_buffer_free(&json);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_catalog_file_token__says_what_it_was_made_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_catalog_file_token__for_reading_does_not_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_catalog_file_token__changed_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_catalog_file_token__holds_for_its_life_and_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_catalog_file_token__a_bad_key_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_catalog_file_token__vends_credentials, set_up, tear_down),
    };
    return run_group(tests, argc, argv);
}
