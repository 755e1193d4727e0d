/* Private to the store: what JetStream answers, as JSON. Does no I/O. */
#ifndef PARLEY_STORE_REPLY_H
#define PARLEY_STORE_REPLY_H

#include "store.h"

#define STORE_CODE_NAME_IN_USE 10058 /* by a stream of another configuration */

/* All take a reply as bus_reply_handler gets it: `err` of the request, and the message where that is ERR_NONE. They
 * return that error, or the broker's own as store.h maps it, or ERR_REFUSED for what is no answer. */

/* `code`, where not NULL, is set to the broker's `err_code` if there is one. */
int store_reply_error(int err, const struct bus_message *reply, int *code) MUST_CHECK;

struct store_acknowledgement {
    uint64_t sequence;
    bool duplicate;
};
int store_reply_acknowledgement(int err, const struct bus_message *reply, struct store_acknowledgement *out) MUST_CHECK;

struct store_value {
    struct buf bytes; /* the caller's; `data` is never NULL on success */
    uint64_t sequence;
};
int store_reply_value(int err, const struct bus_message *reply, struct store_value *out) MUST_CHECK;

int store_reply_state(int err, const struct bus_message *reply, struct store_state *out) MUST_CHECK;

/* Of a consumer: what it has not delivered yet. */
int store_reply_pending(int err, const struct bus_message *reply, uint64_t *out) MUST_CHECK;

#endif
