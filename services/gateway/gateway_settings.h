/* The gateway's settings, beside those of every service. */
#ifndef PARLEY_GATEWAY_SETTINGS_H
#define PARLEY_GATEWAY_SETTINGS_H

#include "settings.h"

struct gateway_settings {
    char *host; /* NULL: not set; see gateway_settings_host() */
    int64_t port, yychat_port, contact_port, langbot_port, minimal_port;
    bool listen_share;
    char *tokens_file;     /* NULL: no authentication */
    char *allowed_origins; /* origins.h; NULL: the same host, and `null` on loopback */
    int64_t max_connections;
    int64_t heartbeat_interval_s;
    int64_t connection_timeout_s;
    int64_t message_size_limit;
    int64_t rate_limit, rate_burst;
    int64_t max_questions;
    int64_t max_lag_bytes;
    int64_t close_timeout_s;
    int64_t max_buffered_bytes;
    int64_t answer_max_bytes;
    int64_t command_timeout_ms;
    int64_t turn_silence_ms;
    int64_t turn_lost_timeout_ms;
    int64_t cancel_timeout_ms;
    int64_t tool_call_timeout_ms;
    char *contact_apology;
};

extern const struct setting gateway_settings_table[];
int gateway_settings_check(const void *settings, char *reason, size_t reason_size);
/* Sockets of any kind: the WebSockets, and some for pages and statistics. */
int64_t gateway_settings_sockets(const void *settings);
int64_t gateway_settings_message_size(const void *settings);
int64_t gateway_settings_buffered(const void *settings);

/* The address to listen on: as set, or else this machine's own without authentication, and all with it. */
const char *gateway_settings_host(const struct gateway_settings *settings);

/* Whether `host` can be reached from this machine only. */
bool gateway_host_is_loopback(const char *host);

#endif
