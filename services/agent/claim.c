#include "claim.h"

#include "mem.h"
#include "store_call.h"
#include "subjects.h"
#include "turn_state.h"

#include <stdlib.h>

#define TRIES_MAX 5 /* of read and write, when others keep changing it */

struct claim {
    struct claim_options options;
    claim_handler *done;
    void *arg;
    struct claim **slot;
    struct store_call *call;
    struct buf before; /* the record as read, packed */
    bool found;
    bool wrote; /* tried to: what became of it may not be known */
    int tries;
};

static void read_record(struct claim *claim);

static void claim_free(struct claim *claim)
{
    store_call_forget(&claim->call);
    buf_deinit(&claim->before);
    free(claim);
}

static void finish(struct claim *claim, enum claim_verdict verdict, int err, uint64_t revision)
{
    struct claim_result result = {.verdict = verdict, .err = err, .revision = revision, .packed = &claim->before};
    Parley__TurnRecord *before = NULL;

    if (claim->found && wire_unpack(claim->options.arena, &parley__turn_record__descriptor, claim->before.data,
                                    claim->before.len, &before) == ERR_NONE)
        result.before = before;
    *claim->slot = NULL;
    claim->done(claim->arg, &result);
    claim_free(claim);
}

static void on_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    struct claim *claim = arg;

    (void)duplicate;
    if (err == ERR_NONE)
        finish(claim, CLAIM_TAKEN, ERR_NONE, revision);
    else if (claim->tries >= TRIES_MAX || (err != ERR_CONFLICT && err != ERR_TIMEOUT))
        finish(claim, CLAIM_FAILED, err, 0);
    else
        read_record(claim); /* somebody else was quicker; or nobody knows whether it was written */
}

/* Our record: what is there, under our name. A cancellation that was asked for stays until it is carried out: should we
 * not come to that, the next attempt finds it. */
static void write_record(struct claim *claim, Parley__TurnRecord *before, uint64_t revision)
{
    Parley__TurnRecord fresh = PARLEY__TURN_RECORD__INIT;
    Parley__TurnRecord *record = before != NULL ? before : &fresh;
    struct buf value = {0};

    record->turn = (char *)claim->options.turn;
    if (record->state != PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED)
        record->state = PARLEY__TURN_STATE__TURN_STATE_RUNNING;
    record->attempt = claim->options.attempt;
    record->message_id = claim->options.message_id;
    if (record->started_ms == 0)
        record->started_ms = claim->options.started_ms;
    record->vendor = (char *)claim->options.vendor;
    record->model = (char *)claim->options.model;
    wire_pack(&record->base, &value);
    claim->wrote = true;
    store_call_put(claim->options.bus, BUCKET_TURNS, claim->options.turn, revision, &value, on_written, claim,
                   &claim->call);
    buf_deinit(&value);
}

enum move { MOVE_WRITE, MOVE_HAVE, MOVE_LEAVE_ENDED, MOVE_LEAVE_NEWER, MOVE_LEAVE_EXPIRED };

/* What to do about a record that is there. */
static enum move judge(const Parley__TurnRecord *record, const struct claim *claim)
{
    uint32_t attempt = claim->options.attempt;
    bool begun = record->attempt > 0; /* else its gateway gave it up, and left a mark */
    bool awaited = claim->options.message_id > 0;

    if (turn_state_is_final(record->state))
        return MOVE_LEAVE_ENDED;
    if (claim->options.expired && !begun && !awaited)
        return MOVE_LEAVE_EXPIRED;
    if (record->attempt == attempt && claim->wrote)
        return MOVE_HAVE;
    /* Deliveries are counted, so an equal or higher number is a later one; unless the queue has lost its count, and
     * then ours will soon be the higher one. */
    return record->attempt >= attempt ? MOVE_LEAVE_NEWER : MOVE_WRITE;
}

static void on_found(struct claim *claim, const void *value, size_t len, uint64_t revision)
{
    Parley__TurnRecord *record;

    if (wire_unpack(claim->options.arena, &parley__turn_record__descriptor, value, len, &record) != ERR_NONE) {
        finish(claim, CLAIM_FAILED, ERR_INVALID, 0);
        return;
    }
    claim->found = true;
    buf_reset(&claim->before);
    buf_append(&claim->before, value, len);
    switch (judge(record, claim)) {
    case MOVE_WRITE:
        write_record(claim, record, revision);
        break;
    case MOVE_HAVE:
        finish(claim, CLAIM_TAKEN, ERR_NONE, revision);
        break;
    case MOVE_LEAVE_ENDED:
        finish(claim, CLAIM_ENDED, ERR_NONE, 0);
        break;
    case MOVE_LEAVE_NEWER:
        finish(claim, CLAIM_NEWER, ERR_NONE, 0);
        break;
    case MOVE_LEAVE_EXPIRED:
        finish(claim, CLAIM_EXPIRED, ERR_NONE, 0);
        break;
    }
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct claim *claim = arg;

    if (err == ERR_NONE) {
        on_found(claim, value, len, revision);
    } else if (err != ERR_NOT_FOUND) {
        finish(claim, CLAIM_FAILED, err, 0);
    } else if (claim->options.expired) {
        finish(claim, CLAIM_EXPIRED, ERR_NONE, 0);
    } else {
        claim->found = false;
        buf_reset(&claim->before);
        write_record(claim, NULL, STORE_NEW);
    }
}

static void read_record(struct claim *claim)
{
    claim->tries++;
    store_call_get(claim->options.bus, BUCKET_TURNS, claim->options.turn, on_read, claim, &claim->call);
}

void claim_start(const struct claim_options *options, claim_handler *done, void *arg, struct claim **slot)
{
    struct claim *claim = mem_alloc(sizeof *claim);

    claim->options = *options;
    claim->done = done;
    claim->arg = arg;
    claim->slot = slot;
    *slot = claim;
    read_record(claim);
}

void claim_cancel(struct claim **claim)
{
    if (*claim == NULL)
        return;
    claim_free(*claim);
    *claim = NULL;
}
