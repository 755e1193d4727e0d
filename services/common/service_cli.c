#include "service_cli.h"

#include "json.h"
#include "mem.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_SIZE  512
#define STATUS_WRONG 2 /* arguments or settings */
#define MIB          (INT64_C(1) << 20)
#define TIB          (INT64_C(1) << 40)
#define DAY_SECONDS  86400
#define CENTURY      (INT64_C(36525) * DAY_SECONDS)

#define COMMON(field) offsetof(struct common_settings, field)

/* clang-format off */
const struct setting common_settings_table[] = {
    {"NATS_URL", SETTING_TEXT, COMMON(nats_url), "nats://127.0.0.1:4222", 1, 4096, "",
     "the message broker, or several of one cluster with commas between", false},
    {"NATS_USER", SETTING_TEXT, COMMON(nats_user), NULL, 1, 256, "", "user at the broker", false},
    {"NATS_PASSWORD", SETTING_TEXT, COMMON(nats_password), NULL, 1, 1024, "", "password at the broker", true},
    {"LOG_LEVEL", SETTING_CHOICE, COMMON(log_level), "info", 0, 0, "debug|info|warning|error",
     "the least important lines that are logged", false},
    {"LOG_FORMAT", SETTING_CHOICE, COMMON(log_format), "auto", 0, 0, "auto|json|text",
     "form of the log on stderr; auto is text on a terminal and JSON lines elsewhere", false},
    {"OPS_HOST", SETTING_TEXT, COMMON(ops_host), "127.0.0.1", 1, 64, "",
     "numeric address of the operations port (/healthz, /readyz, /metrics)", false},
    {"OPS_PORT", SETTING_INTEGER, COMMON(ops_port), "0", 0, 65535, "",
     "the operations port; 0 is any free one, told in the log", false},
    {"DRAIN_SECONDS", SETTING_INTEGER, COMMON(drain_seconds), "30", 0, 3600, "seconds",
     "what is under way may take so long to end after SIGTERM", false},
    {"BUS_QUEUE_BYTES", SETTING_INTEGER, COMMON(bus_queue_bytes), "67108864", MIB, 16384 * MIB, "bytes",
     "what may wait to be sent to the broker; more is refused", false},
    {"BUS_INBOX_MESSAGES", SETTING_INTEGER, COMMON(bus_inbox_messages), "65536", 1024, 1048576, "messages",
     "what may wait to be read on one subscription; more is dropped, and repaired later", false},
    {"STORE_REPLICAS", SETTING_INTEGER, COMMON(store_replicas), "1", 1, 5, "servers",
     "copies of each stream and bucket in a broker cluster", false},
    {"JOBS_MAX_BYTES", SETTING_INTEGER, COMMON(jobs_max_bytes), "268435456", MIB, TIB, "bytes",
     "size of the stream of jobs; questions beyond it are refused", false},
    {"JOBS_MAX_AGE_SECONDS", SETTING_INTEGER, COMMON(jobs_max_age_seconds), "3600", 60, 30 * DAY_SECONDS, "seconds",
     "how long a job is kept, done or not", false},
    {"CONTACTS_MAX_BYTES", SETTING_INTEGER, COMMON(contacts_max_bytes), "268435456", MIB, TIB, "bytes",
     "size of the stream of contact requests, and of what is noted about their posting; more are refused", false},
    {"CONTACTS_MAX_AGE_SECONDS", SETTING_INTEGER, COMMON(contacts_max_age_seconds), "0", 0, CENTURY, "seconds",
     "how long a contact request is kept; 0 is for ever", false},
    {"TURNS_MAX_BYTES", SETTING_INTEGER, COMMON(turns_max_bytes), "1073741824", MIB, TIB, "bytes",
     "size of the bucket of turns and their checkpoints", false},
    {"TURNS_MAX_AGE_SECONDS", SETTING_INTEGER, COMMON(turns_max_age_seconds), "900", 60, 30 * DAY_SECONDS, "seconds",
     "how long a turn's record is kept after its last change", false},
    {"SESSIONS_MAX_BYTES", SETTING_INTEGER, COMMON(sessions_max_bytes), "268435456", MIB, TIB, "bytes",
     "size of the bucket of sessions, about 400 bytes each; a connection beyond it can't be resumed", false},
    {"SESSIONS_MAX_AGE_SECONDS", SETTING_INTEGER, COMMON(sessions_max_age_seconds), "2592000", 60, CENTURY, "seconds",
     "how long a client may resume after its last question; like conversations", false},
    {"CONVERSATIONS_MAX_BYTES", SETTING_INTEGER, COMMON(conversations_max_bytes), "1073741824", MIB, TIB, "bytes",
     "size of the bucket of conversations", false},
    {"CONVERSATIONS_MAX_AGE_SECONDS", SETTING_INTEGER, COMMON(conversations_max_age_seconds), "2592000", 0, CENTURY,
     "seconds", "how long a conversation is kept after its last change; 0 is for ever", false},
    {0}};
/* clang-format on */

static const struct setting no_settings[] = {{0}};

static const struct setting *own_table(const struct service_spec *spec)
{
    return spec->settings ? spec->settings : no_settings;
}

static int complain(const struct service_spec *spec, const char *reason)
{
    fprintf(stderr, "parley-%s: %s\n", spec->name, reason);
    return STATUS_WRONG;
}

/* ---- arguments */

static int print(struct buf *text)
{
    bool written = fwrite(text->data, 1, text->len, stdout) == text->len && fflush(stdout) == 0;
    buf_deinit(text);
    return written ? 0 : 1;
}

static int on_help(const struct service_spec *spec)
{
    struct buf text = {0};
    buf_printf(&text,
               "parley-%s: %s\n\n"
               "usage: parley-%s [--help | --version | --check | --settings-json]\n\n"
               "  --help           this text\n"
               "  --version        the version\n"
               "  --check          asks /readyz of the process on OPS_PORT; exits 0 if it is ready, else 1\n"
               "  --settings-json  the settings below as JSON\n\n"
               "SIGTERM drains and ends, a second one ends at once; SIGHUP reloads what can be reloaded.\n",
               spec->name, spec->summary, spec->name);
    if (spec->settings) {
        buf_append_text(&text, "\nSettings, by environment:\n");
        settings_help(spec->settings, &text);
    }
    buf_append_text(&text, "\nSettings of every service:\n");
    settings_help(common_settings_table, &text);
    return print(&text);
}

static int on_version(const struct service_spec *spec)
{
    struct buf text = {0};
    buf_printf(&text, "parley-%s %s\n", spec->name, PARLEY_VERSION);
    return print(&text);
}

static int on_settings_json(const struct service_spec *spec)
{
    struct buf text = {0};
    buf_append_text(&text, "{\"service\":");
    json_append_take(&text, json_string(spec->name));
    buf_append_text(&text, ",\"summary\":");
    json_append_take(&text, json_string(spec->summary));
    buf_append_text(&text, ",\"settings\":");
    settings_json(own_table(spec), &text);
    buf_append_text(&text, ",\"common\":");
    settings_json(common_settings_table, &text);
    buf_append_text(&text, "}\n");
    return print(&text);
}

static int on_check(const struct service_spec *spec)
{
    struct common_settings common = {0};
    char reason[REASON_SIZE];
    if (settings_load(common_settings_table, &common, reason, sizeof reason))
        return complain(spec, reason);
    int status = 1;
    if (common.ops_port == 0)
        complain(spec, "--check needs OPS_PORT: the operations port of the process to ask");
    else
        status = service_check(common.ops_host, (uint16_t)common.ops_port);
    settings_deinit(common_settings_table, &common);
    return status;
}

static const struct option {
    const char *name;
    int (*handler)(const struct service_spec *spec);
} options[] = {
    {"--help", on_help}, {"--version", on_version}, {"--check", on_check}, {"--settings-json", on_settings_json}};

static int obey(const struct service_spec *spec, int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof options / sizeof *options; i++) {
        if (strcmp(argv[1], options[i].name) == 0)
            return options[i].handler(spec);
    }
    return complain(spec, "takes one of --help, --version, --check, --settings-json, or no argument at all");
}

/* ---- settings */

static bool is_port(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    return isdigit((unsigned char)*text) && *end == '\0' && number >= 1 && number <= 65535;
}

/* [nats://|tls://][user[:password]@]host[:port][/] */
static bool is_broker(char *url)
{
    char *host = url;
    if (strncmp(url, "nats://", 7) == 0)
        host += 7;
    else if (strncmp(url, "tls://", 6) == 0)
        host += 6;
    if (strrchr(host, '@'))
        host = strrchr(host, '@') + 1;
    if (*host && host[strlen(host) - 1] == '/')
        host[strlen(host) - 1] = '\0';
    char *port = strchr(*host == '[' ? host + strcspn(host, "]") : host, ':');
    if (port)
        *port++ = '\0';
    return *host && !strpbrk(host, "/\t") && (!port || is_port(port));
}

static int check_brokers(const char *urls, char *reason, size_t reason_size)
{
    char *copy = mem_strdup(urls), *rest = NULL;
    char *url = strtok_r(copy, ", ", &rest);
    bool valid = url != NULL;
    for (; url && valid; url = strtok_r(NULL, ", ", &rest))
        valid = is_broker(url);
    free(copy);
    if (!valid)
        snprintf(reason, reason_size, "NATS_URL: one of its addresses is not like nats://host:4222");
    return valid ? ERR_NONE : ERR_INVALID;
}

static int load(const struct service_spec *spec, void *settings, struct common_settings *common)
{
    char reason[REASON_SIZE] = "";
    if (settings_load(common_settings_table, common, reason, sizeof reason))
        return complain(spec, reason);
    if (check_brokers(common->nats_url, reason, sizeof reason)) {
        settings_deinit(common_settings_table, common);
        return complain(spec, reason);
    }
    if (settings_load(own_table(spec), settings, reason, sizeof reason)) {
        settings_deinit(common_settings_table, common);
        return complain(spec, reason);
    }
    if (spec->check && spec->check(settings, reason, sizeof reason)) {
        settings_deinit(common_settings_table, common);
        settings_deinit(own_table(spec), settings);
        return complain(spec, reason);
    }
    return SERVICE_GOES_ON;
}

int service_cli(const struct service_spec *spec, void *settings, struct common_settings *common, int argc, char **argv)
{
    if (argc > 1)
        return obey(spec, argc, argv);
    return load(spec, settings, common);
}
