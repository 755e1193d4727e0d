#include "completions.h"

#include "chunks.h"
#include "clock.h"
#include "id.h"
#include "mem.h"
#include "reply.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#define TICK_MIN_MS       5
#define TICK_MAX_MS       50
#define ARGUMENTS_PIECE   8       /* bytes of a tool call's arguments in one chunk */
#define PENDING_MAX_BYTES 1048576 /* a client that reads so slowly is waited for */

struct stream {
    TAILQ_ENTRY(stream) link;
    struct completions *completions;
    struct web_exchange *exchange;
    struct chat chat;
    struct reply reply;
    struct chunk_head head;
    size_t position; /* in the text, or in the tool call's arguments */
    int64_t tokens;  /* told so far */
    int64_t started_ms;
    bool over; /* all has been told; the client may still have to read it */
};
TAILQ_HEAD(stream_list, stream);

struct completions {
    struct service *service;
    const struct demo_settings *settings;
    struct stream_list streams;
    uv_timer_t *timer;
    struct completions_counts counts;
    void (*idle)(void *arg);
    void *idle_arg;
};

/* Roughly what a tokenizer would count. */
static size_t count_prompt_tokens(const struct chat *chat)
{
    size_t bytes = 0;
    for (size_t i = 0; i < chat->count; i++)
        bytes += chat->messages[i].text.len;
    return bytes / 4 + 4 * chat->count;
}

static const struct buf *content(const struct stream *stream)
{
    return stream->reply.tool ? &stream->reply.arguments : &stream->reply.text;
}

static size_t next_length(const struct stream *stream)
{
    const char *rest = content(stream)->data + stream->position;
    size_t len = content(stream)->len - stream->position;
    return stream->reply.tool ? utf8_cut(rest, len, ARGUMENTS_PIECE) : reply_token(rest, len);
}

static bool is_cut(const struct stream *stream)
{
    return stream->chat.max_tokens > 0 && !stream->reply.tool && stream->tokens >= stream->chat.max_tokens &&
           stream->position < content(stream)->len;
}

static const char *finish_reason(const struct stream *stream)
{
    return stream->reply.tool ? "tool_calls" : is_cut(stream) ? "length" : "stop";
}

static bool at_end(const struct stream *stream)
{
    return stream->position >= content(stream)->len || is_cut(stream);
}

static void free_stream(struct stream *stream)
{
    struct completions *c = stream->completions;
    TAILQ_REMOVE(&c->streams, stream, link);
    reply_deinit(&stream->reply);
    chat_deinit(&stream->chat);
    free(stream);
    if (!TAILQ_EMPTY(&c->streams))
        return;
    uv_timer_stop(c->timer);
    if (c->idle)
        c->idle(c->idle_arg);
}

static void on_exchange_end(void *arg, bool gone)
{
    struct stream *stream = arg;
    struct completions *c = stream->completions;
    if (gone && !stream->over)
        c->counts.aborted++;
    else
        c->counts.finished++;
    c->counts.active--;
    free_stream(stream);
}

/* ---- Streamed */

static void tell_token(struct stream *stream, struct buf *out)
{
    const char *text = content(stream)->data + stream->position;
    size_t len = next_length(stream);
    if (stream->reply.tool)
        chunk_arguments(&stream->head, text, len, out);
    else
        chunk_text(&stream->head, text, len, out);
    stream->position += len;
    stream->tokens++;
}

static void tell_end(struct stream *stream, struct buf *out)
{
    chunk_finish(&stream->head, finish_reason(stream), out);
    if (stream->chat.include_usage)
        chunk_usage(&stream->head, count_prompt_tokens(&stream->chat), (size_t)stream->tokens, out);
    chunk_done(out);
    stream->over = true;
}

/* Tells what is due by now. */
static void advance(struct stream *stream, int64_t now_ms)
{
    if (stream->over || web_stream_pending(stream->exchange) > PENDING_MAX_BYTES)
        return;
    int64_t due = 1 + (now_ms - stream->started_ms) * stream->completions->settings->tokens_per_second / 1000;
    struct buf out = {0};
    while (stream->tokens < due && !at_end(stream))
        tell_token(stream, &out);
    if (at_end(stream))
        tell_end(stream, &out);
    if (out.len > 0)
        web_stream_write(stream->exchange, &out);
    buf_deinit(&out);
    if (stream->over)
        web_stream_end(stream->exchange); /* may free the stream */
}

static void on_tick(uv_timer_t *timer)
{
    struct completions *c = timer->data;
    int64_t now_ms = clock_monotonic_ms();
    struct stream *stream = TAILQ_FIRST(&c->streams);
    while (stream) {
        struct stream *next = TAILQ_NEXT(stream, link);
        advance(stream, now_ms);
        stream = next;
    }
}

static void begin_stream(struct stream *stream)
{
    struct completions *c = stream->completions;
    struct buf out = {0};
    if (stream->reply.tool)
        chunk_call(&stream->head, stream->reply.tool, &out);
    else
        chunk_role(&stream->head, &out);
    web_stream_begin(stream->exchange, 200, "text/event-stream");
    web_stream_write(stream->exchange, &out);
    buf_deinit(&out);
    int64_t tick_ms = 1000 / c->settings->tokens_per_second;
    tick_ms = tick_ms < TICK_MIN_MS ? TICK_MIN_MS : tick_ms > TICK_MAX_MS ? TICK_MAX_MS : tick_ms;
    if (!uv_is_active((uv_handle_t *)c->timer))
        uv_timer_start(c->timer, on_tick, (uint64_t)tick_ms, (uint64_t)tick_ms);
}

/* ---- Whole */

static void answer_whole(struct stream *stream)
{
    while (!at_end(stream)) {
        stream->position += next_length(stream);
        stream->tokens++;
    }
    struct buf body = {0};
    chunk_whole(&stream->head, &stream->reply, stream->position, finish_reason(stream),
                count_prompt_tokens(&stream->chat), (size_t)stream->tokens, &body);
    stream->over = true;
    web_respond(stream->exchange, 200, "application/json", NULL, &body); /* may free the stream */
    buf_deinit(&body);
}

static struct stream *new_stream(struct completions *c, struct web_exchange *exchange, struct chat *chat)
{
    struct stream *stream = mem_alloc(sizeof *stream);
    stream->completions = c;
    stream->exchange = exchange;
    stream->chat = *chat;
    *chat = (struct chat){0};
    reply_init(&stream->reply, &stream->chat);
    char id[ID_SHORT_SIZE];
    id_short(id);
    snprintf(stream->head.id, sizeof stream->head.id, "chatcmpl-%s", id);
    snprintf(stream->head.call_id, sizeof stream->head.call_id, "call_%s", id);
    stream->head.created = clock_wall_ms() / 1000;
    stream->head.model = stream->chat.model;
    stream->started_ms = clock_monotonic_ms();
    TAILQ_INSERT_TAIL(&c->streams, stream, link);
    c->counts.started++;
    c->counts.active++;
    return stream;
}

bool completions_answer(struct completions *completions, struct web_exchange *exchange, struct chat *chat)
{
    if (completions->counts.active >= (uint64_t)completions->settings->max_streams)
        return false;
    struct stream *stream = new_stream(completions, exchange, chat);
    web_exchange_on_end(exchange, on_exchange_end, stream);
    if (stream->chat.stream)
        begin_stream(stream);
    else
        answer_whole(stream);
    return true;
}

struct completions_counts completions_count(const struct completions *completions)
{
    return completions->counts;
}

void completions_on_idle(struct completions *completions, void (*idle)(void *arg), void *arg)
{
    completions->idle = idle;
    completions->idle_arg = arg;
}

struct completions *completions_new(struct service *service, const struct demo_settings *settings)
{
    struct completions *c = mem_alloc(sizeof *c);
    c->service = service;
    c->settings = settings;
    TAILQ_INIT(&c->streams);
    c->timer = mem_alloc(sizeof *c->timer);
    uv_timer_init(&service->loop, c->timer);
    c->timer->data = c;
    return c;
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

void completions_free(struct completions **completions)
{
    struct completions *c = *completions;
    c->idle = NULL;
    while (!TAILQ_EMPTY(&c->streams)) {
        struct stream *stream = TAILQ_FIRST(&c->streams);
        web_exchange_on_end(stream->exchange, NULL, NULL);
        free_stream(stream);
    }
    uv_close((uv_handle_t *)c->timer, free_timer);
    free(c);
    *completions = NULL;
}
