#include "agent.h"

#include "log.h"
#include "mem.h"
#include "on_job.h"
#include "subjects.h"
#include "turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_UNDER_WAY_MAX 100000 /* of all agents together */
#define MESSAGE_MEMORY     (64u << 20)
#define DRAIN_RESERVE_S    5 /* of DRAIN_SECONDS, for handing back what is left */

/* ---- The queue */

static bool has_room(const struct agent *agent)
{
    return !agent->draining && agent->turn_count < (size_t)agent->settings->max_turns;
}

void agent_count_changed(struct agent *agent)
{
    metric_set(agent->metrics.running, (double)agent->turn_count);
    if (agent->consumer != NULL)
        consumer_set_open(agent->consumer, has_room(agent));
    if (agent->draining && agent->turn_count == 0) {
        alarm_clear(agent->alarms, &agent->grace);
        emit_flush(agent->emit);
        service_drained(agent->service);
    }
}

static void on_connected(void *arg)
{
    struct agent *agent = arg;
    const char *pool = agent->settings->pool;
    char name[ID_TOKEN_MAX + 16];
    char subject[SUBJECT_SIZE];

    toolbox_refresh(agent->toolbox);
    if (agent->consumer != NULL)
        return;
    snprintf(subject, sizeof subject, SUBJECT_JOB, pool);
    if (strcmp(pool, POOL_DEFAULT) == 0)
        snprintf(name, sizeof name, "%s", CONSUMER_AGENTS);
    else
        snprintf(name, sizeof name, "%s-%s", CONSUMER_AGENTS, pool);
    const struct consumer_options options = {
        .stream = STREAM_JOBS,
        .name = name,
        .subject = subject,
        .ack_wait_ms = agent->settings->job_ack_wait_ms,
        .max_ack_pending = JOBS_UNDER_WAY_MAX,
    };
    agent->consumer = consumer_new(agent->bus, &options, on_job, agent);
    consumer_set_open(agent->consumer, has_room(agent));
    agent->backlog = store_gauges_of_backlog(agent->bus, STREAM_JOBS, name, agent->metrics.pending);
}

static void on_working(uv_timer_t *timer)
{
    const struct agent *agent = timer->data;

    for (struct turn *turn = agent->turns; turn != NULL; turn = turn_next(turn))
        turn_at_work(turn);
}

/* ---- The drain */

static void on_grace_over(void *arg)
{
    struct agent *agent = arg;

    log_info("handing running turns back", LOG_INT("turns", agent->turn_count));
    for (struct turn *turn = agent->turns, *next; turn != NULL; turn = next) {
        next = turn_next(turn);
        turn_give_back(turn, 0);
    }
}

static void on_drain(void *arg)
{
    struct agent *agent = arg;
    int64_t grace = agent->settings->drain_grace_seconds;
    int64_t most = agent->service->common.drain_seconds - DRAIN_RESERVE_S;

    agent->draining = true;
    if (grace > most)
        grace = most > 0 ? most : 0;
    alarm_set(agent->alarms, &agent->grace, grace * 1000, on_grace_over, agent);
    agent_count_changed(agent);
}

/* ---- Making and ending it */

static void make_metrics(struct agent_metrics *out, struct metrics *in)
{
    static const char turns[] = "parley_turns_total", turns_help[] = "turns ended";
    static const char tokens[] = "parley_tokens_total", tokens_help[] = "tokens, as told by the provider";
    static const char tools[] = "parley_tool_calls_total", tools_help[] = "tool calls answered";

    out->pending = metrics_gauge(in, "parley_jobs_pending", "jobs of this pool that no agent has been given yet", NULL);
    out->running = metrics_gauge(in, "parley_turns_running", "turns running now", NULL);
    out->completed = metrics_counter(in, turns, turns_help, "state=\"completed\"");
    out->failed = metrics_counter(in, turns, turns_help, "state=\"failed\"");
    out->cancelled = metrics_counter(in, turns, turns_help, "state=\"cancelled\"");
    out->attempts = metrics_counter(in, "parley_turn_attempts_total", "turns begun or taken over", NULL);
    out->takeovers = metrics_counter(in, "parley_takeovers_total", "turns taken over from another attempt", NULL);
    out->first_token_seconds = metrics_histogram(in, "parley_first_token_seconds", "from the job to the first word",
                                                 NULL, metrics_seconds, metrics_seconds_count);
    out->turn_seconds = metrics_histogram(in, "parley_turn_seconds", "from the job to the turn's end", NULL,
                                          metrics_seconds, metrics_seconds_count);
    out->chunks = metrics_counter(in, "parley_chunks_total", "chunks sent to gateways", NULL);
    out->answer_bytes = metrics_counter(in, "parley_answer_bytes_total", "answer text from providers", NULL);
    out->prompt_tokens = metrics_counter(in, tokens, tokens_help, "kind=\"prompt\"");
    out->answer_tokens = metrics_counter(in, tokens, tokens_help, "kind=\"answer\"");
    out->provider_requests = metrics_counter(in, "parley_provider_requests_total",
                                             "what providers were asked: one for each part of an answer", NULL);
    out->provider_errors =
        metrics_counter(in, "parley_provider_errors_total", "requests that providers failed, after all tries", NULL);
    out->tools_ok = metrics_counter(in, tools, tools_help, "status=\"ok\"");
    out->tools_failed = metrics_counter(in, tools, tools_help, "status=\"failed\"");
    out->checkpoints = metrics_counter(in, "parley_checkpoints_total", "records of turns written", NULL);
}

static void make_completion_options(struct agent *agent)
{
    const struct agent_settings *settings = agent->settings;
    const struct provider_endpoint endpoint = agent_settings_model(settings).endpoint;
    size_t len = strlen(endpoint.base_url);

    if (settings->api_key != NULL && settings->base_url == NULL)
        log_warning("OPENAI_API_KEY is set, but OPENAI_BASE_URL is not: the demo model answers");
    while (len > 0 && endpoint.base_url[len - 1] == '/')
        len--;
    agent->base_url = mem_strndup(endpoint.base_url, len);
    agent->continuation = agent_settings_continuation(settings);
    agent->completion = (struct completion_options){
        .provider = provider_find(settings->provider),
        .endpoint = {.base_url = agent->base_url, .api_key = endpoint.api_key},
        .connect_timeout_ms = settings->connect_timeout_ms,
        .first_token_timeout_ms = settings->first_token_timeout_ms,
        .stall_timeout_ms = settings->stall_timeout_ms,
        .total_timeout_ms = settings->total_timeout_ms,
        .retry_after_max_ms = settings->retry_after_max_ms,
        .max_event_bytes = (size_t)settings->max_event_bytes,
        .max_call_bytes = (size_t)settings->max_call_bytes,
    };
}

struct agent *agent_new(struct service *service, const struct agent_settings *settings)
{
    struct agent *agent = mem_alloc(sizeof *agent);
    uint64_t working_ms = (uint64_t)settings->job_ack_wait_ms / 3;

    agent->service = service;
    agent->settings = settings;
    agent->bus = service->bus;
    agent->loop = &service->loop;
    make_metrics(&agent->metrics, service->metrics);
    make_completion_options(agent);
    agent->http = http_client_new(agent->loop, settings->max_turns);
    agent->jobs = wire_arena_new(MESSAGE_MEMORY);
    agent->arena = wire_arena_new(MESSAGE_MEMORY);
    agent->alarms = alarms_new(agent->loop);
    agent->emit = emit_new(agent->loop, agent->bus, agent->metrics.chunks);
    agent->toolbox = toolbox_new(agent->bus, agent->alarms, agent->arena);
    uv_timer_init(agent->loop, &agent->working);
    agent->working.data = agent;
    uv_timer_start(&agent->working, on_working, working_ms, working_ms);
    service_on_drain(service, on_drain, agent);
    service_on_connected(service, on_connected, agent);
    return agent;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct agent *agent = handle->data;

    free(agent->base_url);
    free(agent);
}

void agent_free(struct agent **agent_ptr)
{
    struct agent *agent = *agent_ptr;

    if (agent->consumer != NULL)
        consumer_free(&agent->consumer);
    store_gauges_free(&agent->backlog);
    while (agent->turns != NULL)
        turn_free(agent->turns);
    toolbox_free(&agent->toolbox);
    emit_free(&agent->emit);
    alarms_free(&agent->alarms);
    http_client_free(&agent->http);
    wire_arena_free(&agent->arena);
    wire_arena_free(&agent->jobs);
    uv_close((uv_handle_t *)&agent->working, on_timer_closed);
    *agent_ptr = NULL;
}
