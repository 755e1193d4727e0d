#include "budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_what_is_new_leaves_a_quarter(void **state)
{
    (void)state;
    struct budget budget = {.max = 1000};
    size_t one = 0, other = 0;
    assert_true(budget_hold(&budget, &one, 700));
    assert_false(budget_hold(&budget, &other, 51));
    assert_int_equal(other, 0);
    assert_int_equal(budget.used, 700);
    assert_true(budget_hold(&budget, &other, 50));
    assert_true(budget_hold(&budget, &one, 650)); /* less is always possible */
    assert_true(budget_hold(&budget, &one, 700));
    assert_false(budget_hold(&budget, &one, SIZE_MAX));
    budget_release(&budget, &one);
    assert_int_equal(one, 0);
    assert_int_equal(budget.used, 50);
}

static void test_what_is_under_way_has_all(void **state)
{
    (void)state;
    struct budget budget = {.max = 1000};
    size_t one = 0, other = 0;
    assert_true(budget_grow(&budget, &one, 1000));
    assert_false(budget_hold(&budget, &other, 1));
    assert_false(budget_grow(&budget, &other, 1));
    assert_int_equal(budget.used, 1001); /* it is there all the same */
    assert_true(budget_grow(&budget, &one, 1000));
    assert_true(budget_hold(&budget, &one, 990));
    budget_release(&budget, &one);
    budget_release(&budget, &other);
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_new_leaves_a_quarter),
        cmocka_unit_test(test_what_is_under_way_has_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
