#include "agent_settings.h"

#include "id.h"
#include "provider.h"
#include "subjects.h"

#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(struct agent_settings, name)
#define HOUR_MS     (60 * 60 * 1000)
#define CALLS_MAX   4999 /* of a turn: each is two steps, and gateways take fewer than 10,000 */

#define DEMO_MODEL "demo"

const struct setting agent_settings_table[] = {
    {"LLM_PROVIDER", SETTING_TEXT, FIELD(provider), "openai", 1, 64, "", "which kind of model provider answers", false},
    {"OPENAI_BASE_URL", SETTING_TEXT, FIELD(base_url), NULL, 1, 2048, "",
     "where an OpenAI-compatible provider listens, such as https://api.openai.com/v1; not set: DEMO_MODEL_URL", false},
    {"OPENAI_API_KEY", SETTING_TEXT, FIELD(api_key), NULL, 1, 4096, "",
     "the key that the provider asks for; the demo model is never told it", true},
    {"OPENAI_MODEL", SETTING_TEXT, FIELD(model), NULL, 1, 256, "",
     "the model for personas that name none; not set: gpt-4o-mini, or " DEMO_MODEL " where the demo model answers",
     false},
    {"DEMO_MODEL_URL", SETTING_TEXT, FIELD(demo_model_url), "http://127.0.0.1:8090/v1", 1, 2048, "",
     "the model that answers while OPENAI_BASE_URL is not set", false},
    {"LLM_CONTINUATION", SETTING_CHOICE, FIELD(continuation), "auto", 0, 0, "auto|prefix|vllm|ask",
     "how a model goes on with an answer that broke off: from an assistant's message at the end (prefix; vllm: as its "
     "continue_final_message), or asked in words; auto: in words at OpenAI, else by prefix",
     false},
    {"LLM_CONNECT_TIMEOUT_MS", SETTING_INTEGER, FIELD(connect_timeout_ms), "5000", 10, HOUR_MS, "ms",
     "how long connecting to the provider may take", false},
    {"LLM_FIRST_TOKEN_TIMEOUT_MS", SETTING_INTEGER, FIELD(first_token_timeout_ms), "60000", 10, HOUR_MS, "ms",
     "how long the provider may take until its first word", false},
    {"LLM_STALL_TIMEOUT_MS", SETTING_INTEGER, FIELD(stall_timeout_ms), "30000", 10, HOUR_MS, "ms",
     "how long the provider may be silent in mid-answer", false},
    {"LLM_TOTAL_TIMEOUT_MS", SETTING_INTEGER, FIELD(total_timeout_ms), "600000", 10, 24 * HOUR_MS, "ms",
     "how long the provider may take for one answer in all", false},
    {"LLM_RETRY_AFTER_MAX_MS", SETTING_INTEGER, FIELD(retry_after_max_ms), "20000", 0, HOUR_MS, "ms",
     "the longest Retry-After of the provider that is waited for", false},
    {"LLM_MAX_EVENT_BYTES", SETTING_INTEGER, FIELD(max_event_bytes), "1048576", 1024, 64 << 20, "bytes",
     "the largest server-sent event taken from the provider", false},
    {"AGENT_POOL", SETTING_TEXT, FIELD(pool), POOL_DEFAULT, 1, ID_TOKEN_MAX, "", "which pool's jobs it takes", false},
    {"AGENT_MAX_TURNS", SETTING_INTEGER, FIELD(max_turns), "1000", 1, 100000, "turns",
     "turns that one process runs at a time", false},
    {"AGENT_MAX_ATTEMPTS", SETTING_INTEGER, FIELD(max_attempts), "5", 1, 1000, "attempts",
     "how often a turn is tried by one agent after the other before it fails", false},
    {"AGENT_MAX_RESUMES", SETTING_INTEGER, FIELD(max_resumes), "2", 0, 100, "times",
     "how often the provider is asked to go on with an answer that broke off", false},
    {"AGENT_MAX_ANSWER_BYTES", SETTING_INTEGER, FIELD(max_answer_bytes), "4194304", 1024, 64 << 20, "bytes",
     "the longest answer", false},
    {"AGENT_CONTEXT_TOKENS", SETTING_INTEGER, FIELD(context_tokens), "65536", 256, 16 << 20, "tokens",
     "how much is sent to the model, by estimate; the oldest turns of the conversation are left out first", false},
    {"AGENT_MAX_TOOL_ROUNDS", SETTING_INTEGER, FIELD(max_tool_rounds), "8", 0, 1000, "rounds",
     "how often in one turn the model may ask for tools", false},
    {"AGENT_MAX_ROUND_CALLS", SETTING_INTEGER, FIELD(max_round_calls), "32", 1, 1000, "calls",
     "tools that the model may call at once", false},
    {"AGENT_MAX_CALL_BYTES", SETTING_INTEGER, FIELD(max_call_bytes), "131072", 1024, 16 << 20, "bytes",
     "names and arguments of the tool calls of one round", false},
    {"AGENT_MAX_STEP_BYTES", SETTING_INTEGER, FIELD(max_step_bytes), "524288", 1024, 16 << 20, "bytes",
     "arguments and results of all tool calls of one turn", false},
    {"TOOL_CALL_TIMEOUT_MS", SETTING_INTEGER, FIELD(tool_call_timeout_ms), "30000", 100, 600000, "ms",
     "how long a tool call is waited for", false},
    {"AGENT_CHECKPOINT_MS", SETTING_INTEGER, FIELD(checkpoint_ms), "250", 1, 60000, "ms",
     "how far a turn's checkpoint may be behind", false},
    {"AGENT_SAVE_TIMEOUT_MS", SETTING_INTEGER, FIELD(save_timeout_ms), "10000", 2000, HOUR_MS, "ms",
     "how long a finished turn tries to be saved while the broker is there", false},
    {"JOB_ACK_WAIT_MS", SETTING_INTEGER, FIELD(job_ack_wait_ms), "6000", 300, HOUR_MS, "ms",
     "after how long without a word from its agent a turn is given to another; the same for all agents", false},
    {"AGENT_DRAIN_GRACE_SECONDS", SETTING_INTEGER, FIELD(drain_grace_seconds), "25", 0, 3600, "seconds",
     "how long running turns may go on when it is told to stop (at most DRAIN_SECONDS less 5); the rest is handed back",
     false},
    {0}};

struct agent_model agent_settings_model(const struct agent_settings *settings)
{
    bool demo = settings->base_url == NULL;
    const char *usual = demo ? DEMO_MODEL : provider_find(settings->provider)->default_model;

    return (struct agent_model){.endpoint = {.base_url = demo ? settings->demo_model_url : settings->base_url,
                                             .api_key = demo ? NULL : settings->api_key},
                                .name = settings->model != NULL ? settings->model : usual};
}

enum continuation agent_settings_continuation(const struct agent_settings *settings)
{
    const struct agent_model model = agent_settings_model(settings);

    if (strcmp(settings->continuation, "prefix") == 0)
        return CONTINUE_PREFIX;
    if (strcmp(settings->continuation, "vllm") == 0)
        return CONTINUE_MARKED;
    if (strcmp(settings->continuation, "ask") == 0)
        return CONTINUE_ASK;
    return provider_find(settings->provider)->continuation(&model.endpoint);
}

/* NULL is one: not set. */
static bool is_url(const char *text)
{
    return text == NULL || strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

int agent_settings_check(const void *values, char *reason, size_t reason_size)
{
    const struct agent_settings *settings = values;

    if (provider_find(settings->provider) == NULL) {
        snprintf(reason, reason_size, "LLM_PROVIDER: there is no provider '%s'", settings->provider);
        return ERR_INVALID;
    }
    if (!is_url(settings->base_url) || !is_url(settings->demo_model_url)) {
        bool demo = is_url(settings->base_url);
        snprintf(reason, reason_size, "%s: '%s' begins neither with http:// nor with https://",
                 demo ? "DEMO_MODEL_URL" : "OPENAI_BASE_URL", demo ? settings->demo_model_url : settings->base_url);
        return ERR_INVALID;
    }
    if (!id_is_token_text(settings->pool)) {
        snprintf(reason, reason_size, "AGENT_POOL: '%s' has other characters than letters, digits, '_' and '-'",
                 settings->pool);
        return ERR_INVALID;
    }
    if (settings->max_tool_rounds * settings->max_round_calls > CALLS_MAX) {
        snprintf(reason, reason_size, "AGENT_MAX_TOOL_ROUNDS times AGENT_MAX_ROUND_CALLS is more than %d", CALLS_MAX);
        return ERR_INVALID;
    }
    return ERR_NONE;
}
