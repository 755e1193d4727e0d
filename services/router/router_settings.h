#ifndef PARLEY_ROUTER_SETTINGS_H
#define PARLEY_ROUTER_SETTINGS_H

#include "settings.h"

struct router_settings {
    char *config; /* path; NULL: what is built in */
    int64_t webhook_timeout_ms;
    int64_t turn_start_timeout_ms;
    int64_t call_tool_timeout_ms;
    int64_t conversation_max_turns;
    int64_t conversation_max_bytes;
    int64_t question_max_bytes, contact_max_bytes;
    int64_t credential_max_bytes;
    int64_t max_commands;
    char *pool;
};

extern const struct setting router_settings_table[];
int router_settings_check(const void *settings, char *reason, size_t reason_size);

#endif
