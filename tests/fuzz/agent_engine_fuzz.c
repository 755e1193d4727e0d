#include "dialect_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dialect_fuzz(&dialect_agent_engine, "/ws/agent", NULL, data, size);
    return 0;
}
