/* The demo model: an OpenAI-compatible stand-in, so that everything runs without a key. Not for production. */
#include "demo_settings.h"
#include "server.h"
#include "service.h"

static int64_t max_connections(const void *settings)
{
    return ((const struct demo_settings *)settings)->max_connections;
}

static int64_t max_body(const void *settings)
{
    return ((const struct demo_settings *)settings)->max_body_bytes;
}

static const struct service_spec spec = {
    .name = "demo-model",
    .summary = "Stands in for a model provider: OpenAI's interface without a model behind it.",
    .settings = demo_settings_table,
    .max_connections = max_connections,
    .message_size_limit = max_body,
};

int main(int argc, char **argv)
{
    struct demo_settings settings = {0};
    struct service service;
    int status = service_init(&service, &spec, &settings, argc, argv);
    if (status != SERVICE_GOES_ON)
        return status;
    struct server *server = server_new(&service, &settings);
    bool listening = server_listen(server) == ERR_NONE;
    if (listening)
        service_run(&service);
    server_free(&server);
    status = service_deinit(&service);
    return listening ? status : 1;
}
