#include "gateway_settings.h"

#include "origins.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define FIELD(name) offsetof(struct gateway_settings, name)

/* Besides WebSockets: HTTP, and upgrades that are refused with an answer. */
#define HTTP_SOCKETS 256
/* Of the process itself: the broker, the loop, the operations port, listeners, logs. */
#define OWN_DESCRIPTORS 64

const struct setting gateway_settings_table[] = {
    {"HOST", SETTING_TEXT, FIELD(host), NULL, 1, 64, "",
     "numeric address to listen on; not set: 127.0.0.1 without TOKENS_FILE, 0.0.0.0 with it", false},
    {"PORT", SETTING_INTEGER, FIELD(port), "8003", 0, 65535, "", "port of the agent engine and the pages; 0: any free",
     false},
    {"YYCHAT_PORT", SETTING_INTEGER, FIELD(yychat_port), "0", 0, 65535, "", "one more port; 0: none", false},
    {"CONTACT_PORT", SETTING_INTEGER, FIELD(contact_port), "0", 0, 65535, "", "one more port; 0: none", false},
    {"LANGBOT_PORT", SETTING_INTEGER, FIELD(langbot_port), "0", 0, 65535, "", "one more port; 0: none", false},
    {"MINIMAL_PORT", SETTING_INTEGER, FIELD(minimal_port), "0", 0, 65535, "", "one more port; 0: none", false},
    {"LISTEN_SHARE", SETTING_BOOL, FIELD(listen_share), "false", 0, 0, "",
     "let several gateways listen on the same ports; the kernel spreads the connections", false},
    {"TOKENS_FILE", SETTING_TEXT, FIELD(tokens_file), NULL, 1, 4096, "",
     "JSON file of bearer tokens, users and roles; SIGHUP reads it again; not set: no authentication", false},
    {"WS_ALLOWED_ORIGINS", SETTING_TEXT, FIELD(allowed_origins), NULL, 1, 4096, "",
     "pages that may connect, with commas: *, null, origins such as https://chat.example.org, or hosts with any scheme "
     "and "
     "port; the page of this host must be listed, too; not set: the same host, and on loopback null",
     false},
    {"WS_MAX_CONNECTIONS", SETTING_INTEGER, FIELD(max_connections), "10000", 1, 1000000, "connections",
     "WebSockets that one process holds; more are refused with 503", false},
    {"WS_HEARTBEAT_INTERVAL", SETTING_INTEGER, FIELD(heartbeat_interval_s), "30", 1, 3600, "s",
     "time between two pings; a connection that has not answered one by the next is closed", false},
    {"WS_CONNECTION_TIMEOUT", SETTING_INTEGER, FIELD(connection_timeout_s), "300", 1, 86400, "s",
     "how long a client of a protocol with an idle time-out may stay silent", false},
    {"WS_MESSAGE_SIZE_LIMIT", SETTING_INTEGER, FIELD(message_size_limit), "1048576", 1024, 4194304, "bytes",
     "size of one message from a client; a longer one closes the connection with 1009", false},
    {"WS_RATE_LIMIT", SETTING_INTEGER, FIELD(rate_limit), "500", 0, 1000000, "messages/s",
     "messages of one connection; one above it gets an error; 0: no limit", false},
    {"WS_RATE_BURST", SETTING_INTEGER, FIELD(rate_burst), "2000", 1, 1000000, "messages",
     "how many one connection may send at once after a pause", false},
    {"WS_MAX_QUESTIONS", SETTING_INTEGER, FIELD(max_questions), "16", 1, 1000, "questions",
     "questions that may wait on one connection, and tool calls that may run on it", false},
    {"WS_MAX_LAG_BYTES", SETTING_INTEGER, FIELD(max_lag_bytes), "8388608", 65536, 1073741824, "bytes",
     "what may wait to be sent to one client; beyond it a slow one is closed", false},
    {"WS_CLOSE_TIMEOUT", SETTING_INTEGER, FIELD(close_timeout_s), "90", 1, 3600, "s",
     "how long a client that reads nothing may take to learn that, and why, it has been closed", false},
    {"WS_MAX_BUFFERED_BYTES", SETTING_INTEGER, FIELD(max_buffered_bytes), "536870912", 8388608, 1099511627776, "bytes",
     "what one process holds for all clients: messages not yet complete, questions that wait, answers under way; at "
     "three quarters of it new ones are refused",
     false},
    {"ANSWER_MAX_BYTES", SETTING_INTEGER, FIELD(answer_max_bytes), "4194304", 1024, 67108864, "bytes",
     "size of one answer; a longer one fails", false},
    {"COMMAND_TIMEOUT_MS", SETTING_INTEGER, FIELD(command_timeout_ms), "5000", 100, 600000, "ms",
     "how long a router may take to accept a question", false},
    {"TURN_SILENCE_MS", SETTING_INTEGER, FIELD(turn_silence_ms), "5000", 100, 600000, "ms",
     "silence in an answer after which its agent is asked what was missed", false},
    {"TURN_LOST_TIMEOUT_MS", SETTING_INTEGER, FIELD(turn_lost_timeout_ms), "60000", 100, 3600000, "ms",
     "how long an answer that nobody works on may wait for another agent to take it over", false},
    {"CANCEL_TIMEOUT_MS", SETTING_INTEGER, FIELD(cancel_timeout_ms), "3000", 100, 60000, "ms",
     "how long a client waits at most for its cancellation to be confirmed", false},
    {"TOOL_CALL_TIMEOUT_MS", SETTING_INTEGER, FIELD(tool_call_timeout_ms), "30000", 100, 600000, "ms",
     "how long a tool call is waited for", false},
    {"CONTACT_APOLOGY", SETTING_TEXT, FIELD(contact_apology), "抱歉，我暂时无法处理您的请求，请稍后再试。", 1, 4096, "",
     "what a contact is told in place of an answer that failed, where the routers' configuration has no words", false},
    {0},
};

const char *gateway_settings_host(const struct gateway_settings *settings)
{
    return settings->host ? settings->host : settings->tokens_file ? "0.0.0.0" : "127.0.0.1";
}

bool gateway_host_is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

int gateway_settings_check(const void *settings, char *reason, size_t reason_size)
{
    const struct gateway_settings *gateway = settings;
    struct in6_addr address;
    const char *host = gateway_settings_host(gateway);
    if (inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1) {
        snprintf(reason, reason_size, "HOST: '%s' is not a numeric address", host);
        return ERR_INVALID;
    }
    const char *entry;
    size_t len;
    if (gateway->allowed_origins && !origins_valid(gateway->allowed_origins, &entry, &len)) {
        snprintf(reason, reason_size, "WS_ALLOWED_ORIGINS: '%.*s' is no origin, host, null or *", (int)len, entry);
        return ERR_INVALID;
    }
    struct rlimit files;
    int64_t needed = gateway_settings_sockets(settings) + OWN_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY && (rlim_t)needed > files.rlim_max) {
        snprintf(reason, reason_size, "WS_MAX_CONNECTIONS: %lld needs %lld open files, but the limit is %llu",
                 (long long)gateway->max_connections, (long long)needed, (unsigned long long)files.rlim_max);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

int64_t gateway_settings_sockets(const void *settings)
{
    const struct gateway_settings *gateway = settings;
    return gateway->max_connections + HTTP_SOCKETS;
}

int64_t gateway_settings_message_size(const void *settings)
{
    const struct gateway_settings *gateway = settings;
    return gateway->message_size_limit;
}

int64_t gateway_settings_buffered(const void *settings)
{
    const struct gateway_settings *gateway = settings;
    return gateway->max_buffered_bytes;
}
