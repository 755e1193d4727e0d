#include "dialect_fixture.h"
#include "dialect_rest.h"

#define CONTACT (&dialect_contact)
#define TIME    "\"timestamp\":\"" NOW_ISO "\"}"

static void assert_error(const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected, "{\"type\":\"error\",\"message\":\"%s\"," TIME, message);
    assert_refused(expected);
}

static void assert_chat_message(const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected, "{\"type\":\"chat_message\",\"message\":\"%s\",\"sender\":\"assistant\"," TIME,
             message);
    assert_frame(expected);
}

static void test_paths(void **state)
{
    (void)state;
    assert_ptr_equal(dialect_at("/contact"), CONTACT);
    assert_ptr_equal(dialect_at("/blog/ws/contact"), CONTACT);
    assert_ptr_equal(dialect_at("/ws/chat/contact"), &dialect_minimal);
    assert_null(dialect_at("/contact/"));
    assert_null(dialect_at("/mycontact"));
    assert_null(dialect_at("contact"));
}

static void test_opening(void **state)
{
    (void)state;
    open_at(CONTACT, "/contact", "");
    assert_refused("{\"type\":\"connection_established\",\"message\":\"WebSocket连接已建立\",\"client_id\":\"" CLIENT_ID
                   "\"," TIME);
    assert_buf_is(&client.room, "contact\0");
    assert_int_equal(dialect_contact.ping_interval_s, 20);
    assert_true(dialect_contact.serial);
}

static void test_ping(void **state)
{
    (void)state;
    decode_text(CONTACT, "{\"type\":\"ping\",\"timestamp\":7}");
    assert_refused("{\"type\":\"pong\"," TIME);
}

static void assert_received(void)
{
    assert_int_equal(request.kind, DIALECT_ASK);
    assert_int_equal(request.text, DIALECT_WHOLE);
    assert_true(request.use_tools);
    assert_false(request.in_room);
    assert_buf_is(&request.conversation, "connection\0" CLIENT_ID);
    assert_frame("{\"type\":\"chat_message_received\",\"message\":\"消息已收到\",\"message_id\":\"" FRESH_ID
                 "\"," TIME);
}

static void test_chat(void **state)
{
    (void)state;
    decode_text(CONTACT, "{\"type\":\"chat_message\",\"message\":\"你\\u0000好\",\"timestamp\":\"" NOW_ISO "\"}");
    assert_received();
    assert_int_equal(request.question_len, 7);
    assert_memory_equal(request.question, "你\0好", 7);
    dialect_request_forget_question(&request);
    static const enum dialect_occasion_kind silent[] = {DIALECT_TAKEN_UP, DIALECT_STARTED, DIALECT_TOOL_STARTED,
                                                        DIALECT_TOOL_FINISHED, DIALECT_IDLE};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        tell(CONTACT, (struct dialect_occasion){.kind = silent[i]});
        assert_int_equal(out.count, 0);
    }
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_COMPLETED, .all = SPAN("\"好\"\0")});
    assert_chat_message("\\\"好\\\"\\u0000");
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_FAILED, .reason = SPAN("secret")});
    assert_chat_message(APOLOGY);
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_CANCELLED});
    assert_chat_message(APOLOGY);
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_FAILED, .apology = SPAN("configured")});
    assert_chat_message("configured");
}

static void test_chat_without_the_rest(void **state)
{
    (void)state;
    decode_text(CONTACT, "{\"type\":\"chat_message\",\"message\":\"hi\"}");
    assert_received();
    decode_text(CONTACT, "{\"type\":\"chat_message\",\"message\":\"hi\",\"timestamp\":null,\"more\":{}}");
    assert_received();
}

static void test_contact_request(void **state)
{
    (void)state;
    decode_text(CONTACT,
                "{\"type\":\"contact_request\",\"message\":\"call me\",\"timestamp\":\"today\",\"userAgent\":\"UA\"}");
    assert_int_equal(request.kind, DIALECT_CONTACT);
    assert_int_equal(out.count, 0);
    assert_int_equal(request.question_len, 7);
    assert_memory_equal(request.question, "call me", 7);
    assert_memory_equal(request.timestamp.data, "today", 5);
    assert_memory_equal(request.user_agent.data, "UA", 2);
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_CONTACT_STORED, .id = FRESH_ID});
    assert_frame("{\"type\":\"contact_request_received\",\"message\":\"联系请求已收到，博主将尽快回复您\","
                 "\"request_id\":\"" FRESH_ID "\",\"status\":\"received\"," TIME);
    decode_text(CONTACT, "{\"type\":\"contact_request\",\"message\":\"call me\"}");
    assert_int_equal(request.kind, DIALECT_CONTACT);
    assert_null(request.timestamp.data);
    assert_null(request.user_agent.data);
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_CONTACT_FAILED, .reason = SPAN("full")});
    request.kind = DIALECT_NOTHING;
    assert_error("处理消息时出错: full");
}

static void test_bad_fields(void **state)
{
    (void)state;
    static const char *const types[] = {"chat_message", "contact_request"};
    static const char *const fields[][2] = {
        {"", "message 不能为空"},
        {",\"message\":null", "message 不能为空"},
        {",\"message\":\"\"", "message 不能为空"},
        {",\"message\":\" \\u3000\\n\"", "message 不能为空"},
        {",\"message\":7", "message 必须是字符串"},
        {",\"message\":[\"a\"]", "message 必须是字符串"},
        {",\"message\":\"a\",\"timestamp\":7", "timestamp 必须是字符串"},
    };
    for (size_t i = 0; i < 2 * sizeof fields / sizeof *fields; i++) {
        char text[256], expected[256];
        snprintf(text, sizeof text, "{\"type\":\"%s\"%s}", types[i % 2], fields[i / 2][0]);
        snprintf(expected, sizeof expected, "处理消息时出错: %s", fields[i / 2][1]);
        decode_text(CONTACT, text);
        assert_error(expected);
    }
    decode_text(CONTACT, "{\"type\":\"contact_request\",\"message\":\"a\",\"userAgent\":{}}");
    assert_error("处理消息时出错: userAgent 必须是字符串");
}

static void test_bad_messages(void **state)
{
    (void)state;
    static const char *const untyped[] = {"{}", "{\"type\":null}", "{\"type\":7}", "{\"message\":\"hi\"}"};
    for (size_t i = 0; i < 4; i++) {
        decode_text(CONTACT, untyped[i]);
        assert_error("未知的消息类型: None");
    }
    decode_text(CONTACT, "{\"type\":\"dance\\u0000\"}");
    assert_error("未知的消息类型: dance\\u0000");
    decode_text(CONTACT, "{\"type\":\"\"}");
    assert_error("未知的消息类型: ");
    const char *garbage = "{\"type\":\"error\",\"message\":\"消息格式错误，必须是有效的JSON\"," TIME;
    decode_text(CONTACT, "[]");
    assert_refused(garbage);
    assert_refuses_garbage(CONTACT, garbage);
}

static void test_large_texts(void **state)
{
    (void)state;
    decode_large(CONTACT, "{\"type\":\"chat_message\",\"message\":\"", "\"}");
    assert_received();
    assert_int_equal(request.question_len, 1 << 20);
    decode_large(CONTACT, "{\"type\":\"", "\"}");
    assert_int_equal(out.count, 1);
    json_decref(frame_at(0));
    decode_text(CONTACT, "{\"type\":\"ping\"}");
    assert_refused("{\"type\":\"pong\"," TIME);
}

static void test_refused(void **state)
{
    (void)state;
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_REFUSED, .reason = SPAN("slower")});
    assert_error("处理消息时出错: slower");
}

static void test_broadcast(void **state)
{
    (void)state;
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_BROADCAST, .data = SPAN("\"back \\u4f60 at \\\"5\\\"\"")});
    assert_chat_message("back 你 at \\\"5\\\"");
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_BROADCAST, .data = SPAN("{\"a\":1}")});
    assert_chat_message("{\\\"a\\\":1}");
}

static void test_extension(void **state)
{
    (void)state;
    decode_text(CONTACT, "{\"type\":\"cancel\"}");
    assert_error("未知的消息类型: cancel");
    client.extended = true;
    decode_text(CONTACT, "{\"type\":\"cancel\"}");
    assert_int_equal(request.kind, DIALECT_CANCEL);
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_BROADCAST, .data = SPAN("\"back at 5\"")});
    assert_frame("{\"type\":\"broadcast\",\"message\":\"back at 5\"," TIME);
    tell(CONTACT, (struct dialect_occasion){.kind = DIALECT_CANCEL_DONE});
    assert_frame("{\"type\":\"cancelled\",\"timestamp\":1763699036.25}");
    tell(CONTACT,
         (struct dialect_occasion){
             .kind = DIALECT_TOOL_FINISHED, .tool = SPAN("t"), .call = SPAN("c"), .ok = true, .data = SPAN("579")});
    assert_frame("{\"type\":\"tool\",\"id\":\"c\",\"name\":\"t\",\"status\":\"done\",\"result\":579}");
}

static void test_list(void **state)
{
    (void)state;
    const struct contact_listed list[] = {
        {.number = 9,
         .request = FRESH_ID,
         .connection = CLIENT_ID,
         .message = SPAN("a\0b"),
         .timestamp = SPAN("today"),
         .user_agent = SPAN("UA"),
         .received = NOW},
        {.number = 8, .request = "r", .connection = "c", .message = SPAN("x"), .received = NOW},
    };
    assert_json(contact_list(list, 2, 8),
                "{\"contacts\":[{\"number\":9,\"request_id\":\"" FRESH_ID "\",\"client_id\":\"" CLIENT_ID
                "\",\"message\":\"a\\u0000b\",\"timestamp\":\"today\",\"userAgent\":\"UA\",\"received_at\":\"" NOW_ISO
                "\"},{\"number\":8,\"request_id\":\"r\",\"client_id\":\"c\",\"message\":\"x\",\"timestamp\":null,"
                "\"userAgent\":null,\"received_at\":\"" NOW_ISO "\"}],\"next\":8}");
    assert_json(contact_list(NULL, 0, 0), "{\"contacts\":[],\"next\":null}");
}

static void test_read_broadcast(void **state)
{
    (void)state;
    struct buf message = {0};
    assert_null(contact_read_broadcast("{\"message\":\"hi\\u0000\"}", 22, &message));
    assert_buf_is(&message, "\"hi\\u0000\"");
    buf_deinit(&message);
    assert_string_equal(contact_read_broadcast("{", 1, &message), "Invalid JSON format");
    assert_string_equal(contact_read_broadcast("{\"message\":7}", 13, &message), "message is required");
    assert_string_equal(contact_read_broadcast("{}", 2, &message), "message is required");
    assert_int_equal(message.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_paths, reset),
        cmocka_unit_test_teardown(test_opening, reset),
        cmocka_unit_test_teardown(test_ping, reset),
        cmocka_unit_test_teardown(test_chat, reset),
        cmocka_unit_test_teardown(test_chat_without_the_rest, reset),
        cmocka_unit_test_teardown(test_contact_request, reset),
        cmocka_unit_test_teardown(test_bad_fields, reset),
        cmocka_unit_test_teardown(test_bad_messages, reset),
        cmocka_unit_test_teardown(test_large_texts, reset),
        cmocka_unit_test_teardown(test_refused, reset),
        cmocka_unit_test_teardown(test_broadcast, reset),
        cmocka_unit_test_teardown(test_extension, reset),
        cmocka_unit_test_teardown(test_list, reset),
        cmocka_unit_test_teardown(test_read_broadcast, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
