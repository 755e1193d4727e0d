/* One round of tool calls: judged, called all at once through the tools service, their results written into the
 * transcript. Whatever goes wrong with a call is a result for the model to read, and never the turn's own failure. */
#ifndef PARLEY_TOOL_ROUND_H
#define PARLEY_TOOL_ROUND_H

#include "alarm.h"
#include "bus.h"
#include "job.pb-c.h"
#include "metrics.h"
#include "provider.h"
#include "toolbox.h"
#include "trace.h"
#include "transcript.h"
#include "wire.h"

/* Adds the round's calls to the transcript as steps. A call that can't be made (no such tool, not allowed, arguments
 * that are no JSON object, more bytes than `max_step_bytes` leaves) is finished at once, with the reason as its result;
 * what can't be shown to others, such as a name that is none, is replaced in the step. */
void tool_round_plan(struct transcript *transcript, const char *turn, const struct tool_call *calls, size_t count,
                     const struct toolbox *toolbox, const Parley__Job *job, size_t max_step_bytes);

struct tool_round_options { /* all lent until the round has ended */
    struct bus *bus;
    struct alarms *alarms;
    struct toolbox *toolbox;
    struct wire_arena *arena;
    struct transcript *transcript;
    const struct trace *trace; /* NULL: none */
    int64_t timeout_ms;
    size_t max_step_bytes;
    struct metric *ok, *failed; /* calls by outcome */
};

struct tool_round;

/* Called for each step that has finished; never from within tool_round_start(), though steps may have finished by the
 * time that returns. May end the round. */
typedef void tool_round_handler(void *arg);

/* Calls the last round's unfinished steps. The same step called in another attempt bears the same id; and so does one
 * that is called again because the broker was lost, for as long as the time limit allows. */
struct tool_round *tool_round_start(const struct tool_round_options *options, const Parley__Job *job,
                                    tool_round_handler *stepped, void *arg);
/* Waits for none of its calls any more; `abandon` tells the tools service to stop them. Nulls; NULL inside is allowed.
 */
void tool_round_end(struct tool_round **round, bool abandon);

#endif
