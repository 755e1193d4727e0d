/* LangBot's calls over HTTP, at /api/v1/pipelines/<uuid>/ws/…: a session's messages, its reset (owner), the pipeline's
 * connections (owner), a broadcast to both its sessions (owner). Section 3 of the protocols. */
#ifndef PARLEY_REST_LANGBOT_H
#define PARLEY_REST_LANGBOT_H

#include "rest_call.h"

/* False: there is none at this path. */
bool rest_langbot_find(const char *path, struct rest_route *route);

#endif
