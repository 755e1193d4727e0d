#include "recover_record.h"

#include "segments.h"

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
    enum { FULL = SEGMENT_BYTES };
    static const struct {
        uint64_t known;
        uint32_t first;
    } cases[] = {{0, 0},        {FULL - 1, 0},     {FULL, 1},        {2 * FULL - 1, 1},
                 {3 * FULL, 3}, {3 * FULL + 3, 3}, {1000 * FULL, 3}, {UINT64_MAX, 3}};
    Parley__TurnRecord record = record_of(3, "abc", 3 * FULL + 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t first;
        assert_int_equal(recover_first_segment(&record, cases[i].known, &first), ERR_NONE);
        assert_int_equal(first, cases[i].first);
    }
    record = record_of(0, "abc", 3);
    uint32_t first;
    assert_int_equal(recover_first_segment(&record, 2, &first), ERR_NONE);
    assert_int_equal(first, 0);
}

static void test_numbers_that_contradict_each_other(void **state)
{
    (void)state;
    const Parley__TurnRecord bad[] = {
        record_of(0, "abc", 4),  record_of(0, "abc", 2),          record_of(3, "abc", 3 * SEGMENT_BYTES),
        record_of(3, "abc", 33), record_of(UINT32_MAX, "abc", 3),
    };
    uint32_t first;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(recover_first_segment(&bad[i], 0, &first), ERR_INVALID);
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
    record.message_id = 7;
    record.started_ms = 1763699035000;
    recover_apply_end(&answer, &record);

    assert_int_equal(answer.step_count, 3);
    assert_true(answer.steps[1].finished && answer.steps[1].ok);
    assert_string_equal(answer.steps[2].call, "c2");
    assert_int_equal(answer.steps[2].offset, 4);
    assert_true(answer_ended(&answer));
    assert_int_equal(answer.end, ANSWER_COMPLETED);
    assert_int_equal(answer.attempt, 2);
    assert_string_equal(answer.vendor, "openai");
    assert_int_equal(answer.message_id, 7);
    assert_int_equal(answer.started_ms, 1763699035000);
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

static void test_a_turn_in_its_conversation(void **state)
{
    (void)state;
    Parley__ToolStep step = PARLEY__TOOL_STEP__INIT;
    Parley__ToolStep *steps[] = {&step};
    Parley__ConversationTurn running = PARLEY__CONVERSATION_TURN__INIT, ended = PARLEY__CONVERSATION_TURN__INIT;
    Parley__ConversationTurn *turns[] = {&running, &ended};
    Parley__Conversation conversation = PARLEY__CONVERSATION__INIT;
    Parley__TurnRecord record;
    assert_false(recover_find_turn(&conversation, "b", &record));
    running.turn = (char *)"a";
    running.state = PARLEY__TURN_STATE__TURN_STATE_RUNNING;
    ended.turn = (char *)"b";
    ended.state = PARLEY__TURN_STATE__TURN_STATE_FAILED;
    ended.answer = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    ended.steps = steps;
    ended.n_steps = 1;
    ended.answer_id = 7;
    conversation.turns = turns;
    conversation.n_turns = 2;
    assert_false(recover_find_turn(&conversation, "c", &record));
    assert_false(recover_find_turn(&conversation, "a", &record));
    assert_true(recover_find_turn(&conversation, "b", &record));
    assert_memory_equal(record.text.data, "abc", 3);
    assert_ptr_equal(record.steps[0], &step);
    assert_int_equal(record.message_id, 7);
    assert_true(record.reason.len > 0);
    uint32_t first;
    assert_int_equal(recover_first_segment(&record, 0, &first), ERR_NONE);
    assert_int_equal(first, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_segments_are_needed),
        cmocka_unit_test(test_numbers_that_contradict_each_other),
        cmocka_unit_test(test_what_has_ended),
        cmocka_unit_test(test_a_turn_in_its_conversation),
        cmocka_unit_test(test_steps_and_end),
        cmocka_unit_test(test_failure_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
