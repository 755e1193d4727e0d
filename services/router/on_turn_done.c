/* TurnDone: a turn has ended, and becomes part of its conversation.
 *
 *   subject   SUBJECT_TURN_DONE, one router of the queue group
 *   from      the agent that ran the turn, which acknowledges its job only when this is answered
 *   answers   TurnSaved: with no failure once the turn is stored, by this call or an earlier one; else with the reason,
 *             and the agent may try again
 *   repeated  any number of times: a turn id is stored once
 *
 * Read, append, compare and set; when somebody else's write came between, all of it again after a random pause that
 * grows with the number of tries, so that many who want the same conversation get out of each other's way. */
#include "clock.h"
#include "conversation.h"
#include "id.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TRIES_MAX      100
#define PAUSE_FIRST_MS 4 /* at most, before the second try */
#define PAUSE_MAX_MS   100
#define GIVE_UP_MS     20000

struct save {
    struct router *router;
    char *reply;
    struct buf message; /* TurnDone, packed */
    char conversation[ID_TOKEN_MAX + 1];
    char turn[ID_TOKEN_MAX + 1];
    int tries;
    int64_t started_ms;
    uv_timer_t pause;
};

static void read_conversation(struct save *save);

static void free_save(uv_handle_t *handle)
{
    struct save *save = handle->data;
    router_end(save->router);
    buf_deinit(&save->message);
    free(save->reply);
    free(save);
}

static void reply_saved(struct router *router, const char *reply, const char *failure)
{
    Parley__TurnSaved saved = PARLEY__TURN_SAVED__INIT;
    saved.failure.data = (uint8_t *)failure;
    saved.failure.len = strlen(failure);
    router_reply(router, reply, &saved.base);
}

static void finish(struct save *save, struct metric *outcome)
{
    metric_add(outcome, 1);
    reply_saved(save->router, save->reply, "");
    uv_close((uv_handle_t *)&save->pause, free_save);
}

static void fail(struct save *save, const char *failure)
{
    metric_add(save->router->metrics.unsaved, 1);
    log_warning("a finished turn could not be saved", LOG_TEXT("turn", save->turn),
                LOG_TEXT("conversation", save->conversation), LOG_TEXT("error", failure));
    reply_saved(save->router, save->reply, failure);
    uv_close((uv_handle_t *)&save->pause, free_save);
}

static void on_pause_over(uv_timer_t *timer)
{
    read_conversation(timer->data);
}

/* Any number below `bound`; a bad one would only make for a worse pause. */
static uint64_t pick(uint64_t bound)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)uv_hrtime();
    return random % bound;
}

static void try_again(struct save *save)
{
    metric_add(save->router->metrics.conflicts, 1);
    if (save->tries >= TRIES_MAX || clock_monotonic_ms() - save->started_ms > GIVE_UP_MS) {
        fail(save, "the conversation was changed by others all the time");
        return;
    }
    uint64_t longest = (uint64_t)PAUSE_FIRST_MS * (uint64_t)save->tries;
    uv_timer_start(&save->pause, on_pause_over, pick(longest < PAUSE_MAX_MS ? longest : PAUSE_MAX_MS), 0);
}

static void on_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)revision;
    (void)duplicate;
    struct save *save = arg;
    if (!err)
        finish(save, save->router->metrics.saved);
    else if (err == ERR_CONFLICT)
        try_again(save);
    else
        fail(save, err_text(err));
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct save *save = arg;
    struct router *router = save->router;
    if (err && err != ERR_NOT_FOUND) {
        fail(save, err_text(err));
        return;
    }
    Parley__TurnDone *done;
    err = wire_unpack(router->command, &parley__turn_done__descriptor, save->message.data, save->message.len, &done);
    const struct conversation_limits limits = {
        .max_turns = (size_t)router->settings->conversation_max_turns,
        .max_bytes = (size_t)router->settings->conversation_max_bytes,
    };
    struct buf whole = {0};
    bool added = false;
    if (!err)
        err = conversation_append(router->stored, value, value ? len : 0, done->turn, &limits, &whole, &added);
    if (err)
        fail(save, "what is stored of the conversation can't be read");
    else if (!added)
        finish(save, router->metrics.repeated);
    else
        store_put(router->service->bus, BUCKET_CONVERSATIONS, save->conversation, value ? revision : STORE_NEW, &whole,
                  STORE_TIMEOUT_MS, on_written, save);
    buf_deinit(&whole);
}

static void read_conversation(struct save *save)
{
    save->tries++;
    store_get(save->router->service->bus, BUCKET_CONVERSATIONS, save->conversation, STORE_TIMEOUT_MS, on_read, save);
}

static bool is_valid(const Parley__TurnDone *done)
{
    return done->turn && id_is_token(done->conversation, strlen(done->conversation)) &&
           id_is_token(done->turn->turn, strlen(done->turn->turn));
}

static void start_save(struct router *router, const struct bus_message *message, const Parley__TurnDone *done)
{
    struct save *save = mem_alloc(sizeof *save);
    save->router = router;
    save->reply = message->reply ? mem_strdup(message->reply) : NULL;
    save->started_ms = clock_monotonic_ms();
    buf_append(&save->message, message->data, message->len);
    snprintf(save->conversation, sizeof save->conversation, "%s", done->conversation);
    snprintf(save->turn, sizeof save->turn, "%s", done->turn->turn);
    uv_timer_init(&router->service->loop, &save->pause);
    save->pause.data = save;
    read_conversation(save);
}

void on_turn_done(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__TurnDone *done;
    int err = wire_unpack(router->command, &parley__turn_done__descriptor, message->data, message->len, &done);
    if (err || !is_valid(done)) {
        log_warning("a finished turn that can't be read was dropped", LOG_TEXT("subject", message->subject));
        reply_saved(router, message->reply, "the finished turn can't be read");
    } else if (!router_begin(router)) {
        reply_saved(router, message->reply, "too many turns at once; try again later");
    } else {
        start_save(router, message, done);
    }
}
