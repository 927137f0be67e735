/* test_result_link.c: links that are changed, foreign or late lead nowhere. */
#include "testing.h"

#include "warehouse/result_link.h"

#include <string.h>

#define ID "01234567-89ab-4def-8123-456789abcdef"

static ist_error err;

static void test_warehouse_result_link__holds_for_what_it_says(void **state)
{
    (void)state;
    ist__link_signer signer, other;
    ist_buffer link = IST_BUFFER_INIT;
    int chunk;
    assert_ok(ist__link_signer_init(&signer, &err), err);
    assert_ok(ist__link_signer_init(&other, &err), err);
    assert_ok(ist__link_write(&signer, "http://h:1", ID, 7, 1000, &link, &err), err);
    assert_true(strncmp(link.data, "http://h:1/api/2.0/isthmus/results/" ID "/7?", 50) == 0);
    ist__link_parts p;
    assert_true(ist__link_split(link.data, &p));
    assert_string_equal(p.statement_id, ID);
#define CHECK(s, id, c, e, g, now) ist__link_check(s, id, c, e, g, now, &chunk, &err)
    assert_ok(CHECK(&signer, ID, p.chunk, p.expires, p.signature, 1000), err);
    assert_int_equal(chunk, 7);
    assert_int_equal(CHECK(&signer, ID, p.chunk, p.expires, p.signature, 1001), IST_FORBIDDEN);
    assert_non_null(strstr(err.message, "expired"));
    assert_int_equal(CHECK(&other, ID, p.chunk, p.expires, p.signature, 0), IST_FORBIDDEN);
    assert_int_equal(CHECK(&signer, ID, "8", p.expires, p.signature, 0), IST_FORBIDDEN);
    assert_int_equal(CHECK(&signer, ID, p.chunk, "2000", p.signature, 0), IST_FORBIDDEN);
    assert_int_equal(CHECK(&signer, "11234567-89ab-4def-8123-456789abcdef", p.chunk, p.expires, p.signature, 0),
                     IST_FORBIDDEN);
    assert_int_equal(CHECK(&signer, ID, p.chunk, p.expires, "", 0), IST_FORBIDDEN);
    p.signature[10] ^= 1;
    assert_int_equal(CHECK(&signer, ID, p.chunk, p.expires, p.signature, 0), IST_FORBIDDEN);
    char longer[300];
    memset(longer, '1', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(CHECK(&signer, longer, longer, longer, longer, 0), IST_FORBIDDEN);
    ist_buffer_free(&link);
}

static void test_warehouse_result_link__is_split_only_where_it_is_one(void **state)
{
    (void)state;
#define PATH "http://h:1/api/2.0/isthmus/results/" ID
    static const char *const none[] = {
        "", "http://h:1/", PATH, PATH "/7", PATH "/7?expires=1", PATH "/7?expires=1&signature=",
        PATH "/?expires=1&signature=x", PATH "/-7?expires=1&signature=x", PATH "/7?signature=x&expires=1",
        PATH "/7?expires=1&signature=x&more=1",
        PATH "0/7?expires=1&signature=x", PATH "/7?expires=111111111111111111111&signature=x",
        PATH "/7?expires=1&signature=01234567890123456789012345678901234567890123456789",
    };
    ist__link_parts p;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (ist__link_split(none[i], &p))
            fail_msg("%s", none[i]);
    assert_true(ist__link_split(PATH "/7?expires=1&signature=x", &p));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warehouse_result_link__holds_for_what_it_says),
        cmocka_unit_test(test_warehouse_result_link__is_split_only_where_it_is_one),
    };
    return run_group(tests, argc, argv);
}
