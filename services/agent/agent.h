/* What all turns of one agent share. */
#ifndef PARLEY_AGENT_H
#define PARLEY_AGENT_H

#include "agent_settings.h"
#include "alarm.h"
#include "completion.h"
#include "emit.h"
#include "service.h"
#include "store.h"
#include "store_gauges.h"
#include "toolbox.h"
#include "wire.h"

struct turn;

struct agent_metrics {
    struct metric *pending; /* jobs */
    struct metric *running, *completed, *failed, *cancelled;
    struct metric *attempts, *takeovers;
    struct metric *first_token_seconds, *turn_seconds;
    struct metric *chunks, *answer_bytes;
    struct metric *prompt_tokens, *answer_tokens;
    struct metric *provider_requests, *provider_errors;
    struct metric *tools_ok, *tools_failed;
    struct metric *checkpoints;
};

struct agent {
    struct service *service;
    const struct agent_settings *settings;
    struct bus *bus;
    uv_loop_t *loop;
    struct http_client *http;
    enum continuation continuation;
    struct completion_options completion;
    char *base_url;
    struct wire_arena *jobs;  /* for a turn's own job (turn_job()), which is needed beside other messages */
    struct wire_arena *arena; /* for everything else */
    struct alarms *alarms;
    struct emit *emit;
    struct toolbox *toolbox;
    struct consumer *consumer; /* NULL before the first connection, and so is the next */
    struct store_gauges *backlog;
    struct agent_metrics metrics;
    uv_timer_t working; /* tells the queue, and silent turns' listeners, that we are at work */
    struct alarm grace; /* of the drain */
    struct turn *turns;
    size_t turn_count;
    bool draining;
};

/* Service and settings are lent until agent_free(). */
struct agent *agent_new(struct service *service, const struct agent_settings *settings);
/* Turns still running are left to other agents: their jobs come back after JOB_ACK_WAIT_MS. */
void agent_free(struct agent **agent);

/* A turn has come, or has gone. */
void agent_count_changed(struct agent *agent);

#endif
