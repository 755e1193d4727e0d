/* What the parts of a gateway share. All of it lives on the loop's thread. */
#ifndef PARLEY_GATEWAY_H
#define PARLEY_GATEWAY_H

#include "bus.h"
#include "chain.h"
#include "dialect.h"
#include "gateway_settings.h"
#include "peers.h"
#include "service.h"
#include "table.h"
#include "trace.h"
#include "wire.h"

struct pages;
struct tokens;

/* What a client is told where something behind us is not there. */
#define GATEWAY_UNAVAILABLE "the service is not available right now, please try again"
#define GATEWAY_CLOSING     "the service is shutting down, please try again"

struct gateway_dialect {
    struct dialect_counts counts;
    struct metric *connections, *connections_total;
};

struct gateway_metrics {
    struct metric *frames_sent, *answers_in_flight;
    struct metric *completed, *failed, *cancelled;
    struct metric *first_token_seconds, *turn_seconds;
    struct metric *chunks, *slow_clients_closed, *gaps_repaired, *buffered;
};

struct gateway {
    struct service *service;
    const struct gateway_settings *settings;
    struct wire_arena *arena; /* holds the message at hand */
    struct web_site *site;
    struct pages *pages;
    struct tokens *tokens; /* NULL: no authentication */

    struct chain *connections; /* all open ones */
    size_t connection_count;
    struct gateway_dialect *dialects; /* as in dialects[] */

    struct table turns; /* in flight, by id */
    struct chain *in_flight;
    size_t in_flight_count;
    struct chain *withdrawals;      /* under way */
    struct chain *kept_withdrawals; /* to be tried again (withdraw.h) */
    size_t withdrawals_kept, withdrawals_retried;

    struct chain *sessions; /* whose records are being read */

    struct table rooms; /* with members here, by key */
    struct chain *room_list;

    struct peers peers;    /* the other gateways */
    struct chain *gathers; /* of statistics, under way */
    uint64_t gather_number;

    struct frames scratch; /* the occasion at hand */
    struct buf frame;      /* the frame at hand */

    struct bus_subscription *events, *turn_events, *delivered, *delivered_all, *stats, *stats_requests;
    uv_timer_t tick, heartbeat;
    int64_t drain_deadline_ms; /* monotonic; 0: not draining */
    bool stopped;              /* gateway_stop() */
    double started_at;         /* Unix seconds */
    struct gateway_metrics metrics;
};

/* Settings and service are lent. */
struct gateway *gateway_new(struct service *service, const struct gateway_settings *settings);
/* Lets go of all that needs the loop and the broker: answers in flight are forgotten. What the web still calls is
 * refused, until service_deinit() has closed everything; then gateway_free(). */
void gateway_stop(struct gateway *gateway);
void gateway_free(struct gateway **gateway);

/* Something is in flight that has deadlines. */
void gateway_keep_ticking(struct gateway *gateway);
/* Something has ended that a drain may have waited for. */
void gateway_check_drained(struct gateway *gateway);
bool gateway_draining(const struct gateway *gateway);

/* Connected to the broker, and made subscriptions there. */
bool gateway_reachable(const struct gateway *gateway);
/* bus_request() with the trace in its headers; takes what `packed` holds. ERR_DISCONNECTED also where not reachable. */
int gateway_request(struct gateway *gateway, const char *subject, const struct trace *trace, struct buf *packed,
                    int64_t timeout_ms, bus_reply_handler *done, void *arg, struct bus_request **request) MUST_CHECK;

/* What another service says is text; empty where it is not UTF-8. Lent like the message. */
struct dialect_span gateway_text(const ProtobufCBinaryData *data);

/* Inbound messages, each in its on_<message>.c. */
bus_handler on_event, on_delivered, on_stats, on_stats_request;
bus_handler on_room_event; /* its argument is the room */

#endif
