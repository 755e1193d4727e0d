/* OpenAI's chat completions, streamed: https://platform.openai.com/docs/api-reference/chat-streaming; and what the many
 * servers that speak it make of it:
 * - A delta may hold a role alone, empty or null content, or pieces of tool calls: by index, with id, name and
 * arguments cut anywhere; or whole calls at once, with every index 0 or without any, told apart by id; or the id in
 * each piece.
 * - The last event may hold usage and no choices. "[DONE]" may be missing after a finish reason, and the other way
 * round.
 * - A character beyond U+FFFF may be cut in two between events: half of its surrogates each, which are shown as U+FFFD.
 * - An error may come as an event. A whole answer (`message` in place of `delta`) may come where a stream was asked
 * for. Only the first choice is looked at. A refusal's text is answer text: there is no other. */
#include "provider.h"

#include "json.h"
#include "mem.h"
#include "openai_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 1024 /* of a call's id and its name: they grow by copying */

/* Most servers go on from an assistant's message at the end; OpenAI's own answer it. */
static enum continuation continuation(const struct provider_endpoint *endpoint)
{
    static const char own[] = "https://api.openai.com/";
    return strncmp(endpoint->base_url, own, strlen(own)) == 0 ? CONTINUE_ASK : CONTINUE_PREFIX;
}

/* ---- Its parser */

struct provider_parser {
    const struct provider_sink *sink;
    void *arg;
    struct tool_call *calls; /* ordered by index; of one index, in the order of coming */
    int64_t *indices;        /* of each call */
    size_t call_count;
    size_t call_bytes, max_call_bytes;
    char *stop;
    bool finished;
    uint64_t progress;
    struct provider_usage usage;
};

static struct provider_parser *parser_new(const struct provider_sink *sink, void *arg, size_t max_call_bytes)
{
    struct provider_parser *parser = mem_alloc(sizeof *parser);
    parser->sink = sink;
    parser->arg = arg;
    parser->max_call_bytes = max_call_bytes;
    return parser;
}

static void parser_free(struct provider_parser **parser)
{
    struct provider_parser *gone = *parser;
    *parser = NULL;
    if (!gone)
        return;
    for (size_t i = 0; i < gone->call_count; i++)
        tool_call_deinit(&gone->calls[i]);
    free(gone->calls);
    free(gone->indices);
    free(gone->stop);
    free(gone);
}

/* ---- Tool calls */

/* A piece of a call. What is missing is "". */
struct fragment {
    int64_t index;
    const char *id, *name;
    const char *arguments;
    size_t arguments_len;
};

static void extend(char **text, const char *more)
{
    size_t len = strlen(*text);
    *text = mem_realloc(*text, len + strlen(more) + 1);
    strcpy(*text + len, more);
}

/* The call that a piece belongs to; NULL: it begins a new one. */
static struct tool_call *call_of(struct provider_parser *parser, const struct fragment *fragment)
{
    size_t i = parser->call_count;
    while (i > 0 && parser->indices[i - 1] != fragment->index)
        i--;
    if (i == 0)
        return NULL;
    struct tool_call *call = &parser->calls[i - 1];
    bool another = *fragment->id && *fragment->name && *call->id && strcmp(fragment->id, call->id) != 0;
    return another ? NULL : call;
}

static struct tool_call *call_add(struct provider_parser *parser, int64_t index)
{
    size_t count = parser->call_count++;
    parser->calls = mem_realloc(parser->calls, parser->call_count * sizeof *parser->calls);
    parser->indices = mem_realloc(parser->indices, parser->call_count * sizeof *parser->indices);
    size_t at = count;
    for (; at > 0 && parser->indices[at - 1] > index; at--) {
        parser->calls[at] = parser->calls[at - 1];
        parser->indices[at] = parser->indices[at - 1];
    }
    parser->calls[at] = (struct tool_call){.id = mem_strdup(""), .name = mem_strdup("")};
    parser->indices[at] = index;
    return &parser->calls[at];
}

/* Some servers repeat id and name in each piece: an id that is there already is not extended, nor a name once the
 * arguments have begun. */
static void call_extend(struct tool_call *call, const struct fragment *fragment)
{
    bool repeated = *fragment->id && strcmp(fragment->id, call->id) == 0;
    if (!repeated)
        extend(&call->id, fragment->id);
    if (call->arguments.len == 0 && !(repeated && strcmp(fragment->name, call->name) == 0))
        extend(&call->name, fragment->name);
    buf_append(&call->arguments, fragment->arguments, fragment->arguments_len);
}

static int take_fragment(struct provider_parser *parser, const struct fragment *fragment)
{
    struct tool_call *call = call_of(parser, fragment);
    size_t named = strlen(fragment->id) + strlen(fragment->name);
    size_t bytes = named + fragment->arguments_len;
    parser->progress += bytes > 0;
    if (call)
        named += strlen(call->id) + strlen(call->name);
    else
        bytes += sizeof *call;
    if (named > NAME_MAX_BYTES || bytes > parser->max_call_bytes - parser->call_bytes)
        return ERR_TOO_LARGE;
    parser->call_bytes += bytes;
    call_extend(call ? call : call_add(parser, fragment->index), fragment);
    return ERR_NONE;
}

static const char *text_or_none(const json_t *object, const char *key)
{
    const char *text = json_get_text(object, key, NULL);
    return text ? text : "";
}

static int take_call(struct provider_parser *parser, const json_t *value, size_t position)
{
    const json_t *function = json_object_get(value, "function");
    struct fragment fragment = {.index = json_get_int(value, "index", (int64_t)position),
                                .id = text_or_none(value, "id"),
                                .name = text_or_none(function, "name")};
    struct buf dumped = {0};
    const json_t *arguments = json_object_get(function, "arguments");
    fragment.arguments = json_get_text(function, "arguments", &fragment.arguments_len);
    if (json_is_object(arguments)) { /* some servers forget to make a text of it */
        json_append(&dumped, arguments);
        fragment.arguments = dumped.data;
        fragment.arguments_len = dumped.len;
    }
    int err = take_fragment(parser, &fragment);
    buf_deinit(&dumped);
    return err;
}

/* ---- Events */

static uint64_t count_of(const json_t *usage, const char *key)
{
    int64_t count = json_get_int(usage, key, 0);
    return count > 0 ? (uint64_t)count : 0;
}

static void take_usage(struct provider_parser *parser, const json_t *usage)
{
    if (!json_is_object(usage))
        return;
    parser->usage.prompt_tokens = count_of(usage, "prompt_tokens");
    parser->usage.answer_tokens = count_of(usage, "completion_tokens");
}

static void take_text(struct provider_parser *parser, const json_t *delta, const char *key)
{
    size_t len = 0;
    const char *text = json_get_text(delta, key, &len);
    if (len == 0)
        return;
    parser->progress++;
    parser->sink->text(parser->arg, text, len);
}

/* Of models that think aloud before they answer; nobody gets to read it. */
static void note_thought(struct provider_parser *parser, const json_t *delta, const char *key)
{
    parser->progress += *text_or_none(delta, key) != '\0';
}

static int take_choice(struct provider_parser *parser, const json_t *choice)
{
    const json_t *message = json_object_get(choice, "message");
    const json_t *delta = json_is_object(message) ? message : json_object_get(choice, "delta");
    take_text(parser, delta, "content");
    take_text(parser, delta, "refusal");
    note_thought(parser, delta, "reasoning_content");
    note_thought(parser, delta, "reasoning");
    const json_t *calls = json_object_get(delta, "tool_calls");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        int err = take_call(parser, json_array_get(calls, i), i);
        if (err)
            return err;
    }
    const char *stop = json_get_text(choice, "finish_reason", NULL);
    if (stop) {
        free(parser->stop);
        parser->stop = mem_strdup(stop);
    }
    if (stop || json_is_object(message))
        parser->finished = true;
    return ERR_NONE;
}

/* The message of {"error":{"message":s}}, {"error":s}, {"object":"error","message":s} or {"detail":s}; NULL: there is
 * no error in it. "" where there is one without a word. */
static const char *error_of(const json_t *event)
{
    const json_t *error = json_object_get(event, "error");
    if (json_is_string(error))
        return json_string_value(error);
    if (json_is_object(error))
        return text_or_none(error, "message");
    if (strcmp(text_or_none(event, "object"), "error") == 0)
        return text_or_none(event, "message");
    return json_get_text(event, "detail", NULL);
}

static int take_event(struct provider_parser *parser, const json_t *event, struct buf *reason)
{
    const json_t *choices = json_object_get(event, "choices");
    bool answer = json_is_array(choices) && !json_object_get(event, "error");
    const char *error = answer ? NULL : error_of(event);
    if (error) {
        buf_append_text(reason, error);
        return ERR_REFUSED;
    }
    if (!json_is_object(event) || (choices && !json_is_array(choices))) {
        buf_append_text(reason, "an event is no chat completion");
        return ERR_INVALID;
    }
    take_usage(parser, json_object_get(event, "usage"));
    int err = json_array_size(choices) > 0 ? take_choice(parser, json_array_get(choices, 0)) : ERR_NONE;
    if (err)
        buf_printf(reason, "tool calls of more than %zu bytes, or too long a name", parser->max_call_bytes);
    return err;
}

static int parse_event(const char *data, size_t len, json_t **event)
{
    int err = json_parse(data, len, NULL, 0, event);
    if (!err || len == 0)
        return err;
    char *mended = mem_strndup(data, len);
    json_mend_surrogates(mended, len);
    err = json_parse(mended, len, NULL, 0, event);
    free(mended);
    return err;
}

static int parse(struct provider_parser *parser, const char *type, const char *data, size_t len, struct buf *reason)
{
    (void)type; /* it never says more than the data */
    if (len == strlen("[DONE]") && memcmp(data, "[DONE]", len) == 0) {
        parser->finished = true;
        return ERR_NONE;
    }
    json_t *event;
    int err = parse_event(data, len, &event);
    if (err) { /* the parser's own words would quote the answer, and reasons are logged */
        buf_append_text(reason, "an event is not JSON");
        return err;
    }
    err = take_event(parser, event, reason);
    json_decref(event);
    return err;
}

/* ---- What it came to */

static void name_calls(struct provider_parser *parser)
{
    char id[32];
    for (size_t i = 0; i < parser->call_count; i++) {
        if (*parser->calls[i].id)
            continue;
        snprintf(id, sizeof id, "call_%zu", i);
        extend(&parser->calls[i].id, id);
    }
}

static void outcome(struct provider_parser *parser, struct provider_outcome *out)
{
    if (parser->finished)
        name_calls(parser);
    *out = (struct provider_outcome){.finished = parser->finished,
                                     .stop = parser->stop,
                                     .withheld = parser->stop && strcmp(parser->stop, "content_filter") == 0,
                                     .calls = parser->calls,
                                     .call_count = parser->call_count,
                                     .progress = parser->progress + parser->finished,
                                     .usage = parser->usage};
}

static void error(const char *body, size_t len, struct buf *reason)
{
    json_t *value = NULL;
    if (json_parse(body, len, NULL, 0, &value))
        return;
    const char *message = error_of(json_is_array(value) ? json_array_get(value, 0) : value);
    if (message)
        buf_append_text(reason, message);
    json_decref(value);
}

const struct provider provider_openai = {.vendor = "openai",
                                         .default_model = "gpt-4o-mini",
                                         .continuation = continuation,
                                         .request = openai_request,
                                         .parser_new = parser_new,
                                         .parser_free = parser_free,
                                         .parse = parse,
                                         .outcome = outcome,
                                         .error = error};
