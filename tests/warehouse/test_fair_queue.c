/* test_fair_queue.c: who is next, for principals with many statements and with few. */
#include "testing.h"

#include "warehouse/warehouse_internal.h"

#include <string.h>

enum { STATEMENTS = 6 };

static ist__statement all[STATEMENTS];
static ist__fair_queue queue;

/* One statement for each letter, which is its principal. */
static void make(const char *users)
{
    memset(all, 0, sizeof all);
    memset(&queue, 0, sizeof queue);
    for (int i = 0; users[i]; i++) {
        all[i].user_id[0] = users[i];
        all[i].text_bytes = 10;
        assert_true(ist__queue_add(&queue, &all[i]));
    }
}

/* Taken, they are these, by their number. */
static void expect_order(const char *numbers)
{
    for (; *numbers; numbers++) {
        const ist__statement *s = ist__queue_take(&queue);
        assert_non_null(s);
        assert_int_equal(s - all, *numbers - '0');
        assert_null(s->line);
    }
    assert_null(ist__queue_take(&queue));
    assert_int_equal(queue.count, 0);
    assert_int_equal(queue.bytes, 0);
    assert_null(queue.first);
    assert_null(queue.last);
}

static void test_warehouse_fair_queue__lines_take_turns(void **state)
{
    (void)state;
    make("aaaabc");
    assert_int_equal(queue.count, 6);
    assert_int_equal(queue.bytes, 60);
    assert_int_equal(ist__queue_count_of(&queue, "a"), 4);
    assert_int_equal(ist__queue_count_of(&queue, "d"), 0);
    expect_order("045123");
    make("aaa");
    expect_order("012");
}

/* Who comes later waits for one turn of each other, not for all that they have. */
static void test_warehouse_fair_queue__late_comers(void **state)
{
    (void)state;
    make("aaaab");
    assert_ptr_equal(ist__queue_take(&queue), &all[0]);
    assert_ptr_equal(ist__queue_take(&queue), &all[4]);
    all[4].user_id[0] = 'c';
    assert_true(ist__queue_add(&queue, &all[4]));
    expect_order("1423");
}

static void test_warehouse_fair_queue__taken_out_and_put_back(void **state)
{
    (void)state;
    make("aabbc");
    ist__queue_remove(&queue, &all[4]);
    ist__queue_remove(&queue, &all[4]); /* once more is nothing */
    ist__queue_remove(&queue, &all[0]);
    assert_int_equal(queue.count, 3);
    assert_ptr_equal(ist__queue_take(&queue), &all[1]);
    assert_true(ist__queue_put_back(&queue, &all[1])); /* before all others, with a line of its own again */
    ist__statement *b = ist__queue_take(&queue);
    assert_ptr_equal(b, &all[1]);
    assert_true(ist__queue_put_back(&queue, &all[4]));
    expect_order("423");
}

static void test_warehouse_fair_queue__walk(void **state)
{
    (void)state;
    int seen = 0;
    make("abab");
    for (const ist__statement *s = ist__queue_after(&queue, NULL); s; s = ist__queue_after(&queue, s))
        seen = 10 * seen + (int)(s - all) + 1;
    assert_int_equal(seen, 1324);
    expect_order("0123");
    assert_null(ist__queue_after(&queue, NULL));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warehouse_fair_queue__lines_take_turns),
        cmocka_unit_test(test_warehouse_fair_queue__late_comers),
        cmocka_unit_test(test_warehouse_fair_queue__taken_out_and_put_back),
        cmocka_unit_test(test_warehouse_fair_queue__walk),
    };
    return run_group(tests, argc, argv);
}
