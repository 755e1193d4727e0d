#include "dialect.h"
#include "json.h"
#include "web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1763699036.25

static struct dialect_client client = {.id = "11111111-1111-4111-8111-111111111111"};
static struct frames out;
static struct dialect_request request;

static int reset(void **state)
{
    (void)state;
    client.extended = false;
    frames_deinit(&out);
    dialect_request_deinit(&request);
    return 0;
}

static void decode(const char *text, size_t len, bool binary)
{
    reset(NULL);
    const struct dialect_context context = {.now = NOW, .fresh_id = "22222222-2222-4222-8222-222222222222"};
    dialect_agent_engine.decode(&client, &context, text, len, binary, &request, &out);
}

static void decode_text(const char *text)
{
    decode(text, strlen(text), false);
}

/* The frames are these, and no more; the expectation is JSON too, so the order of keys does not matter. */
static void assert_frames(const char *const *expected, size_t count)
{
    assert_int_equal(out.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct buf *frame = &out.list[i];
        size_t len = web_frame_len(frame);
        json_t *is, *should;
        assert_int_equal(json_parse(frame->data + frame->len - len, len, NULL, 0, &is), ERR_NONE);
        assert_int_equal(json_parse(expected[i], strlen(expected[i]), NULL, 0, &should), ERR_NONE);
        if (!json_equal(is, should))
            fail_msg("got %.*s, expected %s", (int)len, frame->data + frame->len - len, expected[i]);
        json_decref(is);
        json_decref(should);
    }
}

static void assert_frame(const char *expected)
{
    assert_frames(&expected, 1);
}

static void assert_error(const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected, "{\"type\":\"error\",\"error\":\"%s\",\"timestamp\":1763699036.25}", message);
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_frame(expected);
}

static void tell(struct dialect_occasion occasion)
{
    frames_reset(&out);
    occasion.now = NOW;
    occasion.request = &request;
    if (!occasion.vendor)
        occasion.vendor = "";
    dialect_agent_engine.encode(&client, &occasion, &out);
}

#define SPAN(text) ((struct dialect_span){text, sizeof(text) - 1})

/* ---- Coming in */

static void test_path(void **state)
{
    (void)state;
    assert_ptr_equal(dialect_at("/ws/agent"), &dialect_agent_engine);
    assert_null(dialect_at("/ws/agent/"));
    assert_null(dialect_at("/"));
}

static void test_welcome(void **state)
{
    (void)state;
    const struct dialect_context context = {.now = NOW};
    dialect_agent_engine.open(&client, &context, "/ws/agent", &request, &out);
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_frame("{\"type\":\"connected\",\"connection_id\":\"11111111-1111-4111-8111-111111111111\","
                 "\"message\":\"Connected to Agent WebSocket\"}");
}

static void test_ping(void **state)
{
    (void)state;
    decode_text("{\"type\":\"ping\",\"more\":[1,{}]}");
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_frame("{\"type\":\"pong\",\"timestamp\":1763699036.25}");
}

static void assert_asks(enum dialect_text text, const char *question, size_t len)
{
    assert_int_equal(request.kind, DIALECT_ASK);
    assert_int_equal(request.text, text);
    assert_int_equal(request.question_len, len);
    assert_memory_equal(request.question, question, len);
    assert_true(request.use_tools);
    assert_int_equal(out.count, 0);
    const char conversation[] = "connection\0"
                                "11111111-1111-4111-8111-111111111111";
    assert_int_equal(request.conversation.len, sizeof conversation - 1);
    assert_memory_equal(request.conversation.data, conversation, sizeof conversation - 1);
}

static void test_queries(void **state)
{
    (void)state;
    decode_text("{\"type\":\"agent_query\",\"query\":\"what?\"}");
    assert_asks(DIALECT_WHOLE, "what?", 5);
    decode_text("{\"type\":\"streaming_query\",\"query\":\"a\\u0000b \\ud83d\\ude00\"}");
    assert_asks(DIALECT_DELTAS, "a\0b \xf0\x9f\x98\x80", 8);
}

static void test_bad_queries(void **state)
{
    (void)state;
    static const char *const queries[] = {"",
                                          ",\"query\":\"\"",
                                          ",\"query\":\" \\t\\n\"",
                                          ",\"query\":\"\\u3000\\u00a0\"",
                                          ",\"query\":null",
                                          ",\"query\":7",
                                          ",\"query\":true",
                                          ",\"query\":[\"x\"]",
                                          ",\"query\":{\"x\":1}"};
    static const char *const types[] = {"agent_query", "streaming_query"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries * 2; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"type\":\"%s\"%s}", types[i % 2], queries[i / 2]);
        decode_text(text);
        assert_error("Query is required");
    }
}

static void test_tool_call(void **state)
{
    (void)state;
    decode_text("{\"type\":\"tool_call\",\"tool_name\":\"calculator\",\"params\":{\"expression\":\"123 + 456\"}}");
    assert_int_equal(request.kind, DIALECT_CALL_TOOL);
    assert_int_equal(request.tool_len, strlen("calculator"));
    assert_memory_equal(request.tool, "calculator", request.tool_len);
    assert_string_equal(request.arguments.data, "{\"expression\":\"123 + 456\"}");
    decode_text("{\"type\":\"tool_call\",\"tool_name\":\"current_time\"}");
    assert_string_equal(request.arguments.data, "{}");
}

static void test_bad_tool_calls(void **state)
{
    (void)state;
    static const char *const nameless[] = {"", ",\"tool_name\":\"\"", ",\"tool_name\":\" \"", ",\"tool_name\":null",
                                           ",\"tool_name\":[]"};
    static const char *const params[] = {"null", "[]", "\"x\"", "1", "false"};
    char text[128];
    for (size_t i = 0; i < sizeof nameless / sizeof *nameless; i++) {
        snprintf(text, sizeof text, "{\"type\":\"tool_call\"%s,\"params\":{}}", nameless[i]);
        decode_text(text);
        assert_error("Tool name is required");
    }
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        snprintf(text, sizeof text, "{\"type\":\"tool_call\",\"tool_name\":\"x\",\"params\":%s}", params[i]);
        decode_text(text);
        assert_error("Tool call failed: params must be an object");
    }
}

static void test_cancel(void **state)
{
    (void)state;
    decode_text("{\"type\":\"cancel\"}");
    assert_int_equal(request.kind, DIALECT_CANCEL);
    assert_int_equal(out.count, 0);
}

static void test_unknown_types(void **state)
{
    (void)state;
    decode_text("{\"type\":\"dance\"}");
    assert_error("Unknown message type: dance");
    decode_text("{\"type\":\"pin\\u0000g \\\"\"}");
    assert_error("Unknown message type: pin\\u0000g \\\"");
    decode_text("{\"type\":\"ping\\u0000\"}");
    assert_error("Unknown message type: ping\\u0000");
    static const char *const without[] = {"{}", "{\"type\":null}", "{\"type\":5}", "{\"type\":[\"ping\"]}"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        decode_text(without[i]);
        assert_error("Unknown message type: None");
    }
}

static void test_no_json_object(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "ping",
                                      "[]",
                                      "\"x\"",
                                      "5",
                                      "null",
                                      "{} x",
                                      "{'a':1}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":NaN}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        decode_text(bad[i]);
        assert_error("Invalid JSON format");
    }
    const char *ping = "{\"type\":\"ping\"}";
    decode(ping, strlen(ping), true);
    assert_error("Invalid JSON format");
    struct buf deep = {0};
    for (int i = 0; i < 10000; i++)
        buf_append_text(&deep, "[");
    decode(deep.data, deep.len, false);
    assert_error("Invalid JSON format");
    buf_deinit(&deep);
}

/* ---- Going out */

static void test_streamed_answer(void **state)
{
    (void)state;
    decode_text("{\"type\":\"streaming_query\",\"query\":\"x\"}");
    tell((struct dialect_occasion){.kind = DIALECT_TAKEN_UP});
    assert_int_equal(out.count, 0);
    tell((struct dialect_occasion){.kind = DIALECT_STARTED});
    assert_frame("{\"type\":\"stream_start\",\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_TEXT, .text = SPAN("a\0\"\\\n\t\x7f é")});
    assert_frame(
        "{\"type\":\"stream_chunk\",\"content\":\"a\\u0000\\\"\\\\\\n\\t\\u007f é\",\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_COMPLETED, .all = SPAN("a")});
    assert_frame("{\"type\":\"stream_end\",\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_FAILED, .reason = SPAN("no model")});
    assert_frame("{\"type\":\"error\",\"error\":\"Streaming failed: no model\",\"timestamp\":1763699036.25}");
}

static void test_whole_answer(void **state)
{
    (void)state;
    decode_text("{\"type\":\"agent_query\",\"query\":\"x\"}");
    tell((struct dialect_occasion){.kind = DIALECT_TAKEN_UP});
    assert_frame("{\"type\":\"status\",\"status\":\"processing\",\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_STARTED});
    assert_int_equal(out.count, 0);
    tell((struct dialect_occasion){.kind = DIALECT_COMPLETED, .all = SPAN("all\0of it"), .vendor = "openai"});
    assert_frame("{\"type\":\"agent_response\",\"content\":\"all\\u0000of it\",\"vendor\":\"openai\","
                 "\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_FAILED, .reason = SPAN("no model")});
    assert_frame("{\"type\":\"error\",\"error\":\"Query failed: no model\",\"timestamp\":1763699036.25}");
}

static void test_tool_results(void **state)
{
    (void)state;
    decode_text("{\"type\":\"tool_call\",\"tool_name\":\"calculator\"}");
    tell((struct dialect_occasion){.kind = DIALECT_TOOL_RESULT, .tool = SPAN("calculator"), .data = SPAN("579")});
    assert_frame("{\"type\":\"tool_result\",\"tool_name\":\"calculator\",\"result\":579,\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_TOOL_RESULT, .tool = SPAN("calculator"), .data = SPAN("{bad")});
    assert_frame("{\"type\":\"error\",\"error\":\"Tool call failed: its result can't be read\","
                 "\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_TOOL_NOT_FOUND, .tool = SPAN("no such \"tool\"")});
    assert_frame("{\"type\":\"error\",\"error\":\"Tool not found: no such \\\"tool\\\"\",\"timestamp\":1763699036.25}");
    tell((struct dialect_occasion){.kind = DIALECT_TOOL_FAILED, .reason = SPAN("division by zero")});
    assert_frame("{\"type\":\"error\",\"error\":\"Tool call failed: division by zero\",\"timestamp\":1763699036.25}");
}

static void test_cancelled(void **state)
{
    (void)state;
    tell((struct dialect_occasion){.kind = DIALECT_CANCEL_DONE});
    assert_frame("{\"type\":\"cancelled\",\"timestamp\":1763699036.25}");
}

static void test_tool_steps_only_where_asked_for(void **state)
{
    (void)state;
    decode_text("{\"type\":\"streaming_query\",\"query\":\"x\"}");
    struct dialect_occasion started = {.kind = DIALECT_TOOL_STARTED,
                                       .tool = SPAN("calculator"),
                                       .call = SPAN("c1"),
                                       .data = SPAN("{\"expression\":\"1\"}")};
    struct dialect_occasion finished = {
        .kind = DIALECT_TOOL_FINISHED, .tool = SPAN("calculator"), .call = SPAN("c1"), .data = SPAN("1"), .ok = true};
    tell(started);
    assert_int_equal(out.count, 0);
    tell(finished);
    assert_int_equal(out.count, 0);

    client.extended = true;
    tell(started);
    assert_frame("{\"type\":\"tool\",\"id\":\"c1\",\"name\":\"calculator\",\"status\":\"running\","
                 "\"arguments\":{\"expression\":\"1\"}}");
    started.data = SPAN("{cut");
    tell(started);
    assert_frame("{\"type\":\"tool\",\"id\":\"c1\",\"name\":\"calculator\",\"status\":\"running\"}");
    tell(finished);
    assert_frame("{\"type\":\"tool\",\"id\":\"c1\",\"name\":\"calculator\",\"status\":\"done\",\"result\":1}");
    finished.ok = false;
    finished.data = SPAN("1 of 2 is wrong");
    tell(finished);
    assert_frame("{\"type\":\"tool\",\"id\":\"c1\",\"name\":\"calculator\",\"status\":\"failed\","
                 "\"result\":\"1 of 2 is wrong\"}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_path),           TEST(test_welcome),         TEST(test_ping),
        TEST(test_queries),        TEST(test_bad_queries),     TEST(test_tool_call),
        TEST(test_bad_tool_calls), TEST(test_cancel),          TEST(test_unknown_types),
        TEST(test_no_json_object), TEST(test_streamed_answer), TEST(test_whole_answer),
        TEST(test_tool_results),   TEST(test_cancelled),       TEST(test_tool_steps_only_where_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
