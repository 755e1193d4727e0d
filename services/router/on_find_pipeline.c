/* FindPipeline: whether a pipeline exists.
 *
 *   subject   SUBJECT_COMMAND_FIND_PIPELINE, one router of the queue group
 *   from      a gateway
 *   answers   Done, at once: with the pipeline's group rule, or no_pipeline */
#include "command.pb-c.h"
#include "config.h"
#include "log.h"
#include "router.h"

void on_find_pipeline(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__FindPipeline *find = router_read(router, message, &parley__find_pipeline__descriptor, &command);
    if (!find) {
        router_drop(&command, message);
        return;
    }
    Parley__Done done = PARLEY__DONE__INIT;
    done.no_pipeline = !config_has_pipeline(router->config, find->pipeline);
    if (!done.no_pipeline) {
        done.group_trigger = router_text(config_group_trigger(router->config, find->pipeline));
        done.group_mention = router_text(config_group_mention(router->config, find->pipeline));
    }
    log_debug("pipeline looked for", LOG_TRACE(&command.trace), LOG_INT("found", !done.no_pipeline));
    router_reply(&command, &done.base);
}
