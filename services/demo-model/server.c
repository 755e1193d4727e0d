#include "server.h"

#include "chunks.h"
#include "clock.h"
#include "completions.h"
#include "json.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REASON_SIZE 256
#define JSON_TYPE   "application/json"

static const char welcome[] =
    "This is parley's demo model: it speaks OpenAI's chat completions, but there is no language model behind it.\n"
    "It answers by a few rules, so that you can see everything work without a key.\n\n"
    "  POST /v1/chat/completions\n"
    "  GET  /v1/models\n"
    "  GET  /stats\n\n"
    "Set OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL to talk to a real one.\n";

struct server {
    struct service *service;
    const struct demo_settings *settings;
    struct completions *completions;
    int64_t started; /* Unix seconds */
};

static void respond_error(struct web_exchange *exchange, int status, const char *message, const char *parameter,
                          const char *code)
{
    const char *type = status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
    struct buf body = {0};
    chunk_error(message, type, parameter, code, &body);
    web_respond(exchange, status, JSON_TYPE, NULL, &body);
    buf_deinit(&body);
}

/* ---- Paths */

static void complete(struct server *server, struct web_exchange *exchange, const char *body, size_t len)
{
    struct chat chat;
    const char *parameter;
    char reason[REASON_SIZE];
    if (service_draining(server->service)) {
        respond_error(exchange, 503, "the server is shutting down", NULL, NULL);
        return;
    }
    if (chat_parse(body, len, (size_t)server->settings->max_messages, &chat, &parameter, reason, sizeof reason)) {
        respond_error(exchange, 400, reason, parameter, NULL);
        return;
    }
    chat.max_words = server->settings->max_words;
    if (!completions_answer(server->completions, exchange, &chat)) {
        respond_error(exchange, 429, "too many answers at once; try again later", NULL, "rate_limit_exceeded");
        chat_deinit(&chat);
    }
}

static void list_models(struct server *server, struct web_exchange *exchange, const char *body, size_t len)
{
    (void)body;
    (void)len;
    struct buf out = {0};
    chunk_models(server->started, &out);
    web_respond(exchange, 200, JSON_TYPE, NULL, &out);
    buf_deinit(&out);
}

static void show_stats(struct server *server, struct web_exchange *exchange, const char *body, size_t len)
{
    (void)body;
    (void)len;
    struct completions_counts counts = completions_count(server->completions);
    struct buf out = {0};
    json_append_take(&out, json_pack("{s:I, s:I, s:I, s:I}", "active", (json_int_t)counts.active, "started",
                                     (json_int_t)counts.started, "finished", (json_int_t)counts.finished, "aborted",
                                     (json_int_t)counts.aborted));
    web_respond(exchange, 200, JSON_TYPE, NULL, &out);
    buf_deinit(&out);
}

static void show_welcome(struct server *server, struct web_exchange *exchange, const char *body, size_t len)
{
    (void)server;
    (void)body;
    (void)len;
    struct buf out = {0};
    buf_append_text(&out, welcome);
    web_respond(exchange, 200, "text/plain; charset=utf-8", NULL, &out);
    buf_deinit(&out);
}

static const struct {
    const char *method, *path;
    void (*handler)(struct server *server, struct web_exchange *exchange, const char *body, size_t len);
} paths[] = {
    {"POST", "/v1/chat/completions", complete},
    {"GET", "/v1/models", list_models},
    {"GET", "/stats", show_stats},
    {"GET", "/", show_welcome},
};

static void on_request(void *arg, struct web_exchange *exchange, const struct web_head *head, const char *body,
                       size_t len)
{
    bool known = false;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (strcmp(paths[i].path, head->path) != 0)
            continue;
        known = true;
        if (strcmp(paths[i].method, head->method) == 0) {
            paths[i].handler(arg, exchange, body, len);
            return;
        }
    }
    if (known)
        respond_error(exchange, 405, "this method is not allowed here", NULL, "method_not_allowed");
    else
        respond_error(exchange, 404, "there is nothing at this path", NULL, "not_found");
}

static const struct web_handlers handlers = {.request = on_request};

/* ---- Life */

static void on_idle(void *arg)
{
    struct server *server = arg;
    completions_on_idle(server->completions, NULL, NULL);
    service_drained(server->service);
}

static void on_drain(void *arg)
{
    struct server *server = arg;
    if (completions_count(server->completions).active == 0)
        on_idle(server);
    else
        completions_on_idle(server->completions, on_idle, server);
}

struct server *server_new(struct service *service, const struct demo_settings *settings)
{
    struct server *server = mem_alloc(sizeof *server);
    server->service = service;
    server->settings = settings;
    server->completions = completions_new(service, settings);
    server->started = clock_wall_ms() / 1000;
    service_on_drain(service, on_drain, server);
    return server;
}

int server_listen(struct server *server)
{
    const struct demo_settings *settings = server->settings;
    struct web_listener *listener;
    struct web_site *site = web_site_new(server->service->web, &handlers, server);
    int err = web_listen(server->service->web, site, settings->host, (uint16_t)settings->port, false, &listener);
    if (err) {
        log_error("can't listen", LOG_TEXT("host", settings->host), LOG_INT("port", settings->port),
                  LOG_TEXT("error", err == ERR_SYSTEM ? strerror(errno) : "HOST must be a numeric address"));
        return err;
    }
    log_info("listening", LOG_TEXT("host", settings->host), LOG_INT("port", web_listener_port(listener)));
    return ERR_NONE;
}

void server_free(struct server **server)
{
    completions_free(&(*server)->completions);
    free(*server);
    *server = NULL;
}
