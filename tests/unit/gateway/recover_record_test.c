#include "recover_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Parley__TurnRecord record_of(uint32_t segments, const char *rest, uint64_t length)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    record.state = PARLEY__TURN_STATE__TURN_STATE_COMPLETED;
    record.attempt = 2;
    record.segments = segments;
    record.text.data = (uint8_t *)rest;
    record.text.len = strlen(rest);
    record.length = length;
    return record;
}

static void test_which_segments_are_needed(void **state)
{
    (void)state;
    static const struct {
        uint64_t known;
        uint32_t first;
        uint64_t offset;
    } cases[] = {{0, 0, 0}, {9, 0, 0}, {10, 1, 10}, {19, 1, 10}, {29, 2, 20}, {30, 3, 30}, {33, 3, 30}, {1000, 3, 30}};
    Parley__TurnRecord record = record_of(3, "abc", 33);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recover_plan plan;
        assert_int_equal(recover_plan_segments(&record, cases[i].known, &plan), ERR_NONE);
        assert_int_equal(plan.first, cases[i].first);
        assert_int_equal(plan.offset, cases[i].offset);
    }
}

static void test_no_segments(void **state)
{
    (void)state;
    struct recover_plan plan;
    Parley__TurnRecord record = record_of(0, "abc", 3);
    assert_int_equal(recover_plan_segments(&record, 2, &plan), ERR_NONE);
    assert_int_equal(plan.first, 0);
    assert_int_equal(plan.offset, 0);
}

static void test_numbers_that_contradict_each_other(void **state)
{
    (void)state;
    struct recover_plan plan;
    const Parley__TurnRecord bad[] = {
        record_of(0, "abc", 4),
        record_of(0, "abc", 2),
        record_of(3, "abc", 32),
        record_of(3, "abc", 3),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(recover_plan_segments(&bad[i], 0, &plan), ERR_INVALID);
}

static void test_what_has_ended(void **state)
{
    (void)state;
    Parley__TurnRecord record = record_of(0, "", 0);
    static const bool ended[] = {false, true, false, true, true, true};
    for (int state_of = 0; state_of < 6; state_of++) {
        record.state = (Parley__TurnState)state_of;
        assert_int_equal(recover_has_ended(&record), ended[state_of]);
    }
}

static void test_steps_and_end(void **state)
{
    (void)state;
    struct answer answer;
    answer_init(&answer, 1000);
    assert_int_equal(answer_add_text(&answer, 0, "text", 4), ANSWER_NEW);
    const struct answer_tool known = {.step = 1, .call = "c1", .name = "t", .data = "{}", .data_len = 2};
    assert_int_equal(answer_add_step(&answer, &known), ANSWER_NEW);

    Parley__ToolStep first = PARLEY__TOOL_STEP__INIT, second = PARLEY__TOOL_STEP__INIT;
    first.call = (char *)"c1";
    first.name = (char *)"t";
    first.finished = first.ok = true;
    second.call = (char *)"c2";
    second.name = (char *)"t";
    second.offset = 99;
    Parley__ToolStep *steps[] = {&first, &second};
    Parley__TurnRecord record = record_of(0, "text", 4);
    record.steps = steps;
    record.n_steps = 2;
    record.vendor = (char *)"openai";
    recover_apply_end(&answer, &record);

    assert_int_equal(answer.step_count, 3);
    assert_true(answer.steps[1].finished && answer.steps[1].ok);
    assert_string_equal(answer.steps[2].call, "c2");
    assert_int_equal(answer.steps[2].offset, 4);
    assert_true(answer_ended(&answer));
    assert_int_equal(answer.end, ANSWER_COMPLETED);
    assert_int_equal(answer.attempt, 2);
    assert_string_equal(answer.vendor, "openai");
    answer_deinit(&answer);
}

static void test_failure_with_its_reason(void **state)
{
    (void)state;
    struct answer answer;
    answer_init(&answer, 1000);
    Parley__TurnRecord record = record_of(0, "", 0);
    record.state = PARLEY__TURN_STATE__TURN_STATE_FAILED;
    record.reason.data = (uint8_t *)"why";
    record.reason.len = 3;
    recover_apply_end(&answer, &record);
    assert_int_equal(answer.end, ANSWER_FAILED);
    assert_string_equal(answer.reason.data, "why");
    answer_deinit(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_segments_are_needed),
        cmocka_unit_test(test_no_segments),
        cmocka_unit_test(test_numbers_that_contradict_each_other),
        cmocka_unit_test(test_what_has_ended),
        cmocka_unit_test(test_steps_and_end),
        cmocka_unit_test(test_failure_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
