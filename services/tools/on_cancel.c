/* ToolCancel: a call is not wanted any more.
 *
 *   subject   SUBJECT_TOOL_CANCEL, every tools process
 *   from      an agent, a router
 *   answers   nothing; whoever still waits for the call is told that it was cancelled
 *   unknown   ids are somebody else's, or have ended, or have been overtaken: should the call come within a minute, it
 * is refused */
#include "log.h"
#include "tools.h"

void on_cancel(void *arg, const struct bus_message *message)
{
    struct tools *tools = arg;
    Parley__ToolCancel *cancel;
    if (wire_unpack(tools->arena, &parley__tool_cancel__descriptor, message->data, message->len, &cancel))
        log_warning("a cancellation that can't be read was dropped", LOG_TEXT("subject", message->subject));
    else
        calls_cancel(tools->calls, cancel->call);
}
