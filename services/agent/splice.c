#include "splice.h"

#include <stdbool.h>
#include <string.h>

/* Shorter repetitions may be meant. */
#define OVERLAP_MIN 8
#define OVERLAP_MAX 512
/* Whoever begins with so much of what was said first, and then with something else, has begun anew. */
#define AFRESH_BYTES 24

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Whether what has come is what was said, from `len` bytes before its end on; as far as has come. */
static bool repeats(const struct splice *splice, const struct buf *said, size_t len)
{
    return memcmp(said->data + said->len - len, splice->held.data, smaller(len, splice->held.len)) == 0;
}

static bool begins_afresh(const struct splice *splice, const struct buf *said)
{
    return said->len >= AFRESH_BYTES && splice->held.len >= AFRESH_BYTES &&
           memcmp(said->data, splice->held.data, AFRESH_BYTES) == 0;
}

/* The longest repetition counts; one that may still become longer is waited for. */
static enum splice_verdict judge(struct splice *splice, const struct buf *said, bool ended)
{
    size_t longest = smaller(said->len, OVERLAP_MAX);
    for (size_t len = said->len; len >= OVERLAP_MIN; len = len > longest ? longest : len - 1) {
        if (!repeats(splice, said, len))
            continue;
        if (len > splice->held.len && !ended)
            return SPLICE_OPEN;
        if (splice->held.len < OVERLAP_MIN)
            continue;
        splice->overlap = smaller(len, splice->held.len);
        return SPLICE_FITS;
    }
    splice->overlap = 0;
    return begins_afresh(splice, said) ? SPLICE_AFRESH : SPLICE_FITS;
}

enum splice_verdict splice_add(struct splice *splice, const struct buf *said, const char *text, size_t len)
{
    buf_append(&splice->held, text, len);
    return judge(splice, said, false);
}

enum splice_verdict splice_end(struct splice *splice, const struct buf *said)
{
    return splice->held.len > 0 ? judge(splice, said, true) : SPLICE_FITS;
}

void splice_deinit(struct splice *splice)
{
    buf_deinit(&splice->held);
    splice->overlap = 0;
}
