#include "job.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static ProtobufCBinaryData bytes_of(const char *bytes, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)bytes};
}

static void carries_the_question_and_the_persona(void **state)
{
    (void)state;
    Parley__Ask ask = PARLEY__ASK__INIT;
    ask.turn = (char[]){"turn-1"};
    ask.gateway = (char[]){"gateway-1"};
    ask.connection = (char[]){"connection-1"};
    ask.conversation = bytes_of("agent\0connection-1", 18);
    ask.question = bytes_of("what\0is?", 8);
    ask.credential = bytes_of("token", 5);
    ask.dialect = (char[]){"agent_engine"};
    ask.use_tools = true;
    ask.room = (char[]){"room-1"};
    ask.chain = bytes_of("[]", 2);
    struct config_choice choice = {.persona = PARLEY__PERSONA__INIT};
    choice.persona.name = (char[]){"kind"};
    choice.persona.system_prompt = bytes_of("be kind", 7);
    struct buf packed = {0};
    job_pack(&ask, &choice, 1000, 31000, &packed);
    job_set_message_id(&packed, 4242);

    struct wire_arena *arena = wire_arena_new(1 << 20);
    Parley__Job *job;
    assert_int_equal(wire_unpack(arena, &parley__job__descriptor, packed.data, packed.len, &job), ERR_NONE);
    assert_string_equal(job->turn, "turn-1");
    assert_string_equal(job->gateway, "gateway-1");
    assert_string_equal(job->connection, "connection-1");
    assert_string_equal(job->dialect, "agent_engine");
    assert_int_equal(job->question.len, 8);
    assert_memory_equal(job->question.data, "what\0is?", 8);
    assert_int_equal(job->credential.len, 5);
    assert_int_equal(job->asked_ms, 1000);
    assert_int_equal(job->start_deadline_ms, 31000);
    assert_true(job->use_tools);
    assert_non_null(job->persona);
    assert_string_equal(job->persona->name, "kind");
    assert_string_equal(job->room, "room-1");
    assert_int_equal(job->chain.len, 2);
    assert_int_equal(job->message_id, 4242);
    assert_true(job->persona->system_prompt.len > 0);
    assert_int_equal(job->persona->n_tools, 0);

    char key[ID_HASH_SIZE];
    job_conversation_key(&ask.conversation, key);
    assert_string_equal(job->conversation, key);
    wire_arena_free(&arena);
    buf_deinit(&packed);
}

static void uses_no_tools_where_none_is_allowed(void **state)
{
    (void)state;
    Parley__Ask ask = PARLEY__ASK__INIT;
    ask.use_tools = true;
    struct config_choice choice = {.persona = PARLEY__PERSONA__INIT, .no_tools = true};
    struct buf packed = {0};
    job_pack(&ask, &choice, 1000, 31000, &packed);
    struct wire_arena *arena = wire_arena_new(1 << 20);
    Parley__Job *job;
    assert_int_equal(wire_unpack(arena, &parley__job__descriptor, packed.data, packed.len, &job), ERR_NONE);
    assert_false(job->use_tools);
    wire_arena_free(&arena);
    buf_deinit(&packed);
}

static void keeps_conversations_apart_by_all_bytes_of_their_names(void **state)
{
    (void)state;
    char a[ID_HASH_SIZE], b[ID_HASH_SIZE];
    ProtobufCBinaryData one = bytes_of("user\0a", 6), other = bytes_of("user\0b", 6);
    job_conversation_key(&one, a);
    job_conversation_key(&other, b);
    assert_string_not_equal(a, b);
    assert_true(id_is_token_text(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_the_question_and_the_persona),
        cmocka_unit_test(uses_no_tools_where_none_is_allowed),
        cmocka_unit_test(keeps_conversations_apart_by_all_bytes_of_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
