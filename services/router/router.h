/* What the commands of a router share. Each inbound message has its own on_<message>.c. */
#ifndef PARLEY_ROUTER_H
#define PARLEY_ROUTER_H

#include "bus.h"
#include "change.h"
#include "config.h"
#include "conversation.h"
#include "event.pb-c.h"
#include "metrics.h"
#include "router_settings.h"
#include "service.h"
#include "store_gauges.h"
#include "trace.h"
#include "wire.h"

#include <sys/queue.h>

struct webhook;

enum { ROUTER_SUBSCRIPTIONS = 10 };

/* A command, and who waits for its answer. What is answered later begins with one, and is under way from router_begin()
 * to router_end(). */
struct command {
    struct router *router;
    char *reply;        /* the answer's subject; NULL: nobody waits */
    struct trace trace; /* that it came with, or else one made here */

    /* While it is under way */
    TAILQ_ENTRY(command) link;
    void (*stop)(struct command *command);   /* closes its handles when the service ends; NULL: it has none */
    void (*deinit)(struct command *command); /* frees what it holds; NULL: nothing */
};
TAILQ_HEAD(command_list, command);
TAILQ_HEAD(storing_list, storing); /* on_contact.c */

struct router {
    struct service *service;
    const struct router_settings *settings;
    struct config *config; /* another one after each SIGHUP: lent no longer than a handler runs */
    struct webhook *webhook;
    struct store_gauges *fill;
    struct wire_arena *message; /* holds the one at hand */
    struct wire_arena *stored;  /* holds the conversation at hand */
    struct bus_subscription *subscriptions[ROUTER_SUBSCRIPTIONS];
    size_t draining;               /* subscriptions that still bring what had been routed to them */
    struct command_list under_way; /* they wait for the store or a tool */
    int64_t under_way_count;
    struct change_list changes;   /* those at work: one a conversation */
    struct storing_list contacts; /* the first is at work, the others wait for it */
    bool stopped;
    struct {
        struct metric *accepted, *noted, *refused, *late; /* questions */
        struct metric *saved, *repeated, *unsaved, *conflicts;
        struct metric *tool_calls;
        struct metric *contacts;
        struct metric *under_way;
    } metrics;
};

/* Reads the configuration, again at SIGHUP, and subscribes once the broker is connected and the store stands. Both are
 * lent until router_stop() and the service's end. NULL, and logged, where the configuration has become a bad one since
 * the settings were checked. */
struct router *router_new(struct service *service, const struct router_settings *settings);
/* Takes no more commands. Those under way may still end while the service does. */
void router_stop(struct router *router);
/* After the service's end: with it the last handler has been called. */
void router_free(struct router **router);

/* What a handler was given, unpacked into the router's `message`: NULL where it can't be read, or nobody waits for its
 * answer. Sets `command` in any case; its reply subject is lent by the message. */
void *router_read(struct router *router, const struct bus_message *message,
                  const ProtobufCMessageDescriptor *descriptor, struct command *command) MUST_CHECK;
/* Logs that nothing becomes of what could not be read, or has no valid ids. */
void router_drop(const struct command *command, const struct bus_message *message);

/* Whether no more commands may be under way: the next must be refused, with ROUTER_FULL. */
#define ROUTER_FULL "too many requests at once; try again later"
bool router_is_full(const struct router *router);
/* Memory of this size, zeroed, for a struct that begins with a struct command, made of the given one. The drain waits
 * for it; router_end() frees it, or router_free(). */
void *router_begin(const struct command *command, size_t size);
void router_end(struct command *command);

/* Whether the asker has given up by now; 0 is no deadline. */
bool router_too_late(int64_t deadline_ms);
/* Milliseconds until the deadline, from 1 to `most`. */
int64_t router_time_left(int64_t deadline_ms, int64_t most);

/* Packs and publishes an answer. What can't be sent is logged, with the command's trace: whoever asked has a deadline.
 */
void router_reply(const struct command *command, const ProtobufCMessage *answer);
/* The same for what is packed already. Takes it. */
void router_reply_packed(const struct command *command, struct buf *answer);
/* The same for one event, to any subject, which is worth an error to some. */
int router_send_event(const struct command *command, const char *subject, Parley__Event *event);
/* A text, lent, as a field of an answer. */
ProtobufCBinaryData router_text(const char *text);

struct conversation_limits router_conversation_limits(const struct router *router);

bus_handler on_ask, on_turn_done, on_call_tool, on_contact, on_contact_list, on_contact_delete, on_history, on_reset,
    on_broadcast, on_find_pipeline;

#endif
