#include "cancellations.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_it_holds_what_was_added_until_its_time(void **state)
{
    (void)state;
    struct cancellations *cancellations = mem_alloc(sizeof *cancellations);
    assert_false(cancellations_hold(cancellations, "a", 0));
    cancellations_add(cancellations, "a", 100);
    cancellations_add(cancellations, "b", 200);
    assert_true(cancellations_hold(cancellations, "a", 99));
    assert_false(cancellations_hold(cancellations, "a", 100));
    assert_true(cancellations_hold(cancellations, "b", 199));
    assert_false(cancellations_hold(cancellations, "c", 0));
    free(cancellations);
}

static void test_the_oldest_gives_way(void **state)
{
    (void)state;
    struct cancellations *cancellations = mem_alloc(sizeof *cancellations);
    char call[16];
    for (int i = 0; i <= CANCELLATIONS_MAX; i++) {
        snprintf(call, sizeof call, "call-%d", i);
        cancellations_add(cancellations, call, 100);
    }
    assert_false(cancellations_hold(cancellations, "call-0", 0));
    assert_true(cancellations_hold(cancellations, "call-1", 0));
    assert_true(cancellations_hold(cancellations, call, 0));
    free(cancellations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_holds_what_was_added_until_its_time),
        cmocka_unit_test(test_the_oldest_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
