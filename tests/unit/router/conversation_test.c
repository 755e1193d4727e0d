#include "conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct conversation_limits roomy = {.max_turns = 100, .max_bytes = 262144};

static int setup(void **state)
{
    *state = wire_arena_new(8 << 20);
    return 0;
}

static int teardown(void **state)
{
    wire_arena_free((struct wire_arena **)state);
    return 0;
}

static ProtobufCBinaryData text_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static Parley__ConversationTurn turn_of(const char *id, const char *question, const char *answer)
{
    Parley__ConversationTurn turn = PARLEY__CONVERSATION_TURN__INIT;
    turn.turn = (char *)id;
    turn.question = text_of(question);
    turn.answer = text_of(answer);
    turn.state = PARLEY__TURN_STATE__TURN_STATE_COMPLETED;
    turn.asked_ms = 1735689600000;
    turn.ended_ms = 1735689601000;
    return turn;
}

/* Appends to `stored` itself. */
static bool append(struct wire_arena *arena, struct buf *stored, const Parley__ConversationTurn *turn,
                   const struct conversation_limits *limits)
{
    struct buf whole = {0};
    bool added;
    assert_int_equal(conversation_end(arena, stored->data, stored->len, turn, limits, &whole, &added), ERR_NONE);
    if (added)
        buf_move(stored, &whole);
    else
        assert_int_equal(whole.len, 0);
    buf_deinit(&whole);
    return added;
}

static Parley__Conversation *unpack(struct wire_arena *arena, const struct buf *stored)
{
    Parley__Conversation *conversation;
    assert_int_equal(wire_unpack(arena, &parley__conversation__descriptor, stored->data, stored->len, &conversation),
                     ERR_NONE);
    return conversation;
}

static void append_numbered(struct wire_arena *arena, struct buf *stored, int number, const char *answer,
                            const struct conversation_limits *limits)
{
    char id[32];
    snprintf(id, sizeof id, "turn-%d", number);
    Parley__ConversationTurn turn = turn_of(id, "question", answer);
    assert_true(append(arena, stored, &turn, limits));
}

static void keeps_the_order_and_every_field(void **state)
{
    struct buf stored = {0};
    Parley__ConversationTurn first = turn_of("a", "one?", "one!"), second = turn_of("b", "two?", "two!");
    assert_true(append(*state, &stored, &first, &roomy));
    assert_true(append(*state, &stored, &second, &roomy));

    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->n_turns, 2);
    assert_string_equal(conversation->turns[0]->turn, "a");
    assert_string_equal(conversation->turns[1]->turn, "b");
    assert_memory_equal(conversation->turns[1]->answer.data, "two!", 4);
    assert_int_equal(conversation->turns[1]->asked_ms, 1735689600000);
    buf_deinit(&stored);
}

static void stores_a_turn_id_once(void **state)
{
    struct buf stored = {0};
    Parley__ConversationTurn turn = turn_of("a", "q", "x"), again = turn_of("a", "q", "something else");
    assert_true(append(*state, &stored, &turn, &roomy));
    size_t before = stored.len;
    assert_false(append(*state, &stored, &again, &roomy));
    assert_int_equal(stored.len, before);
    buf_deinit(&stored);
}

static void drops_the_oldest_above_the_number(void **state)
{
    const struct conversation_limits limits = {.max_turns = 3, .max_bytes = 262144};
    struct buf stored = {0};
    for (int i = 0; i < 10; i++)
        append_numbered(*state, &stored, i, "answer", &limits);
    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->n_turns, 3);
    assert_string_equal(conversation->turns[0]->turn, "turn-7");
    assert_string_equal(conversation->turns[2]->turn, "turn-9");
    buf_deinit(&stored);
}

static void drops_the_oldest_above_the_bytes(void **state)
{
    const struct conversation_limits limits = {.max_turns = 100, .max_bytes = 4096};
    char answer[1001];
    memset(answer, 'a', sizeof answer - 1);
    answer[sizeof answer - 1] = '\0';
    struct buf stored = {0};
    for (int i = 0; i < 10; i++) {
        append_numbered(*state, &stored, i, answer, &limits);
        assert_true(stored.len <= limits.max_bytes);
    }
    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->n_turns, 3);
    assert_string_equal(conversation->turns[2]->turn, "turn-9");
    buf_deinit(&stored);
}

/* A text of `len` bytes: characters of three bytes each, so that a cut may fall into one. */
static char *wide_text(size_t len)
{
    char *text = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = "\xE4\xBD\xA0"[i % 3];
    text[len - len % 3] = '\0';
    return text;
}

static void assert_cut(const ProtobufCBinaryData *text)
{
    const size_t mark = strlen(CONVERSATION_CUT_MARK);
    assert_true(text->len > mark);
    assert_memory_equal(text->data + text->len - mark, CONVERSATION_CUT_MARK, mark);
    assert_int_equal((text->len - mark) % 3, 0);
}

static void cuts_a_newest_turn_that_is_too_large_by_itself(void **state)
{
    const struct conversation_limits limits = {.max_turns = 100, .max_bytes = 4096};
    char *large = wide_text(100000);
    struct buf stored = {0};
    append_numbered(*state, &stored, 1, "short", &limits);
    Parley__ConversationTurn turn = turn_of("large", large, large);
    assert_true(append(*state, &stored, &turn, &limits));
    assert_true(stored.len <= limits.max_bytes);

    Parley__Conversation *conversation = unpack(*state, &stored);
    const Parley__ConversationTurn *newest = conversation->turns[conversation->n_turns - 1];
    assert_string_equal(newest->turn, "large");
    assert_cut(&newest->question);
    assert_cut(&newest->answer);
    buf_deinit(&stored);
    free(large);
}

static void leaves_a_short_question_whole_beside_a_large_answer(void **state)
{
    const struct conversation_limits limits = {.max_turns = 100, .max_bytes = 4096};
    char *large = wide_text(100000);
    struct buf stored = {0};
    Parley__ConversationTurn turn = turn_of("large", "short?", large);
    assert_true(append(*state, &stored, &turn, &limits));
    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->turns[0]->question.len, 6);
    assert_cut(&conversation->turns[0]->answer);
    assert_true(conversation->turns[0]->answer.len > 3000);
    buf_deinit(&stored);
    free(large);
}

static void leaves_out_tool_steps_before_it_cuts_texts(void **state)
{
    const struct conversation_limits limits = {.max_turns = 100, .max_bytes = 4096};
    char *large = wide_text(5000);
    Parley__ToolStep step = PARLEY__TOOL_STEP__INIT, *steps[] = {&step};
    step.result = text_of(large);
    Parley__ConversationTurn turn = turn_of("steps", "q", "answer");
    turn.steps = steps;
    turn.n_steps = 1;
    struct buf stored = {0};
    assert_true(append(*state, &stored, &turn, &limits));
    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->turns[0]->n_steps, 0);
    assert_int_equal(conversation->turns[0]->answer.len, 6);
    buf_deinit(&stored);
    free(large);
}

static void refuses_what_cannot_be_read(void **state)
{
    Parley__ConversationTurn turn = turn_of("a", "q", "x");
    struct buf whole = {0};
    bool added;
    assert_int_equal(conversation_end(*state, "\xFF\xFF\xFF", 3, &turn, &roomy, &whole, &added), ERR_INVALID);
    assert_int_equal(whole.len, 0);
}

/* ---- Rooms that count their messages */

static Parley__ConversationTurn asked_of(const char *id, const char *question, bool answered)
{
    Parley__ConversationTurn turn = turn_of(id, question, "");
    turn.state = answered ? PARLEY__TURN_STATE__TURN_STATE_RUNNING : PARLEY__TURN_STATE__TURN_STATE_UNKNOWN;
    turn.connection = (char *)"someone";
    turn.chain = text_of("[1]");
    turn.ended_ms = 0;
    return turn;
}

static bool ask(struct wire_arena *arena, struct buf *stored, Parley__ConversationTurn *turn,
                const struct conversation_limits *limits)
{
    struct buf whole = {0};
    bool added;
    assert_int_equal(conversation_ask(arena, stored->data, stored->len, turn, limits, &whole, &added), ERR_NONE);
    if (added)
        buf_move(stored, &whole);
    assert_int_equal(whole.len, 0);
    buf_deinit(&whole);
    return added;
}

static void counts_questions_and_answers_from_1(void **state)
{
    struct buf stored = {0};
    Parley__ConversationTurn a = asked_of("a", "one?", true), b = asked_of("b", "just so", false),
                             c = asked_of("c", "two?", true), again = asked_of("a", "one?", true);
    assert_true(ask(*state, &stored, &a, &roomy));
    assert_true(ask(*state, &stored, &b, &roomy));
    assert_true(ask(*state, &stored, &c, &roomy));
    assert_false(ask(*state, &stored, &again, &roomy));
    assert_int_equal(a.question_id, 1);
    assert_int_equal(a.answer_id, 2);
    assert_int_equal(b.question_id, 3);
    assert_int_equal(b.answer_id, 0);
    assert_int_equal(c.question_id, 4);
    assert_int_equal(c.answer_id, 5);
    assert_int_equal(again.question_id, 1);
    assert_int_equal(again.answer_id, 2);
    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->message_ids, 5);
    assert_int_equal(conversation->n_turns, 3);
    buf_deinit(&stored);
}

static void completes_what_was_asked_in_its_place(void **state)
{
    struct buf stored = {0};
    Parley__ConversationTurn a = asked_of("a", "one?", true), b = asked_of("b", "two?", true);
    assert_true(ask(*state, &stored, &a, &roomy));
    assert_true(ask(*state, &stored, &b, &roomy));
    Parley__ConversationTurn done = turn_of("a", "as the agent has it", "one!");
    done.answer_id = a.answer_id;
    done.started_ms = 7;
    assert_true(append(*state, &stored, &done, &roomy));
    assert_false(append(*state, &stored, &done, &roomy));

    const Parley__Conversation *conversation = unpack(*state, &stored);
    const Parley__ConversationTurn *first = conversation->turns[0];
    assert_int_equal(conversation->n_turns, 2);
    assert_int_equal(conversation->message_ids, 4);
    assert_string_equal(first->turn, "a");
    assert_memory_equal(first->question.data, "one?", 4);
    assert_memory_equal(first->answer.data, "one!", 4);
    assert_memory_equal(first->chain.data, "[1]", 3);
    assert_string_equal(first->connection, "someone");
    assert_int_equal(first->state, PARLEY__TURN_STATE__TURN_STATE_COMPLETED);
    assert_int_equal(first->question_id, 1);
    assert_int_equal(first->answer_id, 2);
    assert_int_equal(first->started_ms, 7);
    assert_int_equal(conversation->turns[1]->state, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    buf_deinit(&stored);
}

static void keeps_nothing_of_what_was_reset_meanwhile(void **state)
{
    struct buf stored = {0};
    Parley__ConversationTurn done = turn_of("a", "one?", "one!");
    done.answer_id = 2;
    assert_false(append(*state, &stored, &done, &roomy));
    assert_int_equal(stored.len, 0);
}

/* An agent that has not heard that its turn was saved comes again with it. */
static void a_turn_that_has_gone_does_not_come_back(void **state)
{
    const struct conversation_limits limits = {.max_turns = 2, .max_bytes = 4096};
    struct buf stored = {0};
    Parley__ConversationTurn first = turn_of("first", "one?", "one!");
    assert_true(append(*state, &stored, &first, &limits));
    for (int i = 0; i < CONVERSATION_GONE_MAX + 1; i++)
        append_numbered(*state, &stored, i, "answer", &limits);
    assert_false(append(*state, &stored, &first, &limits));
    append_numbered(*state, &stored, 99, "answer", &limits);
    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->n_turns, 2);
    assert_string_equal(conversation->turns[1]->turn, "turn-99");
    assert_int_equal(conversation->n_gone, CONVERSATION_GONE_MAX);
    buf_deinit(&stored);
}

static void leaves_out_a_chain_that_is_too_large(void **state)
{
    const struct conversation_limits limits = {.max_turns = 100, .max_bytes = 4096};
    char *large = wide_text(5000);
    struct buf stored = {0};
    Parley__ConversationTurn a = asked_of("a", "[Image]", true);
    a.chain = text_of(large);
    assert_true(ask(*state, &stored, &a, &limits));
    Parley__Conversation *conversation = unpack(*state, &stored);
    assert_int_equal(conversation->turns[0]->chain.len, 0);
    assert_int_equal(conversation->turns[0]->question.len, 7);
    buf_deinit(&stored);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_the_order_and_every_field, setup, teardown),
        cmocka_unit_test_setup_teardown(stores_a_turn_id_once, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_the_oldest_above_the_number, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_the_oldest_above_the_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_a_newest_turn_that_is_too_large_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_a_short_question_whole_beside_a_large_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_out_tool_steps_before_it_cuts_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_questions_and_answers_from_1, setup, teardown),
        cmocka_unit_test_setup_teardown(completes_what_was_asked_in_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_nothing_of_what_was_reset_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_that_has_gone_does_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_out_a_chain_that_is_too_large, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
