#include "recover.h"

#include "log.h"
#include "mem.h"
#include "recover_record.h"
#include "segments.h"
#include "store_call.h"
#include "subjects.h"
#include "uplink.h"

#include <stdio.h>
#include <stdlib.h>

#define ATTACH_TIMEOUT_MS 2000

/* Of its turn, and gone before it. */
struct recovery {
    struct turn *turn;
    struct bus_request *attaching;
    struct store_call *looking;
    struct segments_reading *reading;
    struct buf record; /* packed, while its segments are read */
    uint64_t offset;   /* where `text` begins */
    struct buf text;
};

static void end(struct recovery *recovery)
{
    recovery->turn->recovery = NULL;
    bus_request_cancel(&recovery->attaching);
    store_call_forget(&recovery->looking);
    segments_cancel(&recovery->reading);
    buf_deinit(&recovery->record);
    buf_deinit(&recovery->text);
    free(recovery);
}

static void fail(struct recovery *recovery, int err)
{
    const struct turn *turn = recovery->turn;
    log_debug("an answer could not be repaired yet", LOG_TEXT("turn", turn->id), LOG_TRACE(&turn->trace), LOG_ERR(err));
    end(recovery);
}

static int unpack_record(struct recovery *recovery, Parley__TurnRecord **record)
{
    return wire_unpack(recovery->turn->gateway->arena, &parley__turn_record__descriptor, recovery->record.data,
                       recovery->record.len, record);
}

/* ---- Delivering an ended turn's record */

static void deliver(struct recovery *recovery, const Parley__TurnRecord *record)
{
    struct turn *turn = recovery->turn;
    buf_append(&recovery->text, record->text.data, record->text.len);
    enum answer_news news = answer_add_text(&turn->answer, recovery->offset, recovery->text.data, recovery->text.len);
    if (news == ANSWER_NEW || news == ANSWER_KNOWN) {
        recover_apply_end(&turn->answer, record);
        turn_heard(turn);
        news = ANSWER_NEW;
    }
    end(recovery);
    turn_take_news(turn, news);
}

static void on_segments(void *arg, int err)
{
    struct recovery *recovery = arg;
    Parley__TurnRecord *record = NULL;
    if (!err)
        err = unpack_record(recovery, &record);
    if (err)
        fail(recovery, err);
    else
        deliver(recovery, record);
}

static void read_segments(struct recovery *recovery, const Parley__TurnRecord *record)
{
    struct turn *turn = recovery->turn;
    uint32_t first;
    int err = recover_first_segment(record, turn->answer.text.len, &first);
    if (!err && record->length > turn->answer.max_bytes)
        err = ERR_TOO_LARGE;
    if (err) {
        fail(recovery, err);
        return;
    }
    recovery->offset = first * (uint64_t)SEGMENT_BYTES;
    segments_read(turn->gateway->service->bus, turn->id, SEGMENTED_TEXT, first, record->segments, &recovery->text,
                  on_segments, recovery, &recovery->reading);
}

/* ---- Looking into the conversation, where the record is not kept any more */

static void on_conversation(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct recovery *recovery = arg;
    struct turn *turn = recovery->turn;
    Parley__Conversation *conversation = NULL;
    Parley__TurnRecord record;
    if (!err)
        err = wire_unpack(turn->gateway->arena, &parley__conversation__descriptor, value, len, &conversation);
    if (!err && !recover_find_turn(conversation, turn->id, &record))
        err = ERR_NOT_FOUND;
    if (!err) {
        deliver(recovery, &record);
    } else if (err == ERR_NOT_FOUND && turn->aged) {
        end(recovery);
        turn_fail(turn, "this answer is not kept any more, please ask again");
    } else {
        fail(recovery, err);
    }
}

/* ---- Reading the record */

static void take_record(struct recovery *recovery, const Parley__TurnRecord *record)
{
    struct turn *turn = recovery->turn;
    if (recover_has_ended(record)) {
        read_segments(recovery, record);
        return;
    }
    /* Begun, though we were not told; now nobody runs it, and somebody will take it over. Its silence goes on. */
    answer_number(&turn->answer, record->message_id, record->started_ms);
    if (answer_hear(&turn->answer, record->attempt))
        turn_move_on(turn);
    end(recovery);
    turn_changed(turn);
}

static void on_record(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct recovery *recovery = arg;
    const struct turn *turn = recovery->turn;
    Parley__TurnRecord *record = NULL;
    if (err == ERR_NOT_FOUND && turn->conversation[0]) {
        store_call_get(turn->gateway->service->bus, BUCKET_CONVERSATIONS, turn->conversation, on_conversation, recovery,
                       &recovery->looking);
        return;
    }
    if (err) {
        fail(recovery, err);
        return;
    }
    buf_append(&recovery->record, value, len);
    err = unpack_record(recovery, &record);
    if (err)
        fail(recovery, err);
    else
        take_record(recovery, record);
}

/* ---- Asking the agent */

static void on_attached(void *arg, int err, const struct bus_message *reply)
{
    (void)reply;
    struct recovery *recovery = arg;
    struct turn *turn = recovery->turn;
    if (err == ERR_NO_RESPONDERS || err == ERR_TIMEOUT) { /* nobody, or one who is frozen or cut off */
        store_call_get(turn->gateway->service->bus, BUCKET_TURNS, turn->id, on_record, recovery, &recovery->looking);
        return;
    }
    if (err) {
        fail(recovery, err);
        return;
    }
    turn_heard(turn);
    end(recovery);
}

static int attach(struct recovery *recovery)
{
    const struct turn *turn = recovery->turn;
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_TURN, turn->id);
    struct buf packed = {0};
    uplink_pack_attach(turn, &packed);
    int err = bus_request(turn->gateway->service->bus, subject, NULL, &packed, ATTACH_TIMEOUT_MS, on_attached, recovery,
                          &recovery->attaching);
    buf_deinit(&packed);
    return err;
}

void recover_start(struct turn *turn)
{
    bool is_read = !turn->cancel || turn->followers;
    if (turn->recovery || !is_read || !gateway_reachable(turn->gateway))
        return;
    struct recovery *recovery = mem_alloc(sizeof *recovery);
    recovery->turn = turn;
    turn->recovery = recovery;
    int err = attach(recovery);
    if (err)
        fail(recovery, err);
}

void recover_stop(struct turn *turn)
{
    if (turn->recovery)
        end(turn->recovery);
}
