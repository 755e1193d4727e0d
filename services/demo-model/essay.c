#include "essay.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCES_PER_PARAGRAPH 4
#define PARAGRAPHS_PER_HEADING  3

/* One language's material. "%" stands for the topic. */
struct material {
    const char *opening, *list, *code;
    const char *headings[6];
    const char *sentences[16];
};

static const struct material english = {
    .opening = "# On %\n\nThis is a longer answer about %, in the form that you asked for. It begins with the question "
               "itself, goes on to what matters in practice, and ends with what is left open.\n\n",
    .list = "- **What it is:** a plain description of %, without any judgement.\n"
            "- **Why it matters:** who would notice if % were different tomorrow.\n"
            "- **What to do:** the smallest step that would tell you more about %.\n\n",
    .code = "```python\ndef look_into(topic):\n    for question in (\"what\", \"why\", \"how\"):\n"
            "        yield f\"{question}: {topic}\"\n\nprint(*look_into(\"%\"), sep=\"\\n\")\n```\n\n",
    .headings = {"## Where to begin", "## What it depends on", "## A closer look", "## In practice",
                 "## What can go wrong", "## What is left open"},
    .sentences = {"A good place to begin with % is to say what you already know for sure.",
                  "Much of what is said about % turns out to be about something next to it.",
                  "It helps to look at one concrete example before anything general is claimed.",
                  "Numbers are worth more than adjectives here, even rough ones.",
                  "Ask who is affected by %, and what they would say about it.",
                  "Two people who disagree about % often mean different things by the word.",
                  "What was true of it ten years ago need not be true today.",
                  "The exceptions are as telling as the rule.",
                  "If there are several explanations, the one that forbids most is the easiest to test.",
                  "A small experiment tells you more about % than a long discussion.",
                  "Write down what you expect first, so that you can be surprised.",
                  "Some questions about % have no answer yet, and it is fair to say so.",
                  "The costs come early and the benefits late, which is why it is so often put off.",
                  "Whoever has to live with the result should have a say in it.",
                  "Seen from far away % looks simple; the details decide.",
                  "In the end a clear question is half of the answer."},
};

static const struct material chinese = {
    .opening =
        "# "
        "关于%\n\n下面按照你的要求，比较详细地谈谈%：先说问题本身，再说实践中重要的方面，最后说还没有定论的部分。\n\n",
    .list = "- **是什么：**先不作评价，如实地描述%。\n- **为什么重要：**如果%明天变了，谁会最先注意到。\n"
            "- **怎么做：**能让你多了解%一点的最小一步。\n\n",
    .code = "```python\ndef look_into(topic):\n    for question in (\"是什么\", \"为什么\", \"怎么做\"):\n"
            "        yield f\"{question}：{topic}\"\n\nprint(*look_into(\"%\"), sep=\"\\n\")\n```\n\n",
    .headings = {"## 从哪里开始", "## 取决于什么", "## 仔细看看", "## 在实践中", "## 容易出错的地方", "## 尚无定论"},
    .sentences = {"谈%，最好先说清楚哪些是已经确定的。", "很多关于%的说法，其实说的是它旁边的事情。",
                  "在下一般性的结论之前，先看一个具体的例子。", "在这里，哪怕是粗略的数字也比形容词有用。",
                  "不妨问一问，谁会受到%的影响，他们会怎么说。",
                  "两个人对%看法不同，往往是因为用同一个词指不同的东西。", "十年前成立的事情，今天不一定成立。",
                  "例外和规律一样能说明问题。", "如果有几种解释，排除得最多的那一种最容易检验。",
                  "一个小小的实验，比长时间的讨论更能说明%。", "先写下自己的预期，这样才会感到意外。",
                  "关于%，有些问题还没有答案，直说就好。", "代价来得早，好处来得晚，所以常常被拖延。",
                  "要承担结果的人，应当有发言权。", "远看%很简单，决定成败的是细节。",
                  "归根到底，问题问清楚了，答案就有了一半。"},
};

static void fill_in(const char *text, const char *topic, struct buf *out)
{
    for (; *text; text++)
        if (*text == '%')
            buf_append_text(out, topic);
        else
            buf_append_char(out, *text);
}

/* Words are counted by their spaces, Chinese characters by their first bytes. */
static int64_t count_words(const struct buf *text, bool characters)
{
    int64_t count = 0;
    for (size_t i = 0; i < text->len; i++)
        count += characters ? (unsigned char)text->data[i] >= 0xE0 : text->data[i] == ' ' || text->data[i] == '\n';
    return count;
}

static void append_paragraph(const struct material *m, const char *topic, size_t number, bool spaced, struct buf *out)
{
    const size_t sentences = sizeof m->sentences / sizeof *m->sentences;
    /* an odd step from round to round, so that no two paragraphs close to each other are alike */
    size_t first = number * SENTENCES_PER_PARAGRAPH + number / SENTENCES_PER_PARAGRAPH;
    for (size_t i = 0; i < SENTENCES_PER_PARAGRAPH; i++) {
        if (i > 0 && spaced)
            buf_append_char(out, ' ');
        fill_in(m->sentences[(first + i) % sentences], topic, out);
    }
    buf_append_text(out, "\n\n");
}

void essay_append(const char *topic, bool in_chinese, int64_t words, struct buf *out)
{
    const struct material *m = in_chinese ? &chinese : &english;
    const size_t headings = sizeof m->headings / sizeof *m->headings;
    struct buf essay = {0};
    fill_in(m->opening, topic, &essay);
    fill_in(m->list, topic, &essay);
    for (size_t n = 0; n == 0 || count_words(&essay, in_chinese) < words; n++) {
        if (n % PARAGRAPHS_PER_HEADING == 0) {
            fill_in(m->headings[n / PARAGRAPHS_PER_HEADING % headings], topic, &essay);
            buf_append_text(&essay, "\n\n");
        }
        append_paragraph(m, topic, n, !in_chinese, &essay);
        if (n == 0)
            fill_in(m->code, topic, &essay);
    }
    buf_append(out, essay.data, essay.len);
    buf_deinit(&essay);
}
