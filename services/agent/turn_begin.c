/* A turn's beginning: its record is made ours, and what is known so far is read: the conversation, and what earlier
 * attempts have said and done. A store that can't be reached hands the job back for a little later. */
#include "log.h"
#include "subjects.h"
#include "turn_internal.h"

#define RETRY_DELAY_MS 1000

static void on_lost(void *arg)
{
    struct turn *turn = arg;

    turn->lost = true;
    turn_tick(turn);
}

static void on_cancel_asked(void *arg)
{
    turn_cancel(arg);
}

/* ---- Claiming */

static void take_before(struct turn *turn, const struct claim_result *result)
{
    turn->ended_before = result->verdict == CLAIM_ENDED;
    turn->revision = result->revision;
    if (result->before != NULL) {
        const Parley__TurnRecord *before = result->before;
        if (before->started_ms > 0)
            turn->started_ms = before->started_ms;
        if (turn->ended_before) {
            turn->end = before->state;
            buf_append(&turn->reason, before->reason.data, before->reason.len);
        } else if (before->state == PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED) {
            turn->end = PARLEY__TURN_STATE__TURN_STATE_CANCELLED;
        }
    }
    if (!turn->ended_before)
        metric_add(turn->agent->metrics.attempts, 1);
    bool begun = result->before != NULL && result->before->attempt > 0; /* and not only handed on by full agents */
    if (begun)
        buf_move(&turn->record, result->packed);
    if (begun && !turn->ended_before)
        metric_add(turn->agent->metrics.takeovers, 1);
    if (begun && turn->attempt > (uint64_t)turn->agent->settings->max_attempts)
        turn_fail(turn, "the answer was begun again and again, and never finished");
}

static void on_claim(void *arg, const struct claim_result *result)
{
    struct turn *turn = arg;
    bool hopeless = turn->attempt > (uint64_t)turn->agent->settings->max_attempts;

    switch (result->verdict) {
    case CLAIM_TAKEN:
    case CLAIM_ENDED:
        take_before(turn, result);
        turn->claimed = true;
        break;
    case CLAIM_EXPIRED:
        log_warning("a job found too late", LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id),
                    LOG_TRACE(&turn->trace));
        delivery_finish(turn->agent->bus, &turn->delivery);
        turn->lost = true;
        break;
    case CLAIM_NEWER:
        turn->lost = true;
        break;
    case CLAIM_FAILED:
        log_error("a turn could not be claimed", LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id),
                  LOG_TRACE(&turn->trace), LOG_INT("attempt", turn->attempt), LOG_ERR(result->err));
        if (hopeless && result->err == ERR_INVALID) {
            delivery_finish(turn->agent->bus, &turn->delivery);
            turn->lost = true;
        }
        turn->returning = true;
        turn->return_delay_ms = RETRY_DELAY_MS;
        break;
    }
    turn_tick(turn);
}

void turn_claim(struct turn *turn, bool expired)
{
    const struct claim_options options = {
        .bus = turn->agent->bus,
        .arena = turn->agent->arena,
        .turn = turn->id,
        .vendor = turn->agent->completion.provider->vendor,
        .model = turn->model,
        .attempt = turn->attempt,
        .message_id = turn->message_id,
        .started_ms = turn->started_ms,
        .expired = expired,
    };

    claim_start(&options, on_claim, turn, &turn->claim);
}

/* ---- Loading */

/* To the listener at `gateway`; NULL: to all. */
static void tell_started(struct turn *turn, const char *gateway)
{
    Parley__Started started = PARLEY__STARTED__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    started.vendor = (char *)turn->agent->completion.provider->vendor;
    started.model = turn->model;
    started.message_id = turn->message_id;
    started.started_ms = turn->started_ms;
    started.apology = (ProtobufCBinaryData){turn->apology.len, (uint8_t *)turn->apology.data};
    event.kind_case = PARLEY__EVENT__KIND_STARTED;
    event.started = &started;
    if (gateway != NULL)
        voice_greet(&turn->voice, gateway, &event);
    else
        voice_event(&turn->voice, &event);
}

void turn_greet(struct turn *turn, const char *gateway)
{
    if (turn->started)
        tell_started(turn, gateway);
}

static void say_started(struct turn *turn)
{
    turn->started = true;
    tell_started(turn, NULL);
    log_info("turn started", LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id),
             LOG_TRACE(&turn->trace), LOG_INT("attempt", turn->attempt));
}

/* The transcript is as the last attempt left it: from here on it is ours to write, and to speak of. */
static void resume_from(struct turn *turn, uint32_t segments)
{
    static const struct checkpoint_handlers handlers = {
        .lost = on_lost,
        .cancel_asked = on_cancel_asked,
        .written = turn_on_written,
        .failed = turn_on_write_failed,
    };
    const struct checkpoint_options options = {
        .bus = turn->agent->bus,
        .alarms = turn->agent->alarms,
        .arena = turn->agent->arena,
        .transcript = &turn->transcript,
        .turn = turn->id,
        .vendor = turn->agent->completion.provider->vendor,
        .model = turn->model,
        .attempt = turn->attempt,
        .message_id = turn->message_id,
        .started_ms = turn->started_ms,
        .interval_ms = turn->agent->settings->checkpoint_ms,
        .writes = turn->agent->metrics.checkpoints,
    };

    turn->rebuilt = true;
    if (!turn->ended_before)
        turn->checkpoint = checkpoint_new(&options, turn->revision, segments, &handlers, turn);
    voice_open(&turn->voice);
}

static void on_takeover(void *arg, const struct takeover_result *result)
{
    struct turn *turn = arg;
    size_t sent = turn->ended_before ? turn->transcript.text.len : result->sent;
    uint32_t steps = turn->ended_before ? transcript_event_count(&turn->transcript) : result->steps;

    if (result->err == ERR_NOT_FOUND || result->err == ERR_INVALID) {
        turn_fail(turn, "the answer so far was lost");
        turn->unreported = turn->ended_before; /* it would be remembered wrong */
    } else if (result->err != ERR_NONE) {
        turn->returning = true;
        turn->return_delay_ms = RETRY_DELAY_MS;
        turn_tick(turn);
        return;
    }
    turn_speak_from(turn, sent, steps);
    resume_from(turn, result->segments);
    turn_tick(turn);
}

static void on_conversation(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct turn *turn = arg;

    (void)revision;
    if (err == ERR_NONE) {
        buf_append(&turn->conversation, value, len);
    } else if (err != ERR_NOT_FOUND) {
        turn->returning = true;
        turn->return_delay_ms = RETRY_DELAY_MS;
    }
    turn->conversation_read = true;
    turn_tick(turn);
}

void turn_enter_loading(struct turn *turn)
{
    const struct takeover_options options = {
        .bus = turn->agent->bus,
        .alarms = turn->agent->alarms,
        .arena = turn->agent->arena,
        .turn = turn->id,
        .attempt = turn->attempt,
        .gateway = turn->ended_before ? NULL : turn->gateway,
        .transcript = &turn->transcript,
    };

    if (turn->end == PARLEY__TURN_STATE__TURN_STATE_UNKNOWN) {
        say_started(turn);
        store_call_get(turn->agent->bus, BUCKET_CONVERSATIONS, turn->conversation_key, on_conversation, turn,
                       &turn->history);
    } else if (!turn->ended_before) {
        tell_started(turn, NULL); /* its room saw the question, and is to see its end */
    }
    if (turn->record.len > 0)
        takeover_start(&options, &turn->record, on_takeover, turn, &turn->takeover);
    else
        resume_from(turn, 0);
}
