/* What the stand-in says. The reply depends on the conversation alone, so that a conversation which ends with the
 * beginning of an answer is continued with exactly the rest of it. Pure. */
#ifndef PARLEY_REPLY_H
#define PARLEY_REPLY_H

#include "chat.h"

struct reply {
    struct buf text;      /* what is (still) to be said; empty where a tool is called */
    const char *tool;     /* the function to call, or NULL */
    struct buf arguments; /* for it: JSON */
};

void reply_init(struct reply *reply, const struct chat *chat);
void reply_deinit(struct reply *reply);

/* The length of the first token of `text`: a word with the space after it, or one Chinese character. 0 only for no
 * text. */
size_t reply_token(const char *text, size_t len);

#endif
