/* test_result_link.c: links that are changed, foreign or late lead nowhere. */
#include "testing.h"

#include "warehouse/result_link.h"

#include <string.h>

#define ID "01234567-89ab-4def-8123-456789abcdef"

static ist_error err;

/* The parts of a link: "...<id>/<chunk>?expires=<e>&signature=<s>". */
typedef struct parts {
    char chunk[16], expires[32], signature[64];
} parts;

static parts split(const char *link)
{
    parts p = {0};
    const char *chunk = strstr(link, ID) + strlen(ID) + 1, *expires = strstr(link, "expires=") + 8;
    const char *signature = strstr(link, "signature=") + 10;
    snprintf(p.chunk, sizeof p.chunk, "%.*s", (int)strcspn(chunk, "?"), chunk);
    snprintf(p.expires, sizeof p.expires, "%.*s", (int)strcspn(expires, "&"), expires);
    snprintf(p.signature, sizeof p.signature, "%s", signature);
    return p;
}

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
    parts p = split(link.data);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_warehouse_result_link__holds_for_what_it_says)};
    return run_group(tests, argc, argv);
}
