#include "ack_subject.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PREFIX     "$JS.ACK."
#define TOKENS_OLD 9
#define TOKENS_NEW 11 /* or more */
#define DOMAIN     2  /* tokens that the new form has before the stream's name */
#define DELIVERED  4  /* place of the token, from 0, in the old form */
#define SEQUENCE   5

static size_t count_tokens(const char *text)
{
    size_t count = 1;
    for (; *text; text++)
        count += *text == '.';
    return count;
}

static const char *token_at(const char *text, size_t place)
{
    for (; place > 0; place--)
        text = strchr(text, '.') + 1;
    return text;
}

/* Decimal digits up to the next dot. */
static bool parse_number(const char *text, uint64_t *out)
{
    uint64_t number = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return *text == '.';
}

int ack_subject_parse(const char *text, struct ack_subject *out)
{
    if (!text || strncmp(text, PREFIX, strlen(PREFIX)) != 0)
        return ERR_INVALID;
    size_t tokens = count_tokens(text);
    if (tokens != TOKENS_OLD && tokens < TOKENS_NEW)
        return ERR_INVALID;
    size_t shift = tokens == TOKENS_OLD ? 0 : DOMAIN;
    uint64_t delivered, sequence;
    if (!parse_number(token_at(text, shift + DELIVERED), &delivered) ||
        !parse_number(token_at(text, shift + SEQUENCE), &sequence))
        return ERR_INVALID;
    if (delivered < 1 || delivered > INT64_MAX)
        return ERR_INVALID;
    *out = (struct ack_subject){.delivered = (int64_t)delivered, .stream_sequence = sequence};
    return ERR_NONE;
}
