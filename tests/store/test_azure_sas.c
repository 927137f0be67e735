/* test_azure_sas.c: signatures as Azure's own libraries make them. Azurite checks them end to end (test_cloud_stores.py). */
#include "store/azure_sas.h"
#include "testing.h"

#include <string.h>

/* "isthmus test key" */
#define KEY "aXN0aG11cyB0ZXN0IGtleQ=="

static void assert_token(const ist__azure_sas *sas, const char *expected)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer token = IST_BUFFER_INIT;
    assert_ok(ist__azure_sas_sign(sas, KEY, &token, &err), err);
    assert_string_equal(token.data, expected);
    ist_buffer_free(&token);
}

static void test_store_azure_sas__container_and_folder(void **state)
{
    (void)state;
    ist__azure_sas sas = {.account = "account", .container = "data", .expires_ms = 1795507200123, .plain_http = true};
    assert_token(&sas, "sv=2020-12-06&sp=rl&se=2026-11-24T08%3A00%3A00Z&spr=https%2Chttp&sr=c&sig=WI3pMoBK3lPa%2B8nhY9U%2F5m1ye1PX9O6o9vWiXcPBz8Q%3D");
    sas.directory = "a/table";
    sas.write = true;
    sas.plain_http = false;
    assert_token(&sas, "sv=2020-12-06&sp=rcwdl&se=2026-11-24T08%3A00%3A00Z&spr=https&sr=d&sdd=2&sig="
                       "YF98IBpOMm7gYft2CSnWwh0jc9hmYfyyG7lDvTtcXL0%3D");
}

static void test_store_azure_sas__user_delegation(void **state)
{
    (void)state;
    ist__azure_delegation delegation = {"11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222",
                                        "2026-11-24T06:00:00Z", "2026-11-24T08:00:00Z", "b", "2020-12-06"};
    ist__azure_sas sas = {.account = "account", .container = "data", .directory = "t", .expires_ms = 1795507200000,
                          .delegation = &delegation};
    assert_token(&sas, "sv=2020-12-06&sp=rl&se=2026-11-24T08%3A00%3A00Z&spr=https&sr=d&sdd=1"
                       "&skoid=11111111-1111-1111-1111-111111111111&sktid=22222222-2222-2222-2222-222222222222"
                       "&skt=2026-11-24T06%3A00%3A00Z&ske=2026-11-24T08%3A00%3A00Z&sks=b&skv=2020-12-06"
                       "&sig=KVS2FqiJmXOhaVMxNkxiFM6%2BV9kIvmKu5nbyRAteZ7k%3D");
}

static void test_store_azure_sas__the_key_must_be_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "abc", "not base64!!"};
    ist_error err = IST_ERROR_INIT;
    ist_buffer token = IST_BUFFER_INIT;
    ist__azure_sas sas = {.account = "account", .container = "data", .expires_ms = 1795507200000};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ist__azure_sas_sign(&sas, bad[i], &token, &err), IST_BAD_INPUT);
        assert_int_equal(token.size, 0);
    }
    ist_buffer_free(&token);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_azure_sas__container_and_folder),
        cmocka_unit_test(test_store_azure_sas__user_delegation),
        cmocka_unit_test(test_store_azure_sas__the_key_must_be_base64),
    };
    return run_group(tests, argc, argv);
}
