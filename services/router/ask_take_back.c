/* What became nothing is taken back. */
#include "ask.h"
#include "clock.h"
#include "conversation.h"
#include "log.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"
#include "turn.pb-c.h"

#include <string.h>

static enum change_verdict make_failed(void *arg, const void *stored, size_t len, struct buf *out)
{
    const struct ask *ask = arg;
    const struct conversation_limits limits = router_conversation_limits(ask->command.router);
    Parley__ConversationTurn turn = PARLEY__CONVERSATION_TURN__INIT;
    turn.turn = (char *)ask->turn;
    turn.state = PARLEY__TURN_STATE__TURN_STATE_FAILED;
    turn.answer_id = ask->answer_id;
    turn.ended_ms = clock_wall_ms();
    bool changed;
    int err = conversation_end(ask->command.router->stored, stored, len, &turn, &limits, out, &changed);
    return err ? CHANGE_GIVE_UP : changed ? CHANGE_WRITE : CHANGE_NONE;
}

static void on_failed(void *arg, int err)
{
    struct ask *ask = arg;
    if (err)
        log_warning("a failed question still seems to wait for its answer", LOG_TEXT("turn", ask->turn),
                    LOG_TRACE(&ask->command.trace), LOG_ERR(err));
    router_end(&ask->command);
}

void ask_take_back(struct ask *ask)
{
    static const struct change_handlers handlers = {.make = make_failed, .done = on_failed, .persistent = true};
    char conversation[sizeof ask->change.conversation];
    if (ask->answer_id == 0) { /* nothing waits, or nothing can have been written */
        router_end(&ask->command);
        return;
    }
    memcpy(conversation, ask->change.conversation, sizeof conversation);
    change_start(ask->command.router, &ask->change, conversation, &handlers, ask);
}

static void on_marked(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)revision;
    (void)duplicate;
    struct ask *ask = arg;
    if (err && err != ERR_CONFLICT) /* a conflict: an agent has claimed it, or somebody has cancelled it */
        log_warning("a failed question could not be marked as cancelled", LOG_TEXT("turn", ask->turn),
                    LOG_TRACE(&ask->command.trace), LOG_ERR(err));
    ask_take_back(ask);
}

/* The same mark that a gateway leaves which finds no agent to cancel. */
void ask_withdraw(struct ask *ask)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    record.turn = ask->turn;
    record.state = PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED;
    struct buf packed = {0};
    wire_pack(&record.base, &packed);
    store_put(ask->command.router->service->bus, BUCKET_TURNS, ask->turn, STORE_NEW, &packed, STORE_TIMEOUT_MS,
              on_marked, ask);
    buf_deinit(&packed);
}
