#include "clock.h"

#include <stdio.h>
#include <time.h>

#define ISO_LAST_SECOND 253402300799 /* 9999-12-31T23:59:59: later years have five digits */

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

void clock_iso(double wall_seconds, char out[CLOCK_ISO_SIZE])
{
    if (!(wall_seconds > 0)) /* also where it is not a number */
        wall_seconds = 0;
    if (wall_seconds > ISO_LAST_SECOND)
        wall_seconds = ISO_LAST_SECOND;
    int64_t us = (int64_t)(wall_seconds * 1e6 + 0.5);
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(out, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + len, CLOCK_ISO_SIZE - len, ".%06u", (unsigned)(us % 1000000));
}
