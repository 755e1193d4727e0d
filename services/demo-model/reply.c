#include "reply.h"

#include "arithmetic.h"
#include "essay.h"
#include "json.h"
#include "memory.h"
#include "question.h"
#include "utf8.h"

#include <string.h>

#define TOKEN_MAX_BYTES  48
#define RESULT_MAX_BYTES 2000

/* Everything that makes an answer. */
struct scene {
    const struct chat *chat;
    struct question question;
    struct buf *out;
};

static void say(const struct scene *scene, const char *english, const char *chinese)
{
    buf_append_text(scene->out, scene->question.chinese ? chinese : english);
}

/* ---- Kinds of answers */

static void say_before(const struct scene *scene)
{
    struct buf list = {0};
    if (memory_said_before(scene->chat, scene->question.chinese, &list)) {
        say(scene, "Before this question you said:", "在这个问题之前，你说过：");
        buf_append(scene->out, list.data, list.len);
        buf_append_text(scene->out, "\n\n");
    } else {
        say(scene, "Nothing yet: this is the first message of our conversation.", "还没有：这是我们对话的第一条消息。");
    }
    buf_deinit(&list);
}

static void say_name(const struct scene *scene)
{
    struct buf name = {0};
    if (!memory_name(scene->chat, &name))
        say(scene, "You haven't told me your name yet. Say “my name is …” and I'll remember it in this conversation.",
            "你还没有告诉我你的名字。说“我叫……”，我就会在这次对话里记住。");
    else if (scene->question.chinese)
        buf_printf(scene->out, "你叫%.*s，这是你在这次对话里告诉我的。", (int)name.len, name.data);
    else
        buf_printf(scene->out, "Your name is %.*s; you told me so in this conversation.", (int)name.len, name.data);
    buf_deinit(&name);
}

static void greet_by_name(const struct scene *scene)
{
    struct buf name = {0};
    memory_name(scene->chat, &name);
    if (scene->question.chinese)
        buf_printf(scene->out, "很高兴认识你，%.*s！我会在这次对话里记住你的名字。有什么想聊的吗？", (int)name.len,
                   name.len ? name.data : "");
    else
        buf_printf(scene->out,
                   "Nice to meet you, %.*s! I'll remember your name in this conversation. What would you like to talk "
                   "about?",
                   (int)name.len, name.len ? name.data : "");
    buf_deinit(&name);
}

static void say_parley(const struct scene *scene)
{
    say(scene,
        "**parley** is a self-hosted back end for chatting with LLM agents in real time. A browser or an app holds a "
        "WebSocket to a *gateway*; a *router* turns each question into a job; an *agent* prompts a model provider and "
        "calls *tools*; and the answer streams back word by word. The parts speak protobuf over NATS with JetStream, "
        "so any of them may die or be replaced while you notice no more than a pause.",
        "**parley** 是一个可以自己部署的后端，用来和大模型智能体实时聊天。浏览器或应用通过 WebSocket 连接*网关*；"
        "*路由*把每个问题变成任务；*智能体*向模型提问、调用*工具*；回答逐字流式返回。各部分通过 NATS 和 JetStream 用 "
        "protobuf 通信，任何一个进程退出或被替换，你最多感觉到一次停顿。");
}

static void say_who(const struct scene *scene)
{
    say(scene,
        "I am parley's demo model. I follow a few rules instead of having learned anything: I greet, I remember what "
        "was said in this conversation, I call the calculator when there is one, and I can write at length.",
        "我是 parley 的演示模型。我只按几条规则回答，并没有学过什么：我会打招呼，记得这次对话里说过的话，"
        "有计算器时会调用它，也可以写长文。");
}

static void say_time(const struct scene *scene)
{
    say(scene, "I can't see a clock: the tool `current_time` was not offered to me.",
        "我看不到时钟：没有提供 `current_time` 工具。");
}

static void say_arithmetic(const struct scene *scene, const struct buf *expression)
{
    buf_printf(scene->out,
               scene->question.chinese ? "你想知道 `%.*s` 等于多少。没有计算器工具，我不想乱猜。"
                                       : "You want to know what `%.*s` is. Without the calculator tool I'd rather not "
                                         "guess.",
               (int)expression->len, expression->data);
}

static void say_essay(const struct scene *scene)
{
    struct buf topic = {0};
    if (!question_topics(&scene->question, &topic))
        buf_append_text(&topic, scene->question.chinese ? "这个话题" : "the subject");
    if (scene->question.intent == INTENT_PARLEY) {
        say_parley(scene);
        buf_append_text(scene->out, "\n\n");
    }
    int64_t most = scene->chat->max_words;
    essay_append(topic.data, scene->question.chinese, scene->question.words < most ? scene->question.words : most,
                 scene->out);
    buf_deinit(&topic);
}

static void say_something(const struct scene *scene)
{
    struct buf topics = {0}, before = {0};
    bool chinese = scene->question.chinese;
    if (question_topics(&scene->question, &topics))
        buf_printf(scene->out, chinese ? "你问的是「%.*s」。" : "Your question is about %.*s, if I read it rightly. ",
                   (int)topics.len, topics.data);
    else
        say(scene, "I have read what you wrote, but found nothing in it that I could name as a subject. ",
            "你写的我读到了，但没有找到可以称为主题的内容。");
    if (memory_last_said(scene->chat, &before))
        buf_printf(scene->out,
                   chinese ? "在这之前你说过“%.*s”，我也还记得。"
                           : "Before that you said “%.*s”, which I "
                             "still have in mind. ",
                   (int)before.len, before.data);
    say(scene,
        "A real model would now tell you what it knows. I can show you the rest: ask what you said before, tell me "
        "your name, ask for something to be calculated, or for an answer in 300 words.",
        "真正的模型现在会说出它知道的内容。我可以演示别的：问我你之前说了什么、告诉我你的名字、让我算一道题，或者要一篇"
        " "
        "300 字的回答。");
    buf_deinit(&topics);
    buf_deinit(&before);
}

static void say_closing(const struct scene *scene)
{
    bool open_line = scene->out->len > 0 && scene->out->data[scene->out->len - 1] != '\n';
    if (open_line && !scene->question.chinese)
        buf_append_char(scene->out, ' ');
    say(scene, "*(parley's demo model, a stand-in without a real model behind it)*",
        "*（parley 的演示模型，背后没有真正的大模型）*");
}

static void say_by_intent(const struct scene *scene)
{
    switch (scene->question.intent) {
    case INTENT_SAID_BEFORE:
        say_before(scene);
        return;
    case INTENT_MY_NAME:
        say_name(scene);
        return;
    case INTENT_NAME_TOLD:
        greet_by_name(scene);
        return;
    case INTENT_TIME:
        say_time(scene);
        return;
    case INTENT_PARLEY:
        say_parley(scene);
        return;
    case INTENT_WHO_ARE_YOU:
        say_who(scene);
        return;
    case INTENT_GREETING:
        say(scene, "Hello! What would you like to talk about?", "你好！想聊点什么？");
        return;
    case INTENT_THANKS:
        say(scene, "You're welcome! I'm here whenever you want to go on.", "不客气！想继续的时候随时找我。");
        return;
    case INTENT_OTHER:
        say_something(scene);
        return;
    }
}

/* ---- Tools */

/* The call that a tool's result answers. */
static const json_t *find_call(const struct chat *chat, const struct chat_message *result)
{
    for (const struct chat_message *m = result; m >= chat->messages; m--) {
        for (size_t i = 0; i < json_array_size(m->calls); i++) {
            const json_t *call = json_array_get(m->calls, i);
            const char *id = json_get_text(call, "id", NULL);
            if (id && result->call_id && strcmp(id, result->call_id) == 0)
                return json_object_get(call, "function");
        }
    }
    return NULL;
}

/* Appends the text at `key` of a JSON object in text form; false: there is none. */
static bool append_member(const char *text, size_t len, const char *key, struct buf *out)
{
    json_t *object;
    if (!text || json_parse(text, len, NULL, 0, &object))
        return false;
    size_t value_len = 0;
    const char *value = json_get_text(object, key, &value_len);
    if (value)
        buf_append(out, value, value_len);
    json_decref(object);
    return value != NULL;
}

static bool is_number(const struct buf *text)
{
    json_t *value;
    if (text->len == 0 || json_parse(text->data, text->len, NULL, 0, &value))
        return false;
    bool number = json_is_number(value);
    json_decref(value);
    return number;
}

static void say_result(const struct scene *scene, const struct chat_message *result)
{
    const json_t *call = find_call(scene->chat, result);
    const char *name = json_get_text(call, "name", NULL);
    size_t len = 0;
    const char *arguments = json_get_text(call, "arguments", &len);
    int shown = result->text.len ? (int)utf8_cut(result->text.data, result->text.len, RESULT_MAX_BYTES) : 0;
    const char *text = shown ? result->text.data : "";
    struct buf detail = {0};
    if (name && strcmp(name, "calculator") == 0 && is_number(&result->text)) {
        if (!append_member(arguments, len, "expression", &detail))
            buf_append_text(&detail, "?");
        buf_printf(scene->out, scene->question.chinese ? "`%.*s` 的结果是 **%.*s**。" : "`%.*s` is **%.*s**. ",
                   (int)detail.len, detail.len ? detail.data : "", shown, text);
    } else if (name && strcmp(name, "current_time") == 0 && append_member(text, (size_t)shown, "time", &detail)) {
        buf_printf(scene->out, scene->question.chinese ? "现在是 **%.*s**。" : "It is **%.*s** now. ", (int)detail.len,
                   detail.data);
    } else {
        buf_printf(scene->out,
                   scene->question.chinese ? "工具 `%s` 的回答是：%.*s。" : "The tool `%s` answered: %.*s. ",
                   name ? name : "?", shown, text);
    }
    buf_deinit(&detail);
}

/* Results that came after the question. */
static bool say_results(const struct scene *scene)
{
    bool any = false;
    const struct chat_message *end = scene->chat->messages + scene->chat->count;
    for (const struct chat_message *m = chat_question(scene->chat); m && m < end; m++) {
        if (m->role != CHAT_TOOL)
            continue;
        say_result(scene, m);
        any = true;
    }
    while (any && scene->out->len > 0 && scene->out->data[scene->out->len - 1] == ' ')
        scene->out->data[--scene->out->len] = '\0';
    return any;
}

static const char *find_zone(const char *lower)
{
    static const struct {
        const char *place, *zone;
    } places[] = {{"berlin", "Europe/Berlin"},      {"london", "Europe/London"}, {"paris", "Europe/Paris"},
                  {"new york", "America/New_York"}, {"tokyo", "Asia/Tokyo"},     {"shanghai", "Asia/Shanghai"},
                  {"beijing", "Asia/Shanghai"},     {"北京", "Asia/Shanghai"},   {"上海", "Asia/Shanghai"},
                  {"东京", "Asia/Tokyo"},           {"伦敦", "Europe/London"},   {"纽约", "America/New_York"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strstr(lower, places[i].place))
            return places[i].zone;
    return NULL;
}

static void call_tool(struct reply *reply, const char *tool, json_t *arguments)
{
    reply->tool = tool;
    json_append_take(&reply->arguments, arguments);
}

/* Answers arithmetic, with the calculator where there is one; false: it is none. */
static bool handle_arithmetic(const struct scene *scene, struct reply *reply)
{
    struct buf expression = {0};
    bool found = arithmetic_find(&scene->question, &expression);
    if (found && chat_offers(scene->chat, "calculator"))
        call_tool(reply, "calculator", json_pack("{s:s%}", "expression", expression.data, expression.len));
    else if (found)
        say_arithmetic(scene, &expression);
    buf_deinit(&expression);
    return found;
}

static bool handle_time(const struct scene *scene, struct reply *reply)
{
    if (scene->question.intent != INTENT_TIME || !chat_offers(scene->chat, "current_time"))
        return false;
    const char *zone = find_zone(scene->question.lower.data);
    call_tool(reply, "current_time", zone ? json_pack("{s:s}", "timezone", zone) : json_object());
    return true;
}

/* ---- All of it */

/* An answer begun already is taken up where it ends. One that is not ours can only be closed. */
static void leave_out_begun(const struct scene *scene)
{
    const struct chat_message *last = &scene->chat->messages[scene->chat->count - 1];
    if (last->role != CHAT_ASSISTANT || last->calls || last->text.len == 0)
        return;
    struct buf *out = scene->out;
    if (last->text.len <= out->len && memcmp(out->data, last->text.data, last->text.len) == 0) {
        buf_consume(out, last->text.len);
        return;
    }
    buf_reset(out);
    say(scene, " … and there I leave it. ", "……就说到这里。");
    say_closing(scene);
}

void reply_init(struct reply *reply, const struct chat *chat)
{
    *reply = (struct reply){0};
    struct scene scene = {.chat = chat, .out = &reply->text};
    const struct chat_message *asked = chat_question(chat);
    question_init(&scene.question, asked && asked->text.len ? asked->text.data : "", asked ? asked->text.len : 0);

    if (!say_results(&scene) && !handle_time(&scene, reply) &&
        !(scene.question.intent == INTENT_OTHER && handle_arithmetic(&scene, reply))) {
        if (scene.question.words > 0 &&
            (scene.question.intent == INTENT_OTHER || scene.question.intent == INTENT_PARLEY))
            say_essay(&scene);
        else
            say_by_intent(&scene);
    }
    if (!reply->tool) {
        say_closing(&scene);
        leave_out_begun(&scene);
    }
    question_deinit(&scene.question);
}

void reply_deinit(struct reply *reply)
{
    buf_deinit(&reply->text);
    buf_deinit(&reply->arguments);
}

size_t reply_token(const char *text, size_t len)
{
    if (len == 0)
        return 0;
    if ((unsigned char)text[0] >= 0x80) {
        size_t i = 1;
        while (i < len && ((unsigned char)text[i] & 0xC0) == 0x80)
            i++;
        return i;
    }
    size_t i = 0;
    while (i < len && i < TOKEN_MAX_BYTES && (unsigned char)text[i] < 0x80 && text[i] != ' ' && text[i] != '\n')
        i++;
    while (i < len && (text[i] == ' ' || text[i] == '\n'))
        i++;
    return i;
}
