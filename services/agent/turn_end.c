/* A turn's end, each step of it repeatable: the final record is written; a router makes the conversation remember the
 * turn; the gateways are told; the job is acknowledged. It takes AGENT_SAVE_TIMEOUT_MS in all, not counting the time
 * without a broker: what was said then has reached nobody, and only we have it.
 *
 * What can't be saved by then: the client has its answer, so it is told the truth about that, and the error is logged.
 * If at least the final record stands, the job is handed back for later, and whoever gets it finds the turn ended, and
 * tells the router again. */
#include "turn_internal.h"

#include "clock.h"
#include "conversation.pb-c.h"
#include "log.h"

#define FLUSH_MS        2000
#define REPORT_AGAIN_MS 10000

static void complain(const struct turn *turn, const char *what, int err)
{
    log_error(what, LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id), LOG_TRACE(&turn->trace),
              LOG_INT("attempt", turn->attempt), LOG_ERR(err));
}

/* The job goes to whoever asks for one next. */
static void hand_back(struct turn *turn)
{
    if (turn->delivery != NULL)
        delivery_nak(turn->agent->bus, &turn->delivery, turn->return_delay_ms);
    turn->flushed = true;
}

/* ---- Sealing */

static void give_up_sealing(struct turn *turn, int err)
{
    complain(turn, "a turn's final record could not be written", err);
    turn->sealed = turn->unsealed = true;
}

static void grant_time(struct turn *turn);

static void on_seal_timeout(void *arg)
{
    struct turn *turn = arg;

    if (!bus_connected(turn->agent->bus)) {
        grant_time(turn);
        return;
    }
    give_up_sealing(turn, ERR_TIMEOUT);
    turn_tick(turn);
}

/* All of it, from now on. */
static void grant_time(struct turn *turn)
{
    int64_t timeout_ms = turn->agent->settings->save_timeout_ms;

    turn->save_deadline_ms = clock_monotonic_ms() + timeout_ms;
    alarm_set(turn->agent->alarms, &turn->alarm, timeout_ms, on_seal_timeout, turn);
}

void turn_enter_sealing(struct turn *turn)
{
    grant_time(turn);
    if (turn->unsealed) {
        turn->sealed = true;
        return;
    }
    voice_say(&turn->voice);
    checkpoint_seal(turn->checkpoint, turn->end, turn->reason.data);
}

void turn_on_written(void *arg)
{
    struct turn *turn = arg;

    if (turn->phase == TURN_SEALING)
        turn->sealed = true;
    else if (turn->phase == TURN_RETURNING)
        hand_back(turn);
    turn_tick(turn);
}

/* The store answers, and does not take it: the client shall not wait for that to change. */
static bool is_refusal(int err)
{
    return err == ERR_TOO_LARGE || err == ERR_FULL || err == ERR_REFUSED;
}

void turn_on_write_failed(void *arg, int err)
{
    struct turn *turn = arg;

    if (!turn->store_complained)
        complain(turn, "a checkpoint could not be written", err);
    turn->store_complained = true;
    if (turn->phase == TURN_SEALING && is_refusal(err)) {
        give_up_sealing(turn, err);
        turn_tick(turn);
    } else if (turn->phase == TURN_SEALING && err == ERR_DISCONNECTED) {
        grant_time(turn);
    } else if (err == ERR_TOO_LARGE) {
        turn->unsealed = true; /* nor will it ever be */
    }
}

/* ---- Reporting */

static void pack_report(void *arg, struct buf *out)
{
    const struct turn *turn = arg;
    const Parley__Job *job = turn_job(turn);
    Parley__ConversationTurn kept = PARLEY__CONVERSATION_TURN__INIT;
    Parley__TurnDone done = PARLEY__TURN_DONE__INIT;
    struct stored_steps steps;

    stored_steps_init(&steps, &turn->transcript, 0);
    kept.turn = (char *)turn->id;
    kept.question = job->question;
    kept.answer = (ProtobufCBinaryData){turn->transcript.text.len, (uint8_t *)turn->transcript.text.data};
    kept.state = turn->end;
    kept.asked_ms = job->asked_ms;
    kept.started_ms = turn->started_ms;
    kept.answer_id = job->message_id;
    kept.ended_ms = clock_wall_ms();
    kept.n_steps = steps.count;
    kept.steps = steps.pointers;
    done.conversation = job->conversation;
    done.turn = &kept;
    wire_pack(&done.base, out);
    stored_steps_deinit(&steps);
}

static void on_reported(void *arg, int err)
{
    struct turn *turn = arg;

    if (err != ERR_NONE)
        complain(turn, "a turn could not be added to its conversation", err);
    turn->reported = true;
    turn->unreported = err != ERR_NONE;
    turn_tick(turn);
}

void turn_enter_reporting(struct turn *turn)
{
    const struct report_options options = {
        .bus = turn->agent->bus,
        .alarms = turn->agent->alarms,
        .arena = turn->agent->arena,
        .pack = pack_report,
        .trace = &turn->trace,
        .deadline_ms =
            turn->ended_before ? clock_monotonic_ms() + turn->agent->settings->save_timeout_ms : turn->save_deadline_ms,
    };
    bool nothing_said = turn->transcript.text.len == 0 && turn->end != PARLEY__TURN_STATE__TURN_STATE_COMPLETED;
    bool awaited = turn->message_id > 0; /* it stands in the conversation as being answered */

    if ((nothing_said && !awaited) || turn->unreported)
        turn->reported = true;
    else
        report_start(&options, on_reported, turn, &turn->report);
}

/* ---- Announcing */

static void say_completed(struct turn *turn, uint32_t steps)
{
    Parley__Completed completed = PARLEY__COMPLETED__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    completed.length = turn->transcript.text.len;
    completed.steps = steps;
    completed.vendor = (char *)turn->agent->completion.provider->vendor;
    completed.model = turn->model;
    completed.prompt_tokens = turn->usage.prompt_tokens;
    completed.answer_tokens = turn->usage.answer_tokens;
    event.kind_case = PARLEY__EVENT__KIND_COMPLETED;
    event.completed = &completed;
    voice_event(&turn->voice, &event);
}

static void say_failed(struct turn *turn, uint32_t steps)
{
    Parley__Failed failed = PARLEY__FAILED__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    failed.reason = (ProtobufCBinaryData){turn->reason.len, (uint8_t *)turn->reason.data};
    failed.length = turn->transcript.text.len;
    failed.steps = steps;
    event.kind_case = PARLEY__EVENT__KIND_FAILED;
    event.failed = &failed;
    voice_event(&turn->voice, &event);
}

static void say_cancelled(struct turn *turn)
{
    Parley__Cancelled cancelled = PARLEY__CANCELLED__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    cancelled.length = turn->transcript.text.len;
    event.kind_case = PARLEY__EVENT__KIND_CANCELLED;
    event.cancelled = &cancelled;
    voice_event(&turn->voice, &event);
}

/* Logs and counts it, once a turn: by the attempt that ended it. */
static void note_end(const struct turn *turn, enum log_level level, const char *what, struct metric *metric)
{
    int64_t ms = clock_monotonic_ms() - turn->began_ms;

    if (turn->ended_before)
        return;
    LOG_AT(level, what, LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id), LOG_TRACE(&turn->trace),
           LOG_INT("attempt", turn->attempt), LOG_INT("milliseconds", ms), LOG_INT("bytes", turn->transcript.text.len),
           LOG_TEXT("reason", turn->reason.data));
    metric_add(metric, 1);
    metric_observe(turn->agent->metrics.turn_seconds, (double)ms / 1000);
}

static void say_end(struct turn *turn)
{
    const struct agent_metrics *metrics = &turn->agent->metrics;
    uint32_t steps = transcript_event_count(&turn->transcript);

    if (turn->end == PARLEY__TURN_STATE__TURN_STATE_COMPLETED) {
        say_completed(turn, steps);
        note_end(turn, LOG_INFO, "turn completed", metrics->completed);
    } else if (turn->end == PARLEY__TURN_STATE__TURN_STATE_CANCELLED) {
        say_cancelled(turn);
        note_end(turn, LOG_INFO, "turn cancelled", metrics->cancelled);
    } else {
        say_failed(turn, steps);
        note_end(turn, LOG_WARNING, "turn failed", metrics->failed);
    }
}

void turn_enter_announcing(struct turn *turn)
{
    struct agent *agent = turn->agent;
    bool more_tries = turn->attempt <= (uint64_t)agent->settings->max_attempts;

    say_end(turn);
    emit_flush(agent->emit); /* the event leaves before the acknowledgement does */
    if (turn->unreported && !turn->unsealed && more_tries)
        delivery_nak(agent->bus, &turn->delivery, REPORT_AGAIN_MS);
    else
        delivery_finish(agent->bus, &turn->delivery);
    turn->announced = true;
}

/* ---- Returning */

static void on_flush_timeout(void *arg)
{
    struct turn *turn = arg;

    hand_back(turn);
    turn_tick(turn);
}

void turn_enter_returning(struct turn *turn)
{
    if (turn->checkpoint == NULL) {
        hand_back(turn);
        return;
    }
    alarm_set(turn->agent->alarms, &turn->alarm, FLUSH_MS, on_flush_timeout, turn);
    checkpoint_hurry(turn->checkpoint);
}
