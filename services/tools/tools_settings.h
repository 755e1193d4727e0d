#ifndef PARLEY_TOOLS_SETTINGS_H
#define PARLEY_TOOLS_SETTINGS_H

#include "settings.h"

struct tools_settings {
    int64_t timeout_ms;
    int64_t max_output;
    int64_t max_arguments;
    int64_t max_concurrent;
    int64_t max_queued;
    int64_t remembered_bytes;
    char *config;
};

extern const struct setting tools_settings_table[];
/* Reads TOOLS_CONFIG too, so that what is wrong in it is told like a wrong setting. */
int tools_settings_check(const void *settings, char *reason, size_t reason_size);

#endif
