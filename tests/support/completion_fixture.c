#include "completion_fixture.h"

#include "mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVERYTHING_MAX 30000 /* ms that a test may take in all */
#define PROMPT_MAX     2000  /* ms within which a closed connection must be seen by its server */
#define USAGE          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n"

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "a test hangs\n");
    abort();
}

int world_set_up(void **state)
{
    struct world *world = mem_alloc(sizeof *world);
    signal(SIGPIPE, SIG_IGN);
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

int world_tear_down(void **state)
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

struct reply *reply_with(struct world *world, const char *bytes)
{
    struct reply *reply = scripted_server_add(&world->server);
    buf_append_text(&reply->bytes, bytes);
    return reply;
}

void add_chunk(struct reply *reply, const char *bytes)
{
    buf_printf(&reply->bytes, "%zx\r\n%s\r\n", strlen(bytes), bytes);
}

void add_text(struct reply *reply, const char *text)
{
    struct buf event = {0};
    buf_printf(&event, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}]}\n\n",
               text);
    add_chunk(reply, event.data);
    buf_deinit(&event);
}

void add_last_chunk(struct reply *reply)
{
    buf_append_text(&reply->bytes, "0\r\n\r\n");
}

void add_end(struct reply *reply)
{
    add_chunk(reply, FINISH);
    add_chunk(reply, USAGE DONE);
    add_last_chunk(reply);
}

struct reply *reply_with_text(struct world *world, const char *text)
{
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    add_text(reply, text);
    add_end(reply);
    return reply;
}

void reply_without_end(struct world *world, const char *event, uint64_t pause_ms)
{
    struct reply *reply = reply_with(world, SSE_HEAD "\r\n");
    buf_append_text(&reply->bytes, event);
    reply->repeat = true;
    reply->pause_ms = pause_ms;
}

/* ---- Questions */

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
        asked->world->usage = result->outcome->usage;
    completion_cancel(&asked->completion); /* allowed, and without effect */
}

void ask(struct world *world, struct asked *asked)
{
    static const struct completion_handlers handlers = {on_text, on_done};
    const struct prompt_message message = {.role = ROLE_USER, .text = "Hi", .len = 2};
    const struct prompt prompt = {.model = "m", .messages = &message, .message_count = 1};
    asked->world = world;
    asked->completion = completion_start(world->client, &world->loop, &world->options, &prompt, NULL, &handlers, asked);
    assert_false(asked->done);
}

void finish(struct world *world, struct asked *asked)
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

uint64_t expect_answer(struct world *world, const char *text)
{
    struct asked asked = {0};
    uint64_t took_ms = ask_and_finish(world, &asked);
    assert_string_equal(asked.reason, "");
    assert_int_equal(asked.err, ERR_NONE);
    assert_int_equal(asked.text.len, strlen(text));
    assert_memory_equal(asked.text.data, text, strlen(text));
    buf_deinit(&asked.text);
    return took_ms;
}

uint64_t expect_error(struct world *world, int err, bool resumable, const char *reason)
{
    struct asked asked = {0};
    uint64_t took_ms = ask_and_finish(world, &asked);
    assert_string_equal(asked.reason, reason);
    assert_int_equal(asked.err, err);
    assert_int_equal(asked.resumable, resumable);
    buf_deinit(&asked.text);
    return took_ms;
}

void expect_hang_up(struct world *world)
{
    uint64_t begin = uv_hrtime();
    while (world->server.open > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_true((uv_hrtime() - begin) / 1000000 < PROMPT_MAX);
}
