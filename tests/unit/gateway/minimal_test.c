#include "dialect_fixture.h"

#define MINIMAL (&dialect_minimal)

static void assert_error(const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected, "{\"type\":\"error\",\"content\":\"%s\"}", message);
    assert_frame(expected);
}

static int open_ann(void **state)
{
    (void)state;
    open_at(MINIMAL, "/ws/chat/ann", "");
    return 0;
}

static void test_paths(void **state)
{
    (void)state;
    assert_ptr_equal(dialect_at("/ws/chat/ann"), MINIMAL);
    assert_ptr_equal(dialect_at("/ws/chat/用户 1"), MINIMAL);
    assert_ptr_equal(dialect_at("/ws/chat"), &dialect_yychat);
    assert_null(dialect_at("/ws/chat/"));
    assert_null(dialect_at("/ws/chat/ann/"));
    assert_null(dialect_at("/ws/chat/ann/bob"));
    assert_null(dialect_at("/ws/chat/\xff"));
}

static void test_opening(void **state)
{
    (void)state;
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_int_equal(out.count, 0);
    assert_string_equal(client.name, "ann");
    assert_string_equal(dialect_minimal.user_of("/ws/chat/ann"), "ann");
    assert_buf_is(&client.room, "minimal\0"
                                "ann");
    assert_true(dialect_minimal.serial);
    assert_int_equal(dialect_minimal.room_text, DIALECT_DELTAS);
}

static void test_question(void **state)
{
    (void)state;
    decode_text(MINIMAL, "{\"query\":\"a\\u0000你\",\"token\":\"t0k\",\"type\":\"ping\",\"more\":1}");
    assert_question("a\0你", 5);
    assert_int_equal(request.text, DIALECT_DELTAS);
    assert_string_equal(request.credential, "t0k");
    assert_true(request.in_room);
    assert_false(request.counted);
    assert_true(request.use_tools);
    assert_buf_is(&request.conversation, "minimal\0"
                                         "ann");
    decode_text(MINIMAL, "{\"query\":\"q\",\"token\":\"t\\u0001\\u0085\"}"); /* travels as bytes */
    assert_question("q", 1);
    assert_string_equal(request.credential, "t\x01\xc2\x85");
    static const char *const without[] = {"{\"query\":\"q\"}", "{\"query\":\"q\",\"token\":null}",
                                          "{\"query\":\"q\",\"token\":\"\"}"};
    for (size_t i = 0; i < 3; i++) {
        decode_text(MINIMAL, without[i]);
        assert_question("q", 1);
        assert_null(request.credential);
    }
}

static void test_answer(void **state)
{
    (void)state;
    decode_text(MINIMAL, "{\"query\":\"q\"}");
    dialect_request_forget_question(&request);
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_TAKEN_UP});
    assert_frame("{\"type\":\"status\",\"status\":\"thinking\",\"data\":{\"message\":\"正在思考...\"}}");
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_STARTED});
    assert_int_equal(out.count, 0);
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_TEXT, .text = SPAN("\"\\\n\0你"), .all = SPAN("x")});
    assert_frame("{\"type\":\"chunk\",\"content\":\"\\\"\\\\\\n\\u0000你\",\"is_final\":false}");
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_TOOL_STARTED, .tool = SPAN("get\"it"), .call = SPAN("c")});
    assert_frame("{\"type\":\"status\",\"status\":\"tool_calling\",\"data\":{\"tool\":\"get\\\"it\","
                 "\"message\":\"正在调用工具: get\\\"it\"}}");
    for (int ok = 0; ok < 2; ok++) {
        tell(MINIMAL,
             (struct dialect_occasion){.kind = DIALECT_TOOL_FINISHED, .tool = SPAN("t"), .call = SPAN("c"), .ok = ok});
        assert_frame("{\"type\":\"status\",\"status\":\"tool_completed\",\"data\":{\"tool\":\"t\",\"message\":\"工具 t "
                     "执行完成\"}}");
    }
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_COMPLETED, .all = SPAN("xyz")});
    static const char *const end[] = {
        "{\"type\":\"chunk\",\"content\":\"\",\"is_final\":true}",
        "{\"type\":\"status\",\"status\":\"completed\",\"data\":{\"message\":\"回答完成\"}}",
    };
    assert_frames(end, 2);
}

static void test_failures(void **state)
{
    (void)state;
    static const char *const empty[] = {"{}",
                                        "{\"query\":null}",
                                        "{\"query\":\"\"}",
                                        "{\"query\":\" \\u3000\"}",
                                        "{\"query\":7}",
                                        "{\"query\":[]}",
                                        "{\"type\":\"ping\"}"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        decode_text(MINIMAL, empty[i]);
        assert_int_equal(request.kind, DIALECT_NOTHING);
        assert_error("查询内容不能为空");
    }
    static const char *const tokens[] = {"7", "{}", "\"a\\u0000b\""};
    for (size_t i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"query\":\"q\",\"token\":%s}", tokens[i]);
        decode_text(MINIMAL, text);
        assert_int_equal(request.kind, DIALECT_NOTHING);
        assert_error("处理出错: token 无效");
    }
    decode_text(MINIMAL, "{\"query\":\"q\"}");
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_FAILED, .reason = SPAN("the \"model\"")});
    assert_error("处理出错: the \\\"model\\\"");
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_REFUSED, .reason = SPAN("slower")});
    assert_error("处理出错: slower");
    tell(MINIMAL, (struct dialect_occasion){.kind = DIALECT_CANCELLED});
    assert_error("处理出错: 回答已取消");
}

static void test_hostile(void **state)
{
    (void)state;
    const char *garbage = "{\"type\":\"error\",\"content\":\"服务器错误: 消息必须是有效的JSON对象\"}";
    decode_text(MINIMAL, "[]");
    assert_refused(garbage);
    assert_refuses_garbage(MINIMAL, garbage);
    decode_large(MINIMAL, "{\"query\":\"", "\"}");
    assert_int_equal(request.kind, DIALECT_ASK);
    assert_int_equal(request.question_len, 1 << 20);
    decode_large(MINIMAL, "{\"", "\":1,\"query\":\"q\"}");
    assert_question("q", 1);
}

static void test_extension(void **state)
{
    (void)state;
    decode_text(MINIMAL, "{\"type\":\"cancel\"}");
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_error("查询内容不能为空");
    client.extended = true;
    decode_text(MINIMAL, "{\"type\":\"cancel\"}");
    assert_int_equal(request.kind, DIALECT_CANCEL);
    assert_int_equal(out.count, 0);
    static const enum dialect_occasion_kind ends[] = {DIALECT_CANCEL_DONE, DIALECT_CANCELLED};
    for (size_t i = 0; i < 2; i++) {
        tell(MINIMAL, (struct dialect_occasion){.kind = ends[i]});
        assert_frame("{\"type\":\"cancelled\",\"timestamp\":1763699036.25}");
    }
    tell(MINIMAL, (struct dialect_occasion){
                      .kind = DIALECT_TOOL_FINISHED, .tool = SPAN("t"), .call = SPAN("c"), .data = SPAN("no")});
    static const char *const step[] = {
        "{\"type\":\"status\",\"status\":\"tool_completed\",\"data\":{\"tool\":\"t\",\"message\":\"工具 t 执行完成\"}}",
        "{\"type\":\"tool\",\"id\":\"c\",\"name\":\"t\",\"status\":\"failed\",\"result\":\"no\"}",
    };
    assert_frames(step, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_paths, reset),
        cmocka_unit_test_setup_teardown(test_opening, open_ann, reset),
        cmocka_unit_test_setup_teardown(test_question, open_ann, reset),
        cmocka_unit_test_setup_teardown(test_answer, open_ann, reset),
        cmocka_unit_test_setup_teardown(test_failures, open_ann, reset),
        cmocka_unit_test_setup_teardown(test_hostile, open_ann, reset),
        cmocka_unit_test_setup_teardown(test_extension, open_ann, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
