/* Many deadlines on one timer. An alarm lives in its owner's memory and can be cleared at once, which a uv timer can't:
 * so a turn is freed in one go. Most alarms of an agent have the same delay, so the list, ordered by due time, is
 * nearly always appended to. */
#ifndef PARLEY_ALARM_H
#define PARLEY_ALARM_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct alarms;

typedef void alarm_handler(void *arg);

struct alarm {
    struct alarm *prev, *next;
    uint64_t due_ms;
    alarm_handler *ring;
    void *arg;
    bool set; /* zeroed memory is an alarm that is not set */
};

struct alarms *alarms_new(uv_loop_t *loop);
/* Forgets those still set. The loop must run once more afterwards. */
void alarms_free(struct alarms **alarms);

/* `ring` is called once, from the loop, after `delay_ms`. One that is set is set anew. */
void alarm_set(struct alarms *alarms, struct alarm *alarm, int64_t delay_ms, alarm_handler *ring, void *arg);
/* One that is not set stays so. */
void alarm_clear(struct alarms *alarms, struct alarm *alarm);

#endif
