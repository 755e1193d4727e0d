/* The gateway: WebSocket and HTTP in and out. Any number of them, and a client may come to any. */
#include "authentication.h"
#include "edge.h"
#include "gateway.h"

static const struct service_spec spec = {
    .name = "gateway",
    .summary = "Holds the clients' WebSockets, speaks their protocols, and streams the answers to them.",
    .settings = gateway_settings_table,
    .check = gateway_settings_check,
    .max_connections = gateway_settings_sockets,
    .message_size_limit = gateway_settings_message_size,
    .max_buffered_bytes = gateway_settings_buffered,
    .uses_bus = true,
    .uses_store = true,
};

int main(int argc, char **argv)
{
    struct gateway_settings settings = {0};
    struct service service;
    int status = service_init(&service, &spec, &settings, argc, argv);
    if (status != SERVICE_GOES_ON)
        return status;
    struct gateway *gateway = gateway_new(&service, &settings);
    int err = authentication_load(gateway);
    if (!err)
        err = edge_listen(gateway);
    if (!err)
        service_run(&service);
    gateway_stop(gateway);
    status = service_deinit(&service);
    gateway_free(&gateway); /* last: while the web closes, it still tells */
    return err ? 1 : status;
}
