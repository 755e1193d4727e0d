#include "dialect_fixture.h"
#include "dialect_rest.h"

#define BASE "/api/v1/pipelines/p-1/ws/"

static void test_calls(void **state)
{
    (void)state;
    static const struct {
        const char *path, *method;
        enum langbot_call_kind kind;
        enum langbot_session session;
    } rows[] = {
        {BASE "messages/person", "GET", LANGBOT_MESSAGES, LANGBOT_PERSON},
        {BASE "messages/group", "GET", LANGBOT_MESSAGES, LANGBOT_GROUP},
        {BASE "messages/all", "GET", LANGBOT_MESSAGES, LANGBOT_NO_SESSION},
        {BASE "reset/group", "POST", LANGBOT_RESET, LANGBOT_GROUP},
        {BASE "connections", "GET", LANGBOT_CONNECTIONS, LANGBOT_NO_SESSION},
        {BASE "broadcast", "POST", LANGBOT_BROADCAST, LANGBOT_NO_SESSION},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct langbot_call call;
        assert_true(langbot_find_call(rows[i].path, &call));
        assert_string_equal(call.method, rows[i].method);
        assert_string_equal(call.pipeline, "p-1");
        assert_int_equal(call.kind, rows[i].kind);
        assert_int_equal(call.session, rows[i].session);
    }
}

static void test_no_calls(void **state)
{
    (void)state;
    static const char *const paths[] = {BASE,
                                        BASE "messages",
                                        BASE "messages/",
                                        BASE "messages/person/",
                                        BASE "connections/",
                                        BASE "connect",
                                        BASE "broadcasts",
                                        "/api/v1/pipelines//ws/connections",
                                        "/api/v1/pipelines/a/connections",
                                        "/",
                                        ""};
    struct langbot_call call;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_false(langbot_find_call(paths[i], &call));
}

static void test_impossible_pipeline(void **state)
{
    (void)state;
    struct langbot_call call;
    struct buf path = {0};
    buf_append_text(&path, "/api/v1/pipelines/");
    repeat(&path, "a", ID_TOKEN_MAX + 1);
    buf_append_text(&path, "/ws/connections");
    assert_true(langbot_find_call(path.data, &call));
    assert_string_equal(call.pipeline, "");
    buf_deinit(&path);
    assert_true(langbot_find_call("/api/v1/pipelines/a b\xff/ws/connections", &call));
    assert_string_equal(call.pipeline, "");
}

static void test_names(void **state)
{
    (void)state;
    struct buf name = {0};
    langbot_name_session(&name, "p-1", LANGBOT_GROUP);
    assert_buf_is(&name, "langbot\0p-1\0group");
    langbot_name_session(&name, "p-1", LANGBOT_PERSON);
    assert_buf_is(&name, "langbot\0p-1\0person");
    buf_deinit(&name);
}

static void assert_body(struct buf *body, const char *expected)
{
    assert_json(parse(body->data, body->len), expected);
    buf_deinit(body);
}

static void test_messages(void **state)
{
    (void)state;
    const struct langbot_message list[] = {
        {.id = 1,
         .from_user = true,
         .is_final = true,
         .text = SPAN("[Image]"),
         .chain = SPAN("[{\"type\":\"Image\"}]"),
         .when = NOW,
         .connection = CLIENT_ID},
        {.id = 2, .is_final = true, .text = SPAN("a\0\""), .chain = SPAN(""), .when = NOW, .connection = ""},
    };
    struct buf body = {0};
    langbot_reply_messages(&body, NULL, 0);
    assert_body(&body, "{\"code\":0,\"msg\":\"ok\",\"data\":{\"messages\":[]}}");
    langbot_reply_messages(&body, list, 2);
    assert_body(&body, "{\"code\":0,\"msg\":\"ok\",\"data\":{\"messages\":["
                       "{\"id\":1,\"role\":\"user\",\"content\":\"[Image]\",\"message_chain\":[{\"type\":\"Image\"}],"
                       "\"timestamp\":\"" NOW_ISO "\",\"is_final\":true,\"connection_id\":\"" CLIENT_ID "\"},"
                       "{\"id\":2,\"role\":\"assistant\",\"content\":\"a\\u0000\\\"\",\"message_chain\":"
                       "[{\"type\":\"Plain\",\"text\":\"a\\u0000\\\"\"}],\"timestamp\":\"" NOW_ISO
                       "\",\"is_final\":true,\"connection_id\":\"\"}]}}");
}

static void test_done_and_failure(void **state)
{
    (void)state;
    assert_json(langbot_reply_done(LANGBOT_RESET),
                "{\"code\":0,\"msg\":\"ok\",\"data\":{\"message\":\"Session reset successfully\"}}");
    assert_json(langbot_reply_done(LANGBOT_BROADCAST),
                "{\"code\":0,\"msg\":\"ok\",\"data\":{\"message\":\"Broadcast sent successfully\"}}");
    assert_json(langbot_failure(LANGBOT_BAD_SESSION), "{\"code\":-1,\"msg\":\"session_type must be person or group\"}");
}

static void test_connections(void **state)
{
    (void)state;
    const struct dialect_connection list[] = {
        {.id = "a", .name = "p-1", .variant = LANGBOT_PERSON, .connected_at = NOW, .received_at = NOW},
        {.id = "b", .name = "p-2", .variant = LANGBOT_GROUP, .connected_at = NOW, .received_at = NOW},
        {.id = "c", .name = "p-1", .variant = LANGBOT_GROUP, .connected_at = NOW, .received_at = NOW},
    };
#define TIMES "\"created_at\":\"" NOW_ISO "\",\"last_active\":\"" NOW_ISO "\",\"is_active\":true}"
    assert_json(langbot_reply_connections(list, 3, "p-1"),
                "{\"code\":0,\"msg\":\"ok\",\"data\":{\"stats\":{\"total_connections\":3,\"pipelines\":2,"
                "\"connections_by_pipeline\":{\"p-1\":2,\"p-2\":1},\"connections_by_session_type\":{\"person\":1,"
                "\"group\":2}},\"connections\":[{\"connection_id\":\"a\",\"session_type\":\"person\"," TIMES
                ",{\"connection_id\":\"c\",\"session_type\":\"group\"," TIMES "]}}");
    assert_json(langbot_reply_connections(NULL, 0, "p-1"),
                "{\"code\":0,\"msg\":\"ok\",\"data\":{\"stats\":{\"total_connections\":0,\"pipelines\":0,"
                "\"connections_by_pipeline\":{},\"connections_by_session_type\":{}},\"connections\":[]}}");
}

static void test_read_broadcast(void **state)
{
    (void)state;
    static const char *const given[][2] = {
        {"{\"message\":\"hi\\u0000\"}", "\"hi\\u0000\""},
        {"{\"message\":{\"a\":[1,null]},\"more\":1}", "{\"a\":[1,null]}"},
        {"{\"message\":false}", "false"},
    };
    struct buf message = {0};
    for (size_t i = 0; i < 3; i++) {
        assert_null(langbot_read_broadcast(given[i][0], strlen(given[i][0]), &message));
        assert_buf(&message, given[i][1], strlen(given[i][1]));
        buf_deinit(&message);
    }
    static const char *const missing[] = {"", "{}", "[]", "7", "{\"message\":null}", "{\"message\":\"\"}"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(langbot_read_broadcast(missing[i], strlen(missing[i]), &message), "message is required");
    assert_string_equal(langbot_read_broadcast("{", 1, &message), "Invalid JSON format");
    assert_int_equal(message.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_no_calls),
        cmocka_unit_test(test_impossible_pipeline),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_done_and_failure),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_read_broadcast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
