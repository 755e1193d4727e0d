#include "dialect_fixture.h"
#include "dialect_rest.h"

#define YYCHAT (&dialect_yychat)
#define OWN    "\"client_id\":\"" CLIENT_ID "\",\"timestamp\":1763699036.25}"

static void assert_message_error(const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected,
             "{\"type\":\"error\",\"error\":{\"message\":\"%s\",\"type\":\"message_processing_error\","
             "\"code\":\"invalid_message\"},\"timestamp\":1763699036.25}",
             message);
    assert_refused(expected);
}

static void assert_answer_error(const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected,
             "{\"type\":\"error\",\"error\":{\"message\":\"%s\",\"type\":\"text_processing_error\","
             "\"code\":\"text_processing_failed\"}," OWN,
             message);
    assert_frame(expected);
}

static void ask(const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "{\"type\":\"text_message\",\"content\":\"hi\"%s}", fields);
    decode_text(YYCHAT, text);
}

static void test_opening(void **state)
{
    (void)state;
    assert_null(dialect_at("/ws/chat/"));
    open_at(YYCHAT, "/ws/chat", "");
    assert_refused("{\"type\":\"connection_established\",\"message\":\"连接已建立\"," OWN);
    assert_int_equal(client.room.len, 0);
    assert_true(dialect_yychat.times_out);
    assert_true(dialect_yychat.serial);
}

static void test_replies(void **state)
{
    (void)state;
    decode_text(YYCHAT, "{\"type\":\"ping\",\"more\":[1,{}]}");
    assert_refused("{\"type\":\"pong\"," OWN);
    decode_text(YYCHAT, "{\"type\":\"heartbeat\",\"client_id\":\"" CLIENT_ID "\",\"timestamp\":1}");
    assert_refused("{\"type\":\"heartbeat_response\"," OWN);
    decode_text(YYCHAT, "{\"type\":\"ping\",\"client_id\":null}");
    assert_refused("{\"type\":\"pong\"," OWN);
}

static void test_status(void **state)
{
    (void)state;
    const struct dialect_counts counts = {
        .active = 3, .total = 8, .frames_sent = 99, .max_connections = 100, .uptime_seconds = 12.5};
    decode_text(YYCHAT, "{\"type\":\"get_status\"}");
    assert_int_equal(request.kind, DIALECT_GET_STATUS);
    assert_int_equal(out.count, 0);
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_STATUS, .counts = &counts});
#define DATA                                                                                                    \
    "\"data\":{\"total_connections\":8,\"active_connections\":3,\"total_messages\":99,\"max_connections\":100," \
    "\"uptime\":12.5}"
    assert_frame("{\"type\":\"status_response\"," DATA "," OWN);
    assert_json(yychat_status(&counts), "{\"status\":\"success\"," DATA "}");
}

static void test_handlers(void **state)
{
    (void)state;
    const char *const middleware[] = {"authentication", "rate_limit", "logging"};
    json_t *reply = yychat_handlers(middleware, 3);
    const json_t *data = json_object_get(reply, "data"), *handlers = json_object_get(data, "handlers");
    assert_string_equal(json_get_text(reply, "status", NULL), "success");
    static const char *const types[] = {"ping", "heartbeat", "get_status", "text_message"};
    assert_int_equal(json_object_size(handlers), 4);
    for (size_t i = 0; i < 4; i++)
        assert_non_null(json_get_text(handlers, types[i], NULL));
    assert_json(json_incref(json_object_get(data, "middleware")), "[\"authentication\",\"rate_limit\",\"logging\"]");
    json_decref(reply);
    assert_json(yychat_failure("no"), "{\"status\":\"error\",\"message\":\"no\"}");
}

static void test_streamed_answer(void **state)
{
    (void)state;
    decode_text(YYCHAT, "{\"type\":\"text_message\",\"content\":\"a\\u0000b \\ud83d\\ude00\"}");
    assert_question("a\0b \xf0\x9f\x98\x80", 8);
    assert_int_equal(request.text, DIALECT_DELTAS);
    assert_true(request.use_tools);
    assert_null(request.persona);
    assert_false(request.in_room);
    assert_buf_is(&request.conversation, "connection\0" CLIENT_ID);
    dialect_request_forget_question(&request);
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_TAKEN_UP});
    assert_frame("{\"type\":\"processing_start\"," OWN);
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_STARTED});
    assert_frame("{\"type\":\"stream_start\"," OWN);
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_TEXT, .text = SPAN("\"\\\n\0\x01你"), .all = SPAN("x")});
    assert_frame("{\"type\":\"stream_chunk\",\"content\":\"\\\"\\\\\\n\\u0000\\u0001你\"," OWN);
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_COMPLETED, .all = SPAN("a\0你")});
    assert_frame("{\"type\":\"stream_end\",\"full_content\":\"a\\u0000你\"," OWN);
}

static void test_whole_answer(void **state)
{
    (void)state;
    static const char *const ids[][2] = {{"", "null"},
                                         {",\"conversation_id\":null", "null"},
                                         {",\"conversation_id\":\"\"", "\"\""},
                                         {",\"conversation_id\":\"c\\u0000\\\"你\"", "\"c\\u0000\\\"你\""}};
    for (size_t i = 0; i < 4; i++) {
        char fields[128], expected[256];
        snprintf(fields, sizeof fields, ",\"stream\":false%s", ids[i][0]);
        ask(fields);
        assert_question("hi", 2);
        assert_int_equal(request.text, DIALECT_WHOLE);
        dialect_request_forget_question(&request);
        tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_TAKEN_UP});
        assert_frame("{\"type\":\"processing_start\"," OWN);
        tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_STARTED});
        assert_int_equal(out.count, 0);
        tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_COMPLETED, .all = SPAN("yes")});
        snprintf(expected, sizeof expected,
                 "{\"type\":\"text_response\",\"content\":\"yes\",\"conversation_id\":%s," OWN, ids[i][1]);
        assert_frame(expected);
    }
}

static void test_choices(void **state)
{
    (void)state;
    ask(",\"personality_id\":\"pirate\",\"use_tools\":false,\"stream\":true,\"conversation_id\":\"c\"");
    assert_question("hi", 2);
    assert_string_equal(request.persona, "pirate");
    assert_false(request.use_tools);
    assert_buf_is(&request.conversation, "yychat\0\0c");
    client.user = strdup("ann");
    ask(",\"conversation_id\":\"c\\u0000d\"");
    assert_buf_is(&request.conversation, "yychat\0ann\0c\0d");
    ask(",\"personality_id\":null,\"use_tools\":null,\"stream\":null");
    assert_question("hi", 2);
    assert_null(request.persona);
    assert_true(request.use_tools);
    assert_int_equal(request.text, DIALECT_DELTAS);
    ask(",\"personality_id\":\"\"");
    assert_null(request.persona);
    assert_buf_is(&request.conversation, "connection\0" CLIENT_ID);
}

static void test_bad_questions(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ",\"content\":null",
        ",\"content\":7",
        ",\"content\":[\"a\"]",
        ",\"content\":\"\"",
        ",\"content\":\" \\t\\u3000\\n\"",
        ",\"content\":\"a\",\"conversation_id\":7",
        ",\"content\":\"a\",\"personality_id\":{}",
        ",\"content\":\"a\",\"personality_id\":\"a\\u0000\"",
        ",\"content\":\"a\",\"personality_id\":\"a\\u0001\"",
        ",\"content\":\"a\",\"personality_id\":\"\\u007f\"",
        ",\"content\":\"a\",\"personality_id\":\"a\\u0085b\"",
        ",\"content\":\"a\",\"use_tools\":1",
        ",\"content\":\"a\",\"stream\":\"false\"",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"type\":\"text_message\"%s}", texts[i]);
        decode_text(YYCHAT, text);
        assert_int_equal(request.kind, DIALECT_NOTHING);
        assert_answer_error("Invalid text message format");
    }
}

static void test_bad_messages(void **state)
{
    (void)state;
    static const char *const formless[] = {
        "[]", "[{\"type\":\"ping\"}]", "7", "\"ping\"", "null", "{}", "{\"type\":null}", "{\"type\":[\"ping\"]}"};
    for (size_t i = 0; i < sizeof formless / sizeof *formless; i++) {
        decode_text(YYCHAT, formless[i]);
        assert_message_error("Invalid message format");
    }
    static const char *const strangers[] = {"\"" FRESH_ID "\"", "7", "\"\"", "\"" CLIENT_ID "\\u0000\"", "[]"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"type\":\"ping\",\"client_id\":%s}", strangers[i]);
        decode_text(YYCHAT, text);
        assert_message_error("Client ID mismatch");
    }
    decode_text(YYCHAT, "{\"type\":\"dance\\u0000\\\"\"}");
    assert_message_error("Unknown message type: dance\\u0000\\\"");
    decode_text(YYCHAT, "{\"type\":\"ping\\u0000\"}");
    assert_message_error("Unknown message type: ping\\u0000");
    assert_refuses_garbage(YYCHAT, "{\"type\":\"error\",\"error\":{\"message\":\"Invalid JSON format\",\"type\":"
                                   "\"json_parse_error\",\"code\":\"invalid_json\"}," OWN);
}

static void test_large_texts(void **state)
{
    (void)state;
    decode_large(YYCHAT, "{\"type\":\"text_message\",\"content\":\"", "\"}");
    assert_int_equal(request.kind, DIALECT_ASK);
    assert_int_equal(request.question_len, 1 << 20);
    decode_large(YYCHAT, "{\"type\":\"", "\"}");
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_int_equal(out.count, 1);
    json_decref(frame_at(0));
    decode_text(YYCHAT, "{\"type\":\"ping\"}");
    assert_refused("{\"type\":\"pong\"," OWN);
}

static void test_failures(void **state)
{
    (void)state;
    ask("");
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_FAILED, .reason = SPAN("the \"model\"")});
    assert_answer_error("Streaming response failed: the \\\"model\\\"");
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_CANCELLED});
    assert_answer_error("Streaming response failed: cancelled");
    ask(",\"stream\":false");
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_FAILED, .reason = SPAN("x")});
    assert_answer_error("Text processing failed: x");
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_REFUSED, .reason = SPAN("slower")});
    request.kind = DIALECT_NOTHING;
    assert_message_error("Message processing failed: slower");
}

static void test_idle(void **state)
{
    (void)state;
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_IDLE});
    assert_frame("{\"type\":\"connection_closed\",\"message\":\"连接已关闭\"," OWN);
}

static void test_extension(void **state)
{
    (void)state;
    const struct dialect_occasion step = {
        .kind = DIALECT_TOOL_STARTED, .tool = SPAN("calculator"), .call = SPAN("c1"), .data = SPAN("{\"a\":1}")};
    decode_text(YYCHAT, "{\"type\":\"cancel\"}");
    assert_message_error("Unknown message type: cancel");
    ask("");
    tell(YYCHAT, step);
    assert_int_equal(out.count, 0);
    client.extended = true;
    decode_text(YYCHAT, "{\"type\":\"cancel\"}");
    assert_int_equal(request.kind, DIALECT_CANCEL);
    assert_int_equal(out.count, 0);
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_CANCEL_DONE});
    assert_frame("{\"type\":\"cancelled\",\"timestamp\":1763699036.25}");
    ask("");
    tell(YYCHAT, (struct dialect_occasion){.kind = DIALECT_CANCELLED});
    assert_frame("{\"type\":\"cancelled\",\"timestamp\":1763699036.25}");
    tell(YYCHAT, step);
    assert_frame(
        "{\"type\":\"tool\",\"id\":\"c1\",\"name\":\"calculator\",\"status\":\"running\",\"arguments\":{\"a\":1}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_opening, reset),         cmocka_unit_test_teardown(test_replies, reset),
        cmocka_unit_test_teardown(test_status, reset),          cmocka_unit_test_teardown(test_handlers, reset),
        cmocka_unit_test_teardown(test_streamed_answer, reset), cmocka_unit_test_teardown(test_whole_answer, reset),
        cmocka_unit_test_teardown(test_choices, reset),         cmocka_unit_test_teardown(test_bad_questions, reset),
        cmocka_unit_test_teardown(test_bad_messages, reset),    cmocka_unit_test_teardown(test_large_texts, reset),
        cmocka_unit_test_teardown(test_failures, reset),        cmocka_unit_test_teardown(test_idle, reset),
        cmocka_unit_test_teardown(test_extension, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
