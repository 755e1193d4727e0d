/* ContactDelete: the owner wants a contact request gone.
 *
 *   subject   SUBJECT_COMMAND_CONTACT_DELETE, one router of the queue group
 *   from      a gateway
 *   answers   ContactDeleted: with no failure once it stands in the stream no more; `not_found` where it did not; or
 *             the reason why it can't be deleted now
 *   repeated  harmless: a number is given once
 *
 * One that still waits for the webhook is not posted any more. */
#include "command.pb-c.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <stdlib.h>
#include <string.h>

struct deleting {
    struct command command; /* first */
    struct router *router;
    char *reply;
    struct trace trace;
    uint64_t number;
};

static void free_deleting(struct command *command)
{
    struct deleting *deleting = (struct deleting *)command;
    free(deleting->reply);
    free(deleting);
}

static void reply_deleted(struct router *router, const char *reply, const struct trace *trace, bool not_found,
                          const char *failure)
{
    Parley__ContactDeleted answer = PARLEY__CONTACT_DELETED__INIT;
    answer.not_found = not_found;
    answer.failure = (ProtobufCBinaryData){strlen(failure), (uint8_t *)failure};
    router_reply(router, reply, trace, &answer.base);
}

static void end_deleting(struct deleting *deleting, int err)
{
    struct router *router = deleting->router;
    bool not_found = err == ERR_NOT_FOUND;
    if (err && !not_found)
        log_warning("a contact request could not be deleted", LOG_INT("number", deleting->number),
                    LOG_TRACE(&deleting->trace), LOG_ERR(err));
    else if (!err)
        log_info("contact request deleted", LOG_INT("number", deleting->number), LOG_TRACE(&deleting->trace));
    reply_deleted(router, deleting->reply, &deleting->trace, not_found, err && !not_found ? err_text(err) : "");
    router_end(router, &deleting->command);
    free_deleting(&deleting->command);
}

static void on_deleted(void *arg, int err)
{
    end_deleting(arg, err);
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t sequence)
{
    (void)value, (void)len, (void)sequence;
    struct deleting *deleting = arg;
    if (err)
        end_deleting(deleting, err);
    else
        store_delete_message(deleting->router->service->bus, STREAM_CONTACTS, deleting->number, STORE_TIMEOUT_MS,
                             on_deleted, deleting);
}

void on_contact_delete(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__ContactDelete *command;
    struct trace trace = router_trace(message);
    int err = wire_unpack(router->command, &parley__contact_delete__descriptor, message->data, message->len, &command);
    if (err || !message->reply) {
        log_warning("a command that can't be read was dropped", LOG_TEXT("subject", message->subject),
                    LOG_TRACE(&trace));
        return;
    }
    if (command->number == 0 || router_is_full(router)) {
        bool none = command->number == 0; /* to the broker: any message */
        reply_deleted(router, message->reply, &trace, none, none ? "" : "too many commands at once; try again later");
        return;
    }
    struct deleting *deleting = mem_alloc(sizeof *deleting);
    deleting->router = router;
    deleting->reply = mem_strdup(message->reply);
    deleting->trace = trace;
    deleting->number = command->number;
    deleting->command.free = free_deleting;
    router_begin(router, &deleting->command);
    store_get_message(router->service->bus, STREAM_CONTACTS, deleting->number, STORE_TIMEOUT_MS, on_read, deleting);
}
