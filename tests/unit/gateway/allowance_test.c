#include "allowance.h"
#include "middleware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t take_all(struct allowance *allowance, const struct allowance_rate *rate, int64_t now_ms)
{
    int64_t taken = 0;
    while (taken < 1000 && allowance_take(allowance, rate, now_ms))
        taken++;
    return taken;
}

static void test_burst_and_rate(void **state)
{
    (void)state;
    const struct allowance_rate rate = {.per_second = 10, .burst = 5};
    struct allowance allowance;
    allowance_init(&allowance, &rate, 1000);
    assert_int_equal(take_all(&allowance, &rate, 1000), 5);
    assert_int_equal(take_all(&allowance, &rate, 1099), 0);
    assert_int_equal(take_all(&allowance, &rate, 1100), 1);
    assert_int_equal(take_all(&allowance, &rate, 1400), 3);
    assert_int_equal(take_all(&allowance, &rate, 100000), 5);
}

/* Those that are refused cost nothing: whoever goes on too fast still gets the rate. */
static void test_refused_ones_do_not_count(void **state)
{
    (void)state;
    const struct allowance_rate rate = {.per_second = 100, .burst = 1};
    struct allowance allowance;
    allowance_init(&allowance, &rate, 0);
    int64_t taken = 0;
    for (int64_t now_ms = 0; now_ms < 10000; now_ms++)
        taken += take_all(&allowance, &rate, now_ms);
    assert_in_range(taken, 999, 1001);
}

static void test_no_limit(void **state)
{
    (void)state;
    const struct allowance_rate rate = {.per_second = 0, .burst = 1};
    struct allowance allowance;
    allowance_init(&allowance, &rate, 0);
    assert_int_equal(take_all(&allowance, &rate, 0), 1000);
}

static void test_the_chain_is_listed(void **state)
{
    (void)state;
    const char *names[MIDDLEWARE_MAX];
    assert_int_equal(middleware_names(names), 3);
    assert_string_equal(names[0], "authentication");
    assert_string_equal(names[1], "rate_limit");
    assert_string_equal(names[2], "logging");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_and_rate),
        cmocka_unit_test(test_refused_ones_do_not_count),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_the_chain_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
