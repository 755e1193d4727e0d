#include "dialect_fixture.h"
#include "dialect_rest.h"

#define LANGBOT  (&dialect_langbot)
#define PIPELINE "11111111-1111-4111-8111-111111111111"
#define PATH     "/api/v1/pipelines/" PIPELINE "/ws/connect"

static void assert_error(const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected, "{\"type\":\"error\",\"message\":\"%s\"}", message);
    assert_frame(expected);
}

static void open_session(const char *type)
{
    argument_value = type;
    open_at(LANGBOT, PATH, "session_type");
    argument_value = NULL;
}

static int open_person(void **state)
{
    (void)state;
    open_session(NULL);
    return 0;
}

static int open_group(void **state)
{
    (void)state;
    open_session("group");
    return 0;
}

/* ---- The connection */

static void test_paths(void **state)
{
    (void)state;
    assert_ptr_equal(dialect_at(PATH), LANGBOT);
    assert_ptr_equal(dialect_at("/api/v1/pipelines/x/ws/connect"), LANGBOT);
    assert_null(dialect_at("/api/v1/pipelines//ws/connect"));
    assert_null(dialect_at("/api/v1/pipelines/a/b/ws/connect"));
    assert_null(dialect_at("/api/v1/pipelines/a/ws/connect/"));
    assert_null(dialect_at("/api/v1/pipelines/a/ws/"));
    assert_null(dialect_at("/api/v1/pipelines/a"));
}

static void assert_joins(const char *type)
{
    char expected[256];
    assert_int_equal(request.kind, DIALECT_JOIN);
    assert_string_equal(request.pipeline, PIPELINE);
    assert_string_equal(client.name, PIPELINE);
    assert_int_equal(out.count, 0);
    int len = snprintf(expected, sizeof expected, "langbot%c" PIPELINE "%c%s", 0, 0, type);
    assert_buf(&client.room, expected, (size_t)len);
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_JOINED});
    snprintf(expected, sizeof expected,
             "{\"type\":\"connected\",\"connection_id\":\"" CLIENT_ID "\",\"pipeline_uuid\":\"" PIPELINE
             "\",\"session_type\":\"%s\",\"timestamp\":\"" NOW_ISO "\"}",
             type);
    assert_frame(expected);
    dialect_client_deinit(&client);
}

static void test_joining(void **state)
{
    (void)state;
    open_session(NULL);
    assert_joins("person");
    open_session("person");
    assert_joins("person");
    open_session("group");
    assert_joins("group");
    assert_false(dialect_langbot.serial);
    assert_int_equal(dialect_langbot.room_text, DIALECT_CUMULATIVE);
}

static void test_not_joining(void **state)
{
    (void)state;
    static const char *const types[] = {"", "Person", "group ", "all", "\xff"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        open_session(types[i]);
        assert_int_equal(request.kind, DIALECT_CLOSE);
        assert_error("session_type must be person or group");
    }
    open_at(LANGBOT, "/api/v1/pipelines/no such \xff/ws/connect", "");
    assert_int_equal(request.kind, DIALECT_CLOSE);
    assert_error("Pipeline not found");
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_NO_PIPELINE});
    assert_error("Pipeline not found");
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_JOIN_FAILED, .reason = SPAN("later")});
    assert_error("later");
}

static void test_small_talk(void **state)
{
    (void)state;
    decode_text(LANGBOT, "{\"type\":\"ping\"}");
    assert_refused("{\"type\":\"pong\",\"timestamp\":\"" NOW_ISO "\"}");
    decode_text(LANGBOT, "{\"type\":\"disconnect\"}");
    assert_int_equal(request.kind, DIALECT_CLOSE);
    assert_int_equal(out.count, 0);
}

/* ---- Messages */

static void say(const char *chain)
{
    struct buf text = {0};
    buf_printf(&text, "{\"message\":%s}", chain);
    decode(LANGBOT, text.data, text.len, false);
    buf_deinit(&text);
}

static void test_message(void **state)
{
    (void)state;
    const char *chain = "[{\"type\":\"Plain\",\"text\":\"a\\u0000你\",\"more\":[1]}]";
    say(chain);
    assert_question("a\0你", 5);
    assert_int_equal(request.text, DIALECT_CUMULATIVE);
    assert_true(request.in_room);
    assert_true(request.counted);
    assert_false(request.no_answer);
    assert_true(request.use_tools);
    assert_string_equal(request.pipeline, PIPELINE);
    assert_buf(&request.conversation, client.room.data, client.room.len);
    assert_json(parse(request.chain.data, request.chain.len), chain);
    decode_text(LANGBOT, "{\"type\":\"message\",\"message\":[{\"type\":\"Plain\",\"text\":\"hi\"}],\"stream\":false}");
    assert_question("hi", 2);
    assert_int_equal(request.text, DIALECT_WHOLE);
    decode_text(LANGBOT, "{\"message\":[{\"type\":\"Plain\",\"text\":\"hi\"}],\"stream\":null}");
    assert_int_equal(request.text, DIALECT_CUMULATIVE);
}

static void test_rendering(void **state)
{
    (void)state;
    static const char *const chains[][2] = {
        {"[{\"type\":\"At\",\"target\":\"websocketbot\"},{\"type\":\"Plain\",\"text\":\" hi\"}]", "@websocketbot hi"},
        {"[{\"type\":\"At\",\"target\":7}]", "@7"},
        {"[{\"type\":\"At\",\"target\":\"a\",\"display\":\"Ann\"}]", "@Ann"},
        {"[{\"type\":\"At\",\"target\":\"a\",\"display\":\"\"}]", "@a"},
        {"[{\"type\":\"At\",\"target\":\"a\",\"display\":null}]", "@a"},
        {"[{\"type\":\"AtAll\"}]", "@All"},
        {"[{\"type\":\"Image\",\"url\":null,\"base64\":\"data:image/png;base64,AA==\"}]", "[Image]"},
        {"[{\"type\":\"Image\"},{\"type\":\"Plain\",\"text\":\"\"}]", "[Image]"},
        {"[{\"type\":\"Voice\",\"path\":\"p\"}]", "[Voice]"},
        {"[{\"type\":\"File\",\"name\":\"a.txt\",\"size\":7,\"url\":\"u\"}]", "[File]a.txt"},
        {"[{\"type\":\"Forward\",\"node_list\":[]}]", "[Chat history]"},
        {"[{\"type\":\"Source\",\"id\":1,\"time\":2},{\"type\":\"Quote\",\"origin\":[{\"type\":\"Plain\",\"text\":"
         "\"q\"}]},"
         "{\"type\":\"Plain\",\"text\":\"x\"}]",
         "x"},
        {"[{\"type\":\"Unknown\",\"text\":\"t\"}]", "Unknown Message: t"},
        {"[{\"type\":\"Sticker\",\"id\":7}]", "Unknown Message: Sticker"},
    };
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        say(chains[i][0]);
        assert_question(chains[i][1], strlen(chains[i][1]));
        assert_json(parse(request.chain.data, request.chain.len), chains[i][0]);
    }
}

static void test_group_rule(void **state)
{
    (void)state;
    static const struct {
        const char *chain;
        bool answered;
    } rows[] = {
        {"[{\"type\":\"Plain\",\"text\":\"hello\"}]", false},
        {"[{\"type\":\"Plain\",\"text\":\"hello ai\"}]", false},
        {"[{\"type\":\"Plain\",\"text\":\"a\"}]", false},
        {"[{\"type\":\"Plain\",\"text\":\"AI hello\"}]", false},
        {"[{\"type\":\"Plain\",\"text\":\"ai hello\"}]", true},
        {"[{\"type\":\"Plain\",\"text\":\"ai\"}]", true},
        {"[{\"type\":\"Plain\",\"text\":\"hello \"},{\"type\":\"At\",\"target\":\"websocketbot\"}]", true},
        {"[{\"type\":\"At\",\"target\":\"somebody\"},{\"type\":\"Plain\",\"text\":\"ai\"}]", false},
        {"[{\"type\":\"AtAll\"}]", false},
        {"[{\"type\":\"Plain\",\"text\":\"x\",\"target\":\"websocketbot\"}]", false},
        {"[{\"type\":\"Quote\",\"origin\":[{\"type\":\"At\",\"target\":\"websocketbot\"}]},"
         "{\"type\":\"Plain\",\"text\":\"x\"}]",
         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        say(rows[i].chain);
        assert_int_equal(request.kind, DIALECT_ASK);
        assert_int_equal(request.no_answer, !rows[i].answered);
    }
}

/* A pipeline may have a rule of its own. */
static void test_configured_group_rule(void **state)
{
    (void)state;
    client.group_trigger = strdup("bot,");
    client.group_mention = strdup("bot");
    say("[{\"type\":\"Plain\",\"text\":\"bot, hello\"}]");
    assert_false(request.no_answer);
    say("[{\"type\":\"At\",\"target\":\"bot\"}]");
    assert_false(request.no_answer);
    say("[{\"type\":\"Plain\",\"text\":\"ai hello\"}]");
    assert_true(request.no_answer);
    say("[{\"type\":\"At\",\"target\":\"websocketbot\"}]");
    assert_true(request.no_answer);
}

static void test_bad_messages(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"message\":null}", "message is required"},
        {"{}", "message is required"},
        {"{\"message\":[]}", "message is empty"},
        {"{\"message\":[{\"type\":\"Plain\",\"text\":\" \\u3000\"}]}", "message is empty"},
        {"{\"message\":[{\"type\":\"Quote\",\"origin\":[]}]}", "message is empty"},
        {"{\"message\":[{\"type\":\"Plain\",\"text\":\"a\"}],\"stream\":1}", "stream must be a boolean"},
        {"{\"type\":7}", "Unknown message type: None"},
        {"{\"type\":null,\"message\":[{\"type\":\"Plain\",\"text\":\"a\"}]}", "Unknown message type: None"},
        {"{\"type\":\"dance\\u0000\"}", "Unknown message type: dance\\u0000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        decode_text(LANGBOT, rows[i][0]);
        assert_int_equal(request.kind, DIALECT_NOTHING);
        assert_error(rows[i][1]);
    }
    static const char *const chains[] = {
        "\"hi\"",
        "{}",
        "7",
        "[\"hi\"]",
        "[{}]",
        "[{\"type\":7}]",
        "[{\"type\":\"Plain\"}]",
        "[{\"type\":\"Plain\",\"text\":7}]",
        "[{\"type\":\"At\"}]",
        "[{\"type\":\"At\",\"target\":1.5}]",
        "[{\"type\":\"At\",\"target\":\"a\",\"display\":7}]",
        "[{\"type\":\"Image\",\"url\":7}]",
        "[{\"type\":\"Image\",\"base64\":[]}]",
        "[{\"type\":\"Voice\",\"path\":{}}]",
        "[{\"type\":\"File\",\"size\":\"7\"}]",
        "[{\"type\":\"Quote\"}]",
        "[{\"type\":\"Quote\",\"origin\":[{\"type\":\"Plain\",\"text\":7}]}]",
        "[{\"type\":\"Unknown\"}]",
    };
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        say(chains[i]);
        assert_int_equal(request.kind, DIALECT_NOTHING);
        assert_error("message must be a list of components");
    }
}

static void test_hostile(void **state)
{
    (void)state;
    decode_text(LANGBOT, "[]");
    assert_refused("{\"type\":\"error\",\"message\":\"Invalid JSON format\"}");
    assert_refuses_garbage(LANGBOT, "{\"type\":\"error\",\"message\":\"Invalid JSON format\"}");
    decode_large(LANGBOT, "{\"message\":[{\"type\":\"Plain\",\"text\":\"", "\"}]}");
    assert_int_equal(request.question_len, 1 << 20);
    decode_large(LANGBOT, "{\"message\":[{\"type\":\"Image\",\"base64\":\"", "\"}]}");
    assert_question("[Image]", 7);
    assert_true(request.chain.len > 1 << 20);
    struct buf deep = {0};
    repeat(&deep, "[{\"type\":\"Quote\",\"origin\":", 20);
    buf_append_text(&deep, "[{\"type\":\"Plain\",\"text\":\"a\"}]");
    repeat(&deep, "}]", 20);
    say(deep.data);
    buf_deinit(&deep);
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_error("message is empty");
}

/* ---- What it is told */

static void test_echo(void **state)
{
    (void)state;
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_ROOM_MESSAGE,
                                            .message_id = 7,
                                            .text = SPAN("a\0\"你"),
                                            .data = SPAN("[{\"type\":\"At\",\"target\":7}]"),
                                            .connection = FRESH_ID,
                                            .when = NOW});
    assert_frame(
        "{\"type\":\"user_message\",\"session_type\":\"group\",\"data\":{\"id\":7,\"role\":\"user\",\"content\":"
        "\"a\\u0000\\\"你\",\"message_chain\":[{\"type\":\"At\",\"target\":7}],\"timestamp\":\"" NOW_ISO
        "\",\"is_final\":true,\"connection_id\":\"" FRESH_ID "\"}}");
    tell(LANGBOT,
         (struct dialect_occasion){
             .kind = DIALECT_ROOM_MESSAGE, .message_id = 8, .text = SPAN("x"), .connection = "c", .when = NOW});
    assert_frame(
        "{\"type\":\"user_message\",\"session_type\":\"group\",\"data\":{\"id\":8,\"role\":\"user\",\"content\":"
        "\"x\",\"message_chain\":[{\"type\":\"Plain\",\"text\":\"x\"}],\"timestamp\":\"" NOW_ISO
        "\",\"is_final\":true,\"connection_id\":\"c\"}}");
}

static void assert_response(const char *text, bool is_final)
{
    char expected[512];
    snprintf(
        expected, sizeof expected,
        "{\"type\":\"response\",\"session_type\":\"person\",\"data\":{\"id\":9,\"role\":\"assistant\",\"content\":"
        "\"%s\",\"message_chain\":[{\"type\":\"Plain\",\"text\":\"%s\"}],\"timestamp\":\"2025-11-21T04:23:55.000000\","
        "\"is_final\":%s,\"connection_id\":\"\"}}",
        text, text, is_final ? "true" : "false");
    assert_frame(expected);
}

static void test_answer(void **state)
{
    (void)state;
    struct dialect_occasion occasion = {.message_id = 9, .when = 1763699035, .text = SPAN("b"), .all = SPAN("a\0b")};
    say("[{\"type\":\"Plain\",\"text\":\"hi\"}]");
    dialect_request_forget_question(&request);
    static const enum dialect_occasion_kind silent[] = {DIALECT_TAKEN_UP, DIALECT_STARTED, DIALECT_TOOL_STARTED,
                                                        DIALECT_TOOL_FINISHED, DIALECT_IDLE};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        occasion.kind = silent[i];
        tell(LANGBOT, occasion);
        assert_int_equal(out.count, 0);
    }
    occasion.kind = DIALECT_TEXT;
    tell(LANGBOT, occasion);
    assert_response("a\\u0000b", false);
    occasion.kind = DIALECT_COMPLETED;
    tell(LANGBOT, occasion);
    assert_response("a\\u0000b", true);
    occasion.kind = DIALECT_CANCELLED;
    tell(LANGBOT, occasion);
    assert_response("a\\u0000b", true);
    occasion.message_id = 0;
    tell(LANGBOT, occasion);
    assert_error("cancelled");
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_FAILED, .reason = SPAN("the \"model\"")});
    assert_error("the \\\"model\\\"");
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_REFUSED, .reason = SPAN("slower")});
    assert_error("slower");
}

static void test_broadcast(void **state)
{
    (void)state;
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_BROADCAST, .data = SPAN("{\"a\":[1,null]}"), .when = NOW});
    assert_frame("{\"type\":\"broadcast\",\"message\":{\"a\":[1,null]},\"timestamp\":\"" NOW_ISO "\"}");
}

static void test_extension(void **state)
{
    (void)state;
    const struct dialect_occasion step = {.kind = DIALECT_TOOL_STARTED, .tool = SPAN("t"), .call = SPAN("c")};
    decode_text(LANGBOT, "{\"type\":\"cancel\"}");
    assert_error("Unknown message type: cancel");
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_NOTED});
    assert_int_equal(out.count, 0);
    client.extended = true;
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_NOTED});
    assert_frame("{\"type\":\"noted\"}");
    decode_text(LANGBOT, "{\"type\":\"cancel\"}");
    assert_int_equal(request.kind, DIALECT_CANCEL);
    tell(LANGBOT, (struct dialect_occasion){.kind = DIALECT_CANCEL_DONE});
    assert_frame("{\"type\":\"cancelled\",\"timestamp\":1763699036.25}");
    tell(LANGBOT, step);
    assert_frame("{\"type\":\"tool\",\"id\":\"c\",\"name\":\"t\",\"status\":\"running\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_paths, reset),
        cmocka_unit_test_teardown(test_joining, reset),
        cmocka_unit_test_teardown(test_not_joining, reset),
        cmocka_unit_test_setup_teardown(test_small_talk, open_person, reset),
        cmocka_unit_test_setup_teardown(test_message, open_person, reset),
        cmocka_unit_test_setup_teardown(test_rendering, open_person, reset),
        cmocka_unit_test_setup_teardown(test_group_rule, open_group, reset),
        cmocka_unit_test_setup_teardown(test_configured_group_rule, open_group, reset),
        cmocka_unit_test_setup_teardown(test_bad_messages, open_person, reset),
        cmocka_unit_test_setup_teardown(test_hostile, open_person, reset),
        cmocka_unit_test_setup_teardown(test_echo, open_group, reset),
        cmocka_unit_test_setup_teardown(test_answer, open_person, reset),
        cmocka_unit_test_setup_teardown(test_broadcast, open_person, reset),
        cmocka_unit_test_setup_teardown(test_extension, open_person, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
