#include "dialect_message.h"
#include "iso_time.h"
#include "json.h"
#include "langbot.h"

#include <inttypes.h>
#include <string.h>

/* ---- Paths and names */

#define PREFIX "/api/v1/pipelines/"
#define MIDDLE "/ws/"

const char *langbot_split_path(const char *path, struct dialect_span *pipeline)
{
    if (strncmp(path, PREFIX, strlen(PREFIX)) != 0)
        return NULL;
    const char *name = path + strlen(PREFIX);
    size_t len = strcspn(name, "/");
    if (len == 0 || strncmp(name + len, MIDDLE, strlen(MIDDLE)) != 0)
        return NULL;
    *pipeline = (struct dialect_span){name, len};
    return name + len + strlen(MIDDLE);
}

enum langbot_session langbot_find_session(const char *name)
{
    if (strcmp(name, "person") == 0)
        return LANGBOT_PERSON;
    return strcmp(name, "group") == 0 ? LANGBOT_GROUP : LANGBOT_NO_SESSION;
}

const char *langbot_session_name(enum langbot_session session)
{
    return session == LANGBOT_GROUP ? "group" : "person";
}

void langbot_name_session(struct buf *out, const char *pipeline, enum langbot_session session)
{
    struct buf name = {0};
    buf_append(&name, pipeline, strlen(pipeline) + 1);
    buf_append_text(&name, langbot_session_name(session));
    dialect_name(out, "langbot", name.data, name.len);
    buf_deinit(&name);
}

static const struct {
    const char *action; /* ends in '/' where a session follows */
    const char *method;
    enum langbot_call_kind kind;
} calls[] = {
    {"messages/", "GET", LANGBOT_MESSAGES},
    {"reset/", "POST", LANGBOT_RESET},
    {"connections", "GET", LANGBOT_CONNECTIONS},
    {"broadcast", "POST", LANGBOT_BROADCAST},
};

/* Whether `path` is this action; then what follows it is a session's name, or nothing. */
static bool is_action(const char *path, const char *action)
{
    size_t len = strlen(action);
    if (strncmp(path, action, len) != 0)
        return false;
    bool has_session = action[len - 1] == '/';
    return has_session ? path[len] != '\0' && !strchr(path + len, '/') : path[len] == '\0';
}

bool langbot_find_call(const char *path, struct langbot_call *out)
{
    struct dialect_span pipeline;
    const char *action = langbot_split_path(path, &pipeline);
    size_t i = 0, count = sizeof calls / sizeof *calls;
    while (action && i < count && !is_action(action, calls[i].action))
        i++;
    if (!action || i == count)
        return false;
    *out = (struct langbot_call){
        .kind = calls[i].kind,
        .method = calls[i].method,
        .session = langbot_find_session(action + strlen(calls[i].action)),
    };
    if (id_is_token(pipeline.data, pipeline.len))
        memcpy(out->pipeline, pipeline.data, pipeline.len);
    return true;
}

/* ---- Messages */

static void append_chain(struct buf *out, const struct langbot_message *message)
{
    if (message->chain.len > 0) {
        buf_append(out, message->chain.data, message->chain.len);
        return;
    }
    buf_append_text(out, "[{\"type\":\"Plain\",\"text\":");
    frames_append_text(out, message->text.data, message->text.len);
    buf_append_text(out, "}]");
}

void langbot_append_message(struct buf *out, const struct langbot_message *message)
{
    char iso[ISO_TIME_SIZE];
    iso_time(message->when, iso);
    buf_printf(out, "{\"id\":%" PRIu64 ",\"role\":\"%s\",\"content\":", message->id,
               message->from_user ? "user" : "assistant");
    frames_append_text(out, message->text.data, message->text.len);
    buf_append_text(out, ",\"message_chain\":");
    append_chain(out, message);
    buf_printf(out, ",\"timestamp\":\"%s\",\"is_final\":%s,\"connection_id\":", iso,
               message->is_final ? "true" : "false");
    frames_append_text(out, message->connection, strlen(message->connection));
    buf_append_char(out, '}');
}

void langbot_reply_messages(struct buf *body, const struct langbot_message *list, size_t count)
{
    buf_append_text(body, "{\"code\":0,\"msg\":\"ok\",\"data\":{\"messages\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(body, ',');
        langbot_append_message(body, &list[i]);
    }
    buf_append_text(body, "]}}");
}

/* ---- Other calls */

static json_t *envelop(json_t *data)
{
    return json_pack("{s:i, s:s, s:o}", "code", 0, "msg", "ok", "data", data);
}

json_t *langbot_failure(const char *message)
{
    return json_pack("{s:i, s:s}", "code", -1, "msg", message);
}

json_t *langbot_reply_done(enum langbot_call_kind kind)
{
    return envelop(json_pack("{s:s}", "message",
                             kind == LANGBOT_RESET ? "Session reset successfully" : "Broadcast sent successfully"));
}

static bool is_given(const json_t *message)
{
    return message && !json_is_null(message) && !(json_is_string(message) && json_string_length(message) == 0);
}

const char *langbot_read_broadcast(const char *body, size_t len, struct buf *message)
{
    json_t *value = NULL;
    if (len > 0 && json_parse(body, len, NULL, 0, &value) != ERR_NONE)
        return "Invalid JSON format";
    const json_t *given = json_object_get(value, "message");
    bool valid = is_given(given);
    if (valid)
        json_append(message, given);
    json_decref(value);
    return valid ? NULL : "message is required";
}

static void count_one(json_t *counts, const char *key)
{
    json_object_set_new(counts, key, json_integer(json_integer_value(json_object_get(counts, key)) + 1));
}

static json_t *describe_all(const struct dialect_connection *list, size_t count)
{
    json_t *by_pipeline = json_object(), *by_session = json_object();
    for (size_t i = 0; i < count; i++) {
        count_one(by_pipeline, list[i].name);
        count_one(by_session, langbot_session_name(list[i].variant));
    }
    return json_pack("{s:I, s:I, s:o, s:o}", "total_connections", (json_int_t)count, "pipelines",
                     (json_int_t)json_object_size(by_pipeline), "connections_by_pipeline", by_pipeline,
                     "connections_by_session_type", by_session);
}

static json_t *describe(const struct dialect_connection *connection)
{
    char created[ISO_TIME_SIZE], active[ISO_TIME_SIZE];
    iso_time(connection->connected_at, created);
    iso_time(connection->received_at, active);
    return json_pack("{s:s, s:s, s:s, s:s, s:b}", "connection_id", connection->id, "session_type",
                     langbot_session_name(connection->variant), "created_at", created, "last_active", active,
                     "is_active", 1);
}

json_t *langbot_reply_connections(const struct dialect_connection *list, size_t count, const char *pipeline)
{
    json_t *connections = json_array();
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, pipeline) == 0)
            json_array_append_new(connections, describe(&list[i]));
    return envelop(json_pack("{s:o, s:o}", "stats", describe_all(list, count), "connections", connections));
}
