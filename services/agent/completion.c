#include "completion.h"

#include "answer_reader.h"
#include "mem.h"
#include "utf8.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_BODY_MAX_BYTES   (64 * 1024)
#define REASON_MAX_BYTES       600
#define RETRY_AFTER_DEFAULT_MS 1000
#define RECONNECT_AFTER_MS     200
/* How long an answer that is complete waits for its stream to end: for the usage, and to keep the connection. */
#define LINGER_MS 500

struct completion {
    uv_loop_t *loop;
    struct http_client *client;
    const struct completion_options *options;
    const struct completion_handlers *handlers;
    void *arg;

    struct http_request *http;
    struct provider_request request; /* its body only until it is sent */
    int status;                      /* of its response; 0: there is none yet */
    bool retried;                    /* after what the provider said; and */
    bool reconnected;                /* after it could not be asked */

    /* Of the loop's clock. Words move only `due_ms`: the timer looks at it at `look_ms`, and is set anew then. */
    uint64_t end_ms; /* of all of it */
    uint64_t due_ms; /* of what is waited for now: a word, the end of a complete answer, the second try */
    uint64_t look_ms;
    uv_timer_t timer;

    struct answer_reader reader;
    struct buf error_body; /* of a response that is no success */
    struct buf reason;     /* what was said about a failure: by the provider, the reader or http_client */

    bool ended; /* reported or cancelled: no handler is called any more */
    int depth;  /* of our callbacks on the stack: it is freed when the last one leaves */
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void release(struct completion *completion)
{
    provider_request_deinit(&completion->request);
    answer_reader_deinit(&completion->reader);
    buf_deinit(&completion->error_body);
    buf_deinit(&completion->reason);
    uv_close((uv_handle_t *)&completion->timer, on_closed);
}

static void enter(struct completion *completion)
{
    completion->depth++;
}

static void leave(struct completion *completion)
{
    if (--completion->depth == 0 && completion->ended)
        release(completion);
}

/* ---- How it ends */

/* Bounds the reason and takes the key out of it, should the provider have echoed that. */
static void clean_reason(const struct completion *completion, struct buf *reason)
{
    const char *key = completion->options->endpoint.api_key;
    struct buf clean = {0};
    const char *at = reason->data;
    for (const char *found; key && *key && (found = strstr(at, key)); at = found + strlen(key)) {
        buf_append(&clean, at, (size_t)(found - at));
        buf_append_text(&clean, "***");
    }
    buf_append_text(&clean, at);
    if (clean.len > REASON_MAX_BYTES) {
        clean.len = utf8_cut(clean.data, clean.len, REASON_MAX_BYTES);
        buf_append_text(&clean, "…");
    }
    buf_move(reason, &clean);
}

/* Within enter() and leave(). */
static void end(struct completion *completion, struct completion_result *result)
{
    assert(!completion->ended);
    completion->ended = true;
    http_cancel(&completion->http);
    completion->handlers->done(completion->arg, result);
}

/* Does nothing where the model has not finished; whether it has. */
static bool succeed(struct completion *completion)
{
    struct provider_outcome outcome;
    if (!answer_reader_finished(&completion->reader, &outcome))
        return false;
    end(completion, &(struct completion_result){.outcome = &outcome});
    return true;
}

/* "the model provider <what>: <detail>", without a detail that is empty. */
static void fail(struct completion *completion, int err, bool resumable, const char *what, const char *detail)
{
    struct buf reason = {0};
    buf_printf(&reason, "the model provider%s", what);
    if (*detail)
        buf_printf(&reason, ": %s", detail);
    clean_reason(completion, &reason);
    if (completion->reason.len > 0)
        clean_reason(completion, &completion->reason);
    end(completion, &(struct completion_result){
                        .err = err, .reason = reason.data, .words = completion->reason.data, .resumable = resumable});
    buf_deinit(&reason);
}

/* The answer can't be read on; 0: it came to nothing. */
static void fail_answer(struct completion *completion, int err)
{
    const char *detail = completion->reason.data ? completion->reason.data : "";
    switch (err) {
    case ERR_REFUSED:
        fail(completion, ERR_REFUSED, false, " reported an error", detail);
        break;
    case ERR_TOO_LARGE:
        fail(completion, ERR_TOO_LARGE, false, " sent more than is allowed", detail);
        break;
    default:
        fail(completion, ERR_INVALID, false, "'s answer is not understood", detail);
        break;
    }
}

/* Its status is no success. */
static void fail_status(struct completion *completion)
{
    char what[32];
    snprintf(what, sizeof what, " answered %d", completion->status);
    completion->options->provider->error(completion->error_body.data, completion->error_body.len, &completion->reason);
    const char *detail = completion->reason.data ? completion->reason.data : "";
    bool key_refused = completion->status == 401;
    fail(completion, ERR_REFUSED, false, what, key_refused ? "the key of this service is refused" : detail);
}

static bool is_refused(const struct completion *completion)
{
    return completion->status != 0 && completion->status / 100 != 2;
}

/* ---- How long it is waited for */

static void ask(struct completion *completion);

/* For an answer that is complete only its stream's end was waited for. */
static void end_waiting(struct completion *completion)
{
    bool speaks = completion->reader.progress > 0;
    enter(completion);
    if (succeed(completion))
        ;
    else if (uv_now(completion->loop) >= completion->end_ms)
        fail(completion, ERR_TIMEOUT, false, " took too long", "");
    else if (is_refused(completion))
        fail_status(completion);
    else
        fail(completion, ERR_TIMEOUT, completion->reader.text_came,
             speaks ? " stopped in mid-answer" : " did not answer in time", "");
    leave(completion);
}

static void on_timer(uv_timer_t *timer);

static void look_when_due(struct completion *completion)
{
    uint64_t now = uv_now(completion->loop);
    completion->look_ms = completion->due_ms;
    uv_timer_start(&completion->timer, on_timer, completion->look_ms > now ? completion->look_ms - now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct completion *completion = timer->data;
    uint64_t now = uv_now(timer->loop);
    if (completion->due_ms > now)
        look_when_due(completion);
    else if (!completion->http && now < completion->end_ms)
        ask(completion);
    else
        end_waiting(completion);
}

/* From now on something else is waited for, this long at most. */
static void wait_for(struct completion *completion, int64_t most_ms)
{
    uint64_t due_ms = uv_now(completion->loop) + (uint64_t)most_ms;
    completion->due_ms = due_ms < completion->end_ms ? due_ms : completion->end_ms;
    if (!uv_is_active((uv_handle_t *)&completion->timer) || completion->due_ms < completion->look_ms)
        look_when_due(completion);
}

/* ---- The body of an answer */

static void on_text(void *arg, const char *text, size_t len)
{
    struct completion *completion = arg;
    if (!completion->ended)
        completion->handlers->text(completion->arg, text, len);
}

static void take_answer(struct completion *completion, const char *bytes, size_t len)
{
    struct provider_outcome outcome;
    uint64_t before = completion->reader.progress;
    int err = answer_reader_feed(&completion->reader, bytes, len);
    if (completion->ended)
        return; /* the text handler has cancelled it */
    if (err)
        fail_answer(completion, err);
    else if (completion->reader.progress != before)
        wait_for(completion, answer_reader_finished(&completion->reader, &outcome)
                                 ? LINGER_MS
                                 : completion->options->stall_timeout_ms);
}

/* ---- The body of an error */

static void take_error(struct completion *completion, const char *bytes, size_t len)
{
    size_t room = ERROR_BODY_MAX_BYTES - completion->error_body.len;
    buf_append(&completion->error_body, bytes, len < room ? len : room);
    if (len > room)
        fail_status(completion);
}

static void on_body(void *arg, int status, const char *bytes, size_t len)
{
    struct completion *completion = arg;
    completion->status = status;
    enter(completion);
    if (is_refused(completion))
        take_error(completion, bytes, len);
    else
        take_answer(completion, bytes, len);
    leave(completion);
}

/* ---- The request */

/* How long to wait before asking again; -1: it isn't asked again. */
static int64_t retry_delay_ms(struct completion *completion, const struct http_result *result)
{
    int64_t wait_ms = -1;
    if ((result->status == 429 || result->status == 503) && !completion->retried) {
        completion->retried = true;
        wait_ms = result->retry_after_ms >= 0 ? result->retry_after_ms : RETRY_AFTER_DEFAULT_MS;
    } else if (result->status == 0 && (result->err == ERR_SYSTEM || result->err == ERR_CLOSED) &&
               !completion->reconnected) {
        completion->reconnected = true;
        return RECONNECT_AFTER_MS;
    }
    return wait_ms <= completion->options->retry_after_max_ms ? wait_ms : -1;
}

static void retry(struct completion *completion, struct buf *body, int64_t delay_ms)
{
    buf_reset(&completion->error_body);
    buf_move(&completion->request.body, body);
    wait_for(completion, delay_ms);
}

/* The transfer is over, and the answer is not complete. */
static void fail_transfer(struct completion *completion, const struct http_result *result)
{
    bool event_came = completion->reader.event_came;
    if (result->err == ERR_INVALID)
        buf_append_text(&completion->reason, result->text);
    if (is_refused(completion))
        fail_status(completion);
    else if (result->err == ERR_INVALID)
        fail_answer(completion, ERR_INVALID);
    else if (result->status == 0)
        fail(completion, result->err, false, " could not be reached", result->text);
    else if (result->err || event_came)
        fail(completion, ERR_CLOSED, event_came, "'s answer broke off", "");
    else
        fail_answer(completion, ERR_NONE);
}

static void on_done(void *arg, const struct http_result *result)
{
    struct completion *completion = arg;
    int64_t delay_ms = retry_delay_ms(completion, result);
    completion->http = NULL;
    completion->status = result->status;
    if (delay_ms >= 0) {
        retry(completion, result->body, delay_ms);
        return;
    }
    enter(completion);
    int err = result->err ? ERR_NONE : answer_reader_end(&completion->reader);
    if (completion->ended)
        ; /* the text handler has cancelled it */
    else if (err)
        fail_answer(completion, err);
    else if (!succeed(completion))
        fail_transfer(completion, result);
    leave(completion);
}

static void ask(struct completion *completion)
{
    const struct completion_options *options = completion->options;
    struct provider_request *request = &completion->request;
    const size_t header_max = sizeof request->headers / sizeof *request->headers;
    const char *headers[sizeof request->headers / sizeof *request->headers + 1] = {0};
    for (size_t i = 0; i < header_max && request->headers[i].len > 0; i++)
        headers[i] = request->headers[i].data;
    completion->status = 0;
    completion->http = http_send(completion->client,
                                 &(struct http_options){.method = "POST",
                                                        .url = request->url.data,
                                                        .headers = headers,
                                                        .connect_timeout_ms = options->connect_timeout_ms},
                                 &request->body, on_body, on_done, completion);
    wait_for(completion, options->first_token_timeout_ms);
}

/* After the provider's own headers. */
static void add_trace(struct provider_request *request, const struct trace *trace)
{
    char text[TRACE_TEXT_SIZE];
    size_t at = 0;
    while (request->headers[at].len > 0)
        at++;
    assert(at < sizeof request->headers / sizeof *request->headers);
    trace_next(trace, text);
    buf_printf(&request->headers[at], TRACE_HEADER ": %s", text);
}

struct completion *completion_start(struct http_client *client, uv_loop_t *loop,
                                    const struct completion_options *options, const struct prompt *prompt,
                                    const struct trace *trace, const struct completion_handlers *handlers, void *arg)
{
    struct completion *completion = mem_alloc(sizeof *completion);
    completion->loop = loop;
    completion->client = client;
    completion->options = options;
    completion->handlers = handlers;
    completion->arg = arg;
    uv_timer_init(loop, &completion->timer);
    completion->timer.data = completion;
    completion->end_ms = uv_now(loop) + (uint64_t)options->total_timeout_ms;
    answer_reader_init(&completion->reader, options, on_text, completion, &completion->reason);
    options->provider->request(&options->endpoint, prompt, &completion->request);
    if (trace && trace_is_set(trace))
        add_trace(&completion->request, trace);
    ask(completion);
    return completion;
}

void completion_cancel(struct completion **completion)
{
    struct completion *gone = *completion;
    *completion = NULL;
    if (!gone || gone->ended)
        return;
    gone->ended = true;
    http_cancel(&gone->http);
    if (gone->depth == 0)
        release(gone);
}
