/* completion over http_client and sse, against a scripted server on the same loop: what goes wrong, and what is asked
 * again. */
#include "completion_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define TIMEOUT_MS 1000 /* where what keeps a connection alive must not keep us waiting … */
#define PAUSE_MS   900  /* … and comes shortly before that */

static void says_that_a_stream_was_cut(void **state)
{
    struct world *world = *state;
    struct reply *cut = reply_with(world, SSE_HEAD CHUNKED);
    add_text(cut, "half");
    buf_append_text(&cut->bytes, "ff\r\ndata: {\"choices\"");
    cut->close = true;
    expect_error(world, ERR_CLOSED, true, "the model provider's answer broke off");
    struct reply *unfinished = reply_with(world, SSE_HEAD CHUNKED);
    add_text(unfinished, "half");
    add_last_chunk(unfinished);
    expect_error(world, ERR_CLOSED, true, "the model provider's answer broke off");
    reply_with(world, SSE_HEAD CHUNKED "ff\r\ndata: {")->close = true;
    expect_error(world, ERR_CLOSED, false, "the model provider's answer broke off");
}

static void gives_up_on_stalls(void **state)
{
    struct world *world = *state;
    world->options.first_token_timeout_ms = 200;
    world->options.stall_timeout_ms = 100;
    reply_with(world, "");
    expect_error(world, ERR_TIMEOUT, false, "the model provider did not answer in time");
    expect_hang_up(world);
    reply_with(world, SSE_HEAD CHUNKED);
    expect_error(world, ERR_TIMEOUT, false, "the model provider did not answer in time");
    add_text(reply_with(world, SSE_HEAD CHUNKED), "half");
    expect_error(world, ERR_TIMEOUT, true, "the model provider stopped in mid-answer");
    expect_hang_up(world);
    assert_int_equal(world->server.requests, 3);
}

/* A head and this body at once, and then this line after each of five pauses. */
static struct reply *reply_with_pauses(struct world *world, const char *body, const char *line, uint64_t pause_ms)
{
    struct reply *reply = reply_with(world, SSE_HEAD "\r\n");
    buf_append_text(&reply->bytes, body);
    reply->step = reply->bytes.len;
    reply->pause_ms = pause_ms;
    for (int i = 0; i < 5; i++) /* each as long as a step */
        buf_printf(&reply->bytes, "%-*s\n\n", (int)reply->step - 2, line);
    return reply;
}

static void expect_timeout(struct world *world, bool resumable, const char *reason)
{
    uint64_t took_ms = expect_error(world, ERR_TIMEOUT, resumable, reason);
    assert_in_range(took_ms, TIMEOUT_MS * 9 / 10, TIMEOUT_MS * 17 / 10); /* less than a pause more */
    expect_hang_up(world);
}

static void is_not_kept_waiting_by_comments(void **state)
{
    struct world *world = *state;
    world->options.first_token_timeout_ms = TIMEOUT_MS;
    reply_with_pauses(world, "", ":", PAUSE_MS);
    expect_timeout(world, false, "the model provider did not answer in time");
    world->options.first_token_timeout_ms = 10 * TIMEOUT_MS;
    world->options.stall_timeout_ms = TIMEOUT_MS;
    reply_with_pauses(world, TEXT("half"), ":", PAUSE_MS);
    expect_timeout(world, true, "the model provider stopped in mid-answer");
}

/* In every form that a body can have. */
static void is_not_kept_waiting_by_empty_words(void **state)
{
    struct world *world = *state;
    static const char *const nothings[] = {"\n", TEXT(""), "{     "};
    world->options.first_token_timeout_ms = TIMEOUT_MS;
    for (size_t i = 0; i < sizeof nothings / sizeof *nothings; i++) {
        reply_without_end(world, nothings[i], PAUSE_MS);
        expect_timeout(world, false, "the model provider did not answer in time");
    }
}

static void waits_for_each_word_anew(void **state)
{
    struct world *world = *state;
    const char *word = "data: {\"choices\":[{\"delta\":{\"content\":\"w\"}}]}";
    world->options.first_token_timeout_ms = world->options.stall_timeout_ms = TIMEOUT_MS / 2;
    struct reply *reply = reply_with_pauses(world, TEXT("w"), word, TIMEOUT_MS / 5);
    buf_append_text(&reply->bytes, FINISH);
    reply->close = true;
    expect_answer(world, "wwwwww");
}

static void does_not_wait_for_an_error_without_end(void **state)
{
    struct world *world = *state;
    world->options.first_token_timeout_ms = 200;
    struct reply *reply = reply_with(world, "HTTP/1.1 500 Oops\r\n\r\n");
    reply->repeat = true;
    reply->pause_ms = 20;
    expect_error(world, ERR_REFUSED, false, "the model provider answered 500");
    expect_hang_up(world);
}

static void gives_up_on_an_answer_without_end(void **state)
{
    struct world *world = *state;
    world->options.total_timeout_ms = 300;
    reply_without_end(world, TEXT("a"), 20);
    expect_error(world, ERR_TIMEOUT, false, "the model provider took too long");
    expect_hang_up(world);
}

static void asks_again_when_told_to_wait(void **state)
{
    struct world *world = *state;
    reply_with(world, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy");
    reply_with_text(world, "at last");
    expect_answer(world, "at last");
    assert_int_equal(world->server.requests, 2);
    assert_int_equal(world->server.last_request.data[0], '{');
}

static void asks_again_when_the_connection_has_gone_meanwhile(void **state)
{
    struct world *world = *state;
    reply_with(world, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy");
    reply_with(world, "")->close = true;
    reply_with_text(world, "at last");
    expect_answer(world, "at last");
    assert_int_equal(world->server.requests, 3);
}

static void waits_as_long_as_told(void **state)
{
    struct world *world = *state;
    reply_with(world, "HTTP/1.1 503 Unavailable\r\nretry-after: 1\r\nContent-Length: 0\r\n\r\n");
    reply_with(world, ERROR("503 Unavailable"));
    assert_true(expect_error(world, ERR_REFUSED, false, "the model provider answered 503") >= 950);
    assert_int_equal(world->server.requests, 2);
}

static void does_not_wait_longer_than_allowed(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, "HTTP/1.1 429 No\r\nRetry-After: 6\r\n" CHUNKED);
    add_chunk(reply, "{\"error\":{\"message\":\"Slow down.\"}}");
    add_last_chunk(reply);
    expect_error(world, ERR_REFUSED, false, "the model provider answered 429: Slow down.");
    world->options.retry_after_max_ms = 500; /* less than the default wait */
    reply_with(world, ERROR("429 No"));
    expect_error(world, ERR_REFUSED, false, "the model provider answered 429");
    reply_with(world, "HTTP/1.1 429 No\r\nRetry-After: Fri, 31 Dec 2099 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n");
    expect_error(world, ERR_REFUSED, false, "the model provider answered 429");
    assert_int_equal(world->server.requests, 3);
}

static void passes_on_what_a_refusal_says(void **state)
{
    struct world *world = *state;
    struct reply *unauthorized = reply_with(world, "HTTP/1.1 401 Unauthorized\r\n" CHUNKED);
    add_chunk(unauthorized, "{\"error\":{\"message\":\"Incorrect API key provided: " KEY ".\"}}");
    add_last_chunk(unauthorized);
    unauthorized->step = 7;
    expect_error(world, ERR_REFUSED, false, "the model provider answered 401: the key of this service is refused");
    assert_string_equal(world->words, "Incorrect API key provided: ***.");
    reply_with(world, ERROR("500 Oops"));
    expect_error(world, ERR_REFUSED, false, "the model provider answered 500");
    struct reply *endless = reply_with(world, "HTTP/1.1 500 Oops\r\n\r\n<html>on and on");
    endless->repeat = true;
    expect_error(world, ERR_REFUSED, false, "the model provider answered 500");
    reply_with(world, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    expect_error(world, ERR_REFUSED, false, "the model provider answered 302");
}

static void says_that_nobody_is_there(void **state)
{
    struct world *world = *state;
    scripted_server_close_listener(&world->server);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    expect_error(world, ERR_SYSTEM, false, "the model provider could not be reached: connection refused");
    snprintf(world->base_url, sizeof world->base_url, "http://no such host/");
    expect_error(world, ERR_INVALID, false, "the model provider's answer is not understood: the URL is malformed");
}

static void asks_again_when_hung_up_on(void **state)
{
    struct world *world = *state;
    reply_with(world, "")->close = true;
    reply_with_text(world, "sorry");
    expect_answer(world, "sorry");
    assert_int_equal(world->server.requests, 2);
}

static void asks_again_only_once(void **state)
{
    struct world *world = *state;
    reply_with(world, "")->close = true;
    expect_error(world, ERR_CLOSED, false,
                 "the model provider could not be reached: the connection was closed without an answer");
    assert_int_equal(world->server.requests, 2);
}

static void understands_no_garbage(void **state)
{
    static const char *const bodies[] = {"<html>welcome</html>\n\n", "", "{\"hello\":1}", ": only a comment\n\n",
                                         "data: {\"choices\":[]}"};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        world->server.requests = 0;
        world->server.reply_count = 0;
        struct reply *reply = reply_with(world, SSE_HEAD "\r\n");
        buf_append_text(&reply->bytes, bodies[i]);
        reply->close = true;
        expect_error(world, ERR_INVALID, false, "the model provider's answer is not understood");
        buf_deinit(&reply->bytes);
    }
}

static void names_what_it_does_not_understand(void **state)
{
    struct world *world = *state;
    reply_with(world, SSE_HEAD "\r\n{\"error\":{\"message\":\"out of memory\"}}")->close = true;
    expect_error(world, ERR_REFUSED, false, "the model provider reported an error: out of memory");
    struct reply *broken = reply_with(world, SSE_HEAD CHUNKED);
    add_text(broken, "good");
    add_chunk(broken, "data: nonsense\n\n");
    struct asked asked = {0};
    ask(world, &asked);
    finish(world, &asked);
    assert_int_equal(asked.err, ERR_INVALID);
    assert_string_equal(asked.text.data, "good");
    assert_string_equal(asked.reason, "the model provider's answer is not understood: an event is not JSON");
    expect_hang_up(world);
    reply_with(world, "SSH-2.0-OpenSSH_9.2\r\n\r\n")->close = true;
    expect_error(world, ERR_INVALID, false, "the model provider's answer is not understood: not HTTP");
    buf_deinit(&asked.text);
}

static void refuses_a_line_of_two_mebibytes(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 2; i++) {
        struct reply *reply = reply_with(world, SSE_HEAD "\r\n");
        buf_append_text(&reply->bytes, i == 0 ? "data: " : "{");
        for (int k = 0; k < 2 * MIB / 16; k++)
            buf_append_text(&reply->bytes, "0123456789abcdef");
    }
    expect_error(world, ERR_TOO_LARGE, false,
                 "the model provider sent more than is allowed: an event has more than 1048576 bytes");
    expect_hang_up(world);
    expect_error(world, ERR_TOO_LARGE, false,
                 "the model provider sent more than is allowed: its answer has more than 1048576 bytes");
    expect_hang_up(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(says_that_a_stream_was_cut),
        WORLD_TEST(gives_up_on_stalls),
        WORLD_TEST(is_not_kept_waiting_by_comments),
        WORLD_TEST(is_not_kept_waiting_by_empty_words),
        WORLD_TEST(waits_for_each_word_anew),
        WORLD_TEST(does_not_wait_for_an_error_without_end),
        WORLD_TEST(gives_up_on_an_answer_without_end),
        WORLD_TEST(asks_again_when_told_to_wait),
        WORLD_TEST(asks_again_when_the_connection_has_gone_meanwhile),
        WORLD_TEST(waits_as_long_as_told),
        WORLD_TEST(does_not_wait_longer_than_allowed),
        WORLD_TEST(passes_on_what_a_refusal_says),
        WORLD_TEST(says_that_nobody_is_there),
        WORLD_TEST(asks_again_when_hung_up_on),
        WORLD_TEST(asks_again_only_once),
        WORLD_TEST(understands_no_garbage),
        WORLD_TEST(names_what_it_does_not_understand),
        WORLD_TEST(refuses_a_line_of_two_mebibytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
