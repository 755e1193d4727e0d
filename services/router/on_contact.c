/* Contact: somebody wants to be contacted.
 *
 *   subject   SUBJECT_COMMAND_CONTACT, one router of the queue group
 *   from      a gateway
 *   answers   ContactStored: with no failure once it stands in the CONTACTS stream, de-duplicated by its id; else with
 *             the reason
 *   late      past its deadline it is dropped without a word
 *
 * The webhook is told from the stream (webhook.h), where the message keeps its trace. */
#include "command.pb-c.h"
#include "id.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <stdlib.h>
#include <string.h>

#define EXTRA_MAX_BYTES 16384 /* of what a client adds to its message */

struct storing {
    struct command command; /* first */
    struct router *router;
    char *reply;
    struct trace trace;
    char request[ID_TOKEN_MAX + 1];
};

static void free_storing(struct command *command)
{
    struct storing *storing = (struct storing *)command;
    free(storing->reply);
    free(storing);
}

static void reply_stored(struct router *router, const char *reply, const struct trace *trace, const char *failure)
{
    Parley__ContactStored stored = PARLEY__CONTACT_STORED__INIT;
    stored.failure = (ProtobufCBinaryData){strlen(failure), (uint8_t *)failure};
    router_reply(router, reply, trace, &stored.base);
}

static void on_stored(void *arg, int err, uint64_t sequence, bool duplicate)
{
    (void)duplicate;
    struct storing *storing = arg;
    if (err)
        log_error("a contact request could not be stored", LOG_TEXT("request", storing->request),
                  LOG_TRACE(&storing->trace), LOG_ERR(err));
    else
        log_info("contact request stored", LOG_TEXT("request", storing->request), LOG_TRACE(&storing->trace),
                 LOG_INT("number", sequence));
    if (!err)
        metric_add(storing->router->metrics.contacts, 1);
    reply_stored(storing->router, storing->reply, &storing->trace, err ? err_text(err) : "");
    router_end(storing->router, &storing->command);
    free_storing(&storing->command);
}

static void store(struct router *router, const struct bus_message *message, const Parley__Contact *contact,
                  const struct trace *trace)
{
    struct storing *storing = mem_alloc(sizeof *storing);
    struct buf packed = {0};
    storing->router = router;
    storing->reply = message->reply ? mem_strdup(message->reply) : NULL;
    storing->trace = *trace;
    storing->command.free = free_storing;
    router_begin(router, &storing->command);
    memcpy(storing->request, contact->request, strlen(contact->request) + 1);
    buf_append(&packed, message->data, message->len);
    store_publish(router->service->bus, SUBJECT_CONTACT, contact->request, &storing->trace, &packed,
                  router_time_left(contact->deadline_ms, STORE_TIMEOUT_MS), on_stored, storing);
    buf_deinit(&packed);
}

static const char *check(const struct router *router, const Parley__Contact *contact)
{
    size_t max = (size_t)router->settings->question_max_bytes;
    if (contact->message.len == 0)
        return "the message is empty";
    if (contact->message.len > max)
        return "the message is too long";
    if (contact->timestamp.len > EXTRA_MAX_BYTES || contact->user_agent.len > EXTRA_MAX_BYTES)
        return "timestamp or userAgent is too long";
    if (router_is_full(router))
        return "too many commands at once; try again later";
    return NULL;
}

void on_contact(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__Contact *contact;
    struct trace trace = router_trace(message);
    int err = wire_unpack(router->command, &parley__contact__descriptor, message->data, message->len, &contact);
    if (err || !id_is_token(contact->request, strlen(contact->request))) {
        log_warning("a contact request that can't be read was dropped", LOG_TEXT("subject", message->subject),
                    LOG_TRACE(&trace));
        reply_stored(router, message->reply, &trace, "the contact request can't be read");
        return;
    }
    if (router_too_late(contact->deadline_ms))
        return;
    const char *failure = check(router, contact);
    if (failure)
        reply_stored(router, message->reply, &trace, failure);
    else
        store(router, message, contact, &trace);
}
