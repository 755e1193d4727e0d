#include "ops.h"

#include "log.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_PLAIN   "text/plain; charset=utf-8"
#define TEXT_METRICS "text/plain; version=0.0.4; charset=utf-8"

struct ops {
    const struct metrics *metrics;
    ops_readiness *readiness;
    void *arg;
    size_t metrics_size; /* of the last answer: the next one is about as large */
};

static void respond_line(struct web_exchange *exchange, int status, const char *const *headers, const char *line)
{
    struct buf body = {0};
    buf_printf(&body, "%s\n", line);
    web_respond(exchange, status, TEXT_PLAIN, headers, &body);
    buf_deinit(&body);
}

static void on_healthz(struct ops *ops, struct web_exchange *exchange)
{
    (void)ops;
    respond_line(exchange, 200, NULL, "ok");
}

static void on_readyz(struct ops *ops, struct web_exchange *exchange)
{
    const char *reason = ops->readiness(ops->arg);
    respond_line(exchange, reason ? 503 : 200, NULL, reason ? reason : "ready");
}

static void on_metrics(struct ops *ops, struct web_exchange *exchange)
{
    struct buf body = {0};
    buf_reserve(&body, ops->metrics_size);
    metrics_append(ops->metrics, &body);
    ops->metrics_size = body.len;
    web_respond(exchange, 200, TEXT_METRICS, NULL, &body);
    buf_deinit(&body);
}

static const struct route {
    const char *path;
    void (*handler)(struct ops *ops, struct web_exchange *exchange);
} routes[] = {{"/healthz", on_healthz}, {"/readyz", on_readyz}, {"/metrics", on_metrics}};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    }
    return NULL;
}

static void on_request(void *arg, struct web_exchange *exchange, const struct web_head *head, const char *body,
                       size_t len)
{
    static const char *const allow[] = {"Allow", "GET, HEAD", NULL};
    (void)body;
    (void)len;
    const struct route *route = find_route(head->path);
    if (!route)
        respond_line(exchange, 404, NULL, "not found; there are /healthz, /readyz and /metrics");
    else if (strcmp(head->method, "GET") != 0 && strcmp(head->method, "HEAD") != 0)
        respond_line(exchange, 405, allow, "only GET and HEAD");
    else
        route->handler(arg, exchange);
}

int ops_new(struct web *web, const char *host, uint16_t port, const struct metrics *metrics, ops_readiness *readiness,
            void *arg, struct ops **out)
{
    static const struct web_handlers handlers = {.request = on_request};
    struct ops *ops = mem_alloc(sizeof *ops);
    *ops = (struct ops){.metrics = metrics, .readiness = readiness, .arg = arg};
    struct web_listener *listener;
    struct web_site *site = web_site_new(web, &handlers, ops);
    int err = web_listen(web, site, host, port, false, &listener);
    if (err) {
        /* The site refers to it, but without a listener nothing ever reaches that site. */
        free(ops);
        return err;
    }
    log_info("operations port", LOG_INT("port", web_listener_port(listener)));
    *out = ops;
    return ERR_NONE;
}

void ops_free(struct ops **ops)
{
    free(*ops);
    *ops = NULL;
}
