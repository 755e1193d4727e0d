#ifndef PARLEY_DEMO_SETTINGS_H
#define PARLEY_DEMO_SETTINGS_H

#include "settings.h"

struct demo_settings {
    char *host;
    int64_t port;
    int64_t tokens_per_second;
    int64_t max_streams;
    int64_t max_connections;
    int64_t max_body_bytes;
    int64_t max_messages;
    int64_t max_words;
};

extern const struct setting demo_settings_table[];

#endif
