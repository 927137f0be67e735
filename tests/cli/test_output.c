/* test_output.c: aligned columns and safe text. */
#include "cli/output.h"
#include "testing.h"

#include <locale.h>
#include <string.h>
#include <unistd.h>

/* What a function prints on standard output. */
static char *printed(void (*print)(void *), void *payload)
{
    static char text[4096];
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO);
    fflush(stdout);
    assert_true(file && saved >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
    print(payload);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void add(cli_grid *grid, const char *text)
{
    ist_error err = IST_ERROR_INIT;
    assert_ok(cli_grid_add(grid, text, strlen(text), &err), err);
}

static void print_grid(void *payload)
{
    cli_grid_print(payload, true);
}

static void test_cli_output__aligns_by_screen_width(void **state)
{
    (void)state;
    cli_grid grid;
    ist_error err = IST_ERROR_INIT;
    assert_ok(cli_grid_init(&grid, 3, &err), err);
    grid.right[1] = true;
    static const char *const cells[] = {"name", "n", "x", "日本", "1", "a", "é", "-12", ""};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        add(&grid, cells[i]);
    assert_string_equal(printed(print_grid, &grid), "name    n  x\n----  ---  -\n日本    1  a\né     -12\n");
    cli_grid_free(&grid);
}

static void test_cli_output__escapes_and_cuts(void **state)
{
    (void)state;
    cli_grid grid;
    ist_error err = IST_ERROR_INIT;
    assert_ok(cli_grid_init(&grid, 1, &err), err);
    grid.most = 8;
    add(&grid, "a\nb\x1b[2J");
    add(&grid, "\xff!");
    add(&grid, "日本語日本語");
    assert_string_equal(printed(print_grid, &grid), "a\\nb\\x1…\n--------\n\\xff!\n日本語…\n");
    cli_grid_free(&grid);
}

static void test_cli_output__numbers(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(cli_count(0, out), "0");
    assert_string_equal(cli_count(1234567, out), "1,234,567");
    assert_string_equal(cli_count(-123, out), "-123");
    assert_string_equal(cli_count(INT64_MIN, out), "-9,223,372,036,854,775,808");
    assert_string_equal(cli_bytes(1023, out), "1023 B");
    assert_string_equal(cli_bytes(1536, out), "1.5 KiB");
    assert_string_equal(cli_time(0, out), "1970-01-01 00:00:00 UTC");
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_output__aligns_by_screen_width),
        cmocka_unit_test(test_cli_output__escapes_and_cuts),
        cmocka_unit_test(test_cli_output__numbers),
    };
    return run_group(tests, argc, argv);
}
