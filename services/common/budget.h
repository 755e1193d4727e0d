/* What all parts of a process may hold together for their peers, in bytes. Each holder keeps how much it holds, and
 * says when that changes. A quarter is left for what is under way already (answers, messages that have come in part),
 * so that it can be finished where nothing new is taken any more. */
#ifndef PARLEY_BUDGET_H
#define PARLEY_BUDGET_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t max;
    size_t used;
};

/* The holder holds `bytes` from now on. False, and nothing has changed: it would be more than before, and too much. */
bool budget_hold(struct budget *budget, size_t *held, size_t bytes) MUST_CHECK;
/* The same for what is under way, and is held already: it counts in any case. False: that is too much. */
bool budget_grow(struct budget *budget, size_t *held, size_t bytes) MUST_CHECK;
/* It holds nothing any more. */
void budget_release(struct budget *budget, size_t *held);

#endif
