#include "chat.h"
#include "json.h"
#include "reply.h"
#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALCULATOR ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"calculator\"}}]"
#define CLOCK      ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"current_time\"}}]"

/* A conversation from its texts, the user's and the assistant's in turn, ended by NULL. */
static void chat_of(const char *const *texts, const char *more, struct chat *chat)
{
    json_t *messages = json_array();
    for (size_t i = 0; texts[i]; i++)
        json_array_append_new(messages,
                              json_pack("{s:s, s:s}", "role", i % 2 == 0 ? "user" : "assistant", "content", texts[i]));
    struct buf body = {0};
    buf_append_text(&body, "{\"model\":\"demo\",\"messages\":");
    json_append_take(&body, messages);
    buf_printf(&body, "%s}", more);
    const char *parameter;
    char reason[256];
    assert_int_equal(chat_parse(body.data, body.len, 1000, chat, &parameter, reason, sizeof reason), ERR_NONE);
    chat->max_words = 5000;
    buf_deinit(&body);
}

static struct reply reply_to(const char *const *texts, const char *more)
{
    struct chat chat;
    chat_of(texts, more, &chat);
    struct reply reply;
    reply_init(&reply, &chat);
    chat_deinit(&chat);
    return reply;
}

static void answers_to_the_point(void **state)
{
    (void)state;
    static const struct {
        const char *texts[6];
        const char *expected[2];
    } cases[] = {
        {{"Hello!"}, {"Hello!", "stand-in"}},
        {{"你好"}, {"你好！", "演示模型"}},
        {{"What is parley?"}, {"gateway", "NATS"}},
        {{"parley 是什么？"}, {"网关", "protobuf"}},
        {{"How do rivers and dams matter?"}, {"rivers, dams and matter", "stand-in"}},
        {{"I like boats", "ok", "and trains?"}, {"I like boats", "trains"}},
        {{"I like boats", "ok", "What did I say before?"}, {"1. “I like boats”", "Before"}},
        {{"What did I say before?"}, {"first message", "stand-in"}},
        {{"我喜欢船", "好", "我之前说了什么？"}, {"我喜欢船", "你说过"}},
        {{"My name is Ada Lovelace, hello", "hi", "what's my name?"}, {"Ada Lovelace;", "name"}},
        {{"What is my name?"}, {"haven't told me", "name"}},
        {{"我叫小明。", "好", "我叫什么名字？"}, {"你叫小明，", "对话"}},
        {{"my name is Bo"}, {"Nice to meet you, Bo!", "stand-in"}},
        {{"thanks"}, {"welcome", "stand-in"}},
        {{"what is 12 times 7?"}, {"`12 * 7`", "calculator"}},
        {{"为什么天空是蓝色的？"}, {"天空", "演示"}},
        {{""}, {"nothing", "stand-in"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply reply = reply_to(cases[i].texts, "");
        assert_null(reply.tool);
        for (size_t k = 0; k < 2; k++)
            if (!strstr(reply.text.data, cases[i].expected[k]))
                fail_msg("'%s' is not in: %s", cases[i].expected[k], reply.text.data);
        assert_true(utf8_valid(reply.text.data, reply.text.len));
        reply_deinit(&reply);
    }
}

static size_t count_words(const char *text)
{
    size_t count = 0;
    for (bool inside = false; *text; text++) {
        bool space = *text == ' ' || *text == '\n';
        count += !space && !inside;
        inside = !space;
    }
    return count;
}

static void writes_as_much_as_was_asked_for(void **state)
{
    (void)state;
    struct reply reply = reply_to((const char *[]){"Write about whales in 500 words", NULL}, "");
    assert_non_null(strstr(reply.text.data, "# On whales"));
    assert_non_null(strstr(reply.text.data, "\n- "));
    assert_non_null(strstr(reply.text.data, "```"));
    assert_in_range(count_words(reply.text.data), 450, 600);
    reply_deinit(&reply);

    reply = reply_to((const char *[]){"请详细介绍一下长城", NULL}, "");
    assert_non_null(strstr(reply.text.data, "# 关于长城"));
    assert_true(reply.text.len > 1000);
    reply_deinit(&reply);

    reply = reply_to((const char *[]){"9999999 words about whales", NULL}, "");
    assert_in_range(count_words(reply.text.data), 4500, 5500);
    reply_deinit(&reply);
}

static void assert_continues(const char *question)
{
    struct reply whole = reply_to((const char *[]){question, NULL}, "");
    for (size_t at = reply_token(whole.text.data, whole.text.len); at < whole.text.len;
         at += reply_token(whole.text.data + at, whole.text.len - at)) {
        char *begun = strndup(whole.text.data, at);
        struct reply rest = reply_to((const char *[]){question, begun, NULL}, "");
        assert_int_equal(at + rest.text.len, whole.text.len);
        assert_memory_equal(rest.text.data, whole.text.data + at, rest.text.len);
        reply_deinit(&rest);
        free(begun);
    }
    reply_deinit(&whole);
}

static void continues_an_answer_at_every_token(void **state)
{
    (void)state;
    assert_continues("Hello!");
    assert_continues("Tell me about rivers in 200 words");
    assert_continues("请详细介绍一下长城");
}

static void closes_an_answer_that_is_not_its_own(void **state)
{
    (void)state;
    struct reply reply = reply_to((const char *[]){"Hello!", "Bonjour, je suis", NULL}, "");
    assert_true(reply.text.len > 0);
    assert_null(strstr(reply.text.data, "Hello"));
    reply_deinit(&reply);
}

static void says_nothing_more_after_a_whole_answer(void **state)
{
    (void)state;
    struct reply whole = reply_to((const char *[]){"Hello!", NULL}, "");
    struct reply rest = reply_to((const char *[]){"Hello!", whole.text.data, NULL}, "");
    assert_int_equal(rest.text.len, 0);
    reply_deinit(&whole);
    reply_deinit(&rest);
}

static void calls_tools_that_are_offered(void **state)
{
    (void)state;
    struct reply reply = reply_to((const char *[]){"what is 12 times 7?", NULL}, CALCULATOR);
    assert_string_equal(reply.tool, "calculator");
    assert_string_equal(reply.arguments.data, "{\"expression\":\"12 * 7\"}");
    assert_int_equal(reply.text.len, 0);
    reply_deinit(&reply);

    reply = reply_to((const char *[]){"What time is it in Berlin?", NULL}, CLOCK);
    assert_string_equal(reply.tool, "current_time");
    assert_string_equal(reply.arguments.data, "{\"timezone\":\"Europe/Berlin\"}");
    reply_deinit(&reply);

    reply = reply_to((const char *[]){"what is 12 times 7?", NULL}, CALCULATOR ",\"tool_choice\":\"none\"");
    assert_null(reply.tool);
    reply_deinit(&reply);
}

static void uses_a_tools_result(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"demo\",\"messages\":[{\"role\":\"user\",\"content\":\"what is 12 times 7?\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":"
        "{\"name\":\"calculator\",\"arguments\":\"{\\\"expression\\\":\\\"12 * 7\\\"}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"84\"}]" CALCULATOR "}";
    struct chat chat;
    const char *parameter;
    char reason[128];
    assert_int_equal(chat_parse(body, strlen(body), 100, &chat, &parameter, reason, sizeof reason), ERR_NONE);
    struct reply reply;
    reply_init(&reply, &chat);
    assert_null(reply.tool);
    assert_non_null(strstr(reply.text.data, "`12 * 7` is **84**."));
    reply_deinit(&reply);
    chat_deinit(&chat);
}

static void refuses_bad_requests(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "{",
                                         "[]",
                                         "{\"model\":\"m\"}",
                                         "{\"model\":1,\"messages\":[]}",
                                         "{\"model\":\"m\",\"messages\":[]}",
                                         "{\"model\":\"m\",\"messages\":{}}",
                                         "{\"model\":\"m\",\"messages\":[1]}",
                                         "{\"model\":\"m\",\"messages\":[{\"role\":\"nobody\",\"content\":\"\"}]}",
                                         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}",
                                         "{\"model\":\"m\",\"stream\":1,\"messages\":[{\"role\":\"user\"}]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct chat chat;
        const char *parameter;
        char reason[128] = "";
        assert_int_equal(chat_parse(bodies[i], strlen(bodies[i]), 100, &chat, &parameter, reason, sizeof reason),
                         ERR_INVALID);
        assert_true(reason[0] != '\0');
    }
}

static void tokens_join_to_the_text(void **state)
{
    (void)state;
    const char *text = "One two,\n\nthree 你好 😀 end";
    size_t len = strlen(text), at = 0, count = 0;
    while (at < len) {
        size_t token = reply_token(text + at, len - at);
        assert_true(token > 0 && at + token <= len);
        assert_true(utf8_valid(text + at, token));
        at += token;
        count++;
    }
    assert_true(count >= 8);
    assert_int_equal(reply_token("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_to_the_point),
        cmocka_unit_test(writes_as_much_as_was_asked_for),
        cmocka_unit_test(continues_an_answer_at_every_token),
        cmocka_unit_test(closes_an_answer_that_is_not_its_own),
        cmocka_unit_test(says_nothing_more_after_a_whole_answer),
        cmocka_unit_test(calls_tools_that_are_offered),
        cmocka_unit_test(uses_a_tools_result),
        cmocka_unit_test(refuses_bad_requests),
        cmocka_unit_test(tokens_join_to_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
