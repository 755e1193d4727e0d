#include "alarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static char order[8];
static size_t rung;
static struct alarms *alarms;
static struct alarm a, b, c;

static void ring(void *arg)
{
    order[rung++] = *(const char *)arg;
}

static void ring_and_clear_b(void *arg)
{
    ring(arg);
    alarm_clear(alarms, &b);
}

static int setup(void **state)
{
    static uv_loop_t loop;

    uv_loop_init(&loop);
    alarms = alarms_new(&loop);
    a = b = c = (struct alarm){0};
    rung = 0;
    *state = &loop;
    return 0;
}

static int teardown(void **state)
{
    uv_loop_t *loop = *state;

    alarms_free(&alarms);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
    return 0;
}

static void test_they_ring_in_the_order_they_are_due(void **state)
{
    alarm_set(alarms, &a, 3, ring, (void *)"a");
    alarm_set(alarms, &b, 1, ring, (void *)"b");
    alarm_set(alarms, &c, 2, ring, (void *)"c");
    uv_run(*state, UV_RUN_DEFAULT);
    assert_int_equal(rung, 3);
    assert_memory_equal(order, "bca", 3);
    assert_false(a.set);
}

static void test_cleared_and_set_anew(void **state)
{
    alarm_set(alarms, &a, 1, ring_and_clear_b, (void *)"a");
    alarm_set(alarms, &b, 1, ring, (void *)"b");
    alarm_set(alarms, &c, 1, ring, (void *)"c");
    alarm_set(alarms, &c, 5, ring, (void *)"C");
    uv_run(*state, UV_RUN_DEFAULT);
    assert_int_equal(rung, 2);
    assert_memory_equal(order, "aC", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_they_ring_in_the_order_they_are_due, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cleared_and_set_anew, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
