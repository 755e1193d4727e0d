/* Posts contact requests from the CONTACTS stream to the webhook that is configured (contact.webhook), one at a time:
 *
 *   POST <webhook>
 *   Content-Type: application/json
 *   Idempotency-Key: <request_id>
 *   traceparent: <the request's trace id, and a parent id for each try> (common/trace.h)
 *
 *   {"request_id": s, "message": s, "timestamp": s|null, "userAgent": s|null, "received_at": ISO 8601, UTC,
 *    "connection_id": s, "user": s|null, "owner": s|null}
 *
 * An answer of 2xx is the end of it. Anything else (redirects too) is tried again, by whichever router is free: after
 * 1 s, 2 s, 4 s … and at last every 5 minutes, for ever, also over restarts of everything.
 *
 * A broker that dies forgets what its consumers were given and had acknowledged of late, but nothing that it has
 * stored. So who posts a request says so first, in BUCKET_POSTINGS and by compare-and-set; and says there that it was
 * taken, again and again until it is stored, before it acknowledges. So a request comes twice, with the same key, only
 * where that can't be stored: the router dies between the webhook's answer and that, or its broker is away for longer
 * than the claim lasts (WEBHOOK_TIMEOUT_MS and 5 s), and another router is quicker when it is back. */
#ifndef PARLEY_WEBHOOK_H
#define PARLEY_WEBHOOK_H

struct router;
struct webhook;

struct webhook *webhook_new(struct router *router);
/* The broker is connected, and the stream is there; may be called again. */
void webhook_open(struct webhook *webhook);
/* The router has another configuration. */
void webhook_reconfigure(struct webhook *webhook);
/* Begins nothing more; what is being posted is a command under way. */
void webhook_close(struct webhook *webhook);
/* Ends at once what hangs on the loop, which must run on. What is being posted will be posted again. */
void webhook_stop(struct webhook *webhook);
void webhook_free(struct webhook **webhook); /* after the loop */

#endif
