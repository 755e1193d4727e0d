#include "outbox.h"
#include "web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A dialect whose frames say plainly what they were made for. */

static const char *const names[] = {
    [DIALECT_TAKEN_UP] = "taken up",         [DIALECT_STARTED] = "started",     [DIALECT_TEXT] = "text",
    [DIALECT_TOOL_STARTED] = "tool",         [DIALECT_COMPLETED] = "completed", [DIALECT_FAILED] = "failed",
    [DIALECT_TOOL_FINISHED] = "tool result", [DIALECT_CANCELLED] = "cancelled",
};

static int frames_per_end = 1;

static void encode(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    (void)client;
    bool is_end = occasion->kind == DIALECT_COMPLETED || occasion->kind == DIALECT_FAILED;
    for (int i = 0; i < (is_end ? frames_per_end : 1); i++) {
        struct buf *frame = frames_add(out);
        if (occasion->kind == DIALECT_TEXT && occasion->request->text == DIALECT_CUMULATIVE)
            buf_append(frame, occasion->all.data, occasion->all.len);
        else if (occasion->kind == DIALECT_TEXT)
            buf_append(frame, occasion->text.data, occasion->text.len);
        else
            buf_append_text(frame, names[occasion->kind]);
        if (is_end && occasion->request->text == DIALECT_WHOLE)
            buf_append(frame, occasion->all.data, occasion->all.len);
    }
}

static const struct dialect serial = {.name = "serial", .serial = true, .encode = encode};
static const struct dialect parallel = {.name = "parallel", .encode = encode};

struct fixture {
    struct outbox outbox;
    struct frames scratch;
    struct buf frame;
    struct answer answers[2];
    struct follower followers[2];
    struct dialect_request request;
    const struct dialect *dialect;
    struct follower *ended;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    frames_per_end = 1;
    fixture->dialect = &serial;
    for (size_t i = 0; i < 2; i++) {
        answer_init(&fixture->answers[i], 1 << 20);
        fixture->followers[i].answer = &fixture->answers[i];
        fixture->followers[i].request = &fixture->request;
    }
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    while (fixture->outbox.followers)
        outbox_unfollow(&fixture->outbox, fixture->outbox.followers);
    outbox_deinit(&fixture->outbox);
    frames_deinit(&fixture->scratch);
    buf_deinit(&fixture->frame);
    for (size_t i = 0; i < 2; i++)
        answer_deinit(&fixture->answers[i]);
    free(fixture);
    return 0;
}

/* The next frame's payload, "" for an empty frame, NULL for none. */
static const char *next(struct fixture *fixture)
{
    const struct outbox_reader reader = {.dialect = fixture->dialect, .scratch = &fixture->scratch, .now = 1};
    fixture->ended = NULL;
    bool ready = outbox_ready(&fixture->outbox, fixture->dialect->serial);
    bool got = outbox_next(&fixture->outbox, &reader, &fixture->frame, &fixture->ended);
    if (got)
        assert_true(ready);
    return got ? fixture->frame.data + (fixture->frame.len - web_frame_len(&fixture->frame)) : NULL;
}

static void say(struct fixture *fixture, size_t answer, const char *text)
{
    struct answer *to = &fixture->answers[answer];
    to->started = true;
    assert_int_equal(answer_add_text(to, to->text.len, text, strlen(text)), ANSWER_NEW);
}

static void call_tool(struct fixture *fixture, uint32_t step, bool finished, uint64_t offset)
{
    const struct answer_tool tool = {.step = step,
                                     .finished = finished,
                                     .ok = true,
                                     .offset = offset,
                                     .call = "c",
                                     .name = "t",
                                     .data = "1",
                                     .data_len = 1};
    assert_int_equal(answer_add_step(&fixture->answers[0], &tool), ANSWER_NEW);
}

static void push(struct fixture *fixture, const char *payload)
{
    buf_append_text(frames_add(&fixture->scratch), payload);
    outbox_push(&fixture->outbox, &fixture->scratch);
}

static void test_empty(void **state)
{
    struct fixture *fixture = *state;
    assert_false(outbox_ready(&fixture->outbox, true));
    assert_null(next(fixture));
    assert_int_equal(outbox_lag(&fixture->outbox), 0);
}

static void test_ready_frames_in_order(void **state)
{
    struct fixture *fixture = *state;
    push(fixture, "one");
    push(fixture, "two");
    assert_true(outbox_lag(&fixture->outbox) >= 6);
    assert_string_equal(next(fixture), "one");
    push(fixture, "three");
    assert_string_equal(next(fixture), "two");
    assert_string_equal(next(fixture), "three");
    assert_null(next(fixture));
    push(fixture, "four");
    assert_string_equal(next(fixture), "four");
    assert_int_equal(outbox_lag(&fixture->outbox), 0);
}

static void test_an_answer_from_beginning_to_end(void **state)
{
    struct fixture *fixture = *state;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    assert_string_equal(next(fixture), "taken up");
    assert_null(next(fixture));
    fixture->answers[0].started = true;
    assert_string_equal(next(fixture), "started");
    assert_null(next(fixture));
    say(fixture, 0, "a");
    say(fixture, 0, "b");
    say(fixture, 0, "c");
    assert_int_equal(outbox_lag(&fixture->outbox), 3);
    assert_string_equal(next(fixture), "abc");
    assert_null(next(fixture));
    assert_int_equal(outbox_lag(&fixture->outbox), 0);
    say(fixture, 0, "d");
    answer_finish_here(&fixture->answers[0], ANSWER_COMPLETED);
    assert_string_equal(next(fixture), "d");
    assert_null(fixture->ended);
    assert_string_equal(next(fixture), "completed");
    assert_ptr_equal(fixture->ended, &fixture->followers[0]);
    assert_null(fixture->outbox.followers);
    assert_null(next(fixture));
}

static void test_ready_frames_go_first(void **state)
{
    struct fixture *fixture = *state;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    assert_string_equal(next(fixture), "taken up");
    say(fixture, 0, "text");
    push(fixture, "pong");
    assert_string_equal(next(fixture), "pong");
    assert_string_equal(next(fixture), "started");
    assert_string_equal(next(fixture), "text");
}

static void test_tools_stand_where_they_are_in_the_text(void **state)
{
    struct fixture *fixture = *state;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    say(fixture, 0, "before");
    call_tool(fixture, 1, false, 6);
    call_tool(fixture, 2, true, 6);
    say(fixture, 0, "after");
    answer_finish_here(&fixture->answers[0], ANSWER_COMPLETED);
    const char *const expected[] = {"taken up", "started", "before", "tool", "tool result", "after", "completed"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(next(fixture), expected[i]);
}

static void test_who_has_a_part_of_it_gets_the_rest(void **state)
{
    struct fixture *fixture = *state;
    struct follower *follower = &fixture->followers[0];
    follower->taken_up_told = follower->started_told = true;
    follower->from = 7; /* within the second letter's two bytes */
    outbox_follow(&fixture->outbox, follower);
    say(fixture, 0, "before");
    call_tool(fixture, 1, false, 0);
    outbox_catch_up(follower);
    assert_false(outbox_ready(&fixture->outbox, true));
    assert_int_equal(outbox_lag(&fixture->outbox), 0);
    assert_null(next(fixture));
    say(fixture, 0,
        "\xc3\xa4"
        "after");
    call_tool(fixture, 2, true, 8);
    outbox_catch_up(follower);
    assert_string_equal(next(fixture), "\xc3\xa4");
    assert_string_equal(next(fixture), "tool result");
    assert_string_equal(next(fixture), "after");
    assert_null(next(fixture));
}

static void test_who_claims_too_much_gets_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct follower *follower = &fixture->followers[0];
    follower->taken_up_told = follower->started_told = true;
    follower->from = UINT64_MAX;
    outbox_follow(&fixture->outbox, follower);
    say(fixture, 0, "all");
    outbox_catch_up(follower);
    assert_null(next(fixture));
    answer_finish_here(&fixture->answers[0], ANSWER_COMPLETED);
    outbox_catch_up(follower);
    assert_string_equal(next(fixture), "completed");
    assert_ptr_equal(fixture->ended, follower);
}

static void test_a_late_step_is_told_at_once(void **state)
{
    struct fixture *fixture = *state;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    say(fixture, 0, "text");
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "started");
    assert_string_equal(next(fixture), "text");
    call_tool(fixture, 1, false, 2);
    assert_string_equal(next(fixture), "tool");
    assert_null(next(fixture));
}

static void test_failure_before_any_beginning(void **state)
{
    struct fixture *fixture = *state;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    answer_finish_here(&fixture->answers[0], ANSWER_FAILED);
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "failed");
    assert_ptr_equal(fixture->ended, &fixture->followers[0]);
}

static void test_completed_without_a_word_of_its_beginning(void **state)
{
    struct fixture *fixture = *state;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    answer_finish_here(&fixture->answers[0], ANSWER_COMPLETED);
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "started");
    assert_string_equal(next(fixture), "completed");
}

static void test_whole_text_comes_with_the_end(void **state)
{
    struct fixture *fixture = *state;
    fixture->request.text = DIALECT_WHOLE;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    say(fixture, 0, "all ");
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "started");
    assert_null(next(fixture));
    assert_int_equal(outbox_lag(&fixture->outbox), 0); /* it waits for the agent, not for the client */
    say(fixture, 0, "of it");
    answer_finish_here(&fixture->answers[0], ANSWER_COMPLETED);
    assert_int_equal(outbox_lag(&fixture->outbox), 9);
    assert_string_equal(next(fixture), "completedall of it");
}

static void test_cumulative_text(void **state)
{
    struct fixture *fixture = *state;
    fixture->request.text = DIALECT_CUMULATIVE;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    say(fixture, 0, "one ");
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "started");
    assert_string_equal(next(fixture), "one ");
    say(fixture, 0, "two");
    assert_null(next(fixture)); /* too little more */
    say(fixture, 0, " and thirty more bytes of the text");
    assert_string_equal(next(fixture), "one two and thirty more bytes of the text");
    say(fixture, 0, ".");
    answer_finish_here(&fixture->answers[0], ANSWER_COMPLETED);
    assert_string_equal(next(fixture), "completed"); /* tells all of it */
}

/* An end that does not tell all of the text comes after it; so does a tool step. */
static void test_cumulative_text_is_told_to_its_end(void **state)
{
    struct fixture *fixture = *state;
    fixture->request.text = DIALECT_CUMULATIVE;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    say(fixture, 0, "one");
    for (int i = 0; i < 3; i++)
        assert_non_null(next(fixture));
    say(fixture, 0, " two");
    call_tool(fixture, 1, false, 7);
    assert_string_equal(next(fixture), "one two");
    assert_string_equal(next(fixture), "tool");
    say(fixture, 0, " three");
    answer_finish_here(&fixture->answers[0], ANSWER_FAILED);
    assert_string_equal(next(fixture), "one two three");
    assert_string_equal(next(fixture), "failed");
}

/* A long text of code points of two bytes after one of one: no frame may be larger than the bound, none may cut one. */
static void test_long_text_is_cut_between_code_points(void **state)
{
    struct fixture *fixture = *state;
    struct buf text = {0};
    buf_append_text(&text, "x");
    while (text.len < 2 * OUTBOX_TEXT_BYTES + 1000)
        buf_append_text(&text, "\xc3\xa9");
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    say(fixture, 0, text.data);
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "started");
    size_t sent = 0;
    for (const char *piece; (piece = next(fixture));) {
        size_t len = web_frame_len(&fixture->frame);
        assert_true(len > 0 && len <= OUTBOX_TEXT_BYTES);
        assert_true(sent == 0 || len % 2 == 0);
        assert_memory_equal(piece, text.data + sent, len);
        sent += len;
    }
    assert_int_equal(sent, text.len);
    buf_deinit(&text);
}

static void test_serial_answers_one_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    outbox_follow(&fixture->outbox, &fixture->followers[1]);
    say(fixture, 1, "second");
    assert_string_equal(next(fixture), "taken up");
    assert_null(next(fixture));
    answer_finish_here(&fixture->answers[0], ANSWER_COMPLETED);
    assert_string_equal(next(fixture), "started");
    assert_string_equal(next(fixture), "completed");
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "started");
    assert_string_equal(next(fixture), "second");
}

static void test_parallel_answers_take_turns(void **state)
{
    struct fixture *fixture = *state;
    fixture->dialect = &parallel;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    outbox_follow(&fixture->outbox, &fixture->followers[1]);
    for (size_t i = 0; i < 2; i++)
        fixture->followers[i].taken_up_told = fixture->followers[i].started_told = true;
    say(fixture, 1, "b1");
    assert_string_equal(next(fixture), "b1");
    say(fixture, 0, "a1");
    say(fixture, 1, "b2");
    assert_string_equal(next(fixture), "a1");
    say(fixture, 0, "a2");
    assert_string_equal(next(fixture), "b2");
    assert_string_equal(next(fixture), "a2");
    assert_null(next(fixture));
}

static void test_an_end_of_several_frames_or_none(void **state)
{
    struct fixture *fixture = *state;
    frames_per_end = 3;
    outbox_follow(&fixture->outbox, &fixture->followers[0]);
    answer_finish_here(&fixture->answers[0], ANSWER_FAILED);
    assert_string_equal(next(fixture), "taken up");
    assert_string_equal(next(fixture), "failed");
    assert_ptr_equal(fixture->ended, &fixture->followers[0]);
    assert_string_equal(next(fixture), "failed");
    assert_string_equal(next(fixture), "failed");
    assert_null(next(fixture));

    frames_per_end = 0;
    outbox_follow(&fixture->outbox, &fixture->followers[1]);
    answer_finish_here(&fixture->answers[1], ANSWER_FAILED);
    assert_string_equal(next(fixture), "taken up");
    assert_null(next(fixture));
    assert_ptr_equal(fixture->ended, &fixture->followers[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_empty),
        TEST(test_ready_frames_in_order),
        TEST(test_an_answer_from_beginning_to_end),
        TEST(test_ready_frames_go_first),
        TEST(test_tools_stand_where_they_are_in_the_text),
        TEST(test_a_late_step_is_told_at_once),
        TEST(test_who_has_a_part_of_it_gets_the_rest),
        TEST(test_who_claims_too_much_gets_the_end),
        TEST(test_failure_before_any_beginning),
        TEST(test_completed_without_a_word_of_its_beginning),
        TEST(test_whole_text_comes_with_the_end),
        TEST(test_cumulative_text),
        TEST(test_cumulative_text_is_told_to_its_end),
        TEST(test_long_text_is_cut_between_code_points),
        TEST(test_serial_answers_one_after_the_other),
        TEST(test_parallel_answers_take_turns),
        TEST(test_an_end_of_several_frames_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
