/* The minimal protocol: /ws/chat/{user_id}. Section 4 of the protocols.
 *
 *   {"query":…}  status thinking when it is taken up; chunk…, with status tool_calling and tool_completed between them
 *                as tools run; an empty last chunk; status completed
 *   else         error
 *
 * No greeting, and no types in what a client says. The user is the conversation, and the room: all sockets of a user
 * see all answers. No field tells two answers apart, so they are serial. */
#include "dialect_message.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <string.h>

#define PREFIX "/ws/chat/"

static bool serves(const char *path)
{
    size_t prefix = strlen(PREFIX);
    if (strncmp(path, PREFIX, prefix) != 0)
        return false;
    const char *user = path + prefix;
    return *user && !strchr(user, '/') && utf8_valid(user, strlen(user));
}

static const char *user_of(const char *path)
{
    return path + strlen(PREFIX);
}

static void open_client(struct dialect_client *client, const struct dialect_context *context, const char *path,
                        struct dialect_request *request, struct frames *out)
{
    (void)context;
    (void)request;
    (void)out;
    client->name = mem_strdup(user_of(path));
    dialect_name(&client->room, "minimal", client->name, strlen(client->name));
}

/* ---- Frames */

static void add_error(struct frames *out, const char *what, struct dialect_span text)
{
    frames_add_json(out, json_pack("{s:s, s:o}", "type", "error", "content", dialect_sentence(what, text)));
}

/* A token comes with a question, so this protocol's own words say what is wrong with it. */
static struct dialect_span in_own_words(struct dialect_span reason)
{
    static const char *const words[][2] = {
        {DIALECT_TOKEN_NEEDED, "需要 token"},
        {DIALECT_TOKEN_UNKNOWN, "token 无效"},
        {DIALECT_TOKEN_ANOTHERS, "token 属于其他用户"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i][0]) == reason.len && memcmp(words[i][0], reason.data, reason.len) == 0)
            return dialect_span_of(words[i][1]);
    return reason;
}

static void add_status(struct frames *out, const char *status, const char *message)
{
    frames_add_json(out,
                    json_pack("{s:s, s:s, s:{s:s}}", "type", "status", "status", status, "data", "message", message));
}

static void add_tool_status(struct frames *out, const char *status, struct dialect_span tool, const char *before,
                            const char *after)
{
    struct buf message = {0};
    buf_append_text(&message, before);
    buf_append(&message, tool.data, tool.len);
    buf_append_text(&message, after);
    frames_add_json(out, json_pack("{s:s, s:s, s:{s:o, s:o}}", "type", "status", "status", status, "data", "tool",
                                   json_text(tool.data, tool.len), "message", json_text(message.data, message.len)));
    buf_deinit(&message);
}

static void add_chunk(struct frames *out, struct dialect_span text, bool is_final)
{
    struct buf *frame = frames_add(out);
    buf_append_text(frame, "{\"type\":\"chunk\",\"content\":");
    frames_append_text(frame, text.data, text.len);
    buf_printf(frame, ",\"is_final\":%s}", is_final ? "true" : "false");
}

/* ---- What a client says */

static const struct dialect_handler handlers[] = {
    {.type = "cancel", .handle = dialect_on_cancel, .extension = true},
};

static void ask(const struct dialect_message *message)
{
    const struct dialect_client *client = message->client;
    struct dialect_span query = dialect_get_text(message->object, "query");
    const char *token = NULL;
    if (!query.data || utf8_blank(query.data, query.len)) {
        add_error(message->out, "查询内容不能为空", dialect_span_of(""));
        return;
    }
    if (!dialect_take_secret(message->object, "token", &token)) {
        add_error(message->out, "处理出错: ", dialect_span_of("token 无效"));
        return;
    }
    dialect_ask(message, query, DIALECT_DELTAS);
    message->request->credential = token;
    message->request->in_room = true;
    dialect_name_conversation(message->request, "minimal", client->name, strlen(client->name));
}

static void decode(const struct dialect_client *client, const struct dialect_context *context, const char *bytes,
                   size_t len, bool binary, struct dialect_request *request, struct frames *out)
{
    const struct dialect_message message = {client, context, dialect_parse(bytes, len, binary), request, out};
    if (!message.object) {
        add_error(out, "服务器错误: ", dialect_span_of("消息必须是有效的JSON对象"));
        return;
    }
    struct dialect_span type = dialect_get_text(message.object, "type");
    if (!dialect_handle(&message, handlers, sizeof handlers / sizeof *handlers, type))
        ask(&message);
    json_decref(message.object);
}

/* ---- What it is told */

static void encode_tool_step(const struct dialect_client *client, const struct dialect_occasion *occasion,
                             struct frames *out)
{
    if (occasion->kind == DIALECT_TOOL_STARTED)
        add_tool_status(out, "tool_calling", occasion->tool, "正在调用工具: ", "");
    else
        add_tool_status(out, "tool_completed", occasion->tool, "工具 ", " 执行完成");
    dialect_encode_extension(client, occasion, out);
}

static void encode(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    switch (occasion->kind) {
    case DIALECT_TAKEN_UP:
        add_status(out, "thinking", "正在思考...");
        break;
    case DIALECT_TEXT:
        add_chunk(out, occasion->text, false);
        break;
    case DIALECT_TOOL_STARTED:
    case DIALECT_TOOL_FINISHED:
        encode_tool_step(client, occasion, out);
        break;
    case DIALECT_COMPLETED:
        add_chunk(out, dialect_span_of(""), true);
        add_status(out, "completed", "回答完成");
        break;
    case DIALECT_FAILED:
    case DIALECT_REFUSED:
        add_error(out, "处理出错: ", in_own_words(occasion->reason));
        break;
    case DIALECT_CANCELLED: /* in another of the user's windows, for example */
        if (!dialect_encode_extension(client, occasion, out))
            add_error(out, "处理出错: ", dialect_span_of("回答已取消"));
        break;
    default: /* of the extension, or not of this protocol */
        dialect_encode_extension(client, occasion, out);
        break;
    }
}

const struct dialect dialect_minimal = {
    .name = "minimal",
    .serial = true,
    .room_text = DIALECT_DELTAS,
    .serves = serves,
    .user_of = user_of,
    .open = open_client,
    .decode = decode,
    .encode = encode,
};
