/* Where a model that can't go on from its own words is asked to (LLM_CONTINUATION=ask), it likes to begin some words
 * earlier, or all over again. This finds out what of its first words has been said already. Pure. */
#ifndef PARLEY_SPLICE_H
#define PARLEY_SPLICE_H

#include "buf.h"

/* Empty where all is 0. */
struct splice {
    struct buf held; /* what has come, until it is known how it joins */
    size_t overlap;  /* what of it repeats the end of what was said; where it fits */
};

enum splice_verdict {
    SPLICE_OPEN,   /* more has to come */
    SPLICE_FITS,   /* `held` after `overlap` goes on */
    SPLICE_AFRESH, /* another answer has begun */
};

/* `said`, the same each time, is lent for the call; so is the text. */
enum splice_verdict splice_add(struct splice *splice, const struct buf *said, const char *text, size_t len);
/* Nothing more will come: never SPLICE_OPEN. */
enum splice_verdict splice_end(struct splice *splice, const struct buf *said);
void splice_deinit(struct splice *splice);

#endif
