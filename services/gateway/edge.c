#include "edge.h"

#include "admission.h"
#include "clock.h"
#include "connection.h"
#include "log.h"
#include "pages.h"
#include "rest.h"

#include <errno.h>
#include <string.h>

static int on_upgrade(void *arg, const struct web_head *head, const char **reason)
{
    return admission_decide(arg, head, reason);
}

static void *on_opened(void *arg, struct web_socket *socket, const struct web_head *head)
{
    return connection_open(arg, socket, dialect_at(head->path), head);
}

static void on_received(void *connection, const char *bytes, size_t len, bool binary)
{
    connection_receive(connection, bytes, len, binary);
}

static void on_writable(void *connection)
{
    connection_write(connection);
}

static void on_ponged(void *connection)
{
    connection_ponged(connection);
}

static void on_closed(void *arg)
{
    struct connection *connection = arg;
    connection_free(&connection);
}

/* RFC 9110, section 15.5.20. */
static void refuse_host(struct web_exchange *exchange)
{
    static const char text[] = "this host is not served here: WS_ALLOWED_ORIGINS lists those that are\n";
    struct buf body = {0};
    buf_append(&body, text, sizeof text - 1);
    web_respond(exchange, 421, "text/plain; charset=utf-8", NULL, &body);
}

static void on_request(void *arg, struct web_exchange *exchange, const struct web_head *head, const char *body,
                       size_t len)
{
    struct gateway *gateway = arg;
    if (!admission_host_passes(gateway, head))
        refuse_host(exchange);
    else if (!pages_handle(gateway->pages, exchange, head))
        rest_handle(gateway, exchange, head, body, len);
}

static const struct web_handlers handlers = {
    .upgrade = on_upgrade,
    .opened = on_opened,
    .received = on_received,
    .writable = on_writable,
    .ponged = on_ponged,
    .closed = on_closed,
    .request = on_request,
};

static int listen_on(struct gateway *gateway, const char *setting, int64_t port)
{
    const struct gateway_settings *settings = gateway->settings;
    struct web_listener *listener;
    const char *host = gateway_settings_host(settings);
    int err = web_listen(gateway->service->web, gateway->site, host, (uint16_t)port, settings->listen_share, &listener);
    if (err)
        log_error("cannot listen", LOG_TEXT("setting", setting), LOG_TEXT("host", host), LOG_INT("port", port),
                  LOG_TEXT("error", err == ERR_SYSTEM ? strerror(errno) : err_text(err)));
    else
        log_info("listening", LOG_TEXT("setting", setting), LOG_TEXT("host", host),
                 LOG_INT("port", web_listener_port(listener)));
    return err;
}

int edge_listen(struct gateway *gateway)
{
    const struct gateway_settings *settings = gateway->settings;
    const struct {
        const char *setting;
        int64_t port;
    } more[] = {
        {"YYCHAT_PORT", settings->yychat_port},
        {"CONTACT_PORT", settings->contact_port},
        {"LANGBOT_PORT", settings->langbot_port},
        {"MINIMAL_PORT", settings->minimal_port},
    };
    gateway->site = web_site_new(gateway->service->web, &handlers, gateway);
    int err = listen_on(gateway, "PORT", settings->port);
    for (size_t i = 0; !err && i < sizeof more / sizeof *more; i++)
        if (more[i].port)
            err = listen_on(gateway, more[i].setting, more[i].port);
    if (!err && !gateway->tokens && !gateway_host_is_loopback(gateway_settings_host(settings)))
        log_warning("open to other machines, without authentication", LOG_TEXT("host", settings->host));
    return err;
}
