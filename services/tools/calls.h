/* All tool calls of this process: those that run, those that wait for their turn, and those that ended within the last
 * minute, whose results are remembered. */
#ifndef PARLEY_CALLS_H
#define PARLEY_CALLS_H

#include "registry.h"
#include "service.h"
#include "tool.pb-c.h"
#include "tools_settings.h"
#include "trace.h"

struct calls;

/* Both are lent until calls_free(). */
struct calls *calls_new(struct service *service, const struct tools_settings *settings);
/* Whatever still runs or waits is answered as failed. */
void calls_free(struct calls **calls);

/* Runs the call when its turn comes, and sends its ToolResult to `reply`; exactly once, in any case. The message,
 * its trace and `reply` are lent for the call. Takes the arguments, an object that fits the tool's schema, and nulls. A
 * call that is under way or remembered (same id, turn, name and arguments) is not run again: it is answered with the
 * one result. */
void calls_submit(struct calls *calls, const Parley__ToolCall *call, const struct registry_tool *tool,
                  const struct trace *trace, json_t **arguments, const char *reply);
/* Ends the calls of this id that run or wait. If there is none, one that comes within a minute is refused. */
void calls_cancel(struct calls *calls, const char *id);

/* Neither running nor waiting ones. `idle` (NULL: nobody) is called whenever that becomes so. */
bool calls_idle(const struct calls *calls);
void calls_on_idle(struct calls *calls, void (*idle)(void *arg), void *arg);

#endif
