/* One call over HTTP that is under way: asks others where it has to, and responds once. Whoever has it responds; its
 * client may have gone by then. */
#ifndef PARLEY_REST_CALL_H
#define PARLEY_REST_CALL_H

#include "gateway.h"
#include "stats.h"
#include "web.h"

struct rest_call {
    struct gateway *gateway;
    struct web_exchange *exchange;           /* NULL: gone */
    json_t *(*failure)(const char *message); /* how its protocol tells one */
    struct trace trace;
    struct gather *gather; /* NULL: none under way */
    void (*replied)(struct rest_call *call, const struct bus_message *reply);
    void *kept; /* what its handler has to know again later; NULL: nothing. Freed with the call */
};

/* What was sent; lent until the handler returns. */
struct rest_request {
    const struct web_head *head;
    const char *body;
    size_t len;
};

struct rest_route {
    const char *method; /* GET goes for HEAD, too */
    const char *path;
    bool owner_only;
    void (*handle)(struct rest_call *call, const struct rest_request *request);
    json_t *(*failure)(const char *message);
};

struct rest_call *rest_call_new(struct gateway *gateway, struct web_exchange *exchange, const struct web_head *head,
                                json_t *(*failure)(const char *message));

/* All of these respond, and take the call. */
void rest_call_respond(struct rest_call *call, int status, json_t *value); /* takes the reference */
void rest_call_respond_body(struct rest_call *call, struct buf *json);     /* 200; takes what it holds */
void rest_call_respond_nothing(struct rest_call *call);                    /* 204 */
void rest_call_fail(struct rest_call *call, int status, const char *message);
void rest_call_refuse_method(struct rest_call *call, const char *allowed); /* 405 */

/* Asks a router; takes what `packed` holds. `replied` gets its answer, and the call; where there is none, the call
 * fails with 503. */
void rest_call_ask(struct rest_call *call, const char *subject, struct buf *packed,
                   void (*replied)(struct rest_call *call, const struct bus_message *reply));
/* For `replied`: unpacks the answer into the gateway's arena; false: it can't be read, and the call has failed. */
bool rest_call_unpack(struct rest_call *call, const struct bus_message *reply,
                      const ProtobufCMessageDescriptor *descriptor, void *out_message) MUST_CHECK;
/* Whether an answer says that it failed: then the call has failed so, with 503. */
bool rest_call_has_failed(struct rest_call *call, const ProtobufCBinaryData *failure) MUST_CHECK;
/* Gathers statistics of a dialect; `done` gets them, and the call as its argument. */
void rest_call_gather(struct rest_call *call, const struct dialect *dialect, bool connections, stats_done *done);

#endif
