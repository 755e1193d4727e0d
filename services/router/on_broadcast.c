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
#include <string.h>

#define ROOMS_MAX 64

static const char *check(const struct router *router, const Parley__SendBroadcast *command)
{
    if (command->message.len > (size_t)router->settings->question_max_bytes)
        return "the message is too long";
    if (command->message.len == 0 || command->n_rooms > ROOMS_MAX)
        return "no message, or too many rooms";
    for (size_t i = 0; i < command->n_rooms; i++)
        if (!id_is_token_text(command->rooms[i]))
            return "there can be no such room";
    return NULL;
}

/* What goes wrong with one room goes wrong with all: nothing is said to some of them only. */
static const char *send_to_all(struct router *router, const Parley__SendBroadcast *command, const struct trace *trace)
{
    Parley__Broadcast broadcast = PARLEY__BROADCAST__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;
    int err = ERR_NONE;
    broadcast.message = command->message;
    broadcast.sent_ms = clock_wall_ms();
    event.kind_case = PARLEY__EVENT__KIND_BROADCAST;
    event.broadcast = &broadcast;
    for (size_t i = 0; i < command->n_rooms && !err; i++) {
        char subject[SUBJECT_SIZE];
        snprintf(subject, sizeof subject, SUBJECT_ROOM, command->rooms[i]);
        err = router_send_event(router, subject, trace, &event);
    }
    return err ? err_text(err) : NULL;
}

void on_broadcast(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__SendBroadcast *command;
    struct trace trace = router_trace(message);
    if (wire_unpack(router->command, &parley__send_broadcast__descriptor, message->data, message->len, &command)) {
        log_warning("a command that can't be read was dropped", LOG_TEXT("subject", message->subject),
                    LOG_TRACE(&trace));
        return;
    }
    Parley__Done done = PARLEY__DONE__INIT;
    done.no_pipeline = !config_has_pipeline(router->config, command->pipeline);
    const char *failure = done.no_pipeline ? NULL : check(router, command);
    if (!failure && !done.no_pipeline)
        failure = send_to_all(router, command, &trace);
    if (failure)
        done.failure = (ProtobufCBinaryData){strlen(failure), (uint8_t *)failure};
    else if (!done.no_pipeline)
        log_debug("broadcast sent", LOG_INT("rooms", command->n_rooms), LOG_TRACE(&trace));
    router_reply(router, message->reply, &trace, &done.base);
}
