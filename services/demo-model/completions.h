/* Answers under way: what was asked for, told token by token at a steady pace, all by one timer. */
#ifndef PARLEY_COMPLETIONS_H
#define PARLEY_COMPLETIONS_H

#include "chat.h"
#include "demo_settings.h"
#include "service.h"

struct completions;

struct completions_counts {
    uint64_t active, started, finished, aborted; /* aborted: the client went away first */
};

/* Both are lent until completions_free(). */
struct completions *completions_new(struct service *service, const struct demo_settings *settings);
void completions_free(struct completions **completions);

/* Answers the exchange, streamed or whole, as the chat asks for. Takes the chat and empties it. False, and nothing
 * taken, where too many answers stream already. */
bool completions_answer(struct completions *completions, struct web_exchange *exchange, struct chat *chat);

struct completions_counts completions_count(const struct completions *completions);
/* `idle` (NULL: nobody) is called whenever the last stream has ended. */
void completions_on_idle(struct completions *completions, void (*idle)(void *arg), void *arg);

#endif
