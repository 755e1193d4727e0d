/* The agent: takes jobs from the queue, and runs their turns. */
#include "agent.h"

static const struct service_spec spec = {
    .name = "agent",
    .summary = "Runs turns: prompts the model, streams its answer, calls tools, until the answer is done.",
    .settings = agent_settings_table,
    .check = agent_settings_check,
    .uses_bus = true,
    .uses_store = true,
};

int main(int argc, char **argv)
{
    struct agent_settings settings = {0};
    struct service service;

    int status = service_init(&service, &spec, &settings, argc, argv);
    if (status != SERVICE_GOES_ON)
        return status;
    struct agent *agent = agent_new(&service, &settings);
    service_run(&service);
    agent_free(&agent);
    return service_deinit(&service);
}
