#include "checkpoint.h"

#include "mem.h"
#include "segments.h"
#include "store_call.h"
#include "subjects.h"
#include "turn_state.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000

/* What grows, and how much of it is in segments. */
struct stream {
    enum segmented what;
    const struct buf *bytes;
    uint32_t segments;
};

struct checkpoint {
    struct checkpoint_options options;
    struct checkpoint_handlers handlers;
    void *arg;
    Parley__TurnState state;
    const char *reason;
    uint64_t claim_revision;
    uint64_t revision; /* of the record */
    struct stream text, steps;
    struct stream *writing;    /* whose next segment is being written */
    uint64_t segment_revision; /* of a stale segment that stands where that goes; STORE_NEW: none */
    bool dirty;                /* the record lacks something */
    bool ended;                /* lost, or can't be written at all */
    struct store_call *call;
    struct alarm alarm;
};

static void advance(struct checkpoint *checkpoint);
static void read_record(struct checkpoint *checkpoint);

static void on_alarm(void *arg)
{
    advance(arg);
}

static void lose(struct checkpoint *checkpoint)
{
    checkpoint->ended = true;
    checkpoint->handlers.lost(checkpoint->arg);
}

static void fail(struct checkpoint *checkpoint, int err)
{
    checkpoint->dirty = true;
    if (err == ERR_TOO_LARGE)
        checkpoint->ended = true;
    else
        alarm_set(checkpoint->options.alarms, &checkpoint->alarm, RETRY_MS, on_alarm, checkpoint);
    checkpoint->handlers.failed(checkpoint->arg, err);
}

/* ---- Segments */

static ProtobufCBinaryData rest_of(const struct stream *stream)
{
    size_t kept = (size_t)stream->segments * SEGMENT_BYTES;
    if (stream->bytes->len == kept)
        return (ProtobufCBinaryData){0};
    return (ProtobufCBinaryData){stream->bytes->len - kept, (uint8_t *)stream->bytes->data + kept};
}

static void segment_written(struct checkpoint *checkpoint)
{
    checkpoint->writing->segments++;
    checkpoint->segment_revision = STORE_NEW;
    advance(checkpoint);
}

/* Something stands where our segment goes. Revisions count through the bucket: one before our claim is what a dead
 * attempt left, and is overwritten even where it is equal, so that nobody who knows that revision can. One after it is
 * our own, whose acknowledgement was lost; or an attempt's that does not know yet that it is dead; or a later one's. */
static void on_segment_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct checkpoint *checkpoint = arg;
    bool since_claim = revision > checkpoint->claim_revision;

    if (err != ERR_NONE && err != ERR_NOT_FOUND) {
        fail(checkpoint, err);
    } else if (err == ERR_NONE && since_claim && len == SEGMENT_BYTES &&
               memcmp(value, rest_of(checkpoint->writing).data, len) == 0) {
        segment_written(checkpoint);
    } else {
        checkpoint->segment_revision = err == ERR_NONE ? revision : STORE_NEW;
        if (err == ERR_NONE && since_claim)
            read_record(checkpoint);
        else
            advance(checkpoint);
    }
}

static void on_segment_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    struct checkpoint *checkpoint = arg;

    (void)revision;
    (void)duplicate;
    if (err == ERR_CONFLICT) {
        char key[SEGMENT_KEY_SIZE];
        segment_key(checkpoint->options.turn, checkpoint->writing->what, checkpoint->writing->segments, key);
        store_call_get(checkpoint->options.bus, BUCKET_TURNS, key, on_segment_read, checkpoint, &checkpoint->call);
    } else if (err != ERR_NONE) {
        fail(checkpoint, err);
    } else {
        segment_written(checkpoint);
    }
}

static void write_segment(struct checkpoint *checkpoint, struct stream *stream)
{
    struct buf value = {0};
    char key[SEGMENT_KEY_SIZE];

    if (checkpoint->writing != stream)
        checkpoint->segment_revision = STORE_NEW;
    checkpoint->writing = stream;
    segment_key(checkpoint->options.turn, stream->what, stream->segments, key);
    buf_append(&value, rest_of(stream).data, SEGMENT_BYTES);
    store_call_put(checkpoint->options.bus, BUCKET_TURNS, key, checkpoint->segment_revision, &value, on_segment_written,
                   checkpoint, &checkpoint->call);
    buf_deinit(&value);
}

/* ---- The record */

/* A cancellation that was left there stays until it is carried out: should we not come to that, the next attempt does.
 */
static void adopt(struct checkpoint *checkpoint, const Parley__TurnRecord *record, uint64_t revision)
{
    bool cancel_asked = record->state == PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED;

    checkpoint->revision = revision;
    checkpoint->dirty = true;
    if (cancel_asked && checkpoint->state == PARLEY__TURN_STATE__TURN_STATE_RUNNING)
        checkpoint->state = PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED;
    advance(checkpoint);
    if (cancel_asked)
        checkpoint->handlers.cancel_asked(checkpoint->arg);
}

static void on_record_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct checkpoint *checkpoint = arg;
    Parley__TurnRecord *record;

    if (err != ERR_NONE && err != ERR_NOT_FOUND)
        fail(checkpoint, err);
    else if (err == ERR_NONE &&
             wire_unpack(checkpoint->options.arena, &parley__turn_record__descriptor, value, len, &record) ==
                 ERR_NONE &&
             record->attempt == checkpoint->options.attempt)
        adopt(checkpoint, record, revision);
    else
        lose(checkpoint);
}

/* The record was changed, or is suspected to be: who has it? */
static void read_record(struct checkpoint *checkpoint)
{
    store_call_get(checkpoint->options.bus, BUCKET_TURNS, checkpoint->options.turn, on_record_read, checkpoint,
                   &checkpoint->call);
}

static void on_record_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    struct checkpoint *checkpoint = arg;

    (void)duplicate;
    if (err == ERR_CONFLICT) {
        read_record(checkpoint);
        return;
    }
    if (err != ERR_NONE) {
        fail(checkpoint, err);
        return;
    }
    checkpoint->revision = revision;
    metric_add(checkpoint->options.writes, 1);
    if (!checkpoint->dirty)
        checkpoint->handlers.written(checkpoint->arg);
    else if (!checkpoint->alarm.set)
        advance(checkpoint);
}

static void write_record(struct checkpoint *checkpoint)
{
    const struct transcript *transcript = checkpoint->options.transcript;
    bool sealed = turn_state_is_final(checkpoint->state);
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    struct stored_steps steps;
    struct buf value = {0};

    stored_steps_init(&steps, transcript, sealed ? 0 : transcript->packed_count);
    record.turn = (char *)checkpoint->options.turn;
    record.state = checkpoint->state;
    record.attempt = checkpoint->options.attempt;
    record.segments = checkpoint->text.segments;
    record.text = rest_of(&checkpoint->text);
    record.length = transcript->text.len;
    if (!sealed) {
        record.step_segments = checkpoint->steps.segments;
        record.packed_steps = rest_of(&checkpoint->steps);
    }
    record.n_steps = steps.count;
    record.steps = steps.pointers;
    if (checkpoint->reason != NULL)
        record.reason = (ProtobufCBinaryData){strlen(checkpoint->reason), (uint8_t *)checkpoint->reason};
    record.message_id = checkpoint->options.message_id;
    record.started_ms = checkpoint->options.started_ms;
    record.vendor = (char *)checkpoint->options.vendor;
    record.model = (char *)checkpoint->options.model;
    wire_pack(&record.base, &value);
    stored_steps_deinit(&steps);

    checkpoint->dirty = false;
    store_call_put(checkpoint->options.bus, BUCKET_TURNS, checkpoint->options.turn, checkpoint->revision, &value,
                   on_record_written, checkpoint, &checkpoint->call);
    buf_deinit(&value);
}

/* Takes the next step of writing what is to be written, unless one is under way. */
static void advance(struct checkpoint *checkpoint)
{
    if (checkpoint->call != NULL || checkpoint->ended || !checkpoint->dirty)
        return;
    alarm_clear(checkpoint->options.alarms, &checkpoint->alarm);
    if (rest_of(&checkpoint->text).len >= SEGMENT_BYTES)
        write_segment(checkpoint, &checkpoint->text);
    else if (rest_of(&checkpoint->steps).len >= SEGMENT_BYTES && !turn_state_is_final(checkpoint->state))
        write_segment(checkpoint, &checkpoint->steps);
    else
        write_record(checkpoint);
}

/* ---- */

struct checkpoint *checkpoint_new(const struct checkpoint_options *options, uint64_t revision, uint32_t segments,
                                  const struct checkpoint_handlers *handlers, void *arg)
{
    struct checkpoint *checkpoint = mem_alloc(sizeof *checkpoint);

    checkpoint->options = *options;
    checkpoint->handlers = *handlers;
    checkpoint->arg = arg;
    checkpoint->state = PARLEY__TURN_STATE__TURN_STATE_RUNNING;
    checkpoint->claim_revision = checkpoint->revision = revision;
    checkpoint->segment_revision = STORE_NEW;
    checkpoint->text = (struct stream){SEGMENTED_TEXT, &options->transcript->text, segments};
    checkpoint->steps = (struct stream){SEGMENTED_STEPS, &options->transcript->packed,
                                        (uint32_t)(options->transcript->packed.len / SEGMENT_BYTES)};
    return checkpoint;
}

void checkpoint_free(struct checkpoint **checkpoint)
{
    if (*checkpoint == NULL)
        return;
    store_call_forget(&(*checkpoint)->call);
    alarm_clear((*checkpoint)->options.alarms, &(*checkpoint)->alarm);
    free(*checkpoint);
    *checkpoint = NULL;
}

void checkpoint_touch(struct checkpoint *checkpoint)
{
    if (checkpoint->dirty)
        return;
    checkpoint->dirty = true;
    alarm_set(checkpoint->options.alarms, &checkpoint->alarm, checkpoint->options.interval_ms, on_alarm, checkpoint);
}

void checkpoint_hurry(struct checkpoint *checkpoint)
{
    checkpoint->dirty = true;
    alarm_clear(checkpoint->options.alarms, &checkpoint->alarm);
    advance(checkpoint);
}

void checkpoint_seal(struct checkpoint *checkpoint, Parley__TurnState state, const char *reason)
{
    checkpoint->state = state;
    checkpoint->reason = reason;
    checkpoint_hurry(checkpoint);
}
