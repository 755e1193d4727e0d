#include "takeover.h"

#include "mem.h"
#include "segments.h"
#include "subjects.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GATHER_MS 150 /* for what all gateways have to say */
#define ASK_MS    1000
#define ASKS_MAX  2 /* of a gateway that is silent: it may have been busy, or the question lost */

struct takeover {
    struct takeover_options options;
    takeover_handler *done;
    void *arg;
    struct takeover **slot;
    struct buf record; /* packed; the arena is used by others meanwhile */
    struct segments_reading *reading;
    struct bus_subscription *answers; /* of all gateways */
    struct alarm gathered;
    struct bus_request *request;
    int asks;
    struct takeover_result result;
};

static void takeover_free(struct takeover *takeover)
{
    segments_cancel(&takeover->reading);
    bus_unsubscribe(&takeover->answers);
    alarm_clear(takeover->options.alarms, &takeover->gathered);
    bus_request_cancel(&takeover->request);
    buf_deinit(&takeover->record);
    free(takeover);
}

static void finish(struct takeover *takeover)
{
    const struct buf *text = &takeover->options.transcript->text;

    if (takeover->result.err == ERR_NONE && text->len > 0 && !utf8_valid(text->data, text->len))
        takeover->result.err = ERR_INVALID;
    *takeover->slot = NULL;
    takeover->done(takeover->arg, &takeover->result);
    takeover_free(takeover);
}

/* ---- What was delivered */

enum takeover_choice takeover_choose(const struct buf *recorded, const void *delivered, size_t len)
{
    size_t common = len < recorded->len ? len : recorded->len;

    if (common > 0 && memcmp(recorded->data, delivered, common) != 0)
        return TAKEOVER_REPLACED;
    return len > recorded->len ? TAKEOVER_EXTENDED : TAKEOVER_RECORDED;
}

static void clamp_offsets(struct transcript *transcript)
{
    for (size_t i = 0; i < transcript->step_count; i++)
        if (transcript->steps[i].offset > transcript->text.len)
            transcript->steps[i].offset = transcript->text.len;
}

static void take_text(struct takeover *takeover, const Parley__Delivered *delivered)
{
    struct buf *text = &takeover->options.transcript->text;
    size_t len = delivered->text.len;

    switch (takeover_choose(text, delivered->text.data, len)) {
    case TAKEOVER_RECORDED:
        break;
    case TAKEOVER_EXTENDED:
        buf_append(text, (const char *)delivered->text.data + text->len, len - text->len);
        takeover->result.err = ERR_NONE; /* should text have been missing, here it is */
        break;
    case TAKEOVER_REPLACED:
        buf_reset(text);
        buf_append(text, delivered->text.data, len);
        clamp_offsets(takeover->options.transcript);
        takeover->result.segments = 0;
        takeover->result.err = ERR_NONE;
        break;
    }
}

/* NULL: it knows nothing of this turn. */
static const Parley__Delivered *unpack_delivered(struct takeover *takeover, const struct bus_message *reply)
{
    Parley__Delivered *delivered;
    int err = wire_unpack(takeover->options.arena, &parley__delivered__descriptor, reply->data, reply->len, &delivered);

    return err == ERR_NONE && delivered->known ? delivered : NULL;
}

static void pack_request(const struct takeover *takeover, struct buf *out)
{
    Parley__DeliveredRequest message = PARLEY__DELIVERED_REQUEST__INIT;

    message.turn = (char *)takeover->options.turn;
    message.attempt = takeover->options.attempt;
    wire_pack(&message.base, out);
}

static void give_up(struct takeover *takeover, int err)
{
    takeover->result.err = err;
    finish(takeover);
}

static void ask_gateway(struct takeover *takeover);

static void on_delivered(void *arg, int err, const struct bus_message *reply)
{
    struct takeover *takeover = arg;

    if (err == ERR_TIMEOUT && takeover->asks < ASKS_MAX) {
        ask_gateway(takeover);
        return;
    }
    /* No answer: the gateway is gone, and with it what it had. */
    const Parley__Delivered *delivered = err == ERR_NONE ? unpack_delivered(takeover, reply) : NULL;
    if (delivered != NULL) {
        take_text(takeover, delivered);
        takeover->result.sent = delivered->text.len;
        takeover->result.steps = delivered->steps;
    }
    finish(takeover);
}

static void ask_gateway(struct takeover *takeover)
{
    struct buf payload = {0};
    char subject[SUBJECT_SIZE];

    takeover->asks++;
    pack_request(takeover, &payload);
    snprintf(subject, sizeof subject, SUBJECT_DELIVERED, takeover->options.gateway);
    int err =
        bus_request(takeover->options.bus, subject, NULL, &payload, ASK_MS, on_delivered, takeover, &takeover->request);
    buf_deinit(&payload);
    if (err != ERR_NONE)
        give_up(takeover, err);
}

static void on_delivered_anywhere(void *arg, const struct bus_message *reply)
{
    struct takeover *takeover = arg;
    const Parley__Delivered *delivered = unpack_delivered(takeover, reply);

    if (delivered != NULL)
        take_text(takeover, delivered);
}

static void on_gathered(void *arg)
{
    struct takeover *takeover = arg;

    bus_unsubscribe(&takeover->answers);
    ask_gateway(takeover);
}

static void ask_all_gateways(struct takeover *takeover)
{
    struct buf payload = {0};
    char reply[SUBJECT_SIZE];

    if (takeover->options.gateway == NULL) {
        finish(takeover);
        return;
    }
    snprintf(reply, sizeof reply, SUBJECT_DELIVERED_REPLY, takeover->options.turn, takeover->options.attempt);
    takeover->answers = bus_subscribe(takeover->options.bus, reply, NULL, on_delivered_anywhere, takeover);
    pack_request(takeover, &payload);
    int err = bus_publish(takeover->options.bus, SUBJECT_DELIVERED_ALL, reply, NULL, &payload);
    if (err != ERR_NONE)
        give_up(takeover, err);
    else
        alarm_set(takeover->options.alarms, &takeover->gathered, GATHER_MS, on_gathered, takeover);
}

/* ---- What was recorded */

static int unpack_record(struct takeover *takeover, Parley__TurnRecord **out)
{
    return wire_unpack(takeover->options.arena, &parley__turn_record__descriptor, takeover->record.data,
                       takeover->record.len, out);
}

static int read_rest(struct takeover *takeover)
{
    struct transcript *transcript = takeover->options.transcript;
    Parley__TurnRecord *record;
    int err = unpack_record(takeover, &record);

    if (err != ERR_NONE)
        return err;
    if (takeover->result.err == ERR_NONE)
        buf_append(&transcript->text, record->text.data, record->text.len);
    if (record->length != transcript->text.len)
        takeover->result.err = ERR_NOT_FOUND;
    if (record->packed_steps.len >= SEGMENT_BYTES)
        return ERR_INVALID;
    buf_append(&transcript->packed, record->packed_steps.data, record->packed_steps.len);
    err = transcript_load_packed(transcript, takeover->options.arena);
    if (err == ERR_NONE)
        err = unpack_record(takeover, &record); /* again, as the arena holds one message at a time */
    if (err == ERR_NONE)
        transcript_load_steps(transcript, record->steps, record->n_steps);
    return err;
}

static void on_steps_read(void *arg, int err)
{
    struct takeover *takeover = arg;

    if (err == ERR_NONE)
        err = read_rest(takeover);
    if (err == ERR_NONE)
        ask_all_gateways(takeover);
    else
        give_up(takeover, err);
}

/* Where text is missing, a gateway may have it. */
static void on_text_read(void *arg, int err)
{
    struct takeover *takeover = arg;
    const struct takeover_options *options = &takeover->options;
    Parley__TurnRecord *record;

    takeover->result.segments = (uint32_t)(options->transcript->text.len / SEGMENT_BYTES);
    takeover->result.err = err;
    if (err == ERR_NONE || err == ERR_NOT_FOUND)
        err = unpack_record(takeover, &record);
    if (err == ERR_NONE)
        segments_read(options->bus, options->turn, SEGMENTED_STEPS, 0, record->step_segments,
                      &options->transcript->packed, on_steps_read, takeover, &takeover->reading);
    else
        give_up(takeover, err);
}

void takeover_start(const struct takeover_options *options, struct buf *packed, takeover_handler *done, void *arg,
                    struct takeover **slot)
{
    struct takeover *takeover = mem_alloc(sizeof *takeover);
    Parley__TurnRecord *record;

    takeover->options = *options;
    takeover->done = done;
    takeover->arg = arg;
    takeover->slot = slot;
    buf_move(&takeover->record, packed);
    *slot = takeover;
    takeover->result.err = unpack_record(takeover, &record);
    if (takeover->result.err != ERR_NONE) {
        finish(takeover);
        return;
    }
    segments_read(options->bus, options->turn, SEGMENTED_TEXT, 0, record->segments, &options->transcript->text,
                  on_text_read, takeover, &takeover->reading);
}

void takeover_cancel(struct takeover **takeover)
{
    if (*takeover == NULL)
        return;
    takeover_free(*takeover);
    *takeover = NULL;
}
