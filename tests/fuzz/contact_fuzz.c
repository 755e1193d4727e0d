#include "dialect_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dialect_fuzz(&dialect_contact, "/contact", NULL, data, size);
    return 0;
}
