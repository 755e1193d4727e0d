/* What an agent can be told by its environment. */
#ifndef PARLEY_AGENT_SETTINGS_H
#define PARLEY_AGENT_SETTINGS_H

#include "provider.h"
#include "settings.h"

struct agent_settings {
    char *provider;
    char *base_url, *api_key, *model; /* NULL: not set. agent_settings_model() knows what is asked then */
    char *demo_model_url;
    char *continuation;
    int64_t connect_timeout_ms, first_token_timeout_ms, stall_timeout_ms, total_timeout_ms, retry_after_max_ms,
        max_event_bytes;
    char *pool;
    int64_t max_turns, max_attempts, max_resumes;
    int64_t max_answer_bytes, context_tokens;
    int64_t max_tool_rounds, max_round_calls, max_call_bytes, max_step_bytes, tool_call_timeout_ms;
    int64_t checkpoint_ms, save_timeout_ms, job_ack_wait_ms;
    int64_t drain_grace_seconds;
};

extern const struct setting agent_settings_table[];

/* The model that is asked: the owner's, if a base URL is set, else the demo model, which is told no key. Texts
 * are the settings' (so its URL may end with a slash) or static; `name` is for personas that name none. The settings
 * have been checked. */
struct agent_model {
    struct provider_endpoint endpoint;
    const char *name;
};
struct agent_model agent_settings_model(const struct agent_settings *settings);
/* How that model is brought to go on: as the owner says, else as its provider does. */
enum continuation agent_settings_continuation(const struct agent_settings *settings);

/* For service_spec.check: what a row alone can't tell. */
int agent_settings_check(const void *settings, char *reason, size_t reason_size);

#endif
