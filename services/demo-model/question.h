/* What a question is about, as far as a few rules can tell, in English and Chinese. Pure. */
#ifndef PARLEY_QUESTION_H
#define PARLEY_QUESTION_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum intent {
    INTENT_OTHER,
    INTENT_SAID_BEFORE, /* "what did I say before?" */
    INTENT_MY_NAME,     /* "what is my name?" */
    INTENT_NAME_TOLD,   /* "my name is …" */
    INTENT_TIME,
    INTENT_PARLEY, /* "what is parley?" */
    INTENT_WHO_ARE_YOU,
    INTENT_GREETING,
    INTENT_THANKS,
};

struct question {
    struct buf text;  /* of at most QUESTION_LOOKED_AT bytes, without U+0000 */
    struct buf lower; /* the same in lower case (ASCII) */
    bool chinese;
    enum intent intent;
    int64_t words; /* how long an answer is asked for: words, in Chinese characters; 0: no length */
};

#define QUESTION_LOOKED_AT 8192

void question_init(struct question *question, const char *text, size_t len);
void question_deinit(struct question *question);

/* Whether any text of a NULL-ended list stands in `text`; in the case of letters, as a whole word. */
bool text_has_any(const char *text, const char *const *list);

/* Appends what it is about, as in "rivers, dams and fish"; false: nothing found. */
bool question_topics(const struct question *question, struct buf *out);

#endif
