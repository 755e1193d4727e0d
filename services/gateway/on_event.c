/* Events: what routers and agents tell this gateway about its turns.
 *
 *   subjects  SUBJECT_GATEWAY_EVENTS, from agents, events of several turns; SUBJECT_GATEWAY_TURN_EVENTS, from a router,
 *             the reply to an Ask; SUBJECT_ROOM, from both, to all gateways with members of the room
 *   answers   nothing
 *   broken    logged and dropped: what is missing then is asked for as after any loss
 *   nobody    the broker's "no responders" comes on a question's reply subject, which names its turn
 *
 * Events of turns that are not in flight here, or of an older attempt, are dropped without a word: that is what
 * becomes of answers whose client has gone, and of what is sent twice. But a room's may begin one (rooms.h). */
#include "clock.h"
#include "event.pb-c.h"
#include "log.h"
#include "rooms.h"
#include "turn.h"

#include <string.h>

#define STATUS_NO_RESPONDERS 503

/* Each returns what its event was to the answer. */
typedef enum answer_news event_handler(struct turn *turn, const Parley__Event *event);

static enum answer_news on_accepted(struct turn *turn, const Parley__Event *event)
{
    int64_t within_ms = event->accepted->start_deadline_ms - clock_wall_ms();
    if (within_ms <= 0) /* it lay ahead of the router when that accepted: our clocks differ */
        within_ms = turn->gateway->settings->command_timeout_ms;
    turn_accepted(turn, within_ms);
    answer_number(&turn->answer, event->accepted->message_id, clock_wall_ms()); /* should Started be lost */
    answer_set_apology(&turn->answer, event->accepted->apology.data, event->accepted->apology.len);
    return ANSWER_KNOWN;
}

static enum answer_news on_started(struct turn *turn, const Parley__Event *event)
{
    const Parley__Started *started = event->started;
    answer_start(&turn->answer, started->vendor, started->model);
    answer_number(&turn->answer, started->message_id, started->started_ms);
    answer_set_apology(&turn->answer, started->apology.data, started->apology.len);
    return ANSWER_NEW;
}

static enum answer_news on_chunk(struct turn *turn, const Parley__Event *event)
{
    const Parley__Chunk *chunk = event->chunk;
    bool first = turn->answer.text.len == 0;
    enum answer_news news = answer_add_text(&turn->answer, chunk->offset, chunk->text.data, chunk->text.len);
    const struct gateway_metrics *metrics = &turn->gateway->metrics;
    metric_add(metrics->chunks, 1);
    if (first && news == ANSWER_NEW && !turn->uncounted)
        metric_observe(metrics->first_token_seconds, (double)(clock_monotonic_ms() - turn->asked_ms) / 1000);
    return news;
}

static enum answer_news on_tool_started(struct turn *turn, const Parley__Event *event)
{
    const Parley__ToolStarted *started = event->tool_started;
    const struct answer_tool tool = {
        .step = started->step,
        .offset = started->offset,
        .call = started->call,
        .name = started->name,
        .data = started->arguments.data,
        .data_len = started->arguments.len,
    };
    return answer_add_step(&turn->answer, &tool);
}

static enum answer_news on_tool_finished(struct turn *turn, const Parley__Event *event)
{
    const Parley__ToolFinished *finished = event->tool_finished;
    const struct answer_tool tool = {
        .step = finished->step,
        .finished = true,
        .ok = finished->ok,
        .offset = finished->offset,
        .call = finished->call,
        .name = finished->name,
        .data = finished->result.data,
        .data_len = finished->result.len,
    };
    return answer_add_step(&turn->answer, &tool);
}

static enum answer_news on_completed(struct turn *turn, const Parley__Event *event)
{
    const Parley__Completed *completed = event->completed;
    answer_start(&turn->answer, completed->vendor, completed->model);
    return answer_finish(&turn->answer, ANSWER_COMPLETED, completed->length, completed->steps);
}

static enum answer_news on_failed(struct turn *turn, const Parley__Event *event)
{
    const Parley__Failed *failed = event->failed;
    answer_set_reason(&turn->answer, failed->reason.data, failed->reason.len);
    return answer_finish(&turn->answer, ANSWER_FAILED, failed->length, failed->steps);
}

static enum answer_news on_cancelled(struct turn *turn, const Parley__Event *event)
{
    return answer_finish(&turn->answer, ANSWER_CANCELLED, event->cancelled->length, 0);
}

static enum answer_news on_alive(struct turn *turn, const Parley__Event *event)
{
    return answer_stands_at(&turn->answer, event->alive->length, event->alive->steps);
}

static event_handler *const handlers[] = {
    [PARLEY__EVENT__KIND_ACCEPTED] = on_accepted,
    [PARLEY__EVENT__KIND_STARTED] = on_started,
    [PARLEY__EVENT__KIND_CHUNK] = on_chunk,
    [PARLEY__EVENT__KIND_TOOL_STARTED] = on_tool_started,
    [PARLEY__EVENT__KIND_TOOL_FINISHED] = on_tool_finished,
    [PARLEY__EVENT__KIND_COMPLETED] = on_completed,
    [PARLEY__EVENT__KIND_FAILED] = on_failed,
    [PARLEY__EVENT__KIND_CANCELLED] = on_cancelled,
    [PARLEY__EVENT__KIND_ALIVE] = on_alive,
};

static event_handler *handler_of(const Parley__Event *event)
{
    size_t kind = (size_t)event->kind_case;
    return kind < sizeof handlers / sizeof *handlers ? handlers[kind] : NULL;
}

/* One that is met in the middle is asked for from its beginning. */
static enum answer_news meet(struct turn *turn, const Parley__Event *event)
{
    return event->kind_case == PARLEY__EVENT__KIND_STARTED ? on_started(turn, event) : ANSWER_GAP;
}

/* `room` NULL: it came to this gateway alone. */
static void take_event(struct gateway *gateway, struct room *room, const Parley__Event *event)
{
    struct turn *turn = turn_find(gateway, event->turn);
    event_handler *handler = handler_of(event);
    if (room && room_take_event(room, event))
        return;
    if (turn && event->kind_case == PARLEY__EVENT__KIND_NOTED) {
        turn_noted(turn);
        return;
    }
    if (!turn && room) {
        turn = room_begin_turn(room, event);
        handler = meet;
    }
    if (!turn || !handler || !answer_hear(&turn->answer, event->attempt))
        return;
    enum answer_news news = handler(turn, event);
    turn_heard(turn);
    turn_take_news(turn, news);
}

static void nobody_took(struct gateway *gateway, const char *subject)
{
    const char *dot = strrchr(subject, '.');
    struct turn *turn = dot ? turn_find(gateway, dot + 1) : NULL;
    if (turn && turn->phase == TURN_ASKED)
        turn_fail(turn, GATEWAY_UNAVAILABLE);
}

static void take_events(struct gateway *gateway, struct room *room, const struct bus_message *message)
{
    Parley__Events *events;
    int err = wire_unpack(gateway->arena, &parley__events__descriptor, message->data, message->len, &events);
    if (err) {
        log_warning("events that can't be read were dropped", LOG_TEXT("subject", message->subject), LOG_ERR(err));
        return;
    }
    for (size_t i = 0; i < events->n_events; i++)
        take_event(gateway, room, events->events[i]);
}

void on_event(void *arg, const struct bus_message *message)
{
    struct gateway *gateway = arg;
    if (message->status == STATUS_NO_RESPONDERS)
        nobody_took(gateway, message->subject);
    else
        take_events(gateway, NULL, message);
}

void on_room_event(void *arg, const struct bus_message *message)
{
    struct room *room = arg;
    take_events(room_gateway(room), room, message);
}
