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
#include "mem.h"
#include "router.h"

#include <stdlib.h>
#include <string.h>

struct reset {
    struct command command; /* first */
    struct router *router;
    char *reply;
    struct trace trace;
    struct change change;
};

static void stop_reset(struct command *command)
{
    change_stop(&((struct reset *)command)->change);
}

static void free_reset(struct command *command)
{
    struct reset *reset = (struct reset *)command;
    free(reset->reply);
    free(reset);
}

static void reply_done(struct router *router, const char *reply, const struct trace *trace, bool no_pipeline,
                       const char *failure)
{
    Parley__Done done = PARLEY__DONE__INIT;
    done.no_pipeline = no_pipeline;
    done.failure = (ProtobufCBinaryData){strlen(failure), (uint8_t *)failure};
    router_reply(router, reply, trace, &done.base);
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
    if (err)
        log_warning("a conversation could not be reset", LOG_TEXT("conversation", reset->change.conversation),
                    LOG_TRACE(&reset->trace), LOG_ERR(err));
    else
        log_debug("conversation reset", LOG_TEXT("conversation", reset->change.conversation), LOG_TRACE(&reset->trace));
    reply_done(reset->router, reset->reply, &reset->trace, false, err ? err_text(err) : "");
    router_end(reset->router, &reset->command);
    free_reset(&reset->command);
}

static void start_reset(struct router *router, const char *reply, const struct trace *trace,
                        const ProtobufCBinaryData *name)
{
    static const struct change_handlers handlers = {.make = make_empty, .done = on_emptied};
    struct reset *reset = mem_alloc(sizeof *reset);
    char key[ID_HASH_SIZE];
    reset->router = router;
    reset->reply = reply ? mem_strdup(reply) : NULL;
    reset->trace = *trace;
    reset->command.stop = stop_reset;
    reset->command.free = free_reset;
    router_begin(router, &reset->command);
    job_conversation_key(name, key);
    change_start(router, &reset->change, key, &handlers, reset);
}

void on_reset(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__Reset *command;
    struct trace trace = router_trace(message);
    if (wire_unpack(router->command, &parley__reset__descriptor, message->data, message->len, &command))
        log_warning("a command that can't be read was dropped", LOG_TEXT("subject", message->subject),
                    LOG_TRACE(&trace));
    else if (!config_has_pipeline(router->config, command->pipeline))
        reply_done(router, message->reply, &trace, true, "");
    else if (router_is_full(router))
        reply_done(router, message->reply, &trace, false, "too many commands at once; try again later");
    else
        start_reset(router, message->reply, &trace, &command->conversation);
}
