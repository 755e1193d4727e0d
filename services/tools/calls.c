/* The life of a call:
 *
 *   submitted --too many--> answered, gone
 *      |
 *   QUEUED --its turn--> RUNNING --result--> ENDED --a minute, or room is needed--> gone
 *      |                    |                  ^
 *      +---cancelled, or out of time-----------+
 *
 * A call is in one list, that of its state, and changes it only in move(). Calls are found by a key made of all that
 * identifies them, so that an id which a model happens to use twice does not bring the wrong result. */
#include "calls.h"

#include "answer.h"
#include "cancellations.h"
#include "clock.h"
#include "id.h"
#include "log.h"
#include "mem.h"
#include "run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define REMEMBERED_MS 60000
#define REPLIES_MAX   4 /* askers of one call; the oldest gives way */
#define BUCKETS       1024

enum state { QUEUED, RUNNING, ENDED, STATES };

struct call {
    TAILQ_ENTRY(call) in_state;
    TAILQ_ENTRY(call) in_bucket;
    struct calls *calls;
    enum state state;
    char key[ID_HASH_SIZE];
    char *id;
    struct trace trace; /* of who asked first */
    const struct registry_tool *tool;
    json_t *arguments; /* until it runs */
    char *credential;  /* NULL: none */
    char *replies[REPLIES_MAX];
    size_t reply_count;
    struct run *run;
    int64_t caller_gives_up_ms; /* monotonic, as all times here; INT64_MAX: never */
    int64_t submitted_ms;
    int64_t expires_ms; /* the end of waiting, of running, or of being remembered */
    Parley__ToolStatus status;
    struct buf result;
};
TAILQ_HEAD(call_list, call);

struct calls {
    struct service *service;
    const struct tools_settings *settings;
    struct call_list states[STATES];
    size_t counts[STATES];
    struct call_list buckets[BUCKETS];
    size_t remembered_bytes;
    struct cancellations cancellations; /* of calls that have not come to this process */
    uv_timer_t *timer;                  /* at the earliest expiry */
    struct metric *running;
    void (*idle)(void *arg);
    void *idle_arg;
};

static void start_waiting(struct calls *calls);

/* ---- Lists */

static struct call_list *bucket_of(struct calls *calls, const char *key)
{
    return &calls->buckets[((unsigned char)key[0] * 31 + (unsigned char)key[1] * 67 + (unsigned char)key[2]) % BUCKETS];
}

static struct call *find(struct calls *calls, const char *key)
{
    struct call *call;
    TAILQ_FOREACH(call, bucket_of(calls, key), in_bucket)
    {
        if (strcmp(call->key, key) == 0)
            return call;
    }
    return NULL;
}

static void enter(struct call *call, enum state state)
{
    struct calls *calls = call->calls;
    call->state = state;
    TAILQ_INSERT_TAIL(&calls->states[state], call, in_state);
    calls->counts[state]++;
    metric_set(calls->running, (double)calls->counts[RUNNING]);
}

static void leave(struct call *call)
{
    TAILQ_REMOVE(&call->calls->states[call->state], call, in_state);
    call->calls->counts[call->state]--;
}

static void move(struct call *call, enum state state)
{
    static const bool legal[STATES][STATES] = {
        [QUEUED] = {[RUNNING] = true, [ENDED] = true}, [RUNNING] = {[ENDED] = true}, [ENDED] = {false}};
    assert(legal[call->state][state]);
    leave(call);
    enter(call, state);
}

static size_t remembered_size(const struct call *call)
{
    return sizeof *call + call->result.len;
}

static void free_call(struct call *call)
{
    leave(call);
    TAILQ_REMOVE(bucket_of(call->calls, call->key), call, in_bucket);
    if (call->state == ENDED)
        call->calls->remembered_bytes -= remembered_size(call);
    run_abandon(&call->run);
    json_decref(call->arguments);
    for (size_t i = 0; i < call->reply_count; i++)
        free(call->replies[i]);
    free(call->id);
    free(call->credential);
    buf_deinit(&call->result);
    free(call);
}

/* ---- Answers */

/* To all who asked; they are forgotten then. */
static void answer_all(struct call *call)
{
    Parley__ToolResult result = PARLEY__TOOL_RESULT__INIT;
    result.call = call->id;
    result.status = call->status;
    result.result.data = (uint8_t *)call->result.data;
    result.result.len = call->result.len;
    for (size_t i = 0; i < call->reply_count; i++) {
        answer_send(call->calls->service, call->replies[i], &call->trace, &result);
        free(call->replies[i]);
    }
    call->reply_count = 0;
}

static void add_reply(struct call *call, const char *reply)
{
    if (call->reply_count == REPLIES_MAX) {
        free(call->replies[0]);
        memmove(call->replies, call->replies + 1, (REPLIES_MAX - 1) * sizeof *call->replies);
        call->reply_count--;
    }
    call->replies[call->reply_count++] = mem_strdup(reply);
}

/* ---- Time */

static void on_timer(uv_timer_t *timer);

static int64_t earliest(const struct calls *calls)
{
    int64_t soonest = INT64_MAX;
    const struct call *call;
    for (int state = QUEUED; state <= RUNNING; state++) {
        TAILQ_FOREACH(call, &calls->states[state], in_state)
        {
            if (call->expires_ms < soonest)
                soonest = call->expires_ms;
        }
    }
    call = TAILQ_FIRST(&calls->states[ENDED]); /* in the order of their ends */
    if (call && call->expires_ms < soonest)
        soonest = call->expires_ms;
    return soonest;
}

static void set_timer(struct calls *calls)
{
    int64_t when = earliest(calls);
    if (when == INT64_MAX) {
        uv_timer_stop(calls->timer);
        return;
    }
    int64_t wait = when - clock_monotonic_ms();
    uv_update_time(&calls->service->loop);
    uv_timer_start(calls->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

/* ---- Steps */

static void end(struct call *call, Parley__ToolStatus status)
{
    struct calls *calls = call->calls;
    run_abandon(&call->run);
    call->status = status;
    move(call, ENDED);
    json_decref(call->arguments);
    call->arguments = NULL;
    call->expires_ms = clock_monotonic_ms() + REMEMBERED_MS;
    calls->remembered_bytes += remembered_size(call);
    metric_observe(call->tool->metrics.seconds, (double)(clock_monotonic_ms() - call->submitted_ms) / 1000);
    log_debug("tool call ended", LOG_TEXT("call", call->id), LOG_TRACE(&call->trace), LOG_INT("status", status));
    answer_all(call);
}

static void end_failed(struct call *call, const char *text, struct metric *outcome)
{
    buf_reset(&call->result);
    buf_append_text(&call->result, text);
    metric_add(outcome, 1);
    end(call, PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED);
}

/* After anything has ended: forgets what there is no room for, gives free places to those who wait, and says so when
 * there is nothing left to do. */
static void settle(struct calls *calls)
{
    while (calls->remembered_bytes > (size_t)calls->settings->remembered_bytes)
        free_call(TAILQ_FIRST(&calls->states[ENDED]));
    start_waiting(calls);
    set_timer(calls);
    if (calls->idle && calls_idle(calls))
        calls->idle(calls->idle_arg);
}

static void on_run_done(void *arg, bool ok, struct buf *result)
{
    struct call *call = arg;
    call->run = NULL;
    buf_move(&call->result, result);
    metric_add(ok ? call->tool->metrics.ok : call->tool->metrics.failed, 1);
    struct calls *calls = call->calls;
    end(call, ok ? PARLEY__TOOL_STATUS__TOOL_STATUS_OK : PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED);
    settle(calls);
}

static int64_t time_limit(const struct call *call, int64_t now_ms)
{
    int64_t limit = call->tool->timeout_ms > 0 ? call->tool->timeout_ms : call->calls->settings->timeout_ms;
    return call->caller_gives_up_ms < now_ms + limit ? call->caller_gives_up_ms : now_ms + limit;
}

static void start(struct call *call)
{
    struct calls *calls = call->calls;
    move(call, RUNNING);
    call->expires_ms = time_limit(call, clock_monotonic_ms());
    const struct run_options options = {
        .tool = call->tool,
        .max_output = (size_t)calls->settings->max_output,
        .credential = call->credential,
        .trace = &call->trace,
    };
    call->run = run_start(&calls->service->loop, &options, &call->arguments, on_run_done, call);
}

static void start_waiting(struct calls *calls)
{
    while (calls->counts[RUNNING] < (size_t)calls->settings->max_concurrent && calls->counts[QUEUED] > 0)
        start(TAILQ_FIRST(&calls->states[QUEUED]));
}

static void expire(struct call *call)
{
    if (call->state == ENDED)
        free_call(call);
    else
        end_failed(call, call->state == RUNNING ? "the tool took too long" : "too busy: the call waited too long",
                   call->tool->metrics.failed);
}

static void on_timer(uv_timer_t *timer)
{
    struct calls *calls = timer->data;
    int64_t now_ms = clock_monotonic_ms();
    for (int state = QUEUED; state < STATES; state++) {
        struct call *call = TAILQ_FIRST(&calls->states[state]);
        while (call) {
            struct call *next = TAILQ_NEXT(call, in_state);
            if (call->expires_ms <= now_ms)
                expire(call);
            else if (state == ENDED)
                break;
            call = next;
        }
    }
    settle(calls);
}

/* ---- From outside */

static void make_key(const Parley__ToolCall *call, char key[ID_HASH_SIZE])
{
    struct buf all = {0};
    buf_append(&all, call->call, strlen(call->call) + 1);
    buf_append(&all, call->turn, strlen(call->turn) + 1);
    buf_append(&all, call->user, strlen(call->user) + 1);
    buf_append(&all, call->name, strlen(call->name) + 1);
    buf_append(&all, call->arguments.data, call->arguments.len);
    id_hash(all.data, all.len, key);
    buf_deinit(&all);
}

static struct call *new_call(struct calls *calls, const Parley__ToolCall *message, const struct registry_tool *tool,
                             const struct trace *trace, const char *key)
{
    struct call *call = mem_alloc(sizeof *call);
    call->calls = calls;
    memcpy(call->key, key, sizeof call->key);
    call->id = mem_strdup(message->call);
    call->trace = *trace;
    call->tool = tool;
    if (message->credential.len > 0)
        call->credential = mem_strndup((const char *)message->credential.data, message->credential.len);
    call->submitted_ms = clock_monotonic_ms();
    call->caller_gives_up_ms =
        message->deadline_ms > 0 ? call->submitted_ms + (message->deadline_ms - clock_wall_ms()) : INT64_MAX;
    call->expires_ms = time_limit(call, call->submitted_ms);
    TAILQ_INSERT_TAIL(bucket_of(calls, key), call, in_bucket);
    enter(call, QUEUED);
    return call;
}

static void refuse(struct calls *calls, const Parley__ToolCall *message, const struct trace *trace,
                   struct metric *outcome, const char *reply, const char *reason)
{
    metric_add(outcome, 1);
    answer_text(calls->service, reply, trace, message->call, PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED, reason);
}

void calls_submit(struct calls *calls, const Parley__ToolCall *message, const struct registry_tool *tool,
                  const struct trace *trace, json_t **arguments, const char *reply)
{
    char key[ID_HASH_SIZE];
    make_key(message, key);
    struct call *call = find(calls, key);
    if (call) {
        json_decref(*arguments);
        add_reply(call, reply);
        if (call->state == ENDED)
            answer_all(call);
    } else if (cancellations_hold(&calls->cancellations, message->call, clock_monotonic_ms())) {
        json_decref(*arguments);
        refuse(calls, message, trace, tool->metrics.cancelled, reply, "the call was cancelled");
    } else if (calls->counts[RUNNING] >= (size_t)calls->settings->max_concurrent &&
               calls->counts[QUEUED] >= (size_t)calls->settings->max_queued) {
        json_decref(*arguments);
        refuse(calls, message, trace, tool->metrics.failed, reply, "too busy: too many calls are waiting");
    } else {
        call = new_call(calls, message, tool, trace, key);
        call->arguments = *arguments;
        add_reply(call, reply);
        start_waiting(calls);
        set_timer(calls);
    }
    *arguments = NULL;
}

void calls_cancel(struct calls *calls, const char *id)
{
    bool known = false;
    for (int state = QUEUED; state <= RUNNING; state++) {
        struct call *call = TAILQ_FIRST(&calls->states[state]);
        while (call) {
            struct call *next = TAILQ_NEXT(call, in_state);
            if (strcmp(call->id, id) == 0) {
                end_failed(call, "the call was cancelled", call->tool->metrics.cancelled);
                known = true;
            }
            call = next;
        }
    }
    if (!known)
        cancellations_add(&calls->cancellations, id, clock_monotonic_ms() + REMEMBERED_MS);
    settle(calls);
}

bool calls_idle(const struct calls *calls)
{
    return calls->counts[QUEUED] == 0 && calls->counts[RUNNING] == 0;
}

void calls_on_idle(struct calls *calls, void (*idle)(void *arg), void *arg)
{
    calls->idle = idle;
    calls->idle_arg = arg;
}

struct calls *calls_new(struct service *service, const struct tools_settings *settings)
{
    struct calls *calls = mem_alloc(sizeof *calls);
    calls->service = service;
    calls->settings = settings;
    for (int i = 0; i < STATES; i++)
        TAILQ_INIT(&calls->states[i]);
    for (int i = 0; i < BUCKETS; i++)
        TAILQ_INIT(&calls->buckets[i]);
    calls->timer = mem_alloc(sizeof *calls->timer);
    uv_timer_init(&service->loop, calls->timer);
    calls->timer->data = calls;
    calls->running = metrics_gauge(service->metrics, "parley_tools_running", "tool calls running now", NULL);
    return calls;
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

void calls_free(struct calls **calls)
{
    struct calls *c = *calls;
    for (int state = QUEUED; state <= RUNNING; state++) {
        struct call *call;
        while ((call = TAILQ_FIRST(&c->states[state])))
            end_failed(call, "the tools service is shutting down", call->tool->metrics.failed);
    }
    while (!TAILQ_EMPTY(&c->states[ENDED]))
        free_call(TAILQ_FIRST(&c->states[ENDED]));
    uv_close((uv_handle_t *)c->timer, free_timer);
    free(c);
    *calls = NULL;
}
