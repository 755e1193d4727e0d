/* TurnDone: a turn has ended, and becomes part of its conversation.
 *
 *   subject   SUBJECT_TURN_DONE, one router of the queue group
 *   from      the agent that ran the turn, which acknowledges its job only when this is answered
 *   answers   TurnSaved: with no failure once the turn is stored, by this call or an earlier one; else with the reason,
 *             and the agent may try again
 *   repeated  any number of times: a turn id is stored once
 *
 * It completes the turn that was put there when it was asked (conversation_end()), or is added. */
#include "change.h"
#include "conversation.h"
#include "id.h"
#include "log.h"
#include "router.h"
#include "subjects.h"

#include <stdio.h>

struct save {
    struct command command; /* first */
    struct buf message;     /* TurnDone, packed */
    char turn[ID_TOKEN_MAX + 1];
    bool added, unreadable;
    struct change change;
};

static void stop_save(struct command *command)
{
    change_stop(&((struct save *)command)->change);
}

static void deinit_save(struct command *command)
{
    buf_deinit(&((struct save *)command)->message);
}

static void reply_saved(const struct command *command, const char *failure)
{
    Parley__TurnSaved saved = PARLEY__TURN_SAVED__INIT;
    saved.failure = router_text(failure);
    router_reply(command, &saved.base);
}

static enum change_verdict make(void *arg, const void *stored, size_t len, struct buf *out)
{
    struct save *save = arg;
    struct router *router = save->command.router;
    const struct conversation_limits limits = router_conversation_limits(router);
    Parley__TurnDone *done;
    int err =
        wire_unpack(router->message, &parley__turn_done__descriptor, save->message.data, save->message.len, &done);
    if (!err)
        err = conversation_end(router->stored, stored, len, done->turn, &limits, out, &save->added);
    save->unreadable = err != ERR_NONE;
    return err ? CHANGE_GIVE_UP : save->added ? CHANGE_WRITE : CHANGE_NONE;
}

static void on_changed(void *arg, int err)
{
    struct save *save = arg;
    struct command *command = &save->command;
    const struct router *router = command->router;
    const char *failure = "";
    if (err)
        failure = save->unreadable ? "what is stored of the conversation can't be read" : err_text(err);
    if (err)
        log_warning("a finished turn could not be saved", LOG_TEXT("turn", save->turn), LOG_TRACE(&command->trace),
                    LOG_TEXT("conversation", save->change.conversation), LOG_TEXT("error", failure));
    else
        log_debug("turn saved", LOG_TEXT("turn", save->turn), LOG_TRACE(&command->trace));
    metric_add(err ? router->metrics.unsaved : save->added ? router->metrics.saved : router->metrics.repeated, 1);
    reply_saved(command, failure);
    router_end(command);
}

static bool is_valid(const Parley__TurnDone *done)
{
    return done->turn && id_is_token_text(done->conversation) && id_is_token_text(done->turn->turn);
}

static void start_save(const struct command *command, const struct bus_message *message, const Parley__TurnDone *done)
{
    static const struct change_handlers handlers = {.make = make, .done = on_changed};
    struct save *save = router_begin(command, sizeof *save);
    save->command.stop = stop_save;
    save->command.deinit = deinit_save;
    buf_append(&save->message, message->data, message->len);
    snprintf(save->turn, sizeof save->turn, "%s", done->turn->turn);
    change_start(command->router, &save->change, done->conversation, &handlers, save);
}

void on_turn_done(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__TurnDone *done = router_read(router, message, &parley__turn_done__descriptor, &command);
    if (!done || !is_valid(done)) {
        router_drop(&command, message);
        reply_saved(&command, "the finished turn can't be read");
    } else if (router_is_full(router)) {
        reply_saved(&command, ROUTER_FULL);
    } else {
        start_save(&command, message, done);
    }
}
