/* Reset: empties a conversation. Its message ids begin with 1 again; what is still being answered will not be kept.
 *
 *   subject   SUBJECT_COMMAND_RESET, one router of the queue group
 *   from      a gateway
 *   answers   Done: when it is empty; no_pipeline where that does not exist; or the reason why it is not */
#include "change.h"
#include "command.pb-c.h"
#include "config.h"
#include "job.h"
#include "log.h"
#include "router.h"

struct reset {
    struct command command; /* first */
    struct change change;
};

static void stop_reset(struct command *command)
{
    change_stop(&((struct reset *)command)->change);
}

static void reply_done(const struct command *command, bool no_pipeline, const char *failure)
{
    Parley__Done done = PARLEY__DONE__INIT;
    done.no_pipeline = no_pipeline;
    done.failure = router_text(failure);
    router_reply(command, &done.base);
}

/* A Conversation without anything is packed into nothing at all. */
static enum change_verdict make_empty(void *arg, const void *stored, size_t len, struct buf *out)
{
    (void)arg;
    (void)stored;
    (void)out;
    return len > 0 ? CHANGE_WRITE : CHANGE_NONE;
}

static void on_emptied(void *arg, int err)
{
    struct reset *reset = arg;
    struct command *command = &reset->command;
    if (err)
        log_warning("a conversation could not be reset", LOG_TEXT("conversation", reset->change.conversation),
                    LOG_TRACE(&command->trace), LOG_ERR(err));
    else
        log_debug("conversation reset", LOG_TEXT("conversation", reset->change.conversation),
                  LOG_TRACE(&command->trace));
    reply_done(command, false, err ? err_text(err) : "");
    router_end(command);
}

static void start_reset(const struct command *command, const ProtobufCBinaryData *name)
{
    static const struct change_handlers handlers = {.make = make_empty, .done = on_emptied};
    struct reset *reset = router_begin(command, sizeof *reset);
    char key[ID_HASH_SIZE];
    reset->command.stop = stop_reset;
    job_conversation_key(name, key);
    change_start(command->router, &reset->change, key, &handlers, reset);
}

void on_reset(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__Reset *reset = router_read(router, message, &parley__reset__descriptor, &command);
    if (!reset)
        router_drop(&command, message);
    else if (!config_has_pipeline(router->config, reset->pipeline))
        reply_done(&command, true, "");
    else if (router_is_full(router))
        reply_done(&command, false, ROUTER_FULL);
    else
        start_reset(&command, &reset->conversation);
}
