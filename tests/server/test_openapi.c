/* test_openapi.c: docs/openapi.yaml describes every operation that the server's tables have, and no other. */
#include "testing.h"

#include "server/router.h"

#include <ctype.h>
#include <string.h>

enum { OPERATIONS_MAX = 400 };

/* "get /a/{}/b": what a path's segments are called is not compared. */
typedef struct operation {
    char text[300];
    bool met;
} operation;

static void name_operation(char out[300], const char *method, const char *path)
{
    size_t used = 0;
    for (; *method; method++)
        out[used++] = (char)tolower((unsigned char)*method);
    out[used++] = ' ';
    for (bool inside = false; *path && used < 298; path++) {
        if (!inside || *path == '}')
            out[used++] = *path;
        inside = *path == '{' || (inside && *path != '}');
    }
    out[used] = '\0';
}

/* The operations of the description: its lines "  /path:" and, below, "    method:". */
static int read_description(operation out[])
{
    char line[512], path[300] = "";
    int count = 0;
    snprintf(line, sizeof line, "%s/../../docs/openapi.yaml", getenv("ISTHMUS_TEST_DATA"));
    FILE *file = fopen(line, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        size_t size = strcspn(line, ":\n");
        if (strncmp(line, "  /", 3) == 0)
            snprintf(path, sizeof path, "%.*s", (int)size - 2, line + 2);
        else if (strncmp(line, "components", 10) == 0)
            break;
        else if (strncmp(line, "    ", 4) == 0 && islower((unsigned char)line[4]) && line[size] == ':' && *path) {
            char method[16];
            snprintf(method, sizeof method, "%.*s", (int)size - 4, line + 4);
            assert_true(count < OPERATIONS_MAX);
            name_operation(out[count].text, method, path);
            out[count++].met = false;
        }
    }
    fclose(file);
    return count;
}

static void test_openapi_description__is_the_server(void **state)
{
    (void)state;
    static operation described[OPERATIONS_MAX];
    int count = read_description(described), missing = 0;
    assert_true(count > 50);
    for (size_t i = 0; ist__route_table(i); i++)
        for (const ist__route *route = ist__route_table(i); route->path; route++) {
            char text[300];
            name_operation(text, route->method, route->path);
            int found = 0;
            while (found < count && strcmp(described[found].text, text) != 0)
                found++;
            if (found < count)
                described[found].met = true;
            else if (++missing)
                print_error("docs/openapi.yaml has no operation for the route %s %s\n", route->method, route->path);
        }
    for (int i = 0; i < count; i++)
        if (!described[i].met && ++missing)
            print_error("docs/openapi.yaml describes %s, for which there is no route\n", described[i].text);
    assert_int_equal(missing, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_openapi_description__is_the_server)};
    return run_group(tests, argc, argv);
}
