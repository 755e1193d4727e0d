#include "arithmetic.h"

#include <ctype.h>
#include <string.h>

#define EXPRESSION_MAX_BYTES 500

/* How it is said → how it is written. Longer ones before their beginnings. */
static const struct {
    const char *said, *written;
} sayings[] = {{"the square root of ", " sqrt "},
               {"square root of ", " sqrt "},
               {"to the power of", "^"},
               {"multiplied by", "*"},
               {"divided by", "/"},
               {" squared", "^2"},
               {" cubed", "^3"},
               {" times ", " *"},
               {" plus ", " +"},
               {" minus ", " -"},
               {" modulo ", " %"},
               {" x ", " *"},
               {"乘以", "*"},
               {"乘", "*"},
               {"加上", "+"},
               {"加", "+"},
               {"减去", "-"},
               {"减", "-"},
               {"除以", "/"},
               {"×", "*"},
               {"÷", "/"},
               {"−", "-"},
               {"（", "("},
               {"）", ")"}};

static const char *const keywords[] = {"calculate", "compute", "what is", "what's", "how much", "evaluate",
                                       "solve",     "result",  "calc",    "=",      "计算",     "等于",
                                       "多少",      "算一下",  "算算",    "结果",   NULL};

static const char *const functions[] = {"sqrt", "sin", "cos", "tan", "log10", "ln", "abs", NULL};

static void write_out(const char *text, struct buf *out)
{
    while (*text) {
        size_t i = 0, count = sizeof sayings / sizeof *sayings;
        while (i < count && strncmp(text, sayings[i].said, strlen(sayings[i].said)) != 0)
            i++;
        if (i == count) {
            buf_append_char(out, *text++);
            continue;
        }
        buf_append_text(out, sayings[i].written);
        text += strlen(sayings[i].said);
        if (sayings[i].said[0] == ' ' && text[-1] == ' ')
            text--; /* the space may begin the next one */
    }
    buf_append_char(out, '\0');
}

/* Of what an expression is made at this place: a function's name, or one character; 0: it ends here. */
static size_t piece_length(const char *text, const char *start)
{
    bool after_letter = text > start && isalpha((unsigned char)text[-1]);
    for (const char *const *name = functions; *name && !after_letter; name++) {
        size_t len = strlen(*name);
        if (strncmp(text, *name, len) == 0 && !isalpha((unsigned char)text[len]))
            return len;
    }
    return *text && strchr("0123456789.+-*/^%() ", *text) ? 1 : 0;
}

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && (strchr(" +*/^%)", **text) || (**text == '.' && !isdigit((unsigned char)(*text)[1])))) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && strchr(" +-*/^%(.", (*text)[*len - 1]))
        (*len)--;
}

/* Two numbers with an operator between, or a function of one. */
static bool is_expression(const char *text, size_t len)
{
    bool number = false, joined = false;
    for (size_t i = 0; i < len; i++) {
        if (isalpha((unsigned char)text[i]) || (number && strchr("+-*/^%", text[i])))
            joined = true;
        else if (isdigit((unsigned char)text[i]) && joined)
            return true;
        else if (isdigit((unsigned char)text[i]))
            number = true;
    }
    return false;
}

/* The longest stretch that is an expression. */
static size_t find_longest(const char *text, const char **found)
{
    size_t best = 0;
    for (const char *at = text; *at;) {
        const char *start = at;
        for (size_t piece = piece_length(at, text); piece > 0; piece = piece_length(at, text))
            at += piece;
        const char *stretch = start;
        size_t len = (size_t)(at - start);
        trim(&stretch, &len);
        if (len > best && is_expression(stretch, len)) {
            best = len;
            *found = stretch;
        }
        if (at == start)
            at++;
    }
    return best;
}

/* "2024-01-01" and "555-1234" have only dashes or slashes, without spaces. */
static bool is_number_like(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isdigit((unsigned char)text[i]) && text[i] != '-' && text[i] != '/')
            return false;
    return memchr(text, '-', len) != NULL;
}

static void append_call(const char *text, size_t len, struct buf *out)
{
    const char *root = memmem(text, len, "sqrt ", 5);
    if (!root) {
        buf_append(out, text, len);
        return;
    }
    /* "sqrt 16 + 2" is said of the one number */
    size_t before = (size_t)(root - text) + 5, digits = before;
    while (digits < len && (isdigit((unsigned char)text[digits]) || text[digits] == '.'))
        digits++;
    buf_append(out, text, before - 1);
    buf_printf(out, "(%.*s)", (int)(digits - before), text + before);
    buf_append(out, text + digits, len - digits);
}

bool arithmetic_find(const struct question *question, struct buf *expression)
{
    struct buf written = {0};
    write_out(question->lower.data, &written);
    const char *found = NULL;
    size_t len = find_longest(written.data, &found);
    bool whole = len * 10 >= question->lower.len * 8;
    bool yes = len > 0 && len <= EXPRESSION_MAX_BYTES && !(is_number_like(found, len) && !whole) &&
               (whole || text_has_any(question->lower.data, keywords));
    if (yes)
        append_call(found, len, expression);
    buf_deinit(&written);
    return yes;
}
