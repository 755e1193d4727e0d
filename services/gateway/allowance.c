#include "allowance.h"

#define ONE 1000 /* message: then a rate is in thousandths a millisecond, and nothing is rounded */

void allowance_init(struct allowance *allowance, const struct allowance_rate *rate, int64_t now_ms)
{
    *allowance = (struct allowance){.left = rate->burst * ONE, .at_ms = now_ms};
}

bool allowance_take(struct allowance *allowance, const struct allowance_rate *rate, int64_t now_ms)
{
    if (rate->per_second == 0)
        return true;
    int64_t grown = allowance->left + (now_ms - allowance->at_ms) * rate->per_second;
    allowance->left = grown < rate->burst * ONE ? grown : rate->burst * ONE;
    allowance->at_ms = now_ms;
    if (allowance->left < ONE)
        return false;
    allowance->left -= ONE;
    return true;
}
