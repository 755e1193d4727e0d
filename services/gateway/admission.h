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

/* Whether a page of `origin` (NULL: no browser) may connect to `host`, as the Host header has it. `allowed` is
 * WS_ALLOWED_ORIGINS: origins with commas, `*` for any; NULL: `null` too if `loopback`. The same host always may. Pure.
 * RFC 6454, section 7; RFC 6455, section 10.2. */
bool admission_origin_allowed(const char *origin, const char *host, const char *allowed, bool loopback);

#endif
