#include "budget.h"

static void set(struct budget *budget, size_t *held, size_t bytes)
{
    budget->used = budget->used - *held + bytes;
    *held = bytes;
}

bool budget_hold(struct budget *budget, size_t *held, size_t bytes)
{
    size_t others = budget->used - *held, most = budget->max - budget->max / 4;
    if (bytes > *held && (others > most || bytes > most - others))
        return false;
    set(budget, held, bytes);
    return true;
}

bool budget_grow(struct budget *budget, size_t *held, size_t bytes)
{
    bool grows = bytes > *held;
    set(budget, held, bytes);
    return !grows || budget->used <= budget->max;
}

void budget_release(struct budget *budget, size_t *held)
{
    set(budget, held, 0);
}
