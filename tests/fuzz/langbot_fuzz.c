#include "dialect_fuzz.h"
#include "dialect_rest.h"
#include "mem.h"

#include <stdlib.h>

/* The input as a path and as a body of a call. */
static void fuzz_calls(const uint8_t *data, size_t size)
{
    struct langbot_call call;
    struct buf message = {0};
    char *path = mem_strndup((const char *)data, size);
    if (langbot_find_call(path, &call) && call.pipeline[0] && !id_is_token_text(call.pipeline))
        abort();
    if (!langbot_read_broadcast((const char *)data, size, &message) && message.len == 0)
        abort();
    buf_deinit(&message);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dialect_fuzz(&dialect_langbot, "/api/v1/pipelines/11111111-1111-4111-8111-111111111111/ws/connect", "group", data,
                 size);
    fuzz_calls(data, size);
    return 0;
}
