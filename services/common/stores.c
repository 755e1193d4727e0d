#include "stores.h"

#include "subjects.h"

#include <stddef.h>
#include <stdio.h>

/* A row: its limits are fields of the common settings. */
struct store_row {
    const char *name;
    const char *subject; /* NULL: a bucket */
    size_t max_bytes, max_age_seconds;
};

#define FIELD(name) offsetof(struct common_settings, name)

static const struct store_row rows[] = {
    {STREAM_JOBS, STREAM_JOBS_SUBJECT, FIELD(jobs_max_bytes), FIELD(jobs_max_age_seconds)},
    {STREAM_CONTACTS, SUBJECT_CONTACT, FIELD(contacts_max_bytes), FIELD(contacts_max_age_seconds)},
    {BUCKET_POSTINGS, NULL, FIELD(contacts_max_bytes), FIELD(contacts_max_age_seconds)},
    {BUCKET_TURNS, NULL, FIELD(turns_max_bytes), FIELD(turns_max_age_seconds)},
    {BUCKET_SESSIONS, NULL, FIELD(sessions_max_bytes), FIELD(sessions_max_age_seconds)},
    {BUCKET_CONVERSATIONS, NULL, FIELD(conversations_max_bytes), FIELD(conversations_max_age_seconds)},
};
#define ROW_COUNT (sizeof rows / sizeof *rows)

static int64_t setting_at(const struct common_settings *settings, size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)settings + offset);
}

static void row_ended(void *arg, int err);

static void row_begin(struct stores_run *run)
{
    const struct store_row *row = &rows[run->at];
    const struct store_stream stream = {
        .name = row->name,
        .subject = row->subject,
        .max_bytes = setting_at(run->settings, row->max_bytes),
        .max_message_bytes = STORE_MESSAGE_MAX_BYTES,
        .max_age_ms = setting_at(run->settings, row->max_age_seconds) * 1000,
        .replicas = run->settings->store_replicas,
    };
    if (row->subject)
        store_ensure_stream(run->bus, &stream, row_ended, run);
    else
        store_ensure_bucket(run->bus, &stream, row_ended, run);
}

static void row_ended(void *arg, int err)
{
    struct stores_run *run = arg;
    if (!err && run->at + 1 < ROW_COUNT) {
        run->at++;
        row_begin(run);
        return;
    }
    run->done(run->arg, err);
}

void stores_ensure(struct stores_run *run, struct bus *bus, const struct common_settings *settings, store_done *done,
                   void *arg)
{
    *run = (struct stores_run){.bus = bus, .settings = settings, .done = done, .arg = arg};
    row_begin(run);
}

const char *stores_current(const struct stores_run *run)
{
    return rows[run->at].name;
}

bool stores_stream(size_t row, char out[static STORES_STREAM_SIZE])
{
    if (row >= ROW_COUNT)
        return false;
    snprintf(out, STORES_STREAM_SIZE, "%s%s", rows[row].subject ? "" : "KV_", rows[row].name);
    return true;
}
