#include "service.h"

#include "broker_watch.h"
#include "id.h"
#include "log.h"
#include "mem.h"
#include "ops.h"
#include "process_metrics.h"
#include "service_cli.h"
#include "subjects.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define STATUS_FAILED         1
#define OPS_CONNECTIONS       32 /* beside what the service itself serves */
#define MESSAGE_SIZE_DEFAULT  (INT64_C(1) << 20)
#define MESSAGE_TIMEOUT_MS    60000
#define BUFFERED_DEFAULT      ((size_t)64 << 20)
#define BUS_WRITE_DEADLINE_MS 500
#define BUS_PING_INTERVAL_MS  2000
#define BUS_FLUSH_AT_END_MS   1000
#define BUS_ROUTED_TIMEOUT_MS 2000
#define CLIENT_NAME_SIZE      64

static const int watched_signals[] = {SIGTERM, SIGINT, SIGHUP};
#define SIGNAL_COUNT (sizeof watched_signals / sizeof *watched_signals)

struct callback {
    service_handler *handler;
    void *arg;
};

struct service_state {
    struct broker_watch *broker; /* NULL where there is no bus */
    struct ops *ops;
    struct process_metrics *process;
    uv_signal_t signals[SIGNAL_COUNT];
    uv_timer_t drain_timer;
    struct callback connected, drain, reload;
    struct metric *ready_metric;
    bool routed; /* the subscriptions stand at the broker */
    bool ready, draining;
    bool ending; /* the service's own parts are gone: nothing of it is called any more */
    bool flushed;
    bool hurried; /* by a second signal */
};

static void call(const struct callback *callback)
{
    if (callback->handler)
        callback->handler(callback->arg);
}

/* ---- readiness */

static const char *reason_not_ready(void *arg)
{
    const struct service_state *state = arg;
    if (state->draining)
        return "draining";
    const char *reason = state->broker ? broker_watch_reason(state->broker) : NULL;
    if (!reason && state->broker && !state->routed)
        reason = "the subscriptions are being made";
    return reason;
}

/* To be called after every change of what it depends on. */
static void update_ready(struct service_state *state)
{
    bool ready = reason_not_ready(state) == NULL;
    if (ready && !state->ready)
        log_info("ready");
    state->ready = ready;
    metric_set(state->ready_metric, ready);
}

static void on_nobody(void *arg, int err, const struct bus_message *reply)
{
    (void)reply;
    struct service_state *state = arg;
    if (state->ending || err == ERR_DISCONNECTED) /* the next connection asks again */
        return;
    state->routed = true;
    update_ready(state);
}

/* The broker takes what one client says in order: once it has said that nobody is there, it knows our subscriptions. */
static void on_broker_up(void *arg)
{
    struct service *service = arg;
    if (service->state->ending)
        return;
    call(&service->state->connected);
    bus_call(service->bus, SUBJECT_NOBODY, NULL, NULL, BUS_ROUTED_TIMEOUT_MS, on_nobody, NULL, service->state);
}

static void on_broker_down(void *arg)
{
    struct service *service = arg;
    service->state->routed = false;
    if (!service->state->ending)
        update_ready(service->state);
}

/* ---- signals and the drain */

static void on_drain_time_over(uv_timer_t *timer)
{
    log_warning("drain took too long");
    uv_stop(timer->loop);
}

static void drain(struct service *service)
{
    struct service_state *state = service->state;
    log_info("draining", LOG_INT("seconds", service->common.drain_seconds));
    state->draining = true;
    update_ready(state);
    uint64_t limit_ms = (uint64_t)service->common.drain_seconds * 1000;
    uv_timer_start(&state->drain_timer, on_drain_time_over, limit_ms, 0);
    if (state->drain.handler)
        call(&state->drain);
    else
        service_drained(service);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct service *service = handle->data;
    struct service_state *state = service->state;
    if (state->ending)
        return;
    if (number == SIGHUP) {
        call(&state->reload);
    } else if (!state->draining) {
        drain(service);
    } else {
        log_warning("stopped by a second signal");
        state->hurried = true;
        uv_stop(&service->loop);
    }
}

bool service_draining(const struct service *service)
{
    return service->state->draining;
}

void service_drained(struct service *service)
{
    assert(service->state->draining);
    uv_stop(&service->loop);
}

void service_on_connected(struct service *service, service_handler *handler, void *arg)
{
    service->state->connected = (struct callback){handler, arg};
    if (handler && service->state->broker && !broker_watch_reason(service->state->broker))
        handler(arg);
}

void service_on_drain(struct service *service, service_handler *handler, void *arg)
{
    service->state->drain = (struct callback){handler, arg};
}

void service_on_reload(struct service *service, service_handler *handler, void *arg)
{
    service->state->reload = (struct callback){handler, arg};
}

/* ---- begin */

/* Every connection is a file; the soft limit is often 1,024. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("the limit of open files could not be raised", LOG_TEXT("error", strerror(errno)));
}

static void watch_signals(struct service *service)
{
    struct service_state *state = service->state;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        uv_signal_init(&service->loop, &state->signals[i]);
        state->signals[i].data = service;
        uv_signal_start(&state->signals[i], on_signal, watched_signals[i]);
    }
}

static void start_bus(struct service *service)
{
    static const struct broker_watch_handlers handlers = {.up = on_broker_up, .down = on_broker_down};
    const struct common_settings *common = &service->common;
    char name[CLIENT_NAME_SIZE];
    snprintf(name, sizeof name, "parley-%s-%s", service->spec->name, service->id);
    const struct bus_options options = {
        .name = name,
        .url = common->nats_url,
        .user = common->nats_user,
        .password = common->nats_password,
        .queue_bytes = common->bus_queue_bytes,
        .inbox_messages = common->bus_inbox_messages,
        .write_deadline_ms = BUS_WRITE_DEADLINE_MS,
        .ping_interval_ms = BUS_PING_INTERVAL_MS,
    };
    service->bus = bus_new(&service->loop, &options, service->metrics);
    service->state->broker =
        broker_watch_new(&service->loop, service->bus, service->spec->uses_store ? common : NULL, &handlers, service);
}

static int start_web(struct service *service)
{
    const struct service_spec *spec = service->spec;
    const struct common_settings *common = &service->common;
    int64_t size_limit = spec->message_size_limit ? spec->message_size_limit(service->settings) : MESSAGE_SIZE_DEFAULT;
    service->budget.max =
        spec->max_buffered_bytes ? (size_t)spec->max_buffered_bytes(service->settings) : BUFFERED_DEFAULT;
    const struct web_options options = {
        .max_connections = OPS_CONNECTIONS + (spec->max_connections ? spec->max_connections(service->settings) : 0),
        .message_size_limit = size_limit,
        .body_size_limit = size_limit,
        .message_timeout_ms = MESSAGE_TIMEOUT_MS,
        .budget = &service->budget,
    };
    service->web = web_new(&service->loop, &options);
    int err = ops_new(service->web, common->ops_host, (uint16_t)common->ops_port, service->metrics, reason_not_ready,
                      service->state, &service->state->ops);
    if (err)
        log_error("cannot listen on OPS_HOST and OPS_PORT", LOG_TEXT("host", common->ops_host),
                  LOG_INT("port", common->ops_port),
                  LOG_TEXT("error", err == ERR_SYSTEM ? strerror(errno) : "not a numeric address"));
    return err;
}

static int start(struct service *service)
{
    struct service_state *state = service->state;
    uv_loop_init(&service->loop);
    watch_signals(service);
    uv_timer_init(&service->loop, &state->drain_timer);
    service->metrics = metrics_new();
    state->ready_metric = metrics_gauge(service->metrics, "parley_ready", "1 while /readyz answers 200", NULL);
    state->process = process_metrics_new(&service->loop, service->metrics, service->spec->name);
    int err = start_web(service);
    if (!err && service->spec->uses_bus)
        start_bus(service);
    return err;
}

int service_init(struct service *service, const struct service_spec *spec, void *settings, int argc, char **argv)
{
    *service = (struct service){.spec = spec, .settings = settings};
    int status = service_cli(spec, settings, &service->common, argc, argv);
    if (status != SERVICE_GOES_ON)
        return status;
    log_init(spec->name, service->common.log_level, service->common.log_format);
    raise_file_limit();
    id_short(service->id);
    service->state = mem_alloc(sizeof *service->state);
    if (start(service)) {
        service_deinit(service);
        return STATUS_FAILED;
    }
    return SERVICE_GOES_ON;
}

void service_run(struct service *service)
{
    log_info("started", LOG_TEXT("version", PARLEY_VERSION), LOG_TEXT("id", service->id), LOG_INT("pid", getpid()));
    update_ready(service->state);
    uv_run(&service->loop, UV_RUN_DEFAULT);
}

/* ---- end */

static void on_flushed(void *arg)
{
    ((struct service_state *)arg)->flushed = true;
}

/* The last words of the service's parts are still in the queue: jobs handed back, events. */
static void flush_bus(struct service *service)
{
    if (service->state->hurried || !bus_connected(service->bus))
        return;
    bus_flush(service->bus, BUS_FLUSH_AT_END_MS, on_flushed, service->state);
    while (!service->state->flushed)
        uv_run(&service->loop, UV_RUN_ONCE);
}

static void stop_signals(struct service *service)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        uv_close((uv_handle_t *)&service->state->signals[i], NULL);
    uv_close((uv_handle_t *)&service->state->drain_timer, NULL);
}

/* Runs until all handles are closed (again where it was asked to stop once more). One that somebody forgot is our own
 * bug. */
static void close_loop(uv_loop_t *loop)
{
    while (uv_run(loop, UV_RUN_DEFAULT) != 0)
        continue;
    int busy = uv_loop_close(loop);
    assert(busy == 0);
    (void)busy;
}

int service_deinit(struct service *service)
{
    struct service_state *state = service->state;
    state->ending = true;
    web_free(&service->web);
    if (service->bus) {
        flush_bus(service);
        bus_free(&service->bus);
    }
    broker_watch_free(&state->broker);
    process_metrics_free(&state->process);
    stop_signals(service);
    close_loop(&service->loop);
    ops_free(&state->ops);
    metrics_free(&service->metrics);
    free(state);
    service->state = NULL;
    log_info("stopped");
    if (service->spec->settings)
        settings_deinit(service->spec->settings, service->settings);
    settings_deinit(common_settings_table, &service->common);
    return 0;
}
