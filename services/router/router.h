/* What the commands of a router share. Each inbound message has its own on_<message>.c. */
#ifndef PARLEY_ROUTER_H
#define PARLEY_ROUTER_H

#include "bus.h"
#include "metrics.h"
#include "router_settings.h"
#include "service.h"
#include "wire.h"

enum { ROUTER_SUBSCRIPTIONS = 3 };

struct router {
    struct service *service;
    const struct router_settings *settings;
    struct wire_arena *command; /* holds the message at hand */
    struct wire_arena *stored;  /* holds the conversation at hand */
    struct bus_subscription *subscriptions[ROUTER_SUBSCRIPTIONS];
    int64_t under_way; /* commands that wait for the store or a tool */
    struct {
        struct metric *accepted, *refused, *late; /* questions */
        struct metric *saved, *repeated, *unsaved, *conflicts;
        struct metric *tool_calls;
        struct metric *under_way;
    } metrics;
};

/* Subscribes once the broker is connected and the store stands. Both are lent until router_free(). */
struct router *router_new(struct service *service, const struct router_settings *settings);
void router_free(struct router **router);

/* A command that will be answered later begins, and ends. False: too many are under way; it must be refused. The drain
 * waits for all of them. */
bool router_begin(struct router *router) MUST_CHECK;
void router_end(struct router *router);

/* Whether the asker has given up by now; 0 is no deadline. */
bool router_too_late(int64_t deadline_ms);
/* Milliseconds until the deadline, from 1 to `most`. */
int64_t router_time_left(int64_t deadline_ms, int64_t most);

/* Packs and publishes an answer; `subject` NULL: nobody waits for it. What can't be sent is logged: whoever asked has a
 * deadline. */
void router_reply(struct router *router, const char *subject, const ProtobufCMessage *answer);
/* The same for what is packed already. Takes it. */
void router_reply_packed(struct router *router, const char *subject, struct buf *answer);

bus_handler on_ask, on_turn_done, on_call_tool;

#endif
