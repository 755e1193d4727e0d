/* Structured logs on stderr: one line an event, as JSON (LOG_FORMAT=json) or readable text (LOG_FORMAT=text). The
 * default, `auto`, is text on a terminal and JSON elsewhere. A line is one write(2).
 *
 *   log_info("turn completed", LOG_TEXT("turn", turn->id), LOG_INT("attempt", turn->attempt));
 *
 * Libraries return errors; only the outermost caller logs, once. Secrets, tokens and message texts are never logged.
 * Keys used everywhere: connection, turn, trace (trace.h), attempt, conversation, gateway, subject, error. */
#ifndef PARLEY_LOG_H
#define PARLEY_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_field {
    const char *key;
    const char *text; /* used when is_text; NULL is left out of the line */
    int64_t number;
    bool is_text;
};

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .text = (v), .is_text = true})
#define LOG_INT(k, v)  ((struct log_field){.key = (k), .number = (int64_t)(v)})
#define LOG_ERR(code)  LOG_TEXT("error", err_text(code))

/* `service` is lent for ever. `level` is one of debug, info, warning, error; `format` of auto, json, text: the settings
 * table has checked them. Before this is called, lines go out as text from level info. */
void log_init(const char *service, const char *level, const char *format);
bool log_enabled(enum log_level level);
/* May be called from any thread. */
void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t count);

#define LOG_AT(level, message, ...)                                                                   \
    do {                                                                                              \
        if (log_enabled(level)) {                                                                     \
            const struct log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__};                    \
            log_write(level, message, log_fields_ + 1, sizeof log_fields_ / sizeof *log_fields_ - 1); \
        }                                                                                             \
    } while (0)
#define log_debug(message, ...)   LOG_AT(LOG_DEBUG, message, ##__VA_ARGS__)
#define log_info(message, ...)    LOG_AT(LOG_INFO, message, ##__VA_ARGS__)
#define log_warning(message, ...) LOG_AT(LOG_WARNING, message, ##__VA_ARGS__)
#define log_error(message, ...)   LOG_AT(LOG_ERROR, message, ##__VA_ARGS__)

#endif
