/* providers/openai.c: what is heard in the events of a response. */
#include "provider.h"

#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALL_BYTES 2000

/* What a transcript came to. */
struct heard {
    struct buf text, reason;
    struct provider_parser *parser;
    struct provider_outcome outcome;
    int err;
};

static void on_text(void *arg, const char *text, size_t len)
{
    struct heard *heard = arg;
    assert_true(len > 0);
    buf_append(&heard->text, text, len);
}

static const struct provider_sink sink = {on_text};

static void say(struct heard *heard, const char *event)
{
    if (!heard->parser)
        heard->parser = provider_openai.parser_new(&sink, heard, CALL_BYTES);
    char *exact = mem_dup(event, strlen(event)); /* no zero byte behind it */
    if (!heard->err)
        heard->err = provider_openai.parse(heard->parser, "message", exact, strlen(event), &heard->reason);
    free(exact);
    provider_openai.outcome(heard->parser, &heard->outcome);
}

static void say_delta(struct heard *heard, const char *delta)
{
    struct buf event = {0};
    buf_printf(&event, "{\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":null}]}", delta);
    say(heard, event.data);
    buf_deinit(&event);
}

static void forget(struct heard *heard)
{
    provider_openai.parser_free(&heard->parser);
    buf_deinit(&heard->text);
    buf_deinit(&heard->reason);
}

static void expect_call(const struct heard *heard, size_t i, const char *id, const char *name, const char *arguments)
{
    assert_true(i < heard->outcome.call_count);
    const struct tool_call *call = &heard->outcome.calls[i];
    assert_string_equal(call->id, id);
    assert_string_equal(call->name, name);
    assert_string_equal(call->arguments.data ? call->arguments.data : "", arguments);
}

static void hears_text(void **state)
{
    (void)state;
    struct heard heard = {0};
    say(&heard,
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{"
        "\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":"
        "null}],\"usage\":null,\"unknown\":{\"deep\":[1,2]}}");
    say_delta(&heard, "{\"content\":null}");
    say_delta(&heard, "{}");
    say_delta(&heard, "{\"content\":\"Hello \"}");
    say_delta(&heard, "{\"content\":\"会话\\u0000\\ud83d\\ude00\\n\"}");
    assert_false(heard.outcome.finished);
    say(&heard, "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    assert_true(heard.outcome.finished);
    say(&heard, "{\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34,\"total_tokens\":46}}");
    say(&heard, "[DONE]");
    static const char expected[] = "Hello 会话\0\xf0\x9f\x98\x80\n";
    assert_int_equal(heard.err, ERR_NONE);
    assert_int_equal(heard.text.len, sizeof expected - 1);
    assert_memory_equal(heard.text.data, expected, sizeof expected - 1);
    assert_string_equal(heard.outcome.stop, "stop");
    assert_int_equal(heard.outcome.usage.prompt_tokens, 12);
    assert_int_equal(heard.outcome.usage.answer_tokens, 34);
    assert_int_equal(heard.outcome.call_count, 0);
    forget(&heard);
}

static void hears_half_a_character(void **state)
{
    (void)state;
    struct heard heard = {0};
    say_delta(&heard, "{\"content\":\"a\\ud83d\"}");
    say_delta(&heard, "{\"content\":\"\\ude00b\"}");
    assert_int_equal(heard.err, ERR_NONE);
    assert_int_equal(heard.text.len, strlen("a\uFFFD\uFFFDb"));
    assert_memory_equal(heard.text.data, "a\uFFFD\uFFFDb", heard.text.len);
    forget(&heard);
}

static void hears_the_end_without_a_finish_reason(void **state)
{
    (void)state;
    struct heard heard = {0};
    say_delta(&heard, "{\"content\":\"Hi\"}");
    assert_false(heard.outcome.finished);
    say(&heard, "[DONE]");
    assert_true(heard.outcome.finished);
    assert_null(heard.outcome.stop);
    forget(&heard);
}

static void joins_parallel_calls(void **state)
{
    (void)state;
    struct heard heard = {0};
    say_delta(&heard,
              "{\"tool_calls\":[{\"index\":1,\"id\":\"call_b\",\"type\":\"function\",\"function\":{\"name\":\"cur\","
              "\"arguments\":\"\"}}]}");
    say_delta(&heard,
              "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"call_a\",\"function\":"
              "{\"name\":\"calculator\",\"arguments\":\"\"}},{\"index\":1,\"function\":{\"name\":\"rent_time\"}}]}");
    static const char *const pieces[] = {"{", "\\\"expression\\\"", ":\\\"1", "+2\\\"", "}"};
    for (size_t i = 0; i < 5; i++) {
        struct buf delta = {0};
        buf_printf(
            &delta,
            "{\"tool_calls\":[{\"function\":{\"arguments\":\"%s\"}},{\"index\":1,\"function\":{\"arguments\":\"%zu"
            "\"}}]}",
            pieces[i], i);
        say_delta(&heard, delta.data);
        buf_deinit(&delta);
    }
    say(&heard, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}");
    assert_int_equal(heard.err, ERR_NONE);
    assert_int_equal(heard.outcome.call_count, 2);
    expect_call(&heard, 0, "call_a", "calculator", "{\"expression\":\"1+2\"}");
    expect_call(&heard, 1, "call_b", "current_time", "01234");
    assert_string_equal(heard.outcome.stop, "tool_calls");
    assert_int_equal(heard.text.len, 0);
    forget(&heard);
}

static void joins_calls_split_at_every_byte(void **state)
{
    (void)state;
    static const char text[] = "{'text':'会'}";
    struct heard heard = {0};
    say_delta(&heard, "{\"tool_calls\":[{\"index\":0,\"id\":\"ca\",\"function\":{\"name\":\"e\"}}]}");
    say_delta(&heard, "{\"tool_calls\":[{\"index\":0,\"id\":\"ll\"}]}");
    say_delta(&heard, "{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"cho\"}}]}");
    for (size_t i = 0; i < strlen(text);) {
        size_t len = (unsigned char)text[i] >= 0x80 ? 3 : 1;
        struct buf delta = {0};
        buf_printf(&delta, "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"%.*s\"}}]}", (int)len,
                   text + i);
        say_delta(&heard, delta.data);
        buf_deinit(&delta);
        i += len;
    }
    assert_int_equal(heard.outcome.call_count, 1);
    expect_call(&heard, 0, "call", "echo", text);
    forget(&heard);
}

static void takes_whole_calls_with_one_index(void **state)
{
    (void)state;
    struct heard heard = {0};
    say_delta(&heard,
              "{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"x\",\"arguments\":\"{}\"}}]}");
    say_delta(&heard,
              "{\"tool_calls\":[{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"x\",\"arguments\":\"{1}\"}}]}");
    say_delta(&heard, "{\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"y\",\"arguments\":{\"k\":[1]}}}]}");
    assert_int_equal(heard.outcome.call_count, 3);
    expect_call(&heard, 0, "a", "x", "{}");
    expect_call(&heard, 1, "b", "x", "{1}");
    expect_call(&heard, 2, "c", "y", "{\"k\":[1]}");
    forget(&heard);
}

static void does_not_double_what_is_repeated(void **state)
{
    (void)state;
    struct heard heard = {0};
    for (int i = 0; i < 3; i++)
        say_delta(&heard,
                  "{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"x\",\"arguments\":\"1\"}}]}");
    say_delta(&heard, "{\"tool_calls\":[{\"index\":0,\"id\":\"\",\"function\":{\"name\":null,\"arguments\":\"2\"}}]}");
    assert_int_equal(heard.outcome.call_count, 1);
    expect_call(&heard, 0, "a", "x", "1112");
    forget(&heard);
}

static void makes_up_missing_ids(void **state)
{
    (void)state;
    struct heard heard = {0};
    say_delta(&heard, "{\"tool_calls\":[{\"function\":{\"name\":\"x\",\"arguments\":\"1\"}},{\"id\":null,\"function\":{"
                      "\"name\":\"y\",\"arguments\":\"2\"}}]}");
    say(&heard, "[DONE]");
    expect_call(&heard, 0, "call_0", "x", "1");
    expect_call(&heard, 1, "call_1", "y", "2");
    forget(&heard);
}

static void takes_a_whole_answer(void **state)
{
    (void)state;
    struct heard heard = {0};
    say(&heard,
        "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
        "\"Hi\",\"refusal\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"x\","
        "\"arguments\":\"{}\"}},{\"id\":\"b\",\"function\":{\"name\":\"y\",\"arguments\":\"{}\"}}]},"
        "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":-5}}");
    assert_int_equal(heard.err, ERR_NONE);
    assert_true(heard.outcome.finished);
    assert_string_equal(heard.text.data, "Hi");
    assert_int_equal(heard.outcome.call_count, 2);
    expect_call(&heard, 1, "b", "y", "{}");
    assert_int_equal(heard.outcome.usage.prompt_tokens, 1);
    assert_int_equal(heard.outcome.usage.answer_tokens, 0);
    forget(&heard);
}

static void bounds_calls(void **state)
{
    (void)state;
    struct heard heard = {0};
    int rounds = 0;
    for (; !heard.err && rounds < CALL_BYTES; rounds++)
        say_delta(&heard, "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"0123456789\"}}]}");
    assert_int_equal(heard.err, ERR_TOO_LARGE);
    assert_true(rounds > CALL_BYTES / 20 && rounds <= CALL_BYTES / 10);
    assert_non_null(strstr(heard.reason.data, "2000 bytes"));
    forget(&heard);

    struct heard many = {0};
    struct buf delta = {0};
    for (rounds = 0; !many.err && rounds < CALL_BYTES; rounds++) {
        buf_reset(&delta);
        buf_printf(&delta, "{\"tool_calls\":[{\"index\":%d}]}", 1000000000 - rounds);
        say_delta(&many, delta.data);
    }
    assert_int_equal(many.err, ERR_TOO_LARGE);
    buf_deinit(&delta);
    forget(&many);
}

static void reports_errors(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        int err;
        const char *reason;
    } cases[] = {
        {"{\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}", ERR_REFUSED, "overloaded"},
        {"{\"error\":\"no memory\"}", ERR_REFUSED, "no memory"},
        {"{\"object\":\"error\",\"message\":\"too long\",\"code\":400}", ERR_REFUSED, "too long"},
        {"{\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}],\"error\":{\"message\":\"upstream\"}}", ERR_REFUSED,
         "upstream"},
        {"{\"choices\":[],\"error\":null}", ERR_NONE, NULL},
        {"{\"object\":\"ping\"}", ERR_NONE, NULL},
        {"{\"choices\":7}", ERR_INVALID, "an event is no chat completion"},
        {"[]", ERR_INVALID, "an event is no chat completion"},
        {"null", ERR_INVALID, "an event is no chat completion"},
        {"\"text\"", ERR_INVALID, "an event is no chat completion"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct heard heard = {0};
        say(&heard, cases[i].event);
        assert_int_equal(heard.err, cases[i].err);
        if (cases[i].reason)
            assert_string_equal(heard.reason.data, cases[i].reason);
        forget(&heard);
    }
}

static void refuses_garbage(void **state)
{
    (void)state;
    static const char *const events[] = {"", "garbage", "{\"choices\":[{\"delta\":{\"content\":\"trunc", "\xff\xfe",
                                         "[DONE] "};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct heard heard = {0};
        say(&heard, events[i]);
        assert_int_equal(heard.err, ERR_INVALID);
        assert_string_equal(heard.reason.data, "an event is not JSON");
        assert_false(heard.outcome.finished);
        forget(&heard);
    }
    struct heard odd = {0};
    say(&odd, "{\"choices\":[7]}");
    say(&odd, "{\"choices\":[{\"delta\":[],\"finish_reason\":1}],\"usage\":\"much\"}");
    say_delta(&odd, "{\"content\":5,\"tool_calls\":{\"a\":1}}");
    assert_int_equal(odd.err, ERR_NONE);
    assert_int_equal(odd.text.len, 0);
    assert_false(odd.outcome.finished);
    forget(&odd);
}

static void explains_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {"{\"error\":{\"message\":\"Incorrect API key provided\",\"code\":\"invalid_api_key\"}}",
         "Incorrect API key provided"},
        {"[{\"error\":{\"code\":400,\"message\":\"too long\"}}]", "too long"},
        {"{\"error\":\"model not found\"}", "model not found"},
        {"{\"detail\":\"Not Found\"}", "Not Found"},
        {"{\"error\":{}}", ""},
        {"{}", ""},
        {"[]", ""},
        {"<html>502 Bad Gateway</html>", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf reason = {0};
        buf_append_text(&reason, "");
        provider_openai.error(cases[i].body, strlen(cases[i].body), &reason);
        assert_string_equal(reason.data, cases[i].reason);
        buf_deinit(&reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hears_text),
        cmocka_unit_test(hears_half_a_character),
        cmocka_unit_test(hears_the_end_without_a_finish_reason),
        cmocka_unit_test(joins_parallel_calls),
        cmocka_unit_test(joins_calls_split_at_every_byte),
        cmocka_unit_test(takes_whole_calls_with_one_index),
        cmocka_unit_test(does_not_double_what_is_repeated),
        cmocka_unit_test(makes_up_missing_ids),
        cmocka_unit_test(takes_a_whole_answer),
        cmocka_unit_test(bounds_calls),
        cmocka_unit_test(reports_errors),
        cmocka_unit_test(refuses_garbage),
        cmocka_unit_test(explains_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
