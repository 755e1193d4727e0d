/* What the owner of a site can do about its contacts; these calls are parley's own.
 *
 *   GET  /api/v1/contacts?before=<n>&limit=<n>
 *        → {"contacts":[{"number","request_id","client_id","received_at","message","timestamp","userAgent"}…],
 *           "next":n|null}: newest first; `next` is `before` of the next page, which may end before its limit. `limit`
 * is 1 to 200, 50 by default. DELETE /api/v1/contacts/<number> → 204: it is gone for good, also for the webhook if that
 * has not had it yet. 404: it was not there. POST /api/v1/contacts/broadcast {"message":text} → {"status":"sent"}: all
 * connections of the contact protocol get it as a chat_message.
 *
 * 400: an argument or a body that can't be understood. */
#ifndef PARLEY_REST_CONTACT_H
#define PARLEY_REST_CONTACT_H

#include "rest_call.h"

/* The call at /api/v1/contacts/<number>, whose failures are told as by default; false: there is none at this path. */
bool rest_contact_find(const char *path, struct rest_route *route);

void rest_contact_list(struct rest_call *call, const struct rest_request *request);
void rest_contact_broadcast(struct rest_call *call, const struct rest_request *request);

#endif
