/* Who may open a WebSocket. */
#ifndef PARLEY_ADMISSION_H
#define PARLEY_ADMISSION_H

#include "gateway.h"
#include "web.h"

/* 0, or the HTTP status to refuse with and the reason: 404 no protocol is spoken there, 403 the page's origin is not
 * allowed, 503 too many connections or shutting down; or what the middleware says, such as 401. */
int admission_decide(struct gateway *gateway, const struct web_head *head, const char **reason);

/* Whether a request does not come from a page of an origin that is not allowed. */
bool admission_origin_passes(const struct gateway *gateway, const struct web_head *head);

/* Whether a request is for a host that we are. While we listen on loopback and no origins are configured, only this
 * machine's own names are: a page of a foreign name which its owner points to 127.0.0.1 (DNS rebinding) would be of the
 * same origin as we are, and its GET requests tell of no origin at all. */
bool admission_host_passes(const struct gateway *gateway, const struct web_head *head);

/* Whether a page of `origin` (NULL: no browser) may connect to `host`, as the Host header has it. `allowed` is
 * WS_ALLOWED_ORIGINS: origins with commas, `*` for any; NULL: `null` too if `loopback`. The same host may, but for one
 * that is not local if `loopback` and `allowed` is NULL. Pure. RFC 6454, section 7; RFC 6455, section 10.2. */
bool admission_origin_allowed(const char *origin, const char *host, const char *allowed, bool loopback);

/* Whether a Host header names this machine: localhost or a loopback address, with any port. Pure. */
bool admission_host_is_local(const char *header);

#endif
