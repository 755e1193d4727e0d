/* The tools service: runs one tool call at a time for whoever asks, under limits, where it can block nothing else. Any
 * number of them share the work. */
#include "tools.h"

static const struct service_spec spec = {
    .name = "tools",
    .summary = "Runs tool calls, under limits.",
    .settings = tools_settings_table,
    .check = tools_settings_check,
    .uses_bus = true,
};

int main(int argc, char **argv)
{
    struct tools_settings settings = {0};
    struct service service;
    int status = service_init(&service, &spec, &settings, argc, argv);
    if (status != SERVICE_GOES_ON)
        return status;
    struct tools *tools = tools_new(&service, &settings);
    service_run(&service);
    tools_free(&tools);
    return service_deinit(&service);
}
