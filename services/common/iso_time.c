#include "iso_time.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define LAST_SECOND 253402300799 /* 9999-12-31T23:59:59: later years have five digits */

void iso_time(double wall_seconds, char out[ISO_TIME_SIZE])
{
    if (!(wall_seconds > 0)) /* also where it is not a number */
        wall_seconds = 0;
    if (wall_seconds > LAST_SECOND)
        wall_seconds = LAST_SECOND;
    int64_t us = (int64_t)(wall_seconds * 1e6 + 0.5);
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(out, ISO_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + len, ISO_TIME_SIZE - len, ".%06u", (unsigned)(us % 1000000));
}
