/* The calls over HTTP: those of the protocols, and parley's own.
 *
 *   GET  /ws/statistics             agent engine   its connections, on all gateways                       owner
 *   GET  /ws/status                 YYChat         counts of its connections, on all gateways
 *   GET  /ws/handlers               YYChat         message types and middleware
 *   GET  /api/v1/contacts           contact        requests, newest first; ?before=<next>&limit=<n>       owner
 *   POST /api/v1/contacts/broadcast contact        {"message":text} to all its connections                owner
 *   …    /api/v1/pipelines/<uuid>/ws/…             LangBot's four (rest_langbot.h)
 *
 * Each passes the middleware. Where authentication is on, each needs a token, and those marked so an owner's. What is
 * no call is answered 404, another method 405, both in JSON. */
#ifndef PARLEY_REST_H
#define PARLEY_REST_H

#include "gateway.h"
#include "web.h"

/* Responds, now or later. */
void rest_handle(struct gateway *gateway, struct web_exchange *exchange, const struct web_head *head, const char *body,
                 size_t len);

#endif
