#include "store.h"

#include "id.h"
#include "json.h"
#include "mem.h"
#include "store_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_TIMEOUT_MS      5000
#define NS_PER_MS           INT64_C(1000000)
#define BUCKET_DUPLICATE_MS (2 * 60 * 1000) /* ADR-8 */
#define SUBJECT_MAX         512
#define SEQUENCE_SIZE       24

/* ---- Streams and buckets */

struct ensuring {
    struct bus *bus;
    char *name; /* of the stream */
    json_t *config;
    store_done *done;
    void *arg;
};

static void ensuring_free(void *arg)
{
    struct ensuring *ensuring = arg;
    free(ensuring->name);
    json_decref(ensuring->config);
    free(ensuring);
}

static void ensuring_end(struct ensuring *ensuring, int err)
{
    store_done *done = ensuring->done;
    void *arg = ensuring->arg;
    ensuring_free(ensuring);
    done(arg, err);
}

static void ensuring_send(struct ensuring *ensuring, const char *verb, bus_reply_handler *handler)
{
    char subject[SUBJECT_MAX];
    struct buf payload = {0};
    snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.%s", verb, ensuring->name);
    json_append(&payload, ensuring->config);
    bus_call(ensuring->bus, subject, NULL, &payload, API_TIMEOUT_MS, handler, ensuring_free, ensuring);
}

static void on_updated(void *arg, int err, const struct bus_message *reply)
{
    ensuring_end(arg, store_reply_error(err, reply, NULL));
}

static void on_created(void *arg, int err, const struct bus_message *reply)
{
    struct ensuring *ensuring = arg;
    int code = 0;
    err = store_reply_error(err, reply, &code);
    if (code == STORE_CODE_NAME_IN_USE) /* with other limits */
        ensuring_send(ensuring, "UPDATE", on_updated);
    else
        ensuring_end(ensuring, err);
}

/* What streams and buckets have in common. */
static json_t *stream_config(const struct store_stream *stream, const char *name, const char *subject)
{
    return json_pack("{s:s, s:[s], s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I}", "name", name, "subjects", subject,
                     "retention", "limits", "discard", "new", "storage", "file", "max_consumers", -1, "max_msgs", -1,
                     "max_bytes", (json_int_t)stream->max_bytes, "max_msg_size", (json_int_t)stream->max_message_bytes,
                     "max_age", (json_int_t)(stream->max_age_ms * NS_PER_MS), "num_replicas",
                     (json_int_t)stream->replicas);
}

/* The broker refuses a window longer than messages last. */
static void set_duplicate_window(json_t *config, const struct store_stream *stream, int64_t window_ms)
{
    if (stream->max_age_ms > 0 && window_ms > stream->max_age_ms)
        window_ms = stream->max_age_ms;
    if (window_ms > 0)
        json_object_set_new(config, "duplicate_window", json_integer(window_ms * NS_PER_MS));
}

static void ensure(struct bus *bus, const char *name, json_t *config, store_done *done, void *arg)
{
    const struct ensuring ensuring = {.bus = bus, .name = mem_strdup(name), .config = config, .done = done, .arg = arg};
    ensuring_send(mem_dup(&ensuring, sizeof ensuring), "CREATE", on_created);
}

void store_ensure_stream(struct bus *bus, const struct store_stream *stream, store_done *done, void *arg)
{
    json_t *config = stream_config(stream, stream->name, stream->subject);
    set_duplicate_window(config, stream, stream->duplicate_window_ms);
    ensure(bus, stream->name, config, done, arg);
}

void store_ensure_bucket(struct bus *bus, const struct store_stream *bucket, store_done *done, void *arg)
{
    char name[SUBJECT_MAX / 2];
    char subject[SUBJECT_MAX / 2];
    snprintf(name, sizeof name, "KV_%s", bucket->name);
    snprintf(subject, sizeof subject, "$KV.%s.>", bucket->name);
    json_t *config = stream_config(bucket, name, subject);
    json_object_set_new(config, "max_msgs_per_subject", json_integer(1));
    json_object_set_new(config, "allow_rollup_hdrs", json_true());
    json_object_set_new(config, "deny_delete", json_true());
    json_object_set_new(config, "allow_direct", json_true());
    set_duplicate_window(config, bucket, BUCKET_DUPLICATE_MS);
    ensure(bus, name, config, done, arg);
}

/* ---- Writing */

struct writing {
    store_written *done;
    void (*forget)(void *arg); /* or NULL */
    void *arg;
};

static void forget_writing(void *arg)
{
    const struct writing *writing = arg;
    if (writing->forget)
        writing->forget(writing->arg);
    free(arg);
}

static void on_acknowledged(void *arg, int err, const struct bus_message *reply)
{
    struct writing writing = *(struct writing *)arg;
    struct store_acknowledgement ack = {0};
    free(arg);
    err = store_reply_acknowledgement(err, reply, &ack);
    writing.done(writing.arg, err, ack.sequence, ack.duplicate);
}

static void write_message(struct bus *bus, const char *subject, bus_headers headers, struct buf *payload,
                          int64_t timeout_ms, const struct writing *writing)
{
    bus_call(bus, subject, headers, payload, timeout_ms, on_acknowledged, forget_writing,
             mem_dup(writing, sizeof *writing));
}

void store_publish(struct bus *bus, const char *subject, const char *message_id, uint64_t expected,
                   const struct trace *trace, struct buf *payload, int64_t timeout_ms, store_written *done, void *arg)
{
    char text[TRACE_TEXT_SIZE], last[SEQUENCE_SIZE];
    const char *headers[7] = {NULL};
    size_t count = 0;
    snprintf(last, sizeof last, "%" PRIu64, expected);
    if (expected != STORE_ANY) {
        headers[count++] = "Nats-Expected-Last-Sequence";
        headers[count++] = last;
    }
    if (message_id) {
        headers[count++] = "Nats-Msg-Id";
        headers[count++] = message_id;
    }
    if (trace && trace_is_set(trace)) {
        trace_next(trace, text);
        headers[count++] = TRACE_HEADER;
        headers[count++] = text;
    }
    write_message(bus, subject, headers, payload, timeout_ms, &(struct writing){done, NULL, arg});
}

/* A wildcard would write to, or read, something else. */
static bool key_valid(const char *key)
{
    for (;;) {
        size_t len = strcspn(key, ".");
        if (!id_is_token(key, len))
            return false;
        if (!key[len])
            return true;
        key += len + 1;
    }
}

/* The subject of a key; of one that is none an empty subject, which the bus refuses (ERR_INVALID) for the caller to be
 * told in the usual way. */
static void key_subject(char out[SUBJECT_MAX], const char *bucket, const char *key)
{
    int len = snprintf(out, SUBJECT_MAX, "$KV.%s.%s", bucket, key);
    if (!key_valid(key) || len >= SUBJECT_MAX)
        out[0] = '\0';
}

void store_put_or_forget(struct bus *bus, const char *bucket, const char *key, uint64_t expected, struct buf *value,
                         int64_t timeout_ms, store_written *done, void (*forget)(void *arg), void *arg)
{
    char subject[SUBJECT_MAX];
    char revision[SEQUENCE_SIZE];
    const char *const headers[] = {"Nats-Expected-Last-Subject-Sequence", revision, NULL};
    key_subject(subject, bucket, key);
    snprintf(revision, sizeof revision, "%" PRIu64, expected);
    write_message(bus, subject, expected == STORE_ANY ? NULL : headers, value, timeout_ms,
                  &(struct writing){done, forget, arg});
}

void store_put(struct bus *bus, const char *bucket, const char *key, uint64_t expected, struct buf *value,
               int64_t timeout_ms, store_written *done, void *arg)
{
    store_put_or_forget(bus, bucket, key, expected, value, timeout_ms, done, NULL, arg);
}

/* ---- Reading */

struct reading {
    store_read *done;
    void (*forget)(void *arg); /* or NULL */
    void *arg;
};

static void forget_reading(void *arg)
{
    const struct reading *reading = arg;
    if (reading->forget)
        reading->forget(reading->arg);
    free(arg);
}

static void on_read(void *arg, int err, const struct bus_message *reply)
{
    struct reading reading = *(struct reading *)arg;
    struct store_value value = {0};
    free(arg);
    err = store_reply_value(err, reply, &value);
    reading.done(reading.arg, err, err ? NULL : value.bytes.data, value.bytes.len, value.sequence);
    buf_deinit(&value.bytes);
}

void store_get_or_forget(struct bus *bus, const char *bucket, const char *key, int64_t timeout_ms, store_read *done,
                         void (*forget)(void *arg), void *arg)
{
    char api[SUBJECT_MAX];
    char subject[SUBJECT_MAX];
    struct buf payload = {0};
    const struct reading reading = {done, forget, arg};
    key_subject(subject, bucket, key);
    snprintf(api, sizeof api, "$JS.API.STREAM.MSG.GET.KV_%s", bucket);
    json_append_take(&payload, json_pack("{s:s}", "last_by_subj", subject));
    bus_call(bus, subject[0] ? api : "", NULL, &payload, timeout_ms, on_read, forget_reading,
             mem_dup(&reading, sizeof reading));
}

void store_get(struct bus *bus, const char *bucket, const char *key, int64_t timeout_ms, store_read *done, void *arg)
{
    store_get_or_forget(bus, bucket, key, timeout_ms, done, NULL, arg);
}

void store_get_message(struct bus *bus, const char *stream, uint64_t sequence, int64_t timeout_ms, store_read *done,
                       void *arg)
{
    char api[SUBJECT_MAX];
    struct buf payload = {0};
    const struct reading reading = {done, NULL, arg};
    snprintf(api, sizeof api, "$JS.API.STREAM.MSG.GET.%s", stream);
    buf_printf(&payload, "{\"seq\":%" PRIu64 "}", sequence);
    bus_call(bus, api, NULL, &payload, timeout_ms, on_read, forget_reading, mem_dup(&reading, sizeof reading));
}

struct stating {
    store_stated *done;
    void *arg;
};

static void on_info(void *arg, int err, const struct bus_message *reply)
{
    struct stating stating = *(struct stating *)arg;
    struct store_state state = {0};
    free(arg);
    err = store_reply_state(err, reply, &state);
    stating.done(stating.arg, err, &state);
}

void store_get_state(struct bus *bus, const char *stream, int64_t timeout_ms, store_stated *done, void *arg)
{
    char api[SUBJECT_MAX];
    const struct stating stating = {done, arg};
    snprintf(api, sizeof api, "$JS.API.STREAM.INFO.%s", stream);
    bus_call(bus, api, NULL, NULL, timeout_ms, on_info, free, mem_dup(&stating, sizeof stating));
}

/* ---- Deleting */

struct deleting {
    store_done *done;
    void *arg;
};

static void on_deleted(void *arg, int err, const struct bus_message *reply)
{
    struct deleting deleting = *(struct deleting *)arg;
    free(arg);
    deleting.done(deleting.arg, store_reply_error(err, reply, NULL));
}

void store_delete_message(struct bus *bus, const char *stream, uint64_t sequence, int64_t timeout_ms, store_done *done,
                          void *arg)
{
    char api[SUBJECT_MAX];
    struct buf payload = {0};
    const struct deleting deleting = {done, arg};
    snprintf(api, sizeof api, "$JS.API.STREAM.MSG.DELETE.%s", stream);
    buf_printf(&payload, "{\"seq\":%" PRIu64 "}", sequence);
    bus_call(bus, api, NULL, &payload, timeout_ms, on_deleted, free, mem_dup(&deleting, sizeof deleting));
}
