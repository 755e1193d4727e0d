#include "router_settings.h"

#include "config.h"
#include "id.h"
#include "subjects.h"

#include <stdio.h>

#define FIELD(name) offsetof(struct router_settings, name)

const struct setting router_settings_table[] = {
    {"PARLEY_CONFIG", SETTING_TEXT, FIELD(config), NULL, 1, 4096, "",
     "file with pipelines, personas and contact, read again at SIGHUP; without it deploy/config/parley.json is built "
     "in",
     false},
    {"WEBHOOK_TIMEOUT_MS", SETTING_INTEGER, FIELD(webhook_timeout_ms), "10000", 100, 30000, "ms",
     "how long the webhook for contact requests may take to answer", false},
    {"TURN_START_TIMEOUT_MS", SETTING_INTEGER, FIELD(turn_start_timeout_ms), "30000", 100, 3600000, "ms",
     "how long a question may wait for an agent to start on it", false},
    {"CALL_TOOL_TIMEOUT_MS", SETTING_INTEGER, FIELD(call_tool_timeout_ms), "30000", 100, 600000, "ms",
     "how long a client's own tool call may take, where the call names no earlier time", false},
    {"CONVERSATION_MAX_TURNS", SETTING_INTEGER, FIELD(conversation_max_turns), "100", 1, 10000, "turns",
     "turns kept of one conversation; the oldest go first", false},
    {"CONVERSATION_MAX_BYTES", SETTING_INTEGER, FIELD(conversation_max_bytes), "262144", 4096, 4194304, "bytes",
     "size of one stored conversation; the oldest turns go first", false},
    {"QUESTION_MAX_BYTES", SETTING_INTEGER, FIELD(question_max_bytes), "1048576", 1, 4194304, "bytes",
     "size of one question; a longer one is refused", false},
    {"CONTACT_MAX_BYTES", SETTING_INTEGER, FIELD(contact_max_bytes), "16384", 1, 1048576, "bytes",
     "size of one contact request, all its texts together; a longer one is refused", false},
    {"CREDENTIAL_MAX_BYTES", SETTING_INTEGER, FIELD(credential_max_bytes), "8192", 0, 65536, "bytes",
     "size of the credential that a user passes on to tools", false},
    {"ROUTER_MAX_COMMANDS", SETTING_INTEGER, FIELD(max_commands), "10000", 1, 1000000, "commands",
     "commands that one process has under way; more are refused", false},
    {"ROUTER_POOL", SETTING_TEXT, FIELD(pool), POOL_DEFAULT, 1, ID_TOKEN_MAX, "",
     "pool of agents that gets the jobs; letters, digits, _ and -", false},
    {0},
};

int router_settings_check(const void *settings, char *reason, size_t reason_size)
{
    const struct router_settings *router = settings;
    if (!id_is_token_text(router->pool)) {
        snprintf(reason, reason_size, "ROUTER_POOL: '%s' has other characters than letters, digits, _ and -",
                 router->pool);
        return ERR_INVALID;
    }
    struct config *config;
    char wrong[CONFIG_REASON_SIZE];
    if (config_load(router->config, &config, wrong)) {
        snprintf(reason, reason_size, "PARLEY_CONFIG: %s", wrong);
        return ERR_INVALID;
    }
    config_free(&config);
    return ERR_NONE;
}
