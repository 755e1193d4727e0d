#include "question.h"

#include "utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define TOPICS_MAX         3
#define TOPIC_MIN_LETTERS  3
#define TOPIC_MAX_BYTES    40
#define TOPIC_CHINESE_MAX  60 /* bytes: twenty characters */
#define GREETING_MAX_BYTES 24
#define LONG_WORDS         350
#define PARAGRAPH_WORDS    70

static const struct {
    enum intent intent;
    size_t max_bytes; /* of the question; 0: any */
    const char *phrases[24];
} intents[] = {
    {INTENT_SAID_BEFORE,
     0,
     {"did i say", "did i ask", "did i just", "did i tell", "have i said", "have i asked", "i said before",
      "i asked before", "我之前说", "我刚才说", "我刚刚说", "我前面说", "我说过什么", "我之前问", "我刚才问",
      "我问过什么", NULL}},
    {INTENT_MY_NAME,
     0,
     {"what is my name", "what's my name", "whats my name", "who am i", "remember my name", "know my name", "我叫什么",
      "我的名字是什么", "我的名字叫什么", "我是谁", "记得我的名字", NULL}},
    {INTENT_NAME_TOLD, 200, {"my name is", "call me", "i am called", "我叫", "我的名字是", "我的名字叫", NULL}},
    {INTENT_TIME,
     0,
     {"what time", "current time", "the time now", "what day is it", "what date", "today's date", "what's the time",
      "几点了", "几点钟", "现在几点", "现在时间", "什么时间", "什么时候了", "今天几号", "今天星期几", "今天日期",
      NULL}},
    {INTENT_PARLEY, 0, {"parley", NULL}},
    {INTENT_WHO_ARE_YOU,
     0,
     {"who are you", "what are you", "your name", "are you a model", "are you real", "你是谁", "你叫什么", "你是什么",
      NULL}},
    {INTENT_GREETING,
     GREETING_MAX_BYTES,
     {"hi", "hello", "hey", "good morning", "good afternoon", "good evening", "greetings", "你好", "您好", "嗨",
      "早上好", "晚上好", NULL}},
    {INTENT_THANKS, GREETING_MAX_BYTES, {"thanks", "thank you", "bye", "goodbye", "谢谢", "多谢", "再见", NULL}},
};

static const char *const long_phrases[] = {"long",    "detailed", "in detail", "at length", "essay",
                                           "article", "story",    "thorough",  "详细",      "长文",
                                           "文章",    "展开",     "尽量长",    "长一点",    NULL};

static const char *const stop_words[] = {
    "the",        "and",     "for",      "are",      "was",       "you",   "how",    "why",      "who",
    "can",        "did",     "has",      "had",      "her",       "his",   "its",    "not",      "but",
    "all",        "any",     "our",      "out",      "get",       "got",   "let",    "may",      "now",
    "one",        "two",     "see",      "she",      "use",       "way",   "yes",    "about",    "also",
    "answer",     "because", "been",     "being",    "between",   "could", "detail", "detailed", "describe",
    "does",       "doing",   "essay",    "explain",  "from",      "give",  "have",   "how's",    "into",
    "just",       "know",    "least",    "like",     "list",      "long",  "made",   "make",     "many",
    "mine",       "more",    "most",     "much",     "must",      "need",  "only",   "over",     "paragraph",
    "paragraphs", "please",  "question", "sentence", "sentences", "short", "should", "some",     "story",
    "talk",       "tell",    "than",     "that",     "their",     "them",  "then",   "there",    "these",
    "they",       "think",   "this",     "those",    "very",      "want",  "were",   "what",     "what's",
    "when",       "where",   "which",    "whose",    "will",      "with",  "word",   "words",    "would",
    "write",      "your",    "yours",    NULL};

static const char *const chinese_fillers[] = {
    "请问", "请",   "什么是", "是什么", "为什么", "怎么样", "怎么", "如何",     "介绍",   "解释", "说明", "告诉我",
    "给我", "一下", "详细",   "详尽",   "关于",   "写",     "一篇", "文章",     "讲讲",   "谈谈", "吗",   "呢",
    "？",   "?",    "。",     "！",     "，",     "、",     "的",   "我想知道", "能不能", "可以", "字",   NULL};

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '\'';
}

static bool has_phrase(const char *text, const char *phrase)
{
    bool letters = isalpha((unsigned char)phrase[0]);
    for (const char *at = strstr(text, phrase); at; at = strstr(at + 1, phrase))
        if (!letters || ((at == text || !is_word_byte(at[-1])) && !is_word_byte(at[strlen(phrase)])))
            return true;
    return false;
}

bool text_has_any(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (has_phrase(text, *list))
            return true;
    return false;
}

/* Han characters (U+4E00 to U+9FFF) begin with E4 to E9 in UTF-8. */
static bool is_chinese(const char *text)
{
    size_t han = 0, letters = 0;
    for (; *text; text++) {
        han += (unsigned char)*text >= 0xE4 && (unsigned char)*text <= 0xE9;
        letters += isalpha((unsigned char)*text) != 0;
    }
    return han > 0 && han * 4 >= letters;
}

static enum intent find_intent(const struct buf *lower)
{
    for (size_t i = 0; i < sizeof intents / sizeof *intents; i++)
        if ((intents[i].max_bytes == 0 || lower->len <= intents[i].max_bytes) &&
            text_has_any(lower->data, intents[i].phrases))
            return intents[i].intent;
    return INTENT_OTHER;
}

/* "500 words", "3 paragraphs", "500 字": the number before the unit. */
static int64_t number_before(const char *text, const char *unit)
{
    for (const char *at = strstr(text, unit); at; at = strstr(at + 1, unit)) {
        const char *end = at;
        while (end > text && (end[-1] == ' ' || end[-1] == '-'))
            end--;
        const char *start = end;
        while (start > text && isdigit((unsigned char)start[-1]) && end - start < 7)
            start--;
        if (start < end)
            return strtoll(start, NULL, 10);
    }
    return 0;
}

static int64_t find_length(const struct question *question)
{
    static const struct {
        const char *unit;
        int64_t words;
    } units[] = {{"word", 1}, {"paragraph", PARAGRAPH_WORDS}, {"page", 400}, {"个字", 1}, {"字", 1}, {"段", 120}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        int64_t number = number_before(question->lower.data, units[i].unit);
        if (number > 0)
            return number * units[i].words;
    }
    return text_has_any(question->lower.data, long_phrases) ? LONG_WORDS : 0;
}

void question_init(struct question *question, const char *text, size_t len)
{
    *question = (struct question){0};
    buf_append_text(&question->text, "");
    buf_append_text(&question->lower, "");
    len = utf8_cut(text, len, QUESTION_LOOKED_AT);
    for (size_t i = 0; i < len; i++) {
        char c = text[i] ? text[i] : ' ';
        buf_append_char(&question->text, c);
        buf_append_char(&question->lower, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
    }
    question->chinese = is_chinese(question->text.data);
    question->intent = find_intent(&question->lower);
    question->words = find_length(question);
}

void question_deinit(struct question *question)
{
    buf_deinit(&question->text);
    buf_deinit(&question->lower);
}

/* ---- Topics */

struct span {
    const char *text;
    size_t len;
};

static bool is_stop_word(const char *lower, size_t len)
{
    for (const char *const *word = stop_words; *word; word++)
        if (strlen(*word) == len && memcmp(*word, lower, len) == 0)
            return true;
    return false;
}

static bool is_known(const struct span *topics, size_t count, const struct span *topic)
{
    for (size_t i = 0; i < count; i++)
        if (topics[i].len == topic->len && strncasecmp(topics[i].text, topic->text, topic->len) == 0)
            return true;
    return false;
}

static size_t find_words(const struct question *question, struct span *topics)
{
    size_t count = 0;
    const char *text = question->text.data;
    for (size_t i = 0; text[i] && count < TOPICS_MAX;) {
        size_t len = 0;
        while (is_word_byte(text[i + len]) || (len > 0 && text[i + len] == '-'))
            len++;
        struct span word = {text + i, len};
        if (len >= TOPIC_MIN_LETTERS && len <= TOPIC_MAX_BYTES && !isdigit((unsigned char)text[i]) &&
            !is_stop_word(question->lower.data + i, len) && !is_known(topics, count, &word))
            topics[count++] = word;
        i += len > 0 ? len : 1;
    }
    return count;
}

static bool english_topics(const struct question *question, struct buf *out)
{
    struct span topics[TOPICS_MAX];
    size_t count = find_words(question, topics);
    for (size_t i = 0; i < count; i++) {
        buf_append_text(out, i == 0 ? "" : i + 1 == count ? " and " : ", ");
        buf_append(out, topics[i].text, topics[i].len);
    }
    return count > 0;
}

static size_t filler_length(const char *text)
{
    for (const char *const *filler = chinese_fillers; *filler; filler++)
        if (strncmp(text, *filler, strlen(*filler)) == 0)
            return strlen(*filler);
    return isdigit((unsigned char)*text) || isspace((unsigned char)*text) ? 1 : 0;
}

/* What is left without the words that every question has. */
static bool chinese_topics(const struct question *question, struct buf *out)
{
    struct buf rest = {0};
    for (const char *text = question->text.data; *text;) {
        size_t filler = filler_length(text);
        if (filler == 0)
            buf_append_char(&rest, *text);
        text += filler > 0 ? filler : 1;
    }
    size_t len = rest.len > 0 ? utf8_cut(rest.data, rest.len, TOPIC_CHINESE_MAX) : 0;
    buf_append(out, rest.data, len);
    buf_deinit(&rest);
    return len > 0;
}

bool question_topics(const struct question *question, struct buf *out)
{
    return question->chinese ? chinese_topics(question, out) : english_topics(question, out);
}
