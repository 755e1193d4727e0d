#include "dialect_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dialect_fuzz(&dialect_minimal, "/ws/chat/ann", NULL, data, size);
    return 0;
}
