/* History: what a conversation holds.
 *
 *   subject   SUBJECT_COMMAND_HISTORY, one router of the queue group
 *   from      a gateway
 *   answers   HistoryReply: the conversation, packed as it is stored; no_pipeline where that does not exist; or the
 *             reason why it can't be read now */
#include "command.pb-c.h"
#include "config.h"
#include "job.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct command command; /* first */
    struct router *router;
    char *reply;
    struct trace trace;
};

static void free_reading(struct command *command)
{
    struct reading *reading = (struct reading *)command;
    free(reading->reply);
    free(reading);
}

static void reply_failed(struct router *router, const char *reply, const struct trace *trace, const char *failure)
{
    Parley__HistoryReply answer = PARLEY__HISTORY_REPLY__INIT;
    answer.failure = (ProtobufCBinaryData){strlen(failure), (uint8_t *)failure};
    router_reply(router, reply, trace, &answer.base);
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct reading *reading = arg;
    struct router *router = reading->router;
    Parley__HistoryReply answer = PARLEY__HISTORY_REPLY__INIT;
    if (value)
        answer.conversation = (ProtobufCBinaryData){len, (uint8_t *)value};
    if (err && err != ERR_NOT_FOUND) {
        log_warning("a conversation could not be read", LOG_TRACE(&reading->trace), LOG_ERR(err));
        reply_failed(router, reading->reply, &reading->trace, err_text(err));
    } else {
        log_debug("conversation read", LOG_TRACE(&reading->trace), LOG_INT("bytes", len));
        router_reply(router, reading->reply, &reading->trace, &answer.base);
    }
    router_end(router, &reading->command);
    free_reading(&reading->command);
}

static void start_reading(struct router *router, const char *reply, const struct trace *trace,
                          const ProtobufCBinaryData *name)
{
    struct reading *reading = mem_alloc(sizeof *reading);
    char key[ID_HASH_SIZE];
    reading->router = router;
    reading->reply = mem_strdup(reply);
    reading->trace = *trace;
    reading->command.free = free_reading;
    router_begin(router, &reading->command);
    job_conversation_key(name, key);
    store_get(router->service->bus, BUCKET_CONVERSATIONS, key, STORE_TIMEOUT_MS, on_read, reading);
}

void on_history(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__History *command;
    struct trace trace = router_trace(message);
    int err = wire_unpack(router->command, &parley__history__descriptor, message->data, message->len, &command);
    if (err || !message->reply) {
        log_warning("a command that can't be read was dropped", LOG_TEXT("subject", message->subject),
                    LOG_TRACE(&trace));
        return;
    }
    Parley__HistoryReply answer = PARLEY__HISTORY_REPLY__INIT;
    answer.no_pipeline = !config_has_pipeline(router->config, command->pipeline);
    if (answer.no_pipeline)
        router_reply(router, message->reply, &trace, &answer.base);
    else if (router_is_full(router))
        reply_failed(router, message->reply, &trace, "too many commands at once; try again later");
    else
        start_reading(router, message->reply, &trace, &command->conversation);
}
