#include "err.h"

#define ERR_TEXT(name, text) [name] = text,
static const char *const texts[] = {ERR_TABLE(ERR_TEXT)};

const char *err_text(int err)
{
    return err >= 0 && err < ERR_COUNT ? texts[err] : "unknown error";
}
