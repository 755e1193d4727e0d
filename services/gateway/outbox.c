#include "outbox.h"

#include "mem.h"
#include "utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct outbox_frame {
    struct outbox_frame *next;
    struct buf bytes;
};

void outbox_deinit(struct outbox *outbox)
{
    assert(!outbox->followers);
    for (struct outbox_frame *frame = outbox->ready, *next; frame; frame = next) {
        next = frame->next;
        buf_deinit(&frame->bytes);
        free(frame);
    }
    *outbox = (struct outbox){0};
}

/* ---- Ready frames */

static void push_frame(struct outbox *outbox, struct buf *bytes)
{
    struct outbox_frame *frame = mem_alloc(sizeof *frame);
    buf_move(&frame->bytes, bytes);
    outbox->ready_bytes += frame->bytes.len;
    if (outbox->ready)
        *outbox->ready_end = frame;
    else
        outbox->ready = frame;
    outbox->ready_end = &frame->next;
}

void outbox_push(struct outbox *outbox, struct frames *frames)
{
    for (size_t i = 0; i < frames->count; i++)
        push_frame(outbox, &frames->list[i]);
    frames_reset(frames);
}

static void pop_frame(struct outbox *outbox, struct buf *bytes)
{
    struct outbox_frame *frame = outbox->ready;
    outbox->ready = frame->next;
    outbox->ready_bytes -= frame->bytes.len;
    buf_move(bytes, &frame->bytes);
    free(frame);
}

/* ---- Followers */

void outbox_follow(struct outbox *outbox, struct follower *follower)
{
    struct follower **end = &outbox->followers;
    while (*end)
        end = &(*end)->next;
    follower->next = NULL;
    *end = follower;
}

void outbox_catch_up(struct follower *follower)
{
    const struct answer *answer = follower->answer;
    if (follower->from == 0 || (answer->text.len < follower->from && !answer_ended(answer)))
        return;
    size_t there = follower->from < answer->text.len ? (size_t)follower->from : answer->text.len;
    follower->offset = there > 0 ? utf8_cut(answer->text.data, answer->text.len, there) : 0;
    while (follower->steps < answer->step_count && answer->steps[follower->steps].offset < follower->offset)
        follower->steps++;
    follower->from = 0;
}

void outbox_unfollow(struct outbox *outbox, struct follower *follower)
{
    struct follower **at = &outbox->followers;
    while (*at != follower) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = follower->next;
}

static bool has_pieces(const struct follower *follower)
{
    return follower->request->text != DIALECT_WHOLE;
}

static bool follower_ready(const struct follower *follower)
{
    const struct answer *answer = follower->answer;
    if (follower->from > 0)
        return false;
    if (!follower->taken_up_told || answer_ended(answer))
        return true;
    if (!answer->started)
        return false;
    return !follower->started_told || follower->steps < answer->step_count ||
           dialect_text_due(follower->request->text, (size_t)follower->offset, answer->text.len);
}

bool outbox_ready(const struct outbox *outbox, bool serial)
{
    if (outbox->ready)
        return true;
    for (const struct follower *follower = outbox->followers; follower; follower = follower->next) {
        if (follower_ready(follower))
            return true;
        if (serial)
            return false;
    }
    return false;
}

size_t outbox_lag(const struct outbox *outbox)
{
    size_t lag = outbox->ready_bytes;
    for (const struct follower *follower = outbox->followers; follower; follower = follower->next)
        if (follower->from == 0 && (has_pieces(follower) || answer_ended(follower->answer)))
            lag += follower->answer->text.len - (size_t)follower->offset;
    return lag;
}

/* ---- The next thing that a follower is told. Each of these moves it on by one. */

static struct dialect_span span(const char *text, size_t len)
{
    return (struct dialect_span){len > 0 ? text : "", len};
}

static struct dialect_span span_of(const struct buf *buf)
{
    return span(buf->data, buf->len);
}

static struct dialect_occasion occasion_of(const struct follower *follower, enum dialect_occasion_kind kind)
{
    const struct answer *answer = follower->answer;
    return (struct dialect_occasion){
        .kind = kind,
        .request = follower->request,
        .text = span("", 0),
        .all = span(answer->text.data, (size_t)follower->offset),
        .tool = span("", 0),
        .call = span("", 0),
        .data = span("", 0),
        .reason = span_of(&answer->reason),
        .apology = span_of(&answer->apology),
        .message_id = answer->message_id,
        .when = (double)answer->started_ms / 1000,
        .vendor = answer->vendor ? answer->vendor : "",
        .model = answer->model ? answer->model : "",
    };
}

static struct dialect_occasion tell_text(struct follower *follower, size_t limit)
{
    const struct buf *text = &follower->answer->text;
    const char *from = text->data + follower->offset;
    size_t len = limit - (size_t)follower->offset;
    if (follower->request->text == DIALECT_DELTAS && len > OUTBOX_TEXT_BYTES)
        len = utf8_cut(from, len, OUTBOX_TEXT_BYTES);
    follower->offset += len;
    struct dialect_occasion occasion = occasion_of(follower, DIALECT_TEXT);
    occasion.text = span(from, len);
    return occasion;
}

static struct dialect_occasion tell_step(struct follower *follower)
{
    const struct answer_step *step = &follower->answer->steps[follower->steps++];
    struct dialect_occasion occasion =
        occasion_of(follower, step->finished ? DIALECT_TOOL_FINISHED : DIALECT_TOOL_STARTED);
    occasion.tool = span(step->name, strlen(step->name));
    occasion.call = span(step->call, strlen(step->call));
    occasion.data = span_of(&step->data);
    occasion.ok = step->ok;
    return occasion;
}

static struct dialect_occasion tell_end(struct follower *follower)
{
    static const enum dialect_occasion_kind kinds[] = {
        [ANSWER_COMPLETED] = DIALECT_COMPLETED,
        [ANSWER_FAILED] = DIALECT_FAILED,
        [ANSWER_CANCELLED] = DIALECT_CANCELLED,
    };
    follower->offset = follower->answer->text.len;
    return occasion_of(follower, kinds[follower->answer->end]);
}

/* Whether there is a beginning to tell: an agent's, or that of an answer which came without a word of it. */
static bool has_started(const struct answer *answer)
{
    return answer->started || (answer_ended(answer) && answer->end == ANSWER_COMPLETED);
}

/* Whether what there is of text up to a tool step, or else to where the answer is now, is to be told. An answer's end
 * may tell all of it. */
static bool wants_text(const struct follower *follower, bool has_step)
{
    const struct answer *answer = follower->answer;
    if (follower->request->text == DIALECT_CUMULATIVE && !has_step && answer_ended(answer))
        return answer->end != ANSWER_COMPLETED;
    return has_pieces(follower);
}

/* Only for a follower that is ready. */
static struct dialect_occasion tell_next(struct follower *follower, bool *ended)
{
    const struct answer *answer = follower->answer;
    if (!follower->taken_up_told) {
        follower->taken_up_told = true;
        return occasion_of(follower, DIALECT_TAKEN_UP);
    }
    if (!follower->started_told && has_started(answer)) {
        follower->started_told = true;
        return occasion_of(follower, DIALECT_STARTED);
    }
    bool has_step = follower->steps < answer->step_count;
    size_t limit = has_step ? (size_t)answer->steps[follower->steps].offset : answer->text.len;
    if (follower->offset < limit && wants_text(follower, has_step))
        return tell_text(follower, limit);
    if (has_step)
        return tell_step(follower);
    *ended = true;
    return tell_end(follower);
}

/* ---- Reading */

/* The follower whose turn it is. Where they may take turns, it moves to the end of the line. */
static struct follower *pick_follower(struct outbox *outbox, bool serial)
{
    struct follower *follower = outbox->followers;
    while (follower && !follower_ready(follower) && !serial)
        follower = follower->next;
    if (!follower || !follower_ready(follower))
        return NULL;
    if (!serial && follower->next) {
        outbox_unfollow(outbox, follower);
        outbox_follow(outbox, follower);
    }
    return follower;
}

bool outbox_next(struct outbox *outbox, const struct outbox_reader *reader, struct buf *frame, struct follower **ended)
{
    struct follower *follower;
    bool last = false;
    while (!outbox->ready && !last && (follower = pick_follower(outbox, reader->dialect->serial))) {
        struct dialect_occasion occasion = tell_next(follower, &last);
        occasion.now = reader->now;
        reader->dialect->encode(reader->client, &occasion, reader->scratch);
        if (last) {
            outbox_unfollow(outbox, follower);
            *ended = follower;
        }
        if (reader->scratch->count == 1) { /* the way of a token: the frame's memory goes round, nothing is queued */
            struct buf made = reader->scratch->list[0];
            reader->scratch->list[0] = *frame;
            *frame = made;
            frames_reset(reader->scratch);
            return true;
        }
        outbox_push(outbox, reader->scratch);
    }
    if (!outbox->ready)
        return false;
    pop_frame(outbox, frame);
    return true;
}
