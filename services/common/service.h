/* What every service is: settings, logs, one loop, signals, a broker, an operations port, and an orderly end.
 *
 *   static const struct service_spec spec = {
 *       .name = "agent", .summary = "runs turns", .settings = agent_settings_table, …};
 *
 *   int main(int argc, char **argv)
 *   {
 *       struct agent_settings settings = {0};
 *       struct service service;
 *       int status = service_init(&service, &spec, &settings, argc, argv);
 *       if (status != SERVICE_GOES_ON)
 *           return status;
 *       struct agent *agent = agent_new(&service, &settings);
 *       service_run(&service);
 *       agent_free(&agent);
 *       return service_deinit(&service);
 *   }
 *
 * `--help`, `--version`, `--check` (asks /readyz of the process on OPS_PORT; exit 0 if ready) and `--settings-json`
 * (the settings tables, for documentation) end in service_init(). A wrong argument or setting ends it with status 2 and
 * one line that names it; an operations port that can't be had with status 1.
 *
 * /readyz answers 200 while the broker is connected, the store stands and nothing drains.
 *
 * SIGTERM or SIGINT begins the drain: /readyz turns 503, the drain handler is called once; service_drained() or
 * DRAIN_SECONDS later the loop stops, and the process exits 0. A second signal stops it at once. SIGHUP calls the
 * reload handler. SIGPIPE is ignored. */
#ifndef PARLEY_SERVICE_H
#define PARLEY_SERVICE_H

#include "budget.h"
#include "bus.h"
#include "metrics.h"
#include "settings.h"
#include "web.h"

#include <uv.h>

#define PARLEY_VERSION  "0.1.0"
#define SERVICE_GOES_ON (-1)

struct common_settings {
    char *nats_url, *nats_user, *nats_password;
    char *log_level, *log_format;
    char *ops_host;
    int64_t ops_port;
    int64_t drain_seconds;
    int64_t bus_queue_bytes;
    int64_t bus_inbox_messages;
    int64_t store_replicas;
    int64_t jobs_max_bytes, jobs_max_age_seconds;
    int64_t contacts_max_bytes, contacts_max_age_seconds;
    int64_t turns_max_bytes, turns_max_age_seconds;
    int64_t sessions_max_bytes, sessions_max_age_seconds;
    int64_t conversations_max_bytes, conversations_max_age_seconds;
};
extern const struct setting common_settings_table[];

struct service_spec {
    const char *name;               /* "agent" */
    const char *summary;            /* one sentence for --help */
    const struct setting *settings; /* the service's own table; NULL: none */
    /* Checks what concerns several settings; NULL: nothing. */
    int (*check)(const void *settings, char *reason, size_t reason_size);
    /* Sockets of any kind that the process will serve besides the operations port; 0 where it has no site of its own.
     */
    int64_t (*max_connections)(const void *settings);
    int64_t (*message_size_limit)(const void *settings); /* of WebSocket messages and bodies; NULL: 1 MiB */
    int64_t (*max_buffered_bytes)(const void *settings); /* of service.budget; NULL: 64 MiB */
    bool uses_bus;
    bool uses_store; /* streams and buckets (stores.h) are made before the service is ready */
};

struct service {
    const struct service_spec *spec;
    void *settings;
    struct common_settings common;
    uv_loop_t loop;
    struct metrics *metrics;
    struct bus *bus; /* NULL where the service uses none */
    struct web *web;
    struct budget budget;        /* what is held for peers; the web uses it, and the service may */
    char id[13];                 /* of this process, unique in an installation (id_short) */
    struct service_state *state; /* private */
};

int service_init(struct service *service, const struct service_spec *spec, void *settings, int argc, char **argv);
/* Returns when drained or stopped. */
void service_run(struct service *service);
/* Frees everything, what hangs on the loop last; returns the exit status. */
int service_deinit(struct service *service);

typedef void service_handler(void *arg);
/* Called when the broker is connected and, where it uses the store, all streams and buckets stand; again after every
 * reconnect; and once now if that is so already. */
void service_on_connected(struct service *service, service_handler *handler, void *arg);
void service_on_drain(struct service *service, service_handler *handler, void *arg);
void service_on_reload(struct service *service, service_handler *handler, void *arg);
bool service_draining(const struct service *service);
/* What has been published by now still leaves: service_deinit() flushes the bus. */
void service_drained(struct service *service);

#endif
