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
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

static void reply_failed(const struct command *command, const char *failure)
{
    Parley__HistoryReply answer = PARLEY__HISTORY_REPLY__INIT;
    answer.failure = router_text(failure);
    router_reply(command, &answer.base);
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct command *command = arg;
    Parley__HistoryReply answer = PARLEY__HISTORY_REPLY__INIT;
    if (value)
        answer.conversation = (ProtobufCBinaryData){len, (uint8_t *)value};
    if (err && err != ERR_NOT_FOUND) {
        log_warning("a conversation could not be read", LOG_TRACE(&command->trace), LOG_ERR(err));
        reply_failed(command, err_text(err));
    } else {
        log_debug("conversation read", LOG_TRACE(&command->trace), LOG_INT("bytes", len));
        router_reply(command, &answer.base);
    }
    router_end(command);
}

static void start_reading(const struct command *command, const ProtobufCBinaryData *name)
{
    char key[ID_HASH_SIZE];
    job_conversation_key(name, key);
    store_get(command->router->service->bus, BUCKET_CONVERSATIONS, key, STORE_TIMEOUT_MS, on_read,
              router_begin(command, sizeof *command));
}

void on_history(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__History *history = router_read(router, message, &parley__history__descriptor, &command);
    if (!history) {
        router_drop(&command, message);
        return;
    }
    Parley__HistoryReply answer = PARLEY__HISTORY_REPLY__INIT;
    answer.no_pipeline = !config_has_pipeline(router->config, history->pipeline);
    if (answer.no_pipeline)
        router_reply(&command, &answer.base);
    else if (router_is_full(router))
        reply_failed(&command, ROUTER_FULL);
    else
        start_reading(&command, &history->conversation);
}
