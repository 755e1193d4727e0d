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
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

struct deleting {
    struct command command; /* first */
    uint64_t number;
};

static void reply_deleted(const struct command *command, bool not_found, const char *failure)
{
    Parley__ContactDeleted answer = PARLEY__CONTACT_DELETED__INIT;
    answer.not_found = not_found;
    answer.failure = router_text(failure);
    router_reply(command, &answer.base);
}

static void end_deleting(struct deleting *deleting, int err)
{
    struct command *command = &deleting->command;
    bool not_found = err == ERR_NOT_FOUND;
    if (err && !not_found)
        log_warning("a contact request could not be deleted", LOG_INT("number", deleting->number),
                    LOG_TRACE(&command->trace), LOG_ERR(err));
    else if (!err)
        log_info("contact request deleted", LOG_INT("number", deleting->number), LOG_TRACE(&command->trace));
    reply_deleted(command, not_found, err && !not_found ? err_text(err) : "");
    router_end(command);
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
        store_delete_message(deleting->command.router->service->bus, STREAM_CONTACTS, deleting->number,
                             STORE_TIMEOUT_MS, on_deleted, deleting);
}

void on_contact_delete(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__ContactDelete *asked = router_read(router, message, &parley__contact_delete__descriptor, &command);
    if (!asked) {
        router_drop(&command, message);
    } else if (asked->number == 0) { /* to the broker: any message */
        reply_deleted(&command, true, "");
    } else if (router_is_full(router)) {
        reply_deleted(&command, false, ROUTER_FULL);
    } else {
        struct deleting *deleting = router_begin(&command, sizeof *deleting);
        deleting->number = asked->number;
        store_get_message(router->service->bus, STREAM_CONTACTS, deleting->number, STORE_TIMEOUT_MS, on_read, deleting);
    }
}
