#include "emit.h"

#include "mem.h"
#include "subjects.h"
#include "utf8.h"
#include "wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define MESSAGE_MAX     (1u << 20) /* of one message to a gateway, below what the broker takes */
#define ENVELOPE_BYTES  512        /* subject and protocol around a message */
#define EVENT_OVERHEAD  256        /* of a chunk besides its text: two ids and a few numbers */
#define EVENTS_FIELD    0x0a       /* Events.events: field 1, length-delimited */
#define VARINT_MAX      5
#define CHUNK_BYTES_MIN 4

/* The way to one gateway or room, shared by all turns that have listeners there. Where each turn has its room there are
 * thousands, so each turn of the loop looks only at those that have something to send. */
struct route {
    struct route *next;
    TAILQ_ENTRY(route) link; /* while its batch is not empty */
    char subject[SUBJECT_SIZE];
    struct buf batch; /* packed Events, not yet sent */
    size_t last_size; /* of the batch before: a good guess at the next */
    size_t users;
};

struct emit {
    uv_prepare_t prepare;
    uv_check_t check;
    int open_handles;
    struct bus *bus;
    struct metric *chunks;
    struct route *routes;
    TAILQ_HEAD(, route) unsent;
    struct voice *pending;
};

/* ---- Routes */

static void route_flush(struct emit *emit, struct route *route)
{
    if (route->batch.len == 0)
        return;
    TAILQ_REMOVE(&emit->unsent, route, link);
    route->last_size = route->batch.len;
    /* Refused (no broker, full queue): dropped. Who misses it sees the gap and asks. */
    int dropped = bus_publish(emit->bus, route->subject, NULL, NULL, &route->batch);
    (void)dropped;
}

static struct route *route_take(struct emit *emit, const char *subject)
{
    struct route *route = emit->routes;

    while (route != NULL && strcmp(route->subject, subject) != 0)
        route = route->next;
    if (route == NULL) {
        route = mem_alloc(sizeof *route);
        snprintf(route->subject, sizeof route->subject, "%s", subject);
        route->next = emit->routes;
        emit->routes = route;
    }
    route->users++;
    return route;
}

static void route_give(struct emit *emit, struct route *route)
{
    if (--route->users > 0)
        return;
    route_flush(emit, route);
    struct route **link = &emit->routes;
    while (*link != route)
        link = &(*link)->next;
    *link = route->next;
    buf_deinit(&route->batch);
    free(route);
}

static size_t message_limit(const struct emit *emit)
{
    size_t payload = bus_max_payload(emit->bus);
    size_t limit = payload > 2 * ENVELOPE_BYTES ? payload - ENVELOPE_BYTES : payload / 2;

    return limit < MESSAGE_MAX ? limit : MESSAGE_MAX;
}

static void append_varint(struct buf *out, size_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_append_char(out, (char)(value | 0x80));
    buf_append_char(out, (char)value);
}

/* Events is a list and nothing else, so its packed form is that of its members, one after the other. */
static void route_put(struct emit *emit, struct route *route, const Parley__Event *event)
{
    size_t size = protobuf_c_message_get_packed_size(&event->base);

    if (route->batch.len + size + 1 + VARINT_MAX > message_limit(emit))
        route_flush(emit, route);
    if (route->batch.len == 0) {
        TAILQ_INSERT_TAIL(&emit->unsent, route, link);
        buf_reserve(&route->batch, route->last_size);
    }
    buf_append_char(&route->batch, EVENTS_FIELD);
    append_varint(&route->batch, size);
    wire_pack(&event->base, &route->batch);
}

/* ---- Listeners */

static void send_event(struct voice *voice, struct listener *listener, Parley__Event *event)
{
    event->connection = listener->connection;
    event->turn = (char *)voice->turn;
    event->attempt = voice->attempt;
    route_put(voice->emit, listener->route, event);
    voice->spoke = true;
}

/* A gateway asks for an offset; should it lie within a code point, the whole one is sent again. */
static size_t code_point_begin(const struct buf *text, size_t offset)
{
    while (offset > 0 && offset < text->len && ((unsigned char)text->data[offset] & 0xc0) == 0x80)
        offset--;
    return offset;
}

static void send_text(struct voice *voice, struct listener *listener, size_t end)
{
    const struct buf *text = &voice->transcript->text;
    size_t limit = message_limit(voice->emit);
    size_t max = limit > EVENT_OVERHEAD + CHUNK_BYTES_MIN ? limit - EVENT_OVERHEAD : CHUNK_BYTES_MIN;

    if (listener->sent < end)
        listener->sent = code_point_begin(text, listener->sent);
    while (listener->sent < end) {
        size_t len = utf8_cut(text->data + listener->sent, end - listener->sent, max);
        if (len == 0)
            return; /* `end` itself lies within a code point: the rest comes with what follows */
        Parley__Chunk chunk = PARLEY__CHUNK__INIT;
        Parley__Event event = PARLEY__EVENT__INIT;
        chunk.offset = listener->sent;
        chunk.text = (ProtobufCBinaryData){len, (uint8_t *)text->data + listener->sent};
        event.kind_case = PARLEY__EVENT__KIND_CHUNK;
        event.chunk = &chunk;
        send_event(voice, listener, &event);
        listener->sent += len;
        if (voice->emit->chunks != NULL)
            metric_add(voice->emit->chunks, 1);
    }
}

static void send_step(struct voice *voice, struct listener *listener, const struct step_event *at)
{
    const struct step *step = at->step;
    Parley__ToolStarted started = PARLEY__TOOL_STARTED__INIT;
    Parley__ToolFinished finished = PARLEY__TOOL_FINISHED__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    started.step = finished.step = listener->steps + 1;
    started.call = finished.call = step->call;
    started.name = finished.name = step->name;
    started.offset = finished.offset = step->offset;
    started.arguments = (ProtobufCBinaryData){step->arguments.len, (uint8_t *)step->arguments.data};
    finished.ok = step->ok;
    finished.result = (ProtobufCBinaryData){step->result.len, (uint8_t *)step->result.data};
    if (at->finished) {
        event.kind_case = PARLEY__EVENT__KIND_TOOL_FINISHED;
        event.tool_finished = &finished;
    } else {
        event.kind_case = PARLEY__EVENT__KIND_TOOL_STARTED;
        event.tool_started = &started;
    }
    send_event(voice, listener, &event);
}

/* Brings a listener to the transcript's end, in the order in which all was said and done. */
static void listener_advance(struct voice *voice, struct listener *listener)
{
    uint32_t events = transcript_event_count(voice->transcript);

    while (listener->steps < events) {
        struct step_event event = transcript_event(voice->transcript, listener->steps + 1);
        send_text(voice, listener, event.step->offset);
        send_step(voice, listener, &event);
        listener->steps++;
    }
    send_text(voice, listener, voice->transcript->text.len);
}

/* ---- Voices */

static void voice_advance(struct voice *voice)
{
    for (size_t i = 0; i < voice->listener_count; i++)
        listener_advance(voice, &voice->listeners[i]);
}

static void voice_unlink(struct voice *voice)
{
    if (!voice->pending)
        return;
    *(voice->prev != NULL ? &voice->prev->next : &voice->emit->pending) = voice->next;
    if (voice->next != NULL)
        voice->next->prev = voice->prev;
    voice->prev = voice->next = NULL;
    voice->pending = false;
}

void voice_init(struct voice *voice, struct emit *emit, const char *turn, uint32_t attempt,
                const struct transcript *transcript)
{
    *voice = (struct voice){.emit = emit, .turn = turn, .attempt = attempt, .transcript = transcript};
}

void voice_open(struct voice *voice)
{
    voice->open = true;
    voice_say(voice);
}

void voice_deinit(struct voice *voice)
{
    if (voice->emit == NULL)
        return;
    if (voice->open)
        voice_advance(voice);
    voice_unlink(voice);
    for (size_t i = 0; i < voice->listener_count; i++)
        route_give(voice->emit, voice->listeners[i].route);
    *voice = (struct voice){0};
}

static struct listener *find_listener(struct voice *voice, const char *subject)
{
    for (size_t i = 0; i < voice->listener_count; i++)
        if (strcmp(voice->listeners[i].route->subject, subject) == 0)
            return &voice->listeners[i];
    return NULL;
}

static struct listener *add_listener(struct voice *voice, const char *subject)
{
    if (voice->listener_count == VOICE_LISTENERS_MAX) {
        route_give(voice->emit, voice->listeners[0].route);
        memmove(voice->listeners, voice->listeners + 1, (VOICE_LISTENERS_MAX - 1) * sizeof *voice->listeners);
        voice->listener_count--;
    }
    struct listener *listener = &voice->listeners[voice->listener_count++];
    *listener = (struct listener){.route = route_take(voice->emit, subject)};
    return listener;
}

static void listen_to(struct voice *voice, const char *subject, const char *connection, uint64_t sent, uint32_t steps)
{
    struct listener *listener = find_listener(voice, subject);

    if (listener == NULL)
        listener = add_listener(voice, subject);
    snprintf(listener->connection, sizeof listener->connection, "%s", connection);
    listener->sent = (size_t)sent;
    listener->steps = steps;
    voice_say(voice);
}

void voice_listen(struct voice *voice, const char *gateway, const char *connection, uint64_t sent, uint32_t steps)
{
    char subject[SUBJECT_SIZE];

    snprintf(subject, sizeof subject, SUBJECT_GATEWAY_EVENTS, gateway);
    listen_to(voice, subject, connection, sent, steps);
}

void voice_listen_room(struct voice *voice, const char *room, const char *connection, uint64_t sent, uint32_t steps)
{
    char subject[SUBJECT_SIZE];

    snprintf(subject, sizeof subject, SUBJECT_ROOM, room);
    listen_to(voice, subject, connection, sent, steps);
}

void voice_greet(struct voice *voice, const char *gateway, Parley__Event *event)
{
    char subject[SUBJECT_SIZE];

    snprintf(subject, sizeof subject, SUBJECT_GATEWAY_EVENTS, gateway);
    struct listener *listener = find_listener(voice, subject);
    if (listener != NULL)
        send_event(voice, listener, event);
}

void voice_say(struct voice *voice)
{
    if (voice->pending || !voice->open)
        return;
    voice->pending = true;
    voice->next = voice->emit->pending;
    if (voice->next != NULL)
        voice->next->prev = voice;
    voice->emit->pending = voice;
}

void voice_event(struct voice *voice, Parley__Event *event)
{
    for (size_t i = 0; i < voice->listener_count; i++) {
        if (voice->open)
            listener_advance(voice, &voice->listeners[i]);
        send_event(voice, &voice->listeners[i], event);
    }
}

bool voice_was_silent(struct voice *voice)
{
    bool silent = !voice->spoke;

    voice->spoke = false;
    return silent;
}

/* ---- All of it */

void emit_flush(struct emit *emit)
{
    while (emit->pending != NULL) {
        struct voice *voice = emit->pending;
        voice_advance(voice);
        voice_unlink(voice);
    }
    while (!TAILQ_EMPTY(&emit->unsent))
        route_flush(emit, TAILQ_FIRST(&emit->unsent));
}

static void on_prepare(uv_prepare_t *prepare)
{
    emit_flush(prepare->data);
}

static void on_check(uv_check_t *check)
{
    emit_flush(check->data);
}

struct emit *emit_new(uv_loop_t *loop, struct bus *bus, struct metric *chunks)
{
    struct emit *emit = mem_alloc(sizeof *emit);

    emit->bus = bus;
    emit->chunks = chunks;
    TAILQ_INIT(&emit->unsent);
    uv_prepare_init(loop, &emit->prepare);
    uv_check_init(loop, &emit->check);
    emit->prepare.data = emit->check.data = emit;
    uv_prepare_start(&emit->prepare, on_prepare);
    uv_check_start(&emit->check, on_check);
    uv_unref((uv_handle_t *)&emit->prepare);
    uv_unref((uv_handle_t *)&emit->check);
    emit->open_handles = 2;
    return emit;
}

static void on_closed(uv_handle_t *handle)
{
    struct emit *emit = handle->data;

    if (--emit->open_handles == 0)
        free(emit);
}

void emit_free(struct emit **emit)
{
    assert((*emit)->routes == NULL);
    uv_close((uv_handle_t *)&(*emit)->prepare, on_closed);
    uv_close((uv_handle_t *)&(*emit)->check, on_closed);
    *emit = NULL;
}
