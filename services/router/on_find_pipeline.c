/* FindPipeline: whether a pipeline exists.
 *
 *   subject   SUBJECT_COMMAND_FIND_PIPELINE, one router of the queue group
 *   from      a gateway
 *   answers   Done, at once: with the pipeline's group rule, or no_pipeline */
#include "command.pb-c.h"
#include "config.h"
#include "log.h"
#include "router.h"

#include <string.h>

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

void on_find_pipeline(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__FindPipeline *command;
    struct trace trace = router_trace(message);
    if (wire_unpack(router->command, &parley__find_pipeline__descriptor, message->data, message->len, &command)) {
        log_warning("a command that can't be read was dropped", LOG_TEXT("subject", message->subject),
                    LOG_TRACE(&trace));
        return;
    }
    Parley__Done done = PARLEY__DONE__INIT;
    done.no_pipeline = !config_has_pipeline(router->config, command->pipeline);
    if (!done.no_pipeline) {
        done.group_trigger = bytes_of(config_group_trigger(router->config, command->pipeline));
        done.group_mention = bytes_of(config_group_mention(router->config, command->pipeline));
    }
    log_debug("pipeline looked for", LOG_TRACE(&trace), LOG_INT("found", !done.no_pipeline));
    router_reply(router, message->reply, &trace, &done.base);
}
