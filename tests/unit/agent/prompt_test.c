#include "prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) ((ProtobufCBinaryData){sizeof(text) - 1, (uint8_t *)(text)})

struct fixture {
    Parley__Job job;
    Parley__Persona persona;
    Parley__Conversation conversation;
    Parley__ConversationTurn turns[2];
    Parley__ConversationTurn *pointers[2];
    struct transcript transcript;
    struct prompt_input input;
    struct prompt_draft draft;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){0};
    parley__job__init(&f->job);
    parley__persona__init(&f->persona);
    parley__conversation__init(&f->conversation);
    f->job.turn = (char *)"turn";
    f->job.question = BYTES("why?");
    f->job.persona = &f->persona;
    f->persona.system_prompt = BYTES("be kind");
    for (int i = 0; i < 2; i++) {
        parley__conversation_turn__init(&f->turns[i]);
        f->turns[i].turn = (char *)(i == 0 ? "t0" : "t1");
        f->turns[i].question = i == 0 ? BYTES("q0") : BYTES("q1");
        f->turns[i].answer = i == 0 ? BYTES("a0") : BYTES("a1");
        f->pointers[i] = &f->turns[i];
    }
    f->conversation.n_turns = 2;
    f->conversation.turns = f->pointers;
    f->input = (struct prompt_input){.job = &f->job,
                                     .conversation = &f->conversation,
                                     .transcript = &f->transcript,
                                     .model = "m",
                                     .budget_tokens = 1000};
}

static void teardown(struct fixture *f)
{
    prompt_draft_deinit(&f->draft);
    transcript_deinit(&f->transcript);
}

static void assert_message(const struct fixture *f, size_t i, enum role role, const char *text)
{
    assert_true(i < f->draft.prompt.message_count);
    const struct prompt_message *message = &f->draft.prompt.messages[i];
    assert_int_equal(message->role, role);
    assert_int_equal(message->len, strlen(text));
    assert_memory_equal(message->text, text, strlen(text));
}

static void test_order(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.persona.options = BYTES("{\"temperature\":0}");
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 6);
    assert_message(&f, 0, ROLE_SYSTEM, "be kind");
    assert_message(&f, 1, ROLE_USER, "q0");
    assert_message(&f, 2, ROLE_ASSISTANT, "a0");
    assert_message(&f, 3, ROLE_USER, "q1");
    assert_message(&f, 4, ROLE_ASSISTANT, "a1");
    assert_message(&f, 5, ROLE_USER, "why?");
    assert_string_equal(f.draft.prompt.options, "{\"temperature\":0}");
    assert_string_equal(f.draft.prompt.model, "m");
    teardown(&f);
}

static void test_nothing_said_before(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.job.persona = NULL;
    f.input.conversation = NULL;
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 1);
    assert_message(&f, 0, ROLE_USER, "why?");
    assert_null(f.draft.prompt.options);
    teardown(&f);
}

static void test_the_oldest_is_left_out_first_and_the_question_never(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.input.budget_tokens = 2 + 1 + 2; /* be kind; why?; q1 and a1 */
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 4);
    assert_message(&f, 1, ROLE_USER, "q1");
    prompt_draft_deinit(&f.draft);
    f.input.budget_tokens = 1;
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 2);
    assert_message(&f, 1, ROLE_USER, "why?");
    teardown(&f);
}

static void test_own_unanswered_and_unreadable_turns_are_left_out(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.turns[0].turn = (char *)"turn";
    f.turns[1].answer = BYTES("\xff");
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 2);
    teardown(&f);
}

static void test_rounds_and_what_was_said_between(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.input.conversation = NULL;
    buf_append_text(&f.transcript.text, "let me see ");
    transcript_add(&f.transcript, 1, "turn-1-0", "calculator", "{\"expression\":\"1+1\"}", 20);
    transcript_add(&f.transcript, 1, "turn-1-1", "clock", "{}", 2);
    transcript_finish(&f.transcript, 0, true, "2", 1);
    transcript_finish(&f.transcript, 1, false, "broken", 6);
    transcript_add(&f.transcript, 2, "turn-2-0", "clock", "{}", 2);
    transcript_finish(&f.transcript, 2, true, "\"noon\"", 6);
    buf_append_text(&f.transcript.text, "it is");
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 8);
    assert_message(&f, 2, ROLE_ASSISTANT, "let me see ");
    assert_int_equal(f.draft.prompt.messages[2].call_count, 2);
    assert_string_equal(f.draft.prompt.messages[2].calls[1].name, "clock");
    assert_message(&f, 3, ROLE_TOOL, "2");
    assert_message(&f, 4, ROLE_TOOL, "broken");
    assert_string_equal(f.draft.prompt.messages[4].call_id, f.draft.prompt.messages[2].calls[1].id);
    assert_message(&f, 5, ROLE_ASSISTANT, "");
    assert_int_equal(f.draft.prompt.messages[5].call_count, 1);
    assert_message(&f, 6, ROLE_TOOL, "\"noon\"");
    assert_message(&f, 7, ROLE_ASSISTANT, "it is"); /* to go on from */
    teardown(&f);
}

static void test_a_model_that_must_be_asked_to_go_on(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.input.conversation = NULL;
    f.input.continuation = CONTINUE_ASK;
    prompt_draft_init(&f.draft, &f.input);
    assert_false(f.draft.asks_to_go_on); /* it has said nothing */
    prompt_draft_deinit(&f.draft);
    buf_append_text(&f.transcript.text, "it is");
    prompt_draft_init(&f.draft, &f.input);
    assert_true(f.draft.asks_to_go_on);
    assert_int_equal(f.draft.prompt.message_count, 4);
    assert_message(&f, 2, ROLE_ASSISTANT, "it is");
    assert_int_equal(f.draft.prompt.messages[3].role, ROLE_USER);
    teardown(&f);
}

static void test_a_character_that_is_not_ascii_is_a_token(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.turns[0].answer = BYTES("\xe4\xbd\xa0\xe5\xa5\xbd"); /* 你好 */
    f.input.budget_tokens = 2 + 1 + 2 + 3;
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 6);
    prompt_draft_deinit(&f.draft);
    f.input.budget_tokens--;
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 4);
    teardown(&f);
}

static void test_what_is_being_answered_is_left_out_and_what_wanted_no_answer_is_not(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.turns[0].answer = f.turns[1].answer = (ProtobufCBinaryData){0};
    f.turns[0].state = PARLEY__TURN_STATE__TURN_STATE_RUNNING;
    f.turns[1].state = PARLEY__TURN_STATE__TURN_STATE_UNKNOWN;
    f.input.budget_tokens = 2 + 1 + 1;
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 3);
    assert_message(&f, 1, ROLE_USER, "q1");
    assert_message(&f, 2, ROLE_USER, "why?");
    teardown(&f);
}

static void test_the_questions_images_go_with_it(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    f.job.chain = BYTES("[{\"type\":\"Plain\",\"text\":\"why?\"},{\"type\":\"Image\",\"url\":\"https://a/b.png\"}]");
    f.input.budget_tokens = 2000;
    prompt_draft_init(&f.draft, &f.input);
    const struct prompt_message *question = &f.draft.prompt.messages[5];
    assert_int_equal(question->image_count, 1);
    assert_string_equal(question->images[0], "https://a/b.png");
    prompt_draft_deinit(&f.draft);
    f.input.budget_tokens = 2 + 1 + 1000 + 2;
    prompt_draft_init(&f.draft, &f.input);
    assert_int_equal(f.draft.prompt.message_count, 4);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_nothing_said_before),
        cmocka_unit_test(test_the_oldest_is_left_out_first_and_the_question_never),
        cmocka_unit_test(test_own_unanswered_and_unreadable_turns_are_left_out),
        cmocka_unit_test(test_a_model_that_must_be_asked_to_go_on),
        cmocka_unit_test(test_a_character_that_is_not_ascii_is_a_token),
        cmocka_unit_test(test_what_is_being_answered_is_left_out_and_what_wanted_no_answer_is_not),
        cmocka_unit_test(test_the_questions_images_go_with_it),
        cmocka_unit_test(test_rounds_and_what_was_said_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
