/* POSIX TZ rules: `std offset [dst [offset] , start[/time] , end[/time]]`. Offsets in them count west of Greenwich. */
#include "zone.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_SECONDS    86400
#define CHANGE_DEFAULT 7200 /* two o'clock, local time */
#define TIME_HOURS_MAX 167

/* A day of the year on which clocks change, and when on that day. */
struct change {
    char kind; /* 'M': month, week, weekday; 'J': day 1 to 365, never 29 February; 'N': day 0 to 365 */
    int month, week, day;
    int32_t seconds;
};

/* Whether a zone's abbreviation stands at `*text`; steps over it. */
static bool skip_name(const char **text)
{
    const char *start = *text;
    if (*start == '<') {
        const char *end = strchr(start, '>');
        *text = end ? end + 1 : start;
        return end != NULL;
    }
    while ((**text >= 'A' && **text <= 'Z') || (**text >= 'a' && **text <= 'z'))
        (*text)++;
    return *text - start >= 3;
}

static bool read_number(const char **text, int min, int max, int *out)
{
    if (**text < '0' || **text > '9')
        return false;
    int value = 0;
    for (int digits = 0; **text >= '0' && **text <= '9'; (*text)++)
        if (++digits > 3)
            return false;
        else
            value = value * 10 + (**text - '0');
    *out = value;
    return value >= min && value <= max;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool read_time(const char **text, int32_t *out)
{
    int sign = **text == '-' ? -1 : 1;
    if (**text == '-' || **text == '+')
        (*text)++;
    int parts[3] = {0};
    if (!read_number(text, 0, TIME_HOURS_MAX, &parts[0]))
        return false;
    for (int i = 1; i < 3 && **text == ':'; i++) {
        (*text)++;
        if (!read_number(text, 0, 59, &parts[i]))
            return false;
    }
    *out = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
}

static bool step_over(const char **text, char expected)
{
    if (**text != expected)
        return false;
    (*text)++;
    return true;
}

static bool read_day(const char **text, struct change *change)
{
    if (step_over(text, 'M')) {
        change->kind = 'M';
        return read_number(text, 1, 12, &change->month) && step_over(text, '.') &&
               read_number(text, 1, 5, &change->week) && step_over(text, '.') && read_number(text, 0, 6, &change->day);
    }
    change->kind = step_over(text, 'J') ? 'J' : 'N';
    return read_number(text, change->kind == 'J' ? 1 : 0, 365, &change->day);
}

static bool read_change(const char **text, struct change *change)
{
    *change = (struct change){.seconds = CHANGE_DEFAULT};
    if (!step_over(text, ',') || !read_day(text, change))
        return false;
    return !step_over(text, '/') || read_time(text, &change->seconds);
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Midnight of a day, as if it were in UTC. `month` from 1. */
static int64_t midnight(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return timegm(&tm);
}

static int weekday(int64_t when)
{
    int64_t days = when / DAY_SECONDS - (when % DAY_SECONDS < 0);
    return (int)(((days + 4) % 7 + 7) % 7); /* the first of January 1970 was a Thursday */
}

/* When the change comes in that year, in local time as if it were UTC. */
static int64_t change_time(const struct change *change, int year)
{
    if (change->kind == 'N')
        return midnight(year, 1, 1 + change->day) + change->seconds;
    if (change->kind == 'J')
        return midnight(year, 1, change->day + (is_leap(year) && change->day >= 60)) + change->seconds;
    int64_t first = midnight(year, change->month, 1), next_month = midnight(year, change->month + 1, 1);
    int64_t when = first + ((change->day - weekday(first) + 7) % 7 + (change->week - 1) * 7) * (int64_t)DAY_SECONDS;
    while (when >= next_month) /* week 5 means the last one */
        when -= 7 * DAY_SECONDS;
    return when + change->seconds;
}

static bool in_summer(const struct change *start, const struct change *end, int64_t when, int32_t standard,
                      int32_t summer)
{
    time_t local = (time_t)(when + standard);
    struct tm tm;
    gmtime_r(&local, &tm);
    int year = tm.tm_year + 1900;
    int64_t from = change_time(start, year) - standard, to = change_time(end, year) - summer;
    if (from < to)
        return when >= from && when < to;
    return when >= from || when < to; /* south of the equator */
}

int zone_offset_by_rule(const char *rule, int64_t unix_seconds, int32_t *offset)
{
    int32_t west;
    if (!skip_name(&rule) || !read_time(&rule, &west))
        return ERR_INVALID;
    int32_t standard = -west, summer = standard + 3600;
    if (*rule == '\0') {
        *offset = standard;
        return ERR_NONE;
    }
    if (!skip_name(&rule))
        return ERR_INVALID;
    if (*rule != ',') {
        if (!read_time(&rule, &west))
            return ERR_INVALID;
        summer = -west;
    }
    struct change start, end;
    if (!read_change(&rule, &start) || !read_change(&rule, &end) || *rule != '\0')
        return ERR_INVALID;
    *offset = in_summer(&start, &end, unix_seconds, standard, summer) ? summer : standard;
    return ERR_NONE;
}
