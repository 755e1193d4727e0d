/* What the messages of the tools service share. Each has its own on_<message>.c. */
#ifndef PARLEY_TOOLS_H
#define PARLEY_TOOLS_H

#include "bus.h"
#include "calls.h"
#include "registry.h"
#include "service.h"
#include "tools_settings.h"
#include "wire.h"

enum { TOOLS_SUBSCRIPTIONS = 3 };

struct tools {
    struct service *service;
    const struct tools_settings *settings;
    struct registry *registry;
    struct calls *calls;
    struct wire_arena *arena; /* holds the message at hand */
    struct bus_subscription *subscriptions[TOOLS_SUBSCRIPTIONS];
    size_t draining; /* subscriptions that still bring what had been routed to them */
    struct metric *not_found;
};

/* Subscribes once the broker is connected. Both are lent until tools_free(). The settings have been checked. */
struct tools *tools_new(struct service *service, const struct tools_settings *settings);
void tools_free(struct tools **tools);

bus_handler on_call, on_cancel, on_list;

#endif
