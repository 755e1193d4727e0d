#include "clock.h"

#include <time.h>

static struct timespec read_clock(clockid_t id)
{
    struct timespec now = {0};
    clock_gettime(id, &now); /* cannot fail for the two clocks asked for here */
    return now;
}

static int64_t to_ms(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return to_ms(read_clock(CLOCK_REALTIME));
}

double clock_wall_seconds(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);
    int64_t tens_of_us = (int64_t)now.tv_sec * 100000 + now.tv_nsec / 10000;
    return (double)tens_of_us / 1e5;
}

int64_t clock_monotonic_ms(void)
{
    return to_ms(read_clock(CLOCK_MONOTONIC));
}
