/* The operations port: for whoever runs the process, not for its clients.
 *
 * | path     | answer                                                                     |
 * |----------|----------------------------------------------------------------------------|
 * | /healthz | 200 as long as the loop turns                                              |
 * | /readyz  | 200, or 503 with the reason in one line                                    |
 * | /metrics | the process's metrics, Prometheus text format 0.0.4                        |
 *
 * GET and HEAD only (else 405); any other path 404. Not authenticated: keep it off public networks. */
#ifndef PARLEY_OPS_H
#define PARLEY_OPS_H

#include "metrics.h"
#include "web.h"

#include <stdint.h>

struct ops;

/* Why the process is not ready, in one line, lent for ever; NULL: it is ready. */
typedef const char *ops_readiness(void *arg);

/* Listens on `host`:`port` (0: any free port) and logs which port it is. Web, metrics and `arg` are lent until
 * ops_free(). Errors as web_listen(). */
int ops_new(struct web *web, const char *host, uint16_t port, const struct metrics *metrics, ops_readiness *readiness,
            void *arg, struct ops **out) MUST_CHECK;
/* After web_free(): the web calls into it until then. Nulls; NULL inside is allowed. */
void ops_free(struct ops **ops);

#endif
