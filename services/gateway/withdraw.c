#include "withdraw.h"

#include "log.h"
#include "mem.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"
#include "turn.pb-c.h"
#include "uplink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For one word to the agent. A living one answers within a millisecond or so. */
#define TELL_TIMEOUT_MS 1000
#define ROUNDS_MAX      3

struct withdrawal {
    struct chain link; /* of the gateway */
    struct gateway *gateway;
    char turn[ID_SIZE];
    withdraw_done *done;
    void *arg;
    bool has_record;
    int rounds;
};

static void tell_agent(struct withdrawal *withdrawal);

static void end(struct withdrawal *withdrawal, enum withdraw_outcome outcome, int err)
{
    if (outcome == WITHDRAW_FAILED)
        log_warning("a turn could not be withdrawn", LOG_TEXT("turn", withdrawal->turn), LOG_ERR(err));
    if (withdrawal->done)
        withdrawal->done(withdrawal->arg, outcome);
    chain_remove(&withdrawal->link);
    free(withdrawal);
}

static void start_over(struct withdrawal *withdrawal)
{
    withdrawal->has_record = true;
    if (++withdrawal->rounds < ROUNDS_MAX)
        tell_agent(withdrawal);
    else
        end(withdrawal, WITHDRAW_FAILED, ERR_CONFLICT);
}

static void on_marked(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)revision;
    (void)duplicate;
    struct withdrawal *withdrawal = arg;
    if (!err)
        end(withdrawal, WITHDRAW_SETTLED, ERR_NONE);
    else if (err == ERR_CONFLICT)
        start_over(withdrawal);
    else
        end(withdrawal, WITHDRAW_FAILED, err);
}

static void put_record(struct withdrawal *withdrawal, Parley__TurnRecord *record, uint64_t expected)
{
    record->turn = withdrawal->turn;
    record->state = PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED;
    struct buf packed = {0};
    wire_pack(&record->base, &packed);
    store_put(withdrawal->gateway->service->bus, BUCKET_TURNS, withdrawal->turn, expected, &packed, STORE_TIMEOUT_MS,
              on_marked, withdrawal);
    buf_deinit(&packed);
}

static void leave_mark(struct withdrawal *withdrawal)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    put_record(withdrawal, &record, STORE_NEW);
}

static void on_record(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct withdrawal *withdrawal = arg;
    Parley__TurnRecord *record = NULL;
    if (err == ERR_NOT_FOUND) {
        leave_mark(withdrawal);
        return;
    }
    if (!err)
        err = wire_unpack(withdrawal->gateway->arena, &parley__turn_record__descriptor, value, len, &record);
    if (err)
        end(withdrawal, WITHDRAW_FAILED, err);
    else if (record->state != PARLEY__TURN_STATE__TURN_STATE_RUNNING)
        end(withdrawal, WITHDRAW_SETTLED, ERR_NONE);
    else
        put_record(withdrawal, record, revision); /* all else in it stays: what was said is kept */
}

static void on_told(void *arg, int err, const struct bus_message *reply)
{
    (void)reply;
    struct withdrawal *withdrawal = arg;
    bool is_deaf = err == ERR_TIMEOUT; /* frozen, or cut off: the record is what it will see when it is back */
    if (!err)
        end(withdrawal, WITHDRAW_TOLD, ERR_NONE);
    else if (err != ERR_NO_RESPONDERS && !is_deaf)
        end(withdrawal, WITHDRAW_FAILED, err);
    else if (withdrawal->has_record || is_deaf)
        store_get(withdrawal->gateway->service->bus, BUCKET_TURNS, withdrawal->turn, STORE_TIMEOUT_MS, on_record,
                  withdrawal);
    else
        leave_mark(withdrawal);
}

static int send_cancel(struct withdrawal *withdrawal)
{
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_TURN, withdrawal->turn);
    struct buf packed = {0};
    uplink_pack_cancel(&packed);
    int err = bus_request(withdrawal->gateway->service->bus, subject, NULL, &packed, TELL_TIMEOUT_MS, on_told,
                          withdrawal, NULL);
    buf_deinit(&packed);
    return err;
}

static void tell_agent(struct withdrawal *withdrawal)
{
    if (send_cancel(withdrawal) != ERR_NONE)
        leave_mark(withdrawal); /* the store reports what is wrong, later as it should be */
}

struct withdrawal *withdraw_start(struct gateway *gateway, const char *turn, withdraw_done *done, void *arg)
{
    struct withdrawal *withdrawal = mem_alloc(sizeof *withdrawal);
    withdrawal->gateway = gateway;
    memcpy(withdrawal->turn, turn, sizeof withdrawal->turn);
    withdrawal->done = done;
    withdrawal->arg = arg;
    chain_add(&gateway->withdrawals, &withdrawal->link);
    tell_agent(withdrawal);
    return withdrawal;
}

void withdraw_forget(struct withdrawal **withdrawal)
{
    if (*withdrawal)
        (*withdrawal)->done = NULL;
    *withdrawal = NULL;
}

void withdraw_free_all(struct gateway *gateway)
{
    while (gateway->withdrawals) {
        struct withdrawal *withdrawal = OWNER_OF(gateway->withdrawals, struct withdrawal, link);
        chain_remove(&withdrawal->link);
        free(withdrawal);
    }
}
