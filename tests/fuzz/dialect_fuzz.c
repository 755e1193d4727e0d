#include "dialect_fuzz.h"

#include "json.h"
#include "utf8.h"
#include "web.h"

#include <stdlib.h>
#include <string.h>

#define NOW 1763699036.25

/* Not assert(): this must hold in every build. */
static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Frames are plain bytes here, without the web's room before them: the library is no part of this. */
void web_frame_begin(struct buf *frame)
{
    buf_reset(frame);
}

/* Deeper than what comes in: a message is put into an envelope. */
static json_t *parse(const char *text, size_t len)
{
    return json_loadb(text, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

static void check_frames(struct frames *out)
{
    for (size_t i = 0; i < out->count; i++) {
        json_t *frame = parse(out->list[i].data, out->list[i].len);
        check(json_is_object(frame) && json_is_string(json_object_get(frame, "type")));
        json_decref(frame);
    }
    frames_reset(out);
}

static void check_json(const struct buf *text, json_type type)
{
    json_t *value = parse(text->data, text->len);
    check(value && json_typeof(value) == type);
    json_decref(value);
}

static void check_question(const struct dialect_request *request)
{
    check(utf8_valid(request->question, request->question_len));
    check(!utf8_blank(request->question, request->question_len));
}

static void check_request(const struct dialect_request *request)
{
    switch (request->kind) {
    case DIALECT_ASK:
        check_question(request);
        check(request->conversation.len > 0);
        if (request->counted)
            check_json(&request->chain, JSON_ARRAY);
        check(!request->no_answer || request->counted);
        break;
    case DIALECT_CONTACT:
        check_question(request);
        break;
    case DIALECT_CALL_TOOL:
        check(request->tool && request->tool_len > 0);
        check_json(&request->arguments, JSON_OBJECT);
        break;
    default:
        break;
    }
}

static const char *argument(const void *address, const char *name)
{
    (void)name;
    return address;
}

static const struct dialect_counts counts = {.active = 1, .total = 2, .frames_sent = 3, .max_connections = 4};

/* Everything that can become of a request, whether it was one or not. */
static void tell_all(const struct dialect *dialect, const struct dialect_client *client,
                     const struct dialect_request *request, struct dialect_span text, struct frames *out)
{
    json_t *parsed = parse(text.data, text.len);
    struct dialect_span data = parsed ? text : (struct dialect_span){"null", 4};
    for (int kind = DIALECT_TAKEN_UP; kind <= DIALECT_BROADCAST; kind++) {
        bool of_answer = kind <= DIALECT_CANCELLED || kind == DIALECT_TOOL_RESULT || kind == DIALECT_TOOL_FAILED;
        if (of_answer && request->kind != DIALECT_ASK && request->kind != DIALECT_CALL_TOOL)
            continue;
        const struct dialect_occasion occasion = {
            .kind = (enum dialect_occasion_kind)kind,
            .now = NOW,
            .request = request,
            .text = text,
            .all = text,
            .tool = text,
            .call = text,
            .data = kind == DIALECT_TOOL_RESULT ? text : data,
            .reason = text,
            .vendor = "",
            .model = "",
            .ok = parsed != NULL,
            .id = client->id,
            .connection = client->id,
            .message_id = (uint64_t)kind,
            .when = NOW,
            .counts = &counts,
        };
        dialect->encode(client, &occasion, out);
        check_frames(out);
    }
    json_decref(parsed);
}

static void say(const struct dialect *dialect, const struct dialect_client *client, struct dialect_span message,
                bool binary, struct frames *out)
{
    const struct dialect_context context = {.now = NOW, .fresh_id = client->id, .apology = "sorry"};
    struct dialect_request request = {0};
    dialect->decode(client, &context, message.data, message.len, binary, &request, out);
    check(request.kind != DIALECT_NOTHING || out->count > 0); /* never silence */
    check_frames(out);
    check_request(&request);
    struct buf text = {0};
    utf8_append_repaired(&text, message.data, message.len);
    dialect_request_forget_question(&request);
    tell_all(dialect, client, &request, (struct dialect_span){text.data ? text.data : "", text.len}, out);
    buf_deinit(&text);
    dialect_request_deinit(&request);
}

void dialect_fuzz(const struct dialect *dialect, const char *path, const char *value, const uint8_t *data, size_t size)
{
    static struct frames out;
    if (size == 0)
        return;
    uint8_t choices = data[0];
    struct dialect_span message = {(const char *)data + 1, size - 1};
    bool binary = choices & 2;
    if (!binary && !utf8_valid(message.data, message.len))
        return; /* closed before it gets here */
    struct dialect_client client = {.id = "11111111-1111-4111-8111-111111111111", .extended = choices & 1};
    const struct dialect_context context = {.now = NOW,
                                            .fresh_id = client.id,
                                            .apology = "sorry",
                                            .argument = argument,
                                            .address = choices & 4 ? value : NULL};
    struct dialect_request request = {0};
    check(dialect_at(path) == dialect);
    dialect->open(&client, &context, path, &request, &out);
    check_frames(&out);
    bool closes = request.kind == DIALECT_CLOSE;
    dialect_request_deinit(&request);
    if (!closes)
        say(dialect, &client, message, binary, &out);
    dialect_client_deinit(&client);
}
