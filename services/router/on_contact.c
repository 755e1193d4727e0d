/* Contact: somebody wants to be contacted.
 *
 *   subject   SUBJECT_COMMAND_CONTACT, one router of the queue group
 *   from      a gateway
 *   answers   ContactStored: with no failure once it stands in the CONTACTS stream, de-duplicated by its id; else with
 *             the reason
 *   late      past its deadline it is dropped without a word
 *
 * None is stored at the cost of an older one. A full stream refuses what is new, but nats-server (2.9.10) looks at a
 * message's own bytes only: one that would fit but for what the server adds to it is stored, and the oldest removed. So
 * a request is stored where there is room for all of it, and only if nothing else was since the stream was asked. That
 * is why they wait for each other: only routers compete.
 *
 * The webhook is told from the stream (webhook.h), where the message keeps its trace. */
#include "command.pb-c.h"
#include "id.h"
#include "log.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <stdio.h>
#include <string.h>

#define TRIES_MAX   100 /* each but the last means that another router has stored one */
#define REASON_SIZE 128
#define FULL        "no more contact requests can be kept; try again later"

struct storing {
    struct command command; /* first */
    TAILQ_ENTRY(storing) link;
    char request[ID_TOKEN_MAX + 1];
    int64_t deadline_ms;
    struct buf message; /* Contact, packed */
    int tries;
};

static void deinit_storing(struct command *command)
{
    buf_deinit(&((struct storing *)command)->message);
}

static void reply_stored(const struct command *command, const char *failure)
{
    Parley__ContactStored stored = PARLEY__CONTACT_STORED__INIT;
    stored.failure = router_text(failure);
    router_reply(command, &stored.base);
}

/* ---- One after the other */

static void look(struct storing *storing);

static void remove_storing(struct storing *storing)
{
    TAILQ_REMOVE(&storing->command.router->contacts, storing, link);
    router_end(&storing->command);
}

/* It makes way for the next. */
static void end_storing(struct storing *storing)
{
    struct storing_list *contacts = &storing->command.router->contacts;
    remove_storing(storing);
    while (!TAILQ_EMPTY(contacts) && router_too_late(TAILQ_FIRST(contacts)->deadline_ms))
        remove_storing(TAILQ_FIRST(contacts));
    if (!TAILQ_EMPTY(contacts))
        look(TAILQ_FIRST(contacts));
}

static void fail(struct storing *storing, int err)
{
    log_error("a contact request could not be stored", LOG_TEXT("request", storing->request),
              LOG_TRACE(&storing->command.trace), LOG_ERR(err));
    reply_stored(&storing->command, err == ERR_FULL ? FULL : err_text(err));
    end_storing(storing);
}

static void on_stored(void *arg, int err, uint64_t sequence, bool duplicate)
{
    (void)duplicate;
    struct storing *storing = arg;
    if (err == ERR_CONFLICT && storing->tries < TRIES_MAX) {
        look(storing);
        return;
    }
    if (err) {
        fail(storing, err);
        return;
    }
    log_info("contact request stored", LOG_TEXT("request", storing->request), LOG_TRACE(&storing->command.trace),
             LOG_INT("number", sequence));
    metric_add(storing->command.router->metrics.contacts, 1);
    reply_stored(&storing->command, "");
    end_storing(storing);
}

static void on_state(void *arg, int err, const struct store_state *state)
{
    struct storing *storing = arg;
    int64_t needed = (int64_t)storing->message.len + STORE_OVERHEAD_MAX_BYTES;
    if (!err && state->max_bytes >= 0 && state->bytes + needed > state->max_bytes)
        err = ERR_FULL;
    if (err) {
        fail(storing, err);
        return;
    }
    struct buf packed = {0};
    buf_append(&packed, storing->message.data, storing->message.len);
    store_publish(storing->command.router->service->bus, SUBJECT_CONTACT, storing->request, state->last,
                  &storing->command.trace, &packed, router_time_left(storing->deadline_ms, STORE_TIMEOUT_MS), on_stored,
                  storing);
}

static void look(struct storing *storing)
{
    storing->tries++;
    store_get_state(storing->command.router->service->bus, STREAM_CONTACTS,
                    router_time_left(storing->deadline_ms, STORE_TIMEOUT_MS), on_state, storing);
}

/* ---- What comes */

static void start_storing(const struct command *command, const struct bus_message *message,
                          const Parley__Contact *contact)
{
    struct storing_list *contacts = &command->router->contacts;
    struct storing *storing = router_begin(command, sizeof *storing);
    bool first = TAILQ_EMPTY(contacts);
    storing->command.deinit = deinit_storing;
    storing->deadline_ms = contact->deadline_ms;
    memcpy(storing->request, contact->request, strlen(contact->request) + 1);
    buf_append(&storing->message, message->data, message->len);
    TAILQ_INSERT_TAIL(contacts, storing, link);
    if (first)
        look(storing);
}

/* Writes why it can't be taken: else `reason` is empty. */
static void check(const struct router *router, const Parley__Contact *contact, char reason[REASON_SIZE])
{
    size_t max = (size_t)router->settings->contact_max_bytes;
    reason[0] = '\0';
    if (contact->message.len == 0)
        snprintf(reason, REASON_SIZE, "the message is empty");
    else if (contact->message.len + contact->timestamp.len + contact->user_agent.len > max)
        snprintf(reason, REASON_SIZE, "the contact request is longer than %zu bytes", max);
    else if (router_is_full(router))
        snprintf(reason, REASON_SIZE, ROUTER_FULL);
}

void on_contact(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__Contact *contact = router_read(router, message, &parley__contact__descriptor, &command);
    if (!contact || !id_is_token_text(contact->request)) {
        router_drop(&command, message);
        reply_stored(&command, "the contact request can't be read");
        return;
    }
    if (router_too_late(contact->deadline_ms))
        return;
    char reason[REASON_SIZE];
    check(router, contact, reason);
    if (reason[0])
        reply_stored(&command, reason);
    else
        start_storing(&command, message, contact);
}
