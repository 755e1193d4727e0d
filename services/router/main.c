/* The router: takes one command at a time and keeps nothing but its configuration. Any number of them share the work.
 */
#include "router.h"

#include <stdlib.h>

static const struct service_spec spec = {
    .name = "router",
    .summary = "Turns questions into jobs for the agents, and keeps the conversations.",
    .settings = router_settings_table,
    .check = router_settings_check,
    .uses_bus = true,
    .uses_store = true,
};

int main(int argc, char **argv)
{
    struct router_settings settings = {0};
    struct service service;
    int status = service_init(&service, &spec, &settings, argc, argv);
    if (status != SERVICE_GOES_ON)
        return status;
    struct router *router = router_new(&service, &settings);
    if (!router) {
        service_deinit(&service);
        return EXIT_FAILURE;
    }
    service_run(&service);
    router_stop(router);
    status = service_deinit(&service);
    router_free(&router);
    return status;
}
