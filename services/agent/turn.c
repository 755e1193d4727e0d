/* A turn's life.
 *
 *      turn_start()
 *           |
 *       CLAIMING ------- another's, or past its time ----------------------------> GONE
 *           | ours, or already ended
 *        LOADING ------- ended by an earlier attempt --------------+
 *         |   |  \                                                 |
 *         |   |   \---- cancelled, failed ------------+            |
 *         |   | a round of tools was left unfinished  |            |
 *         |   v                                       v            v
 *         | CALLING --- cancelled, failed -------> SEALING --> REPORTING --> ANNOUNCING --> GONE
 *         |  ^   | all have answered                  ^
 *         v  |   v                                    |
 *       ANSWERING ----- completed, cancelled, failed -+
 *
 *   CLAIMING, LOADING, ANSWERING, CALLING: handed back --> RETURNING --> GONE; cancelled just then --> SEALING
 *   any: the record is found to be another attempt's ----> GONE, without a word
 *
 * Callbacks only record what happened, and tick; turn_tick() looks at what is recorded, and moves on. Nothing that is
 * under way survives its phase, but for the checkpoint, whose writing goes on beside all of them. */
#include "turn_internal.h"

#include "clock.h"
#include "mem.h"
#include "on_turn_control.h"
#include "subjects.h"
#include "utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const Parley__Job *turn_job(const struct turn *turn)
{
    size_t len;
    const void *data = delivery_data(turn->delivery, &len);
    Parley__Job *job;

    int err = wire_unpack(turn->agent->jobs, &parley__job__descriptor, data, len, &job);
    assert(err == ERR_NONE); /* on_job() has unpacked the same bytes */
    (void)err;
    return job;
}

struct turn *turn_next(const struct turn *turn)
{
    return turn->next;
}

/* ---- What may happen at any time */

void turn_fail(struct turn *turn, const char *format, ...)
{
    va_list args;
    char reason[1024];

    if (turn->end != PARLEY__TURN_STATE__TURN_STATE_UNKNOWN)
        return;
    turn->end = PARLEY__TURN_STATE__TURN_STATE_FAILED;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    buf_append(&turn->reason, reason, utf8_cut(reason, strlen(reason), sizeof reason));
}

void turn_cancel(struct turn *turn)
{
    if (turn->end == PARLEY__TURN_STATE__TURN_STATE_UNKNOWN)
        turn->end = PARLEY__TURN_STATE__TURN_STATE_CANCELLED;
    turn_tick(turn);
}

void turn_give_back(struct turn *turn, int64_t delay_ms)
{
    turn->returning = true;
    turn->return_delay_ms = delay_ms;
    turn_tick(turn);
}

void turn_attach(struct turn *turn, const char *gateway, const char *connection, uint64_t offset, uint32_t steps)
{
    voice_listen(&turn->voice, gateway, connection, offset, steps);
    turn_greet(turn, gateway);
}

void turn_speak_from(struct turn *turn, size_t sent, uint32_t steps)
{
    if (turn->room[0] != '\0')
        voice_listen_room(&turn->voice, turn->room, turn->connection, sent, steps);
    else
        voice_listen(&turn->voice, turn->gateway, turn->connection, sent, steps);
}

void turn_at_work(struct turn *turn)
{
    Parley__Alive alive = PARLEY__ALIVE__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    if (turn->delivery != NULL)
        delivery_working(turn->agent->bus, turn->delivery);
    if (!turn->voice.open || !voice_was_silent(&turn->voice))
        return;
    alive.length = turn->transcript.text.len;
    alive.steps = transcript_event_count(&turn->transcript);
    event.kind_case = PARLEY__EVENT__KIND_ALIVE;
    event.alive = &alive;
    voice_event(&turn->voice, &event);
    (void)voice_was_silent(&turn->voice); /* saying that there is nothing to say does not count */
}

/* ---- The machine */

static enum turn_phase after_loading(const struct turn *turn)
{
    if (turn->returning)
        return TURN_RETURNING;
    if (!turn->rebuilt)
        return TURN_LOADING;
    if (turn->end != PARLEY__TURN_STATE__TURN_STATE_UNKNOWN)
        return turn->ended_before ? TURN_REPORTING : TURN_SEALING;
    if (!turn->conversation_read)
        return TURN_LOADING;
    return transcript_round_finished(&turn->transcript) ? TURN_ANSWERING : TURN_CALLING;
}

/* While the turn runs: `waits` tells whether what was begun in this phase is still under way. */
static enum turn_phase after_running(const struct turn *turn, bool waits, enum turn_phase next)
{
    if (turn->end != PARLEY__TURN_STATE__TURN_STATE_UNKNOWN)
        return TURN_SEALING;
    if (turn->returning)
        return TURN_RETURNING;
    return waits ? turn->phase : next;
}

/* Where the turn belongs, by what has happened. */
static enum turn_phase phase_due(const struct turn *turn)
{
    if (turn->lost)
        return TURN_GONE;
    switch (turn->phase) {
    case TURN_CLAIMING:
        return turn->returning ? TURN_RETURNING : turn->claimed ? TURN_LOADING : TURN_CLAIMING;
    case TURN_LOADING:
        return after_loading(turn);
    case TURN_ANSWERING:
        return after_running(turn, turn->completion != NULL, TURN_CALLING);
    case TURN_CALLING:
        return after_running(turn, !transcript_round_finished(&turn->transcript), TURN_ANSWERING);
    case TURN_SEALING:
        return turn->sealed ? TURN_REPORTING : TURN_SEALING;
    case TURN_REPORTING:
        return turn->reported ? TURN_ANNOUNCING : TURN_REPORTING;
    case TURN_ANNOUNCING:
        return turn->announced ? TURN_GONE : TURN_ANNOUNCING;
    case TURN_RETURNING:
        if (turn->flushed)
            return TURN_GONE;
        return turn->end != PARLEY__TURN_STATE__TURN_STATE_UNKNOWN ? TURN_SEALING : TURN_RETURNING;
    default:
        return TURN_GONE;
    }
}

/* Ends what was under way in a phase. Tools are told to stop only if nobody will ask for their results again. */
static void leave(struct turn *turn)
{
    bool abandon = turn->end != PARLEY__TURN_STATE__TURN_STATE_UNKNOWN && !turn->lost;

    alarm_clear(turn->agent->alarms, &turn->alarm);
    claim_cancel(&turn->claim);
    takeover_cancel(&turn->takeover);
    store_call_forget(&turn->history);
    completion_cancel(&turn->completion);
    tool_round_end(&turn->round, abandon);
    report_cancel(&turn->report);
}

static void (*const enter[TURN_PHASE_COUNT])(struct turn *turn) = {
    [TURN_LOADING] = turn_enter_loading,     [TURN_ANSWERING] = turn_enter_answering,
    [TURN_CALLING] = turn_enter_calling,     [TURN_SEALING] = turn_enter_sealing,
    [TURN_REPORTING] = turn_enter_reporting, [TURN_ANNOUNCING] = turn_enter_announcing,
    [TURN_RETURNING] = turn_enter_returning,
};

void turn_tick(struct turn *turn)
{
    if (turn->ticking)
        return; /* called from within what the loop below calls: it will look again */
    turn->ticking = true;
    for (enum turn_phase due; (due = phase_due(turn)) != turn->phase;) {
        assert(turn_phase_may_follow(turn->phase, due));
        leave(turn);
        turn->phase = due;
        if (due == TURN_GONE) {
            turn_free(turn);
            return;
        }
        enter[due](turn);
    }
    turn->ticking = false;
}

/* ---- Its memory */

static void hang_in(struct turn *turn)
{
    struct agent *agent = turn->agent;

    turn->next = agent->turns;
    if (turn->next != NULL)
        turn->next->prev = turn;
    agent->turns = turn;
    agent->turn_count++;
    agent_count_changed(agent);
}

void turn_start(struct agent *agent, const Parley__Job *job, bool expired, struct delivery **delivery)
{
    struct turn *turn = mem_alloc(sizeof *turn);
    bool named = job->persona != NULL && job->persona->model[0] != '\0';
    int64_t count = delivery_count(*delivery);
    char subject[SUBJECT_SIZE];

    turn->agent = agent;
    turn->delivery = *delivery;
    turn->trace = *delivery_trace(turn->delivery);
    *delivery = NULL;
    snprintf(turn->id, sizeof turn->id, "%s", job->turn);
    snprintf(turn->gateway, sizeof turn->gateway, "%s", job->gateway);
    snprintf(turn->connection, sizeof turn->connection, "%s", job->connection);
    snprintf(turn->room, sizeof turn->room, "%s", job->room);
    snprintf(turn->conversation_key, sizeof turn->conversation_key, "%s", job->conversation);
    turn->message_id = job->message_id;
    buf_append(&turn->apology, job->apology.data, job->apology.len);
    turn->model = mem_strdup(named ? job->persona->model : agent_settings_model(agent->settings).name);
    turn->attempt = count < 1 ? 1 : count > INT32_MAX ? INT32_MAX : (uint32_t)count;
    turn->began_ms = clock_monotonic_ms();
    turn->started_ms = clock_wall_ms();
    voice_init(&turn->voice, agent->emit, turn->id, turn->attempt, &turn->transcript);
    turn_speak_from(turn, 0, 0);
    /* First this, then the record is read: so a cancellation is found either here or there. */
    snprintf(subject, sizeof subject, SUBJECT_TURN, turn->id);
    turn->control = bus_subscribe(agent->bus, subject, NULL, on_turn_control, turn);
    hang_in(turn);
    turn_claim(turn, expired);
}

void turn_free(struct turn *turn)
{
    struct agent *agent = turn->agent;

    leave(turn);
    checkpoint_free(&turn->checkpoint);
    bus_unsubscribe(&turn->control);
    voice_deinit(&turn->voice);
    if (turn->delivery != NULL)
        delivery_drop(&turn->delivery);
    *(turn->prev != NULL ? &turn->prev->next : &agent->turns) = turn->next;
    if (turn->next != NULL)
        turn->next->prev = turn->prev;
    agent->turn_count--;
    transcript_deinit(&turn->transcript);
    buf_deinit(&turn->conversation);
    buf_deinit(&turn->record);
    splice_deinit(&turn->splice);
    buf_deinit(&turn->reason);
    buf_deinit(&turn->apology);
    free(turn->model);
    free(turn);
    agent_count_changed(agent);
}
