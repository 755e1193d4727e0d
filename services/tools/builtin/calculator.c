/* calculator: one arithmetic expression, on muparser. Numbers are doubles, results are rounded to 15 significant digits
 * (so that 0.1 + 0.2 is 0.3), integers up to 2^53 are given as integers. A parser a call: nothing is shared.
 *
 * muparser's C interface keeps its error texts in static buffers, which threads must not share: hence only its error
 * codes are asked for, and put into words here. */
#include "../tool.h"

#include "json.h"
#include "utf8.h"

#include <assert.h>
#include <fenv.h>
#include <math.h>
#include <muParserDLL.h>
#include <string.h>

#define EXPRESSION_MAX_BYTES 1000
#define EXACT_MAX            9007199254740992.0 /* 2^53 */
#define NEAR_MAX_BYTES       24                 /* of the expression, shown where it went wrong */

/* How people and models write it → how muparser reads it. */
static const struct {
    const char *written, *read;
} spellings[] = {{"**", "^"}, {"×", "*"},  {"·", "*"},  {"÷", "/"}, {"−", "-"},
                 {"–", "-"},  {"（", "("}, {"）", ")"}, {"π", "pi"}};

/* muparser's error codes (enum EErrorCodes, muParserDef.h, which is C++). */
static const char *const error_texts[] = {
    [0] = "unexpected operator",
    [1] = "unknown name or character",
    [2] = "unexpected end of the expression",
    [3] = "unexpected comma",
    [4] = "unexpected argument",
    [5] = "unexpected number",
    [6] = "unexpected variable",
    [7] = "unexpected parenthesis",
    [8] = "unexpected string",
    [9] = "unexpected argument",
    [10] = "a number is expected",
    [11] = "a parenthesis is missing",
    [12] = "unexpected function",
    [13] = "a string has no end",
    [14] = "too many arguments",
    [15] = "too few arguments",
    [16] = "operator between values that don't go together",
    [17] = "the result is a string",
    [25] = "the expression is empty",
    [32] = "unexpected '?'",
    [33] = "':' is missing after '?'",
    [34] = "unexpected ':'",
    [36] = "a name is too long",
    [38] = "unreadable character",
};

static double modulo(double a, double b)
{
    if (b == 0)
        feraiseexcept(FE_DIVBYZERO);
    return fmod(a, b);
}

/* Without a handler mupEval() would throw through C; the error is asked for after it. */
static void on_error(muParserHandle_t parser)
{
    (void)parser;
}

static muParserHandle_t new_parser(void)
{
    muParserHandle_t parser = mupCreate(0 /* doubles */);
    mupSetErrorHandler(parser, on_error);
    mupDefineOprt(parser, "%", modulo, 6 /* as * and / */, 0 /* from the left */, 0);
    mupDefineConst(parser, "pi", M_PI);
    mupDefineConst(parser, "e", M_E);
    mupDefineFun1(parser, "floor", floor, 1);
    mupDefineFun1(parser, "ceil", ceil, 1);
    mupDefineFun1(parser, "round", round, 1);
    mupDefineFun1(parser, "cbrt", cbrt, 1);
    mupDefineFun2(parser, "pow", pow, 1);
    mupDefineFun2(parser, "mod", modulo, 0);
    return parser;
}

static void respell(const char *text, struct buf *out)
{
    while (*text) {
        size_t i = 0, count = sizeof spellings / sizeof *spellings;
        while (i < count && strncmp(text, spellings[i].written, strlen(spellings[i].written)) != 0)
            i++;
        if (i < count) {
            buf_append_text(out, spellings[i].read);
            text += strlen(spellings[i].written);
        } else {
            buf_append_char(out, *text++);
        }
    }
}

static int explain_error(muParserHandle_t parser, const struct buf *expression, struct buf *result)
{
    int code = mupGetErrorCode(parser), position = mupGetErrorPos(parser);
    size_t known = sizeof error_texts / sizeof *error_texts;
    const char *text = code >= 0 && (size_t)code < known ? error_texts[code] : NULL;
    buf_append_text(result, text ? text : "the expression can't be read");
    if (position >= 0 && (size_t)position < expression->len) {
        const char *near = expression->data + position;
        int shown = (int)utf8_cut(near, expression->len - (size_t)position, NEAR_MAX_BYTES);
        buf_printf(result, " at character %d, near '%.*s'", position + 1, shown, near);
    }
    return ERR_INVALID;
}

static int refuse(struct buf *result, const char *why)
{
    buf_append_text(result, why);
    return ERR_INVALID;
}

static int append_number(double value, struct buf *result)
{
    if (fetestexcept(FE_DIVBYZERO)) /* somewhere on the way, even where the result is finite: 1/(1/0) */
        return refuse(result, "division by zero, or the logarithm of zero");
    if (isnan(value))
        return refuse(result, "the result is not a real number");
    if (isinf(value))
        return refuse(result, "the result is too large");
    if (value == 0)
        value = 0; /* not -0 */
    if (value == trunc(value) && fabs(value) <= EXACT_MAX)
        buf_printf(result, "%.0f", value);
    else
        buf_printf(result, "%.15g", value);
    return ERR_NONE;
}

static int evaluate(const struct buf *expression, struct buf *result)
{
    muParserHandle_t parser = new_parser();
    int values = 0, err;
    mupSetExpr(parser, expression->data);
    feclearexcept(FE_ALL_EXCEPT);
    const double *value = mupError(parser) ? NULL : mupEvalMulti(parser, &values);
    if (mupError(parser) || !value)
        err = explain_error(parser, expression, result);
    else if (values != 1)
        err = refuse(result, "several results; write one expression, and numbers without separators for thousands");
    else
        err = append_number(*value, result);
    mupRelease(parser);
    return err;
}

static int run(const struct tool_input *input, struct buf *result)
{
    size_t len = 0;
    const char *text = json_get_text(input->arguments, "expression", &len);
    if (utf8_blank(text, len))
        return refuse(result, "the expression is empty");
    if (len > EXPRESSION_MAX_BYTES)
        return refuse(result, "the expression is longer than 1000 bytes");
    if (memchr(text, '\0', len) || memchr(text, '"', len))
        return refuse(result, "unreadable character in the expression");
    struct buf expression = {0};
    respell(text, &expression);
    int err = evaluate(&expression, result);
    buf_deinit(&expression);
    return err;
}

/* Reading a number, libstdc++ fills caches that all threads use; the first time is not safe from another's. */
static void prepare(void)
{
    struct buf expression = {0}, result = {0};
    buf_append_text(&expression, "0.5");
    int err = evaluate(&expression, &result);
    assert(!err);
    (void)err;
    buf_deinit(&expression);
    buf_deinit(&result);
}

const struct tool tool_calculator = {
    .name = "calculator",
    .description =
        "Evaluates an arithmetic expression, to 15 digits. Knows + - * / % ^, parentheses, comparisons, pi, e, and "
        "functions such as sqrt, sin, cos, tan, ln, log10, exp, abs, round, floor, ceil, min, max, sum, avg.",
    .parameters = "{\"type\":\"object\",\"properties\":{\"expression\":{\"type\":\"string\",\"description\":\"the "
                  "expression, such as (123 + 456) * 2\"}},\"required\":[\"expression\"]}",
    .prepare = prepare,
    .run = run,
};
