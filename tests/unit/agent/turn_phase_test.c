#include "turn_phase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_way_of_an_answer_with_tools(void **state)
{
    static const enum turn_phase way[] = {TURN_CLAIMING, TURN_LOADING,   TURN_ANSWERING,  TURN_CALLING, TURN_ANSWERING,
                                          TURN_SEALING,  TURN_REPORTING, TURN_ANNOUNCING, TURN_GONE};

    (void)state;
    for (size_t i = 1; i < sizeof way / sizeof *way; i++)
        assert_true(turn_phase_may_follow(way[i - 1], way[i]));
}

static void test_an_end_is_an_end(void **state)
{
    (void)state;
    for (int to = 0; to < TURN_PHASE_COUNT; to++) {
        assert_false(turn_phase_may_follow(TURN_GONE, (enum turn_phase)to));
        if (to != TURN_GONE)
            assert_false(turn_phase_may_follow(TURN_ANNOUNCING, (enum turn_phase)to));
    }
}

static void test_nothing_skips_being_saved(void **state)
{
    (void)state;
    for (int from = 0; from < TURN_PHASE_COUNT; from++)
        if (from != TURN_REPORTING)
            assert_false(turn_phase_may_follow((enum turn_phase)from, TURN_ANNOUNCING));
    assert_false(turn_phase_may_follow(TURN_ANSWERING, TURN_REPORTING));
    assert_false(turn_phase_may_follow(TURN_CALLING, TURN_REPORTING));
    assert_false(turn_phase_may_follow(TURN_SEALING, TURN_RETURNING)); /* what has ended is not handed back */
    assert_false(turn_phase_may_follow(TURN_SEALING, TURN_ANSWERING));
}

static void test_every_phase_has_a_name_and_an_end(void **state)
{
    (void)state;
    for (int phase = 0; phase < TURN_PHASE_COUNT; phase++) {
        assert_non_null(turn_phase_name((enum turn_phase)phase));
        assert_false(turn_phase_may_follow((enum turn_phase)phase, (enum turn_phase)phase));
        if (phase != TURN_GONE)
            assert_true(turn_phase_may_follow((enum turn_phase)phase, TURN_GONE)); /* fenced */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_way_of_an_answer_with_tools),
        cmocka_unit_test(test_an_end_is_an_end),
        cmocka_unit_test(test_nothing_skips_being_saved),
        cmocka_unit_test(test_every_phase_has_a_name_and_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
