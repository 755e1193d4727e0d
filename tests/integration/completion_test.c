/* completion over http_client and sse, against a scripted server on the same loop. */
#include "completion.h"

#include "mem.h"
#include "scripted_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB            (1024 * 1024)
#define KEY            "sk-very-secret"
#define EVERYTHING_MAX 30000 /* ms that a test may take in all */
#define PROMPT_MAX     100   /* ms within which a closed connection must be seen by its server */
#define PARALLEL       300
#define SSE_HEAD       "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
#define CHUNKED        "Transfer-Encoding: chunked\r\n\r\n"
#define FINISH         "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n"
#define DONE           "data: [DONE]\n\n"
#define ERROR(status)  "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"

struct world {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct scripted_server server;
    struct http_client *client;
    char base_url[64];
    struct completion_options options;
    char words[256]; /* the provider's, of the last that failed */
};

/* One completion and what it came to. */
struct asked {
    struct world *world;
    struct completion *completion;
    struct buf text;
    bool done;
    int err;
    char reason[1024];
    bool resumable;
    struct provider_usage usage;
    size_t cancel_at;     /* bytes of text; 0: never */
    struct asked *victim; /* cancelled together with it */
    struct asked *next;   /* started by its first text */
};

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "a test hangs\n");
    abort();
}

static int set_up(void **state)
{
    struct world *world = mem_alloc(sizeof *world);
    uv_loop_init(&world->loop);
    uv_timer_init(&world->loop, &world->watchdog);
    uv_timer_start(&world->watchdog, on_watchdog, EVERYTHING_MAX, 0);
    uv_unref((uv_handle_t *)&world->watchdog);
    scripted_server_start(&world->server, &world->loop);
    world->client = http_client_new(&world->loop, PARALLEL);
    snprintf(world->base_url, sizeof world->base_url, "http://127.0.0.1:%d/v1", world->server.port);
    world->options = (struct completion_options){.provider = &provider_openai,
                                                 .endpoint = {.base_url = world->base_url, .api_key = KEY},
                                                 .connect_timeout_ms = 5000,
                                                 .first_token_timeout_ms = 10000,
                                                 .stall_timeout_ms = 10000,
                                                 .total_timeout_ms = EVERYTHING_MAX,
                                                 .retry_after_max_ms = 5000,
                                                 .max_event_bytes = MIB,
                                                 .max_call_bytes = MIB};
    *state = world;
    return 0;
}

/* What is left open on the loop is a leak. */
static int tear_down(void **state)
{
    struct world *world = *state;
    http_client_free(&world->client);
    while (world->server.open > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    scripted_server_stop(&world->server);
    uv_close((uv_handle_t *)&world->watchdog, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    int err = uv_loop_close(&world->loop);
    free(world);
    return err;
}

/* ---- Replies */

static struct reply *reply_with(struct world *world, const char *bytes)
{
    struct reply *reply = scripted_server_add(&world->server);
    buf_append_text(&reply->bytes, bytes);
    return reply;
}

static void add_chunk(struct reply *reply, const char *bytes)
{
    buf_printf(&reply->bytes, "%zx\r\n%s\r\n", strlen(bytes), bytes);
}

static void add_text(struct reply *reply, const char *text)
{
    struct buf event = {0};
    buf_printf(&event, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}]}\n\n",
               text);
    add_chunk(reply, event.data);
    buf_deinit(&event);
}

static void add_end(struct reply *reply)
{
    add_chunk(reply, FINISH);
    add_chunk(reply, USAGE DONE);
    buf_append_text(&reply->bytes, "0\r\n\r\n");
}

static struct reply *reply_with_text(struct world *world, const char *text)
{
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    add_text(reply, text);
    add_end(reply);
    return reply;
}

/* ---- Questions */

static void ask(struct world *world, struct asked *asked);

static void on_text(void *arg, const char *text, size_t len)
{
    struct asked *asked = arg;
    assert_non_null(asked->completion);
    if (asked->next && asked->text.len == 0)
        ask(asked->world, asked->next);
    buf_append(&asked->text, text, len);
    if (asked->cancel_at == 0 || asked->text.len < asked->cancel_at)
        return;
    completion_cancel(&asked->completion);
    if (asked->victim)
        completion_cancel(&asked->victim->completion);
}

static void on_done(void *arg, const struct completion_result *result)
{
    struct asked *asked = arg;
    assert_non_null(asked->completion);
    assert_false(asked->done);
    assert_int_equal(result->reason != NULL, result->err != ERR_NONE);
    assert_int_equal(result->outcome != NULL, result->err == ERR_NONE);
    asked->done = true;
    asked->err = result->err;
    asked->resumable = result->resumable;
    snprintf(asked->reason, sizeof asked->reason, "%s", result->reason ? result->reason : "");
    snprintf(asked->world->words, sizeof asked->world->words, "%s", result->words ? result->words : "");
    if (result->outcome)
        asked->usage = result->outcome->usage;
    completion_cancel(&asked->completion); /* allowed, and without effect */
}

static void ask(struct world *world, struct asked *asked)
{
    static const struct completion_handlers handlers = {on_text, on_done};
    const struct prompt_message message = {.role = ROLE_USER, .text = "Hi", .len = 2};
    const struct prompt prompt = {.model = "m", .messages = &message, .message_count = 1};
    asked->world = world;
    asked->completion = completion_start(world->client, &world->loop, &world->options, &prompt, NULL, &handlers, asked);
    assert_false(asked->done);
}

static void finish(struct world *world, struct asked *asked)
{
    while (!asked->done)
        uv_run(&world->loop, UV_RUN_ONCE);
}

static uint64_t ask_and_finish(struct world *world, struct asked *asked)
{
    uint64_t begin = uv_hrtime();
    ask(world, asked);
    finish(world, asked);
    return (uv_hrtime() - begin) / 1000000;
}

static void expect_answer(const struct asked *asked, const char *text)
{
    assert_string_equal(asked->reason, "");
    assert_int_equal(asked->err, ERR_NONE);
    assert_int_equal(asked->text.len, strlen(text));
    assert_memory_equal(asked->text.data, text, strlen(text));
}

static void expect_error(struct world *world, int err, bool resumable, const char *reason)
{
    struct asked asked = {0};
    ask_and_finish(world, &asked);
    assert_string_equal(asked.reason, reason);
    assert_int_equal(asked.err, err);
    assert_int_equal(asked.resumable, resumable);
    buf_deinit(&asked.text);
}

/* Cancelled or failed: its server must see the connection end at once. */
static void expect_hang_up(struct world *world)
{
    uint64_t begin = uv_hrtime();
    while (world->server.open > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_true((uv_hrtime() - begin) / 1000000 < PROMPT_MAX);
}

/* ---- Answers */

static void streams_an_answer_cut_at_every_byte(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    add_chunk(reply, ": hello\r\n\r");
    add_chunk(reply, "\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n");
    add_text(reply, "Emoji 😀 and 会话");
    add_text(reply, "; \\ud83d\\ude00\\n");
    add_end(reply);
    reply->step = 1;
    struct asked asked = {0};
    ask_and_finish(world, &asked);
    expect_answer(&asked, "Emoji 😀 and 会话; 😀\n");
    assert_int_equal(asked.usage.prompt_tokens, 5);
    assert_int_equal(asked.usage.answer_tokens, 7);
    assert_true(world->server.last_had_key);
    assert_string_equal(world->server.last_request.data,
                        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true,"
                        "\"stream_options\":{\"include_usage\":true}}");
    buf_deinit(&asked.text);
}

static void streams_a_mebibyte(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    struct buf expected = {0};
    for (int i = 0; expected.len < MIB; i++) {
        char text[64];
        snprintf(text, sizeof text, "word %d 会话, ", i);
        add_text(reply, text);
        buf_append_text(&expected, text);
    }
    add_end(reply);
    struct asked asked = {0};
    ask_and_finish(world, &asked);
    expect_answer(&asked, expected.data);
    buf_deinit(&expected);
    buf_deinit(&asked.text);
}

static void reads_an_answer_in_one_piece(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" CHUNKED);
    add_chunk(reply, " \r\n");
    add_chunk(reply, "{\"choices\":[{\"message\":{\"content\":\"Who");
    add_chunk(reply, "le\"},\"finish_reason\":\"stop\"}]}\n");
    buf_append_text(&reply->bytes, "0\r\n\r\n");
    reply->step = 1;
    struct asked asked = {0};
    ask_and_finish(world, &asked);
    expect_answer(&asked, "Whole");
    buf_deinit(&asked.text);
}

static void keeps_connections(void **state)
{
    struct world *world = *state;
    reply_with_text(world, "again");
    for (int i = 0; i < 5; i++) {
        struct asked asked = {0};
        ask_and_finish(world, &asked);
        expect_answer(&asked, "again");
        buf_deinit(&asked.text);
    }
    assert_int_equal(world->server.requests, 5);
    assert_int_equal(world->server.accepted, 1);
}

static void needs_no_end_of_the_stream(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    add_text(reply, "all");
    add_chunk(reply, FINISH DONE);
    struct asked asked = {0};
    assert_true(ask_and_finish(world, &asked) < 5000);
    expect_answer(&asked, "all");
    expect_hang_up(world);
    buf_deinit(&asked.text);
}

static void streams_many_at_a_time(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    for (int i = 0; i < 20; i++)
        add_text(reply, "0123456789");
    add_end(reply);
    reply->step = 150;
    reply->pause_ms = 5;
    struct asked *asked = mem_alloc(PARALLEL * sizeof *asked);
    struct asked *chained = mem_alloc(PARALLEL * sizeof *chained);
    for (int i = 0; i < PARALLEL; i++) {
        asked[i].next = &chained[i];
        ask(world, &asked[i]);
    }
    for (int i = 0; i < PARALLEL; i++) {
        finish(world, &asked[i]);
        finish(world, &chained[i]);
        assert_int_equal(asked[i].err + chained[i].err, ERR_NONE);
        assert_int_equal(asked[i].text.len, 200);
        assert_int_equal(chained[i].text.len, 200);
        buf_deinit(&asked[i].text);
        buf_deinit(&chained[i].text);
    }
    assert_int_equal(world->server.requests, 2 * PARALLEL);
    free(asked);
    free(chained);
}

/* ---- Failures */

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
    buf_append_text(&unfinished->bytes, "0\r\n\r\n");
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

static void is_not_kept_waiting_by_comments(void **state)
{
    struct world *world = *state;
    world->options.first_token_timeout_ms = 200;
    struct reply *reply = reply_with(world, SSE_HEAD "\r\n: wait\n\n");
    reply->pause_ms = 20;
    reply->repeat = true;
    expect_error(world, ERR_TIMEOUT, false, "the model provider did not answer in time");
    expect_hang_up(world);
}

/* In every form that a body can have. */
static void is_not_kept_waiting_by_empty_words(void **state)
{
    struct world *world = *state;
    static const char *const nothings[] = {"\n", "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n", "{     "};
    world->options.first_token_timeout_ms = 200;
    for (size_t i = 0; i < sizeof nothings / sizeof *nothings; i++) {
        struct reply *reply = reply_with(world, SSE_HEAD "\r\n");
        buf_append_text(&reply->bytes, nothings[i]);
        reply->pause_ms = 20;
        reply->repeat = true;
        expect_error(world, ERR_TIMEOUT, false, "the model provider did not answer in time");
        expect_hang_up(world);
    }
}

static void gives_up_on_an_answer_without_end(void **state)
{
    struct world *world = *state;
    world->options.total_timeout_ms = 300;
    struct reply *reply = reply_with(world, SSE_HEAD "\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    reply->pause_ms = 20;
    reply->repeat = true;
    expect_error(world, ERR_TIMEOUT, false, "the model provider took too long");
    expect_hang_up(world);
}

static void asks_again_when_told_to_wait(void **state)
{
    struct world *world = *state;
    reply_with(world, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy");
    reply_with_text(world, "at last");
    struct asked asked = {0};
    ask_and_finish(world, &asked);
    expect_answer(&asked, "at last");
    assert_int_equal(world->server.requests, 2);
    assert_int_equal(world->server.last_request.data[0], '{');
    buf_deinit(&asked.text);
}

static void waits_as_long_as_told(void **state)
{
    struct world *world = *state;
    reply_with(world, "HTTP/1.1 503 Unavailable\r\nretry-after: 1\r\nContent-Length: 0\r\n\r\n");
    reply_with(world, ERROR("503 Unavailable"));
    struct asked asked = {0};
    assert_true(ask_and_finish(world, &asked) >= 950);
    assert_string_equal(asked.reason, "the model provider answered 503");
    assert_int_equal(asked.err, ERR_REFUSED);
    assert_int_equal(world->server.requests, 2);
}

static void does_not_wait_longer_than_allowed(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, "HTTP/1.1 429 No\r\nRetry-After: 6\r\n" CHUNKED);
    add_chunk(reply, "{\"error\":{\"message\":\"Slow down.\"}}");
    buf_append_text(&reply->bytes, "0\r\n\r\n");
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
    buf_append_text(&unauthorized->bytes, "0\r\n\r\n");
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
    struct asked asked = {0};
    ask_and_finish(world, &asked);
    expect_answer(&asked, "sorry");
    assert_int_equal(world->server.requests, 2);
    buf_deinit(&asked.text);
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
    ask_and_finish(world, &asked);
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

/* ---- Cancelling */

static struct reply *reply_without_end(struct world *world)
{
    struct reply *reply = reply_with(world, SSE_HEAD "\r\n");
    for (int i = 0; i < 3; i++)
        buf_append_text(&reply->bytes, "data: {\"choices\":[{\"delta\":{\"content\":\"more \"}}]}\n\n");
    reply->repeat = true;
    reply->pause_ms = 2;
    return reply;
}

static void cancels_at_any_time(void **state)
{
    struct world *world = *state;
    reply_without_end(world);
    for (int turns = 0; turns < 25; turns++) {
        struct asked asked = {0};
        ask(world, &asked);
        for (int i = 0; i < turns; i++)
            uv_run(&world->loop, UV_RUN_ONCE);
        completion_cancel(&asked.completion);
        assert_null(asked.completion);
        size_t heard = asked.text.len;
        expect_hang_up(world);
        assert_int_equal(asked.text.len, heard);
        assert_false(asked.done);
        buf_deinit(&asked.text);
    }
}

static void cancels_from_within_the_text_handler(void **state)
{
    struct world *world = *state;
    reply_without_end(world);
    for (size_t at = 1; at < 30; at += 5) {
        struct asked asked = {.cancel_at = at};
        ask(world, &asked);
        while (asked.completion)
            uv_run(&world->loop, UV_RUN_ONCE);
        expect_hang_up(world);
        assert_int_equal(asked.text.len, (at + 4) / 5 * 5); /* not a word more, though a read brings three */
        assert_false(asked.done);
        buf_deinit(&asked.text);
    }
}

static void cancels_others_from_within_the_text_handler(void **state)
{
    struct world *world = *state;
    reply_without_end(world);
    struct asked unborn = {0};
    struct asked victim = {0};
    struct asked killer = {.cancel_at = 1, .victim = &victim};
    ask(world, &victim);
    while (victim.text.len == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    ask(world, &killer);
    while (killer.completion)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_null(victim.completion);
    expect_hang_up(world);
    /* One that was only just started, from within the same handler. */
    struct asked parent = {.cancel_at = 1, .victim = &unborn, .next = &unborn};
    int requests = world->server.requests;
    ask(world, &parent);
    while (parent.completion)
        uv_run(&world->loop, UV_RUN_ONCE);
    expect_hang_up(world);
    assert_int_equal(world->server.requests, requests + 1);
    assert_false(victim.done || killer.done || parent.done || unborn.done);
    buf_deinit(&victim.text);
    buf_deinit(&killer.text);
    buf_deinit(&parent.text);
}

static void cancels_while_waiting_to_ask_again(void **state)
{
    struct world *world = *state;
    reply_with(world, ERROR("429 No"));
    struct asked asked = {0};
    ask(world, &asked);
    while (world->server.requests == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    for (int i = 0; i < 3; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    completion_cancel(&asked.completion);
    assert_false(asked.done);
    assert_int_equal(world->server.requests, 1);
}

static void cancels_many_at_once(void **state)
{
    struct world *world = *state;
    reply_without_end(world);
    struct asked *asked = mem_alloc(PARALLEL * sizeof *asked);
    for (int i = 0; i < PARALLEL; i++)
        ask(world, &asked[i]);
    for (int i = 0; i < PARALLEL; i++)
        while (asked[i].text.len == 0)
            uv_run(&world->loop, UV_RUN_ONCE);
    for (int i = 0; i < PARALLEL; i++)
        completion_cancel(&asked[i].completion);
    while (world->server.open > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    for (int i = 0; i < PARALLEL; i++)
        buf_deinit(&asked[i].text);
    free(asked);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(streams_an_answer_cut_at_every_byte),
        TEST(streams_a_mebibyte),
        TEST(reads_an_answer_in_one_piece),
        TEST(keeps_connections),
        TEST(needs_no_end_of_the_stream),
        TEST(streams_many_at_a_time),
        TEST(says_that_a_stream_was_cut),
        TEST(gives_up_on_stalls),
        TEST(is_not_kept_waiting_by_comments),
        TEST(is_not_kept_waiting_by_empty_words),
        TEST(gives_up_on_an_answer_without_end),
        TEST(asks_again_when_told_to_wait),
        TEST(waits_as_long_as_told),
        TEST(does_not_wait_longer_than_allowed),
        TEST(passes_on_what_a_refusal_says),
        TEST(says_that_nobody_is_there),
        TEST(asks_again_when_hung_up_on),
        TEST(asks_again_only_once),
        TEST(understands_no_garbage),
        TEST(names_what_it_does_not_understand),
        TEST(refuses_a_line_of_two_mebibytes),
        TEST(cancels_at_any_time),
        TEST(cancels_from_within_the_text_handler),
        TEST(cancels_others_from_within_the_text_handler),
        TEST(cancels_while_waiting_to_ask_again),
        TEST(cancels_many_at_once),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
