#include "provider.h"

#include <stdlib.h>
#include <string.h>

static const struct provider *const providers[] = {&provider_openai};

const struct provider *provider_find(const char *vendor)
{
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (strcmp(providers[i]->vendor, vendor) == 0)
            return providers[i];
    return NULL;
}

void provider_request_deinit(struct provider_request *request)
{
    buf_deinit(&request->url);
    for (size_t i = 0; i < sizeof request->headers / sizeof *request->headers; i++)
        buf_deinit(&request->headers[i]);
    buf_deinit(&request->body);
}

void tool_call_deinit(struct tool_call *call)
{
    free(call->id);
    free(call->name);
    buf_deinit(&call->arguments);
    *call = (struct tool_call){0};
}
