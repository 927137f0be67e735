/* test_graph.c: the catalog's answer as text and as SVG. */
#include "testing.h"

#include "isthmus/lineage.h"

#include <string.h>

static const char answer[] =
    "{\"table\":\"main.d.b\",\"nodes\":[{\"name\":\"hidden 1\",\"kind\":\"HIDDEN\"},{\"name\":\"main.d.c\",\"kind\":"
    "\"TABLE\",\"dropped\":true}],"
    "\"upstream\":["
    "{\"source\":\"main.d.a\",\"target\":\"main.d.b\",\"job\":\"clean.py\",\"engine\":\"spark\",\"event_time\":"
    "\"2026-11-23T09:00:00.000Z\",\"runs\":3,\"columns\":["
    "{\"source\":\"x\",\"target\":\"y\",\"type\":\"DIRECT\",\"subtype\":\"AGGREGATION\"},"
    "{\"source\":\"k\",\"target\":null,\"type\":\"INDIRECT\",\"subtype\":\"JOIN\"}]},"
    "{\"source\":\"main.d.b\",\"target\":\"main.d.a\",\"job\":\"loop.py\",\"engine\":\"ray\"},"
    "{\"source\":\"file:///in/<part>&1.csv\",\"target\":\"main.d.a\",\"job\":\"isthmus table append\",\"engine\":"
    "\"isthmus\"}],"
    "\"downstream\":["
    "{\"source\":\"main.d.b\",\"target\":\"main.d.c\",\"job\":\"\\u001b[31mred\",\"engine\":null},"
    "{\"source\":\"hidden 1\",\"target\":\"main.d.c\",\"job\":\"\\u001b[31mred\",\"engine\":null},"
    "{\"source\":\"main.d.b\",\"target\":null,\"job\":\"report\",\"engine\":\"ray\"}]}";

static char *draw(const char *json, ist_lineage_form form, bool columns, const char *link)
{
    ist_lineage_draw_options options = IST_LINEAGE_DRAW_OPTIONS_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    options.form = form;
    options.columns = columns;
    options.link = link;
    assert_ok(ist_lineage_draw(json, &options, &out, &err), err);
    return out.data;
}

static void test_lineage_graph__text(void **state)
{
    (void)state;
    char *text = draw(answer, IST_LINEAGE_TEXT, false, NULL);
    assert_string_equal(text,
                        "main.d.b\n"
                        "  <- main.d.a  by clean.py (spark), 2026-11-23 09:00:00 UTC, 3 runs\n"
                        "    <- main.d.b  by loop.py (ray)\n"
                        "    <- file:///in/<part>&1.csv  by isthmus table append (isthmus)\n"
                        "  -> main.d.c  by \\x1b[31mred\n"
                        "  -> by report (ray)\n");
    free(text);
    text = draw(answer, IST_LINEAGE_TEXT, true, NULL);
    assert_non_null(strstr(text, "\n       y from x (AGGREGATION)\n       every row from k (JOIN)\n"));
    free(text);
    text = draw("{\"edges\":[{\"source\":\"a\",\"target\":\"b\",\"job\":\"j\",\"engine\":\"ray\",\"runs\":2},"
                "{\"source\":null,\"target\":\"b\",\"job\":\"j\"}]}",
                IST_LINEAGE_TEXT, false, NULL);
    assert_string_equal(text, "a -> b  by j (ray), 2 runs\n-> b  by j\n");
    free(text);
}

static void test_lineage_graph__svg(void **state)
{
    (void)state;
    char *svg = draw(answer, IST_LINEAGE_SVG, false, "#/lineage/");
    assert_memory_equal(svg, "<svg ", 5);
    assert_non_null(strstr(svg, "aria-label=\"Lineage of main.d.b\""));
    assert_non_null(strstr(svg, "<style>"));
    assert_non_null(strstr(svg, "&lt;part&gt;&amp;1.csv"));
    assert_null(strstr(svg, "<part>"));
    assert_null(strchr(svg, '\x1b'));
    assert_non_null(strstr(svg, "<a href=\"#/lineage/main.d.c\">"));
    assert_non_null(strstr(svg, "table dropped"));
    assert_null(strstr(svg, "#/lineage/hidden")); /* there is nowhere to go */
    assert_non_null(strstr(svg, "back")); /* the circle of a and b */
    free(svg);
    svg = draw(answer, IST_LINEAGE_SVG, true, NULL);
    assert_non_null(strstr(svg, "edge direct"));
    assert_non_null(strstr(svg, "edge indirect"));
    assert_null(strstr(svg, "<a "));
    assert_null(strstr(svg, "class=\"pill\""));
    free(svg);
}

/* Cards of one picture do not lie on each other: x, y, width, height of each are read back. */
static void assert_no_overlap(const char *svg)
{
    double box[400][4];
    int count = 0;
    for (const char *at = svg; (at = strstr(at, "rect class=\"card\"")); at++, count++) {
        static const char *const keys[] = {" x=\"", " y=\"", " width=\"", " height=\""};
        assert_true(count < 400);
        for (int k = 0; k < 4; k++)
            box[count][k] = strtod(strstr(at, keys[k]) + strlen(keys[k]), NULL);
    }
    assert_true(count > 1);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            assert_true(box[i][0] + box[i][2] <= box[j][0] || box[j][0] + box[j][2] <= box[i][0] ||
                        box[i][1] + box[i][3] <= box[j][1] || box[j][1] + box[j][3] <= box[i][1]);
}

/* A made-up graph of n tables, each made from up to three before it. */
static char *random_answer(int n, unsigned seed)
{
    ist_buffer json = IST_BUFFER_INIT;
    ist_buffer_printf(&json, NULL, "{\"table\":\"t0\",\"upstream\":[");
    for (int i = 1; i < n; i++)
        for (int k = 0; k < 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            ist_buffer_printf(&json, NULL,
                              "%s{\"source\":\"t%u\",\"target\":\"t%d\",\"job\":\"j%d\",\"engine\":\"ray\",\"columns\":"
                              "[{\"source\":\"c%u\",\"target\":\"c%d\",\"type\":\"DIRECT\",\"subtype\":\"IDENTITY\"}]}",
                              i == 1 && k == 0 ? "" : ",", (seed >> 16) % (unsigned)(i + 1), i, i, (seed >> 8) % 50, k);
        }
    ist_buffer_append_string(&json, "]}", NULL);
    return json.data;
}

static void test_lineage_graph__nothing_overlaps(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++)
        for (int columns = 0; columns < 2; columns++) {
            char *json = random_answer(seed == 12 ? 300 : 4 + (int)seed * 5, seed);
            char *svg = draw(json, IST_LINEAGE_SVG, columns, NULL);
            assert_no_overlap(svg);
            free(svg);
            free(json);
        }
}

static void test_lineage_graph__bad_input(void **state)
{
    (void)state;
    static const char *const odd[] = {"", "nonsense", "[]", "7"};
    static const char *const empty[] = {"{}", "{\"table\":\"a.b.c\"}", "{\"table\":7,\"upstream\":{},\"edges\":[1,null,{}]}"};
    ist_lineage_draw_options options = IST_LINEAGE_DRAW_OPTIONS_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    for (int form = 0; form < 2; form++) {
        options.form = (ist_lineage_form)form;
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
            assert_int_equal(ist_lineage_draw(odd[i], &options, &out, &err), IST_BAD_INPUT);
        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
            assert_ok(ist_lineage_draw(empty[i], &options, &out, &err), err);
    }
    ist_buffer_free(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lineage_graph__text),
        cmocka_unit_test(test_lineage_graph__svg),
        cmocka_unit_test(test_lineage_graph__nothing_overlaps),
        cmocka_unit_test(test_lineage_graph__bad_input),
    };
    return run_group(tests, argc, argv);
}
