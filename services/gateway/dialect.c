#include "dialect.h"

#include <stdlib.h>
#include <string.h>

const struct dialect *const dialects[] = {
    &dialect_agent_engine, &dialect_yychat, &dialect_contact, &dialect_langbot, &dialect_minimal,
};
const size_t dialect_count = sizeof dialects / sizeof *dialects;

const struct dialect *dialect_at(const char *path)
{
    for (size_t i = 0; i < dialect_count; i++)
        if (dialects[i]->serves(path))
            return dialects[i];
    return NULL;
}

void dialect_client_deinit(struct dialect_client *client)
{
    free(client->name);
    free(client->user);
    free(client->group_trigger);
    free(client->group_mention);
    buf_deinit(&client->room);
    client->name = client->user = client->group_trigger = client->group_mention = NULL;
}

void dialect_request_forget_question(struct dialect_request *request)
{
    buf_deinit(&request->conversation);
    buf_deinit(&request->chain);
    buf_deinit(&request->arguments);
    json_decref(request->source);
    request->source = NULL;
    request->question = request->pipeline = request->persona = request->credential = request->tool = NULL;
    request->question_len = request->tool_len = 0;
    request->timestamp = request->user_agent = (struct dialect_span){0};
}

void dialect_request_deinit(struct dialect_request *request)
{
    dialect_request_forget_question(request);
    free(request->note);
    *request = (struct dialect_request){0};
}

void dialect_name(struct buf *out, const char *scope, const char *name, size_t len)
{
    buf_reset(out);
    buf_append(out, scope, strlen(scope) + 1);
    buf_append(out, name, len);
}

void dialect_name_conversation(struct dialect_request *request, const char *scope, const char *name, size_t len)
{
    dialect_name(&request->conversation, scope, name, len);
}

#define CUMULATIVE_GROWTH_BYTES 32
#define CUMULATIVE_GROWTH_PART  16

bool dialect_text_due(enum dialect_text text, size_t sent, size_t there)
{
    if (text == DIALECT_WHOLE || there <= sent)
        return false;
    if (text == DIALECT_DELTAS || sent == 0)
        return true;
    size_t part = sent / CUMULATIVE_GROWTH_PART;
    return there - sent >= (part > CUMULATIVE_GROWTH_BYTES ? part : CUMULATIVE_GROWTH_BYTES);
}
