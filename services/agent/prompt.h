/* What the model is asked: the persona's words, the conversation so far, the question, and what this turn has already
 * said and done. Pure. */
#ifndef PARLEY_PROMPT_H
#define PARLEY_PROMPT_H

#include "conversation.pb-c.h"
#include "images.h"
#include "job.pb-c.h"
#include "provider.h"
#include "transcript.h"

/* All lent for as long as the draft is used. */
struct prompt_input {
    const Parley__Job *job;
    const Parley__Conversation *conversation; /* NULL: nothing was said before */
    const struct transcript *transcript;
    const struct prompt_tool *tools;
    size_t tool_count;
    const char *model;
    enum continuation continuation;
    /* For all that is sent, by estimate: a token for four ASCII characters or for one other, 1000 for an image. The
     * oldest turns are left out first; the question, and what this turn has said and done, never. */
    size_t budget_tokens;
};

#define PROMPT_CALL_ID_SIZE 32

struct prompt_draft {
    struct prompt prompt; /* for completion_start(); the rest is what it points to */
    bool asks_to_go_on;   /* in words: what comes may repeat what was said */
    struct prompt_message *messages;
    struct tool_call *calls;
    char (*call_ids)[PROMPT_CALL_ID_SIZE];
    char *options;
    struct images images; /* of the question */
};

void prompt_draft_init(struct prompt_draft *draft, const struct prompt_input *input);
void prompt_draft_deinit(struct prompt_draft *draft);

#endif
