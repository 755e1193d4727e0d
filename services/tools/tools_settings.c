#include "tools_settings.h"

#include "registry.h"

#include <stdio.h>

#define FIELD(name) offsetof(struct tools_settings, name)

const struct setting tools_settings_table[] = {
    {"TOOL_TIMEOUT_MS", SETTING_INTEGER, FIELD(timeout_ms), "10000", 10, 600000, "ms",
     "how long one tool call may run, where the tool has no time of its own; never longer than its caller waits",
     false},
    {"TOOL_MAX_OUTPUT", SETTING_INTEGER, FIELD(max_output), "65536", 64, 4194304, "bytes",
     "size of one call's result; a tool that writes more is stopped, and its call fails", false},
    {"TOOL_MAX_ARGUMENTS", SETTING_INTEGER, FIELD(max_arguments), "65536", 64, 1048576, "bytes",
     "size of one call's arguments", false},
    {"TOOL_MAX_CONCURRENT", SETTING_INTEGER, FIELD(max_concurrent), "64", 1, 4096, "calls",
     "calls that one process runs at a time", false},
    {"TOOL_MAX_QUEUED", SETTING_INTEGER, FIELD(max_queued), "1024", 0, 100000, "calls",
     "calls that wait for their turn; more are refused", false},
    {"TOOL_REMEMBERED_BYTES", SETTING_INTEGER, FIELD(remembered_bytes), "16777216", 0, 1073741824, "bytes",
     "results kept for a minute, to answer a call that comes again without running it twice", false},
    {"TOOLS_CONFIG", SETTING_TEXT, FIELD(config), NULL, 1, 4096, "file",
     "JSON file with the commands that are offered as tools besides the built-in ones", false},
    {0},
};

int tools_settings_check(const void *settings, char *reason, size_t reason_size)
{
    const struct tools_settings *tools = settings;
    if (!tools->config)
        return ERR_NONE;
    char detail[512];
    struct registry *registry = registry_new();
    int err = registry_load(registry, tools->config, detail, sizeof detail);
    registry_free(&registry);
    if (err)
        snprintf(reason, reason_size, "TOOLS_CONFIG: %s", detail);
    return err;
}
