/* providers/openai_request.c: what is asked, and how. */
#include "provider.h"

#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_body(const struct prompt *prompt, const char *body)
{
    struct provider_request request = {0};
    const struct provider_endpoint endpoint = {.base_url = "https://example.com/v1", .api_key = "secret"};
    provider_openai.request(&endpoint, prompt, &request);
    assert_string_equal(request.url.data, "https://example.com/v1/chat/completions");
    assert_string_equal(request.headers[0].data, "Content-Type: application/json");
    assert_string_equal(request.headers[1].data, "Accept: text/event-stream");
    assert_string_equal(request.headers[2].data, "Authorization: Bearer secret");
    assert_int_equal(request.headers[3].len, 0);
    assert_string_equal(request.body.data, body);
    provider_request_deinit(&request);
    assert_null(request.body.data);
}

static void asks_simply(void **state)
{
    (void)state;
    const struct prompt_message messages[] = {{.role = ROLE_SYSTEM, .text = "Be kind.", .len = 8},
                                              {.role = ROLE_USER, .text = "a\0\"会\n", .len = 7},
                                              {.role = ROLE_ASSISTANT, .text = "So f", .len = 4}};
    const struct prompt prompt = {.model = "m", .messages = messages, .message_count = 3};
    expect_body(&prompt,
                "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\","
                "\"content\":\"a\\u0000\\\"会\\n\"},{\"role\":\"assistant\",\"content\":\"So f\"}],\"stream\":true,"
                "\"stream_options\":{\"include_usage\":true}}");
}

static void asks_with_tools(void **state)
{
    (void)state;
    struct tool_call calls[2] = {{.id = mem_strdup("call_1"), .name = mem_strdup("add")},
                                 {.id = mem_strdup("call_2"), .name = mem_strdup("now")}};
    buf_append_text(&calls[0].arguments, "{\"a\":1}");
    const struct prompt_message messages[] = {
        {.role = ROLE_USER, .text = "1+1", .len = 3},
        {.role = ROLE_ASSISTANT, .text = "", .len = 0, .calls = calls, .call_count = 2},
        {.role = ROLE_TOOL, .text = "2", .len = 1, .call_id = "call_1"},
        {.role = ROLE_TOOL, .text = "", .len = 0, .call_id = "call_2"},
        {.role = ROLE_ASSISTANT, .text = "Well", .len = 4, .calls = calls, .call_count = 1},
    };
    const struct prompt_tool tools[] = {
        {.name = "add", .description = "adds", .parameters = "{\"type\":\"object\",\"required\":[\"a\"]}"},
        {.name = "now", .description = "", .parameters = NULL},
    };
    const struct prompt prompt = {.model = "m",
                                  .options = "{\"temperature\":0.5,\"stream\":false}",
                                  .messages = messages,
                                  .message_count = 5,
                                  .tools = tools,
                                  .tool_count = 2};
    expect_body(
        &prompt,
        "{\"temperature\":0.5,\"stream\":true,\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"1+1\"},{"
        "\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":"
        "{\"name\":\"add\",\"arguments\":\"{\\\"a\\\":1}\"}},{\"id\":\"call_2\",\"type\":\"function\",\"function\":{"
        "\"name\":\"now\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"2\"},{"
        "\"role\":\"tool\",\"tool_call_id\":\"call_2\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":\"Well\","
        "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"add\",\"arguments\":\"{"
        "\\\"a\\\":1}\"}}]}],\"stream_options\":{\"include_usage\":true},\"tools\":[{\"type\":\"function\","
        "\"function\":{\"name\":\"add\",\"description\":\"adds\",\"parameters\":{\"type\":\"object\",\"required\":["
        "\"a\"]}}},{\"type\":\"function\",\"function\":{\"name\":\"now\",\"description\":\"\",\"parameters\":{\"type\":"
        "\"object\",\"properties\":{}}}}]}");
    tool_call_deinit(&calls[0]);
    tool_call_deinit(&calls[1]);
}

static void needs_no_key_and_no_sound_options(void **state)
{
    (void)state;
    static const char *const options[] = {"[1]", "{", "", "7"};
    const struct provider_endpoint endpoint = {.base_url = "http://127.0.0.1:1/v1"};
    for (size_t i = 0; i < 4; i++) {
        struct provider_request request = {0};
        const struct prompt prompt = {.model = "m", .options = options[i]};
        provider_openai.request(&endpoint, &prompt, &request);
        assert_int_equal(request.headers[2].len, 0);
        assert_string_equal(request.body.data, "{\"model\":\"m\",\"messages\":[],\"stream\":true,"
                                               "\"stream_options\":{\"include_usage\":true}}");
        provider_request_deinit(&request);
    }
}

static void is_in_the_table(void **state)
{
    (void)state;
    assert_ptr_equal(provider_find("openai"), &provider_openai);
    assert_null(provider_find("nobody"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_simply),
        cmocka_unit_test(asks_with_tools),
        cmocka_unit_test(needs_no_key_and_no_sound_options),
        cmocka_unit_test(is_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
