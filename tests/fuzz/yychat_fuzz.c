#include "dialect_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dialect_fuzz(&dialect_yychat, "/ws/chat", NULL, data, size);
    return 0;
}
