#include "demo_settings.h"

#define FIELD(name) offsetof(struct demo_settings, name)

const struct setting demo_settings_table[] = {
    {"HOST", SETTING_TEXT, FIELD(host), "127.0.0.1", 1, 64, "", "address to listen on", false},
    {"PORT", SETTING_INTEGER, FIELD(port), "8090", 0, 65535, "", "port to listen on; 0: any free one", false},
    {"DEMO_TOKENS_PER_SECOND", SETTING_INTEGER, FIELD(tokens_per_second), "30", 1, 100000, "tokens",
     "how fast an answer streams", false},
    {"DEMO_MAX_STREAMS", SETTING_INTEGER, FIELD(max_streams), "1000", 1, 100000, "answers",
     "answers that stream at a time; more are refused with 429", false},
    {"DEMO_MAX_CONNECTIONS", SETTING_INTEGER, FIELD(max_connections), "2000", 1, 100000, "connections",
     "connections at a time", false},
    {"DEMO_MAX_BODY_BYTES", SETTING_INTEGER, FIELD(max_body_bytes), "16777216", 1024, 268435456, "bytes",
     "size of one request", false},
    {"DEMO_MAX_MESSAGES", SETTING_INTEGER, FIELD(max_messages), "10000", 1, 1000000, "messages",
     "messages in one request", false},
    {"DEMO_MAX_WORDS", SETTING_INTEGER, FIELD(max_words), "5000", 50, 1000000, "words",
     "longest answer that can be asked for", false},
    {0},
};
