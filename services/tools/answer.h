/* What goes back to the asker of a tool call. */
#ifndef PARLEY_ANSWER_H
#define PARLEY_ANSWER_H

#include "service.h"
#include "tool.pb-c.h"
#include "trace.h"

/* A result that the broker finds too large is told as a failure; what can't be sent at all is logged, with the
 * call's trace. */
void answer_send(struct service *service, const char *reply, const struct trace *trace,
                 const Parley__ToolResult *result);
/* The same, with a text as the result. */
void answer_text(struct service *service, const char *reply, const struct trace *trace, const char *call,
                 Parley__ToolStatus status, const char *text);

#endif
