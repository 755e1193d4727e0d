#include "registry.h"

#include "command_file.h"
#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct tool *const built_in[] = {&tool_calculator, &tool_current_time};

struct registry {
    struct registry_tool **tools;
    size_t count;
};

static void free_tool(struct registry_tool *tool)
{
    free(tool->name);
    free(tool->description);
    free(tool->parameters);
    json_decref(tool->schema);
    for (size_t i = 0; tool->command && tool->command[i]; i++)
        free(tool->command[i]);
    free(tool->command);
    free(tool);
}

static void add(struct registry *registry, struct registry_tool *tool)
{
    registry->tools = mem_realloc(registry->tools, (registry->count + 1) * sizeof *registry->tools);
    registry->tools[registry->count++] = tool;
}

static struct registry_tool *new_built_in(const struct tool *tool)
{
    struct registry_tool *t = mem_alloc(sizeof *t);
    t->name = mem_strdup(tool->name);
    t->description = mem_strdup(tool->description);
    t->parameters = mem_strdup(tool->parameters);
    t->schema = json_loads(tool->parameters, 0, NULL);
    t->built_in = tool;
    assert(t->schema);
    return t;
}

struct registry *registry_new(void)
{
    struct registry *registry = mem_alloc(sizeof *registry);
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        if (built_in[i]->prepare)
            built_in[i]->prepare();
        add(registry, new_built_in(built_in[i]));
    }
    return registry;
}

static void shrink(struct registry *registry, size_t count)
{
    while (registry->count > count)
        free_tool(registry->tools[--registry->count]);
}

void registry_free(struct registry **registry)
{
    shrink(*registry, 0);
    free((*registry)->tools);
    free(*registry);
    *registry = NULL;
}

int registry_load(struct registry *registry, const char *path, char *reason, size_t reason_size)
{
    json_t *tools;
    int err = command_file_read(path, &tools, reason, reason_size);
    if (err)
        return err;
    size_t before = registry->count;
    for (size_t i = 0; i < json_array_size(tools) && !err; i++) {
        struct registry_tool *tool = mem_alloc(sizeof *tool);
        err = command_file_tool(json_array_get(tools, i), i, tool, reason, reason_size);
        if (!err && registry_find(registry, tool->name))
            err = command_file_fail(reason, reason_size, i, "name", "is taken by another tool");
        if (err)
            free_tool(tool);
        else
            add(registry, tool);
    }
    json_decref(tools);
    if (err)
        shrink(registry, before);
    return err;
}

static struct metric *counter(struct metrics *metrics, const char *tool, const char *status)
{
    struct buf labels = {0};
    buf_printf(&labels, "tool=\"%s\",status=\"%s\"", tool, status);
    struct metric *metric =
        metrics_counter(metrics, "parley_tool_calls_total", "tool calls, by how they ended", labels.data);
    buf_deinit(&labels);
    return metric;
}

static struct metric *histogram(struct metrics *metrics, const char *tool)
{
    struct buf labels = {0};
    buf_printf(&labels, "tool=\"%s\"", tool);
    struct metric *metric = metrics_histogram(metrics, "parley_tool_seconds", "time that tool calls took", labels.data,
                                              metrics_seconds, metrics_seconds_count);
    buf_deinit(&labels);
    return metric;
}

void registry_add_metrics(struct registry *registry, struct metrics *metrics)
{
    for (size_t i = 0; i < registry->count; i++) {
        struct registry_tool *tool = registry->tools[i];
        tool->metrics.ok = counter(metrics, tool->name, "ok");
        tool->metrics.failed = counter(metrics, tool->name, "failed");
        tool->metrics.cancelled = counter(metrics, tool->name, "cancelled");
        tool->metrics.seconds = histogram(metrics, tool->name);
    }
}

size_t registry_count(const struct registry *registry)
{
    return registry->count;
}

const struct registry_tool *registry_at(const struct registry *registry, size_t index)
{
    assert(index < registry->count);
    return registry->tools[index];
}

const struct registry_tool *registry_find(const struct registry *registry, const char *name)
{
    for (size_t i = 0; i < registry->count; i++)
        if (strcmp(registry->tools[i]->name, name) == 0)
            return registry->tools[i];
    return NULL;
}
