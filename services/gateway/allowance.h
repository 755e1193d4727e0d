/* How many messages one may send: so many a second, and some more at once after a pause (a token bucket). Pure. */
#ifndef PARLEY_ALLOWANCE_H
#define PARLEY_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

struct allowance {
    int64_t left;  /* thousandths of a message */
    int64_t at_ms; /* monotonic: when that was so */
};

struct allowance_rate {
    int64_t per_second; /* 0: no limit */
    int64_t burst;      /* at least 1 */
};

/* The whole burst is there. */
void allowance_init(struct allowance *allowance, const struct allowance_rate *rate, int64_t now_ms);
/* Whether one more is allowed now; then it is counted. */
bool allowance_take(struct allowance *allowance, const struct allowance_rate *rate, int64_t now_ms);

#endif
