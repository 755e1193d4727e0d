#include "memory.h"

#include "utf8.h"

#include <string.h>
#include <strings.h>

#define LISTED_MAX       5
#define QUOTED_MAX_BYTES 160
#define NAME_MAX_BYTES   40

static void append_quote(const struct buf *text, struct buf *out)
{
    size_t len = text->len > 0 ? utf8_cut(text->data, text->len, QUOTED_MAX_BYTES) : 0;
    for (size_t i = 0; i < len; i++)
        buf_append_char(out, text->data[i] == '\n' || text->data[i] == '\0' ? ' ' : text->data[i]);
    if (len < text->len)
        buf_append_text(out, "…");
}

/* The user's messages before the last question. */
static size_t earlier(const struct chat *chat, const struct chat_message **out, size_t max)
{
    const struct chat_message *question = chat_question(chat);
    size_t count = 0;
    for (const struct chat_message *m = chat->messages; m < question; m++) {
        if (m->role != CHAT_USER)
            continue;
        if (count >= max)
            memmove(out, out + 1, (max - 1) * sizeof *out);
        out[count < max ? count : max - 1] = m;
        count++;
    }
    return count;
}

bool memory_said_before(const struct chat *chat, bool chinese, struct buf *out)
{
    const struct chat_message *said[LISTED_MAX];
    size_t count = earlier(chat, said, LISTED_MAX), shown = count < LISTED_MAX ? count : LISTED_MAX;
    if (count > LISTED_MAX && chinese)
        buf_printf(out, "（共 %zu 条，这里是最近的 %d 条）\n", count, LISTED_MAX);
    else if (count > LISTED_MAX)
        buf_printf(out, " (the last %d of %zu)\n", LISTED_MAX, count);
    for (size_t i = 0; i < shown; i++) {
        buf_printf(out, "\n%zu. %s", i + 1, chinese ? "“" : "“");
        append_quote(&said[i]->text, out);
        buf_append_text(out, "”");
    }
    return count > 0;
}

bool memory_last_said(const struct chat *chat, struct buf *out)
{
    const struct chat_message *said[1];
    if (earlier(chat, said, 1) == 0)
        return false;
    append_quote(&said[0]->text, out);
    return true;
}

/* From after the phrase to the end of the clause. */
static size_t name_length(const char *text)
{
    static const char *const ends[] = {".",     ",",  "!",  "?",  ";",  "\n", " and ",
                                       " but ", "。", "，", "！", "？", "、", "；"};
    size_t len = strlen(text);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *end = strstr(text, ends[i]);
        if (end && (size_t)(end - text) < len)
            len = (size_t)(end - text);
    }
    len = utf8_cut(text, len, NAME_MAX_BYTES);
    while (len > 0 && text[len - 1] == ' ')
        len--;
    return len;
}

static bool name_in(const char *text, struct buf *out)
{
    static const char *const phrases[] = {"my name is ", "call me ",   "i am called ",
                                          "我的名字是",  "我的名字叫", "我叫"};
    static const char *const asking[] = {"什么", "啥"};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        const char *at = strcasestr(text, phrases[i]);
        if (!at)
            continue;
        at += strlen(phrases[i]);
        size_t len = name_length(at);
        if (len == 0 || strncmp(at, asking[0], strlen(asking[0])) == 0 ||
            strncmp(at, asking[1], strlen(asking[1])) == 0)
            continue;
        buf_append(out, at, len);
        return true;
    }
    return false;
}

bool memory_name(const struct chat *chat, struct buf *out)
{
    const struct chat_message *question = chat_question(chat);
    for (const struct chat_message *m = question; m && m >= chat->messages; m--)
        if (m->role == CHAT_USER && m->text.len > 0 && name_in(m->text.data, out))
            return true;
    return false;
}
