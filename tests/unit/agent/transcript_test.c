#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void add(struct transcript *t, uint32_t round, const char *call)
{
    transcript_add(t, round, call, "tool", "{}", 2);
}

static void assert_event(const struct transcript *t, uint32_t number, const char *call, bool finished)
{
    struct step_event event = transcript_event(t, number);

    assert_string_equal(event.step->call, call);
    assert_int_equal(event.finished, finished);
}

static void test_events_are_numbered_alike_however_calls_race(void **state)
{
    struct transcript t = {0};

    (void)state;
    assert_int_equal(transcript_event_count(&t), 0);
    add(&t, 1, "a");
    add(&t, 1, "b");
    assert_int_equal(transcript_event_count(&t), 2);
    transcript_finish(&t, 1, true, "1", 1); /* b first: its number waits for a */
    assert_int_equal(transcript_event_count(&t), 2);
    transcript_finish(&t, 0, true, "1", 1);
    assert_int_equal(transcript_event_count(&t), 4);
    add(&t, 2, "c");
    assert_int_equal(transcript_event_count(&t), 5);
    assert_event(&t, 1, "a", false);
    assert_event(&t, 2, "b", false);
    assert_event(&t, 3, "a", true);
    assert_event(&t, 4, "b", true);
    assert_event(&t, 5, "c", false);
    transcript_deinit(&t);
}

static void test_rounds(void **state)
{
    struct transcript t = {0};

    (void)state;
    assert_int_equal(transcript_round(&t), 0);
    assert_true(transcript_round_finished(&t));
    add(&t, 1, "a");
    assert_false(transcript_round_finished(&t));
    transcript_finish(&t, 0, false, "no", 2);
    assert_true(transcript_round_finished(&t));
    buf_append_text(&t.text, "said");
    add(&t, 2, "b");
    assert_int_equal(transcript_round(&t), 2);
    assert_int_equal(transcript_round_begin(&t), 1);
    assert_int_equal(transcript_tail(&t), 4);
    assert_int_equal(t.step_bytes, 6);
    transcript_deinit(&t);
}

static void test_steps_survive_being_stored(void **state)
{
    struct transcript t = {0}, back = {0};
    struct stored_steps stored;

    (void)state;
    buf_append_text(&t.text, "abc");
    add(&t, 1, "a");
    transcript_finish(&t, 0, true, "42", 2);
    add(&t, 2, "b");
    stored_steps_init(&stored, &t, 0);
    assert_int_equal(stored.count, 2);
    buf_append_text(&back.text, "abc");
    transcript_load_steps(&back, stored.pointers, 2);
    assert_int_equal(back.step_count, 2);
    assert_true(back.steps[0].finished && back.steps[0].ok);
    assert_memory_equal(back.steps[0].result.data, "42", 2);
    assert_int_equal(back.steps[1].offset, 3);
    assert_false(back.steps[1].finished);
    stored_steps_deinit(&stored);
    transcript_deinit(&t);
    transcript_deinit(&back);
}

static void test_impossible_steps_are_put_right(void **state)
{
    Parley__ToolStep a = PARLEY__TOOL_STEP__INIT, b = PARLEY__TOOL_STEP__INIT;
    Parley__ToolStep *const steps[] = {&a, &b};
    struct transcript t = {0};

    (void)state;
    a.round = 1;
    a.offset = 900;
    b.round = 2;
    b.offset = 1;
    buf_append_text(&t.text, "0123456789");
    transcript_load_steps(&t, steps, 2);
    assert_true(t.steps[0].finished);
    assert_false(t.steps[0].ok);
    assert_int_equal(t.steps[0].offset, 10);
    assert_int_equal(t.steps[1].offset, 10);
    assert_int_equal(transcript_event_count(&t), 3);
    transcript_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_numbered_alike_however_calls_race),
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_steps_survive_being_stored),
        cmocka_unit_test(test_impossible_steps_are_put_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
