#include "utf8.h"

#define CODE_POINT_MAX_BYTES 4

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* How long a code point is by its first byte; 0 where nothing begins with it. */
static size_t length_by_lead(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if ((lead & 0xf0) == 0xe0)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

size_t utf8_next(const char *text, size_t len, uint32_t *out)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length: less is overlong */
    size_t need = len > 0 ? length_by_lead((unsigned char)text[0]) : 0;
    if (need == 0 || need > len)
        return 0;
    uint32_t point = (unsigned char)text[0];
    if (need > 1)
        point &= 0x7fu >> need;
    for (size_t i = 1; i < need; i++) {
        if (!is_continuation(text[i]))
            return 0;
        point = point << 6 | ((unsigned char)text[i] & 0x3f);
    }
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    if (point < smallest[need] || surrogate || point > 0x10ffff)
        return 0;
    *out = point;
    return need;
}

size_t utf8_cut(const char *text, size_t len, size_t max)
{
    size_t end = len < max ? len : max;
    size_t last = end; /* where the last code point that begins before `end` begins */
    while (last > 0 && end - last < CODE_POINT_MAX_BYTES && is_continuation(text[last - 1]))
        last--;
    if (last == 0)
        return 0;
    last--;
    return last + length_by_lead((unsigned char)text[last]) <= end ? end : last;
}

bool utf8_valid(const char *text, size_t len)
{
    uint32_t point;
    for (size_t at = 0; at < len;) {
        size_t step = utf8_next(text + at, len - at, &point);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

static bool is_white_space(uint32_t point)
{
    switch (point) {
    case ' ':
    case 0x85:
    case 0xa0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202f:
    case 0x205f:
    case 0x3000:
        return true;
    default:
        return (point >= '\t' && point <= '\r') || (point >= 0x2000 && point <= 0x200a);
    }
}

bool utf8_is_name(const char *text, size_t len)
{
    uint32_t point;
    for (size_t at = 0; at < len;) {
        size_t step = utf8_next(text + at, len - at, &point);
        if (step == 0 || point < 0x20 || (point >= 0x7f && point < 0xa0))
            return false;
        at += step;
    }
    return true;
}

bool utf8_blank(const char *text, size_t len)
{
    uint32_t point;
    for (size_t at = 0; at < len;) {
        size_t step = utf8_next(text + at, len - at, &point);
        if (step == 0 || !is_white_space(point))
            return false;
        at += step;
    }
    return true;
}

void utf8_append_repaired(struct buf *out, const char *text, size_t len)
{
    uint32_t point;
    for (size_t at = 0; at < len;) {
        size_t step = utf8_next(text + at, len - at, &point);
        if (step > 0)
            buf_append(out, text + at, step);
        else
            buf_append_text(out, "\xef\xbf\xbd");
        at += step > 0 ? step : 1;
    }
}
