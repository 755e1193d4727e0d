#include "recover.h"

#include "log.h"
#include "mem.h"
#include "recover_record.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"
#include "uplink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTACH_TIMEOUT_MS 2000
#define KEY_SIZE          (ID_SIZE + 11)

/* Outlives its turn where the store has still to answer. */
struct recovery {
    struct chain link; /* of the gateway */
    struct gateway *gateway;
    struct turn *turn; /* NULL: needed no more */
    char id[ID_SIZE];
    struct trace trace;
    struct bus_request *attaching;
    struct buf record; /* packed, while its segments are read */
    uint32_t segment;  /* the next to be read */
    uint32_t segments; /* in all */
    uint64_t offset;   /* where `text` begins */
    struct buf text;
};

static void end(struct recovery *recovery)
{
    if (recovery->turn)
        recovery->turn->recovery = NULL;
    chain_remove(&recovery->link);
    buf_deinit(&recovery->record);
    buf_deinit(&recovery->text);
    free(recovery);
}

static void fail(struct recovery *recovery, int err)
{
    log_debug("an answer could not be repaired yet", LOG_TEXT("turn", recovery->id), LOG_TRACE(&recovery->trace),
              LOG_ERR(err));
    end(recovery);
}

static int unpack_record(struct recovery *recovery, Parley__TurnRecord **record)
{
    return wire_unpack(recovery->gateway->arena, &parley__turn_record__descriptor, recovery->record.data,
                       recovery->record.len, record);
}

/* ---- Delivering an ended turn's record */

static void deliver(struct recovery *recovery)
{
    struct turn *turn = recovery->turn;
    Parley__TurnRecord *record;
    int err = unpack_record(recovery, &record);
    if (err) {
        fail(recovery, err);
        return;
    }
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

static void read_segment(struct recovery *recovery);

static void on_segment(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct recovery *recovery = arg;
    if (!recovery->turn || err) {
        fail(recovery, err ? err : ERR_CANCELLED);
        return;
    }
    buf_append(&recovery->text, value, len);
    if (recovery->text.len > recovery->turn->answer.max_bytes)
        fail(recovery, ERR_TOO_LARGE);
    else if (++recovery->segment < recovery->segments)
        read_segment(recovery);
    else
        deliver(recovery);
}

static void read_segment(struct recovery *recovery)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "%s.%" PRIu32, recovery->id, recovery->segment);
    store_get(recovery->gateway->service->bus, BUCKET_TURNS, key, STORE_TIMEOUT_MS, on_segment, recovery);
}

static void read_segments(struct recovery *recovery, const Parley__TurnRecord *record)
{
    struct recover_plan plan;
    int err = recover_plan_segments(record, recovery->turn->answer.text.len, &plan);
    if (err) {
        fail(recovery, err);
        return;
    }
    recovery->segment = plan.first;
    recovery->segments = record->segments;
    recovery->offset = plan.offset;
    if (plan.first < record->segments)
        read_segment(recovery);
    else
        deliver(recovery);
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
    answer_number(&turn->answer, 0, record->started_ms);
    if (answer_hear(&turn->answer, record->attempt))
        turn_move_on(turn);
    end(recovery);
    turn_changed(turn);
}

static void on_record(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct recovery *recovery = arg;
    Parley__TurnRecord *record = NULL;
    if (!recovery->turn || err) {
        fail(recovery, err ? err : ERR_CANCELLED);
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
        store_get(recovery->gateway->service->bus, BUCKET_TURNS, recovery->id, STORE_TIMEOUT_MS, on_record, recovery);
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
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_TURN, recovery->id);
    struct buf packed = {0};
    uplink_pack_attach(recovery->turn, &packed);
    int err = bus_request(recovery->gateway->service->bus, subject, NULL, &packed, ATTACH_TIMEOUT_MS, on_attached,
                          recovery, &recovery->attaching);
    buf_deinit(&packed);
    return err;
}

void recover_start(struct turn *turn)
{
    bool is_read = !turn->cancel || turn->followers;
    if (turn->recovery || !is_read || !gateway_reachable(turn->gateway))
        return;
    struct recovery *recovery = mem_alloc(sizeof *recovery);
    recovery->gateway = turn->gateway;
    recovery->turn = turn;
    memcpy(recovery->id, turn->id, sizeof recovery->id);
    recovery->trace = turn->trace;
    turn->recovery = recovery;
    chain_add(&turn->gateway->recoveries, &recovery->link);
    int err = attach(recovery);
    if (err)
        fail(recovery, err);
}

void recover_stop(struct turn *turn)
{
    struct recovery *recovery = turn->recovery;
    if (!recovery)
        return;
    turn->recovery = NULL;
    recovery->turn = NULL;
    if (!recovery->attaching)
        return; /* the store will answer, and find nobody */
    bus_request_cancel(&recovery->attaching);
    end(recovery);
}

void recover_free_all(struct gateway *gateway)
{
    while (gateway->recoveries)
        end(OWNER_OF(gateway->recoveries, struct recovery, link));
}
