#include "toolbox.h"

#include "id.h"
#include "mem.h"
#include "subjects.h"
#include "tool.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define REFRESH_MS       10000
#define FIRST_REFRESH_MS 250 /* while no list ever came */
#define REQUEST_MS       5000
#define TOOLS_MAX        1000

struct toolbox {
    struct bus *bus;
    struct alarms *alarms;
    struct wire_arena *arena;
    struct alarm alarm;
    struct bus_request *request;
    struct prompt_tool *tools; /* the texts are ours */
    size_t count;
    bool known;
};

static void forget_tools(struct toolbox *toolbox)
{
    for (size_t i = 0; i < toolbox->count; i++) {
        free((char *)toolbox->tools[i].name);
        free((char *)toolbox->tools[i].description);
        free((char *)toolbox->tools[i].parameters);
    }
    free(toolbox->tools);
    toolbox->tools = NULL;
    toolbox->count = 0;
}

static char *text_of(ProtobufCBinaryData bytes, const char *fallback)
{
    return bytes.len > 0 ? mem_strndup((const char *)bytes.data, bytes.len) : mem_strdup(fallback);
}

static void take_list(struct toolbox *toolbox, const Parley__ToolList *list)
{
    size_t count = list->n_tools < TOOLS_MAX ? list->n_tools : TOOLS_MAX;

    forget_tools(toolbox);
    toolbox->known = true;
    if (count == 0)
        return;
    toolbox->tools = mem_alloc(count * sizeof *toolbox->tools);
    for (size_t i = 0; i < count; i++) {
        const Parley__ToolDescription *tool = list->tools[i];
        if (!id_is_token_text(tool->name))
            continue;
        toolbox->tools[toolbox->count++] = (struct prompt_tool){
            .name = mem_strdup(tool->name),
            .description = text_of(tool->description, ""),
            .parameters = text_of(tool->parameters, "{\"type\":\"object\"}"),
        };
    }
}

static void on_alarm(void *arg)
{
    toolbox_refresh(arg);
}

static void ask_later(struct toolbox *toolbox)
{
    alarm_set(toolbox->alarms, &toolbox->alarm, toolbox->known ? REFRESH_MS : FIRST_REFRESH_MS, on_alarm, toolbox);
}

static void on_list(void *arg, int err, const struct bus_message *reply)
{
    struct toolbox *toolbox = arg;
    Parley__ToolList *list;

    if (err == ERR_NONE &&
        wire_unpack(toolbox->arena, &parley__tool_list__descriptor, reply->data, reply->len, &list) == ERR_NONE)
        take_list(toolbox, list);
    ask_later(toolbox);
}

void toolbox_refresh(struct toolbox *toolbox)
{
    if (toolbox->request != NULL)
        return;
    if (bus_request(toolbox->bus, SUBJECT_TOOLS_LIST, NULL, NULL, REQUEST_MS, on_list, toolbox, &toolbox->request) !=
        ERR_NONE)
        ask_later(toolbox);
}

struct toolbox *toolbox_new(struct bus *bus, struct alarms *alarms, struct wire_arena *arena)
{
    struct toolbox *toolbox = mem_alloc(sizeof *toolbox);

    toolbox->bus = bus;
    toolbox->alarms = alarms;
    toolbox->arena = arena;
    return toolbox;
}

void toolbox_free(struct toolbox **toolbox)
{
    bus_request_cancel(&(*toolbox)->request);
    alarm_clear((*toolbox)->alarms, &(*toolbox)->alarm);
    forget_tools(*toolbox);
    free(*toolbox);
    *toolbox = NULL;
}

static bool allowed(const Parley__Job *job, const char *name)
{
    if (!job->use_tools)
        return false;
    if (job->persona == NULL || job->persona->n_tools == 0)
        return true;
    for (size_t i = 0; i < job->persona->n_tools; i++)
        if (strcmp(job->persona->tools[i], name) == 0)
            return true;
    return false;
}

struct prompt_tool *toolbox_offer(const struct toolbox *toolbox, const Parley__Job *job, size_t *count)
{
    struct prompt_tool *offer = NULL;

    *count = 0;
    for (size_t i = 0; i < toolbox->count; i++) {
        if (!allowed(job, toolbox->tools[i].name))
            continue;
        if (offer == NULL)
            offer = mem_alloc((toolbox->count - i) * sizeof *offer);
        offer[(*count)++] = toolbox->tools[i];
    }
    return offer;
}

const char *toolbox_objection(const struct toolbox *toolbox, const Parley__Job *job, const char *name)
{
    size_t i = 0;

    while (i < toolbox->count && strcmp(toolbox->tools[i].name, name) != 0)
        i++;
    if (i == toolbox->count && toolbox->known) /* else the tools service itself will say so */
        return "there is no tool of this name";
    return allowed(job, name) ? NULL : "this tool is not allowed here";
}
