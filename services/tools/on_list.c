/* The list of tools.
 *
 *   subject   SUBJECT_TOOLS_LIST, one process of the queue group: all are set up alike
 *   from      an agent, to offer them to a model; a router
 *   answers   ToolList */
#include "log.h"
#include "mem.h"
#include "tools.h"

#include <stdlib.h>
#include <string.h>

static ProtobufCBinaryData text_of(char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

static void pack_list(const struct registry *registry, struct buf *out)
{
    size_t count = registry_count(registry);
    Parley__ToolDescription *descriptions = mem_alloc(count * sizeof *descriptions);
    Parley__ToolDescription **pointers = mem_alloc(count * sizeof *pointers);
    for (size_t i = 0; i < count; i++) {
        const struct registry_tool *tool = registry_at(registry, i);
        parley__tool_description__init(&descriptions[i]);
        descriptions[i].name = tool->name;
        descriptions[i].description = text_of(tool->description);
        descriptions[i].parameters = text_of(tool->parameters);
        pointers[i] = &descriptions[i];
    }
    Parley__ToolList list = PARLEY__TOOL_LIST__INIT;
    list.tools = pointers;
    list.n_tools = count;
    wire_pack(&list.base, out);
    free(descriptions);
    free(pointers);
}

void on_list(void *arg, const struct bus_message *message)
{
    struct tools *tools = arg;
    if (!message->reply)
        return;
    struct buf packed = {0};
    pack_list(tools->registry, &packed);
    int err = bus_publish(tools->service->bus, message->reply, NULL, NULL, &packed);
    if (err)
        log_warning("the list of tools could not be sent", LOG_ERR(err));
    buf_deinit(&packed);
}
