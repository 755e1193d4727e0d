#include "alarm.h"

#include "mem.h"

#include <stdlib.h>

struct alarms {
    uv_timer_t timer;
    struct alarm *first, *last; /* by due time */
};

static void on_timer(uv_timer_t *timer);

static void arm(struct alarms *alarms)
{
    if (alarms->first == NULL) {
        uv_timer_stop(&alarms->timer);
        return;
    }
    uint64_t now = uv_now(alarms->timer.loop);
    uint64_t due = alarms->first->due_ms;
    uv_timer_start(&alarms->timer, on_timer, due > now ? due - now : 0, 0);
}

static void unlink_alarm(struct alarms *alarms, struct alarm *alarm)
{
    *(alarm->prev != NULL ? &alarm->prev->next : &alarms->first) = alarm->next;
    *(alarm->next != NULL ? &alarm->next->prev : &alarms->last) = alarm->prev;
    alarm->prev = alarm->next = NULL;
    alarm->set = false;
}

static void on_timer(uv_timer_t *timer)
{
    struct alarms *alarms = timer->data;
    uint64_t now = uv_now(timer->loop);

    while (alarms->first != NULL && alarms->first->due_ms <= now) {
        struct alarm *alarm = alarms->first;
        unlink_alarm(alarms, alarm);
        alarm->ring(alarm->arg); /* may free the alarm, and set and clear others */
    }
    arm(alarms);
}

struct alarms *alarms_new(uv_loop_t *loop)
{
    struct alarms *alarms = mem_alloc(sizeof *alarms);

    uv_timer_init(loop, &alarms->timer);
    alarms->timer.data = alarms;
    return alarms;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void alarms_free(struct alarms **alarms)
{
    while ((*alarms)->first != NULL)
        unlink_alarm(*alarms, (*alarms)->first);
    uv_close((uv_handle_t *)&(*alarms)->timer, on_closed);
    *alarms = NULL;
}

void alarm_set(struct alarms *alarms, struct alarm *alarm, int64_t delay_ms, alarm_handler *ring, void *arg)
{
    alarm_clear(alarms, alarm);
    alarm->due_ms = uv_now(alarms->timer.loop) + (uint64_t)(delay_ms > 0 ? delay_ms : 0);
    alarm->ring = ring;
    alarm->arg = arg;
    alarm->set = true;

    struct alarm *before = alarms->last;
    while (before != NULL && before->due_ms > alarm->due_ms)
        before = before->prev;
    alarm->prev = before;
    alarm->next = before != NULL ? before->next : alarms->first;
    *(alarm->prev != NULL ? &alarm->prev->next : &alarms->first) = alarm;
    *(alarm->next != NULL ? &alarm->next->prev : &alarms->last) = alarm;
    if (alarms->first == alarm)
        arm(alarms);
}

void alarm_clear(struct alarms *alarms, struct alarm *alarm)
{
    if (alarm->set) /* the timer may ring for nothing then, and arms itself anew */
        unlink_alarm(alarms, alarm);
}
