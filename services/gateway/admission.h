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

/* Whether a request is for a host that we are: the GET requests of a page of our own origin tell of no origin, and a
 * page of a foreign name which its owner points to us would be one (DNS rebinding). */
bool admission_host_passes(const struct gateway *gateway, const struct web_head *head);

/* Whether a page of `origin` (NULL: no browser) may connect to `host`, as the Host header has it. `allowed` is
 * WS_ALLOWED_ORIGINS (origins.h): only what it lists may. NULL: the same host may, and if `loopback`, only one that is
 * local, and `null` too. Pure. RFC 6454, section 7; RFC 6455, section 10.2. */
bool admission_origin_allowed(const char *origin, const char *host, const char *allowed, bool loopback);

/* Whether a request without an origin may be for `host` (NULL: it does not say). If `allowed` is NULL, any may, but if
 * `loopback`, only a local one. Else it must be listed, or one that no page of a foreign name can have: a local one, or
 * an address. Where calls are `authenticated`, a foreign page has no token, so any host will do. Pure. */
bool admission_host_allowed(const char *host, const char *allowed, bool loopback, bool authenticated);

/* Whether a Host header names this machine: localhost or a loopback address, with any port. Pure. */
bool admission_host_is_local(const char *header);

#endif
