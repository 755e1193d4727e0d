/* What LangBot's socket and its calls over HTTP have in common. */
#ifndef PARLEY_LANGBOT_H
#define PARLEY_LANGBOT_H

#include "dialect_rest.h"

/* What follows /api/v1/pipelines/<pipeline>/ws/ in a path, and the pipeline; NULL: it is no such path. */
const char *langbot_split_path(const char *path, struct dialect_span *pipeline);
/* "person" or "group"; NO_SESSION: another name. */
enum langbot_session langbot_find_session(const char *name);
const char *langbot_session_name(enum langbot_session session);
/* A message as the protocol's `data` objects have it. */
void langbot_append_message(struct buf *out, const struct langbot_message *message);

#endif
