/* SendBroadcast: the operator has something to say to all members of rooms.
 *
 *   subject   SUBJECT_COMMAND_BROADCAST, one router of the queue group
 *   from      a gateway
 *   sends     Broadcast to SUBJECT_ROOM of each room
 *   answers   Done: when it was sent to all of them; no_pipeline where that does not exist; or the reason why not */
#include "clock.h"
#include "command.pb-c.h"
#include "config.h"
#include "event.pb-c.h"
#include "id.h"
#include "log.h"
#include "router.h"
#include "subjects.h"

#include <stdio.h>

#define ROOMS_MAX 64

static const char *check(const struct router *router, const Parley__SendBroadcast *asked)
{
    if (asked->message.len > (size_t)router->settings->question_max_bytes)
        return "the message is too long";
    if (asked->message.len == 0 || asked->n_rooms > ROOMS_MAX)
        return "no message, or too many rooms";
    for (size_t i = 0; i < asked->n_rooms; i++)
        if (!id_is_token_text(asked->rooms[i]))
            return "there can be no such room";
    return NULL;
}

/* What goes wrong with one room goes wrong with all: nothing is said to some of them only. */
static const char *send_to_all(const struct command *command, const Parley__SendBroadcast *asked)
{
    Parley__Broadcast broadcast = PARLEY__BROADCAST__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;
    int err = ERR_NONE;
    broadcast.message = asked->message;
    broadcast.sent_ms = clock_wall_ms();
    event.kind_case = PARLEY__EVENT__KIND_BROADCAST;
    event.broadcast = &broadcast;
    for (size_t i = 0; i < asked->n_rooms && !err; i++) {
        char subject[SUBJECT_SIZE];
        snprintf(subject, sizeof subject, SUBJECT_ROOM, asked->rooms[i]);
        err = router_send_event(command, subject, &event);
    }
    return err ? err_text(err) : NULL;
}

void on_broadcast(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__SendBroadcast *asked = router_read(router, message, &parley__send_broadcast__descriptor, &command);
    if (!asked) {
        router_drop(&command, message);
        return;
    }
    Parley__Done done = PARLEY__DONE__INIT;
    done.no_pipeline = !config_has_pipeline(router->config, asked->pipeline);
    const char *failure = done.no_pipeline ? NULL : check(router, asked);
    if (!failure && !done.no_pipeline)
        failure = send_to_all(&command, asked);
    if (failure)
        done.failure = router_text(failure);
    else if (!done.no_pipeline)
        log_debug("broadcast sent", LOG_INT("rooms", asked->n_rooms), LOG_TRACE(&command.trace));
    router_reply(&command, &done.base);
}
