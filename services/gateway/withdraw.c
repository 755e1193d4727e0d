#include "withdraw.h"

#include "clock.h"
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
/* What is kept for later takes some 150 bytes each; and the broker, just back, is not to be stormed. */
#define KEPT_MAX    10000
#define RETRIES_MAX 200 /* under way at a time */

struct withdrawal {
    struct chain link; /* of the gateway: its withdrawals, or those that are kept for later */
    struct gateway *gateway;
    char turn[ID_SIZE];
    struct trace trace;
    withdraw_done *done;
    void *arg;
    bool has_record;
    int rounds;
    bool kept;        /* has failed, and is tried again from time to time */
    bool under_way;   /* kept: is being tried */
    int64_t until_ms; /* monotonic: when no job of this turn can be left */
};

static void tell_agent(struct withdrawal *withdrawal);

static void tell_outcome(struct withdrawal *withdrawal, enum withdraw_outcome outcome)
{
    if (withdrawal->done)
        withdrawal->done(withdrawal->arg, outcome);
    withdrawal->done = NULL;
}

static void free_withdrawal(struct withdrawal *withdrawal)
{
    struct gateway *gateway = withdrawal->gateway;
    gateway->withdrawals_kept -= withdrawal->kept;
    gateway->withdrawals_retried -= withdrawal->under_way;
    chain_remove(&withdrawal->link);
    free(withdrawal);
}

static void end(struct withdrawal *withdrawal, enum withdraw_outcome outcome)
{
    tell_outcome(withdrawal, outcome);
    free_withdrawal(withdrawal);
}

static void fail(struct withdrawal *withdrawal, int err)
{
    log_warning("a turn could not be withdrawn", LOG_TEXT("turn", withdrawal->turn), LOG_TRACE(&withdrawal->trace),
                LOG_ERR(err));
    end(withdrawal, WITHDRAW_FAILED);
}

/* Nobody waits for it any more, neither a client nor a drain. */
static void keep(struct withdrawal *withdrawal, int err)
{
    struct gateway *gateway = withdrawal->gateway;
    if (withdrawal->kept) {
        gateway->withdrawals_retried -= withdrawal->under_way;
        withdrawal->under_way = false;
        return;
    }
    if (gateway->withdrawals_kept == KEPT_MAX) {
        fail(withdrawal, err);
        return;
    }
    log_info("a turn is to be withdrawn later", LOG_TEXT("turn", withdrawal->turn), LOG_TRACE(&withdrawal->trace),
             LOG_ERR(err));
    withdrawal->kept = true;
    gateway->withdrawals_kept++;
    chain_remove(&withdrawal->link);
    chain_add(&gateway->kept_withdrawals, &withdrawal->link);
    tell_outcome(withdrawal, WITHDRAW_KEPT);
}

/* What can't be read or written now can't be later. */
static void stumble(struct withdrawal *withdrawal, int err)
{
    if (err == ERR_INVALID || err == ERR_TOO_LARGE)
        fail(withdrawal, err);
    else
        keep(withdrawal, err);
}

static void start_over(struct withdrawal *withdrawal)
{
    withdrawal->has_record = true;
    if (++withdrawal->rounds < ROUNDS_MAX)
        tell_agent(withdrawal);
    else
        keep(withdrawal, ERR_CONFLICT);
}

static void on_marked(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)revision;
    (void)duplicate;
    struct withdrawal *withdrawal = arg;
    if (!err)
        end(withdrawal, WITHDRAW_SETTLED);
    else if (err == ERR_CONFLICT)
        start_over(withdrawal);
    else
        stumble(withdrawal, err);
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
        stumble(withdrawal, err);
    else if (record->state != PARLEY__TURN_STATE__TURN_STATE_RUNNING)
        end(withdrawal, WITHDRAW_SETTLED);
    else
        put_record(withdrawal, record, revision); /* all else in it stays: what was said is kept */
}

static void on_told(void *arg, int err, const struct bus_message *reply)
{
    (void)reply;
    struct withdrawal *withdrawal = arg;
    bool is_deaf = err == ERR_TIMEOUT; /* frozen, or cut off: the record is what it will see when it is back */
    if (!err)
        end(withdrawal, WITHDRAW_TOLD);
    else if (err != ERR_NO_RESPONDERS && !is_deaf)
        stumble(withdrawal, err);
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
    const struct turn *known = turn_find(gateway, turn);
    if (known)
        withdrawal->trace = known->trace;
    withdrawal->done = done;
    withdrawal->arg = arg;
    withdrawal->until_ms = clock_monotonic_ms() + gateway->service->common.jobs_max_age_seconds * 1000;
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

static void retry(struct withdrawal *withdrawal)
{
    withdrawal->under_way = true;
    withdrawal->gateway->withdrawals_retried++;
    withdrawal->has_record = false;
    withdrawal->rounds = 0;
    tell_agent(withdrawal);
}

void withdraw_retry(struct gateway *gateway)
{
    int64_t now_ms = clock_monotonic_ms();
    bool reachable = gateway_reachable(gateway);
    for (struct chain *link = gateway->kept_withdrawals, *next; link; link = next) {
        next = link->next;
        struct withdrawal *withdrawal = OWNER_OF(link, struct withdrawal, link);
        if (withdrawal->under_way)
            continue;
        if (now_ms >= withdrawal->until_ms)
            free_withdrawal(withdrawal);
        else if (reachable && gateway->withdrawals_retried < RETRIES_MAX)
            retry(withdrawal);
    }
}

void withdraw_free_all(struct gateway *gateway)
{
    while (gateway->withdrawals)
        free_withdrawal(OWNER_OF(gateway->withdrawals, struct withdrawal, link));
    while (gateway->kept_withdrawals)
        free_withdrawal(OWNER_OF(gateway->kept_withdrawals, struct withdrawal, link));
}
