#include "fake_store.h"

#include "mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
    struct asked *next;
    char key[192];
    struct buf value;
    uint64_t expected;
    store_written *written;
    store_read *read;
    void *arg;
};

struct fake_entry fake_entries[FAKE_STORE_KEYS];
size_t fake_puts, fake_gets;
int fake_put_error;
bool fake_put_done;
static struct asked *first;
static uint64_t sequence;

struct fake_entry *fake_store_find(const char *key)
{
    for (size_t i = 0; i < FAKE_STORE_KEYS; i++)
        if (strcmp(fake_entries[i].key, key) == 0)
            return &fake_entries[i];
    return NULL;
}

void fake_store_write(const char *key, const void *value, size_t len)
{
    struct fake_entry *entry = fake_store_find(key);

    if (entry == NULL)
        entry = fake_store_find("");
    assert(entry != NULL);
    snprintf(entry->key, sizeof entry->key, "%s", key);
    buf_reset(&entry->value);
    buf_append(&entry->value, value, len);
    entry->revision = ++sequence;
}

static void asked_free(struct asked *asked)
{
    buf_deinit(&asked->value);
    free(asked);
}

void fake_store_reset(void)
{
    while (first != NULL) {
        struct asked *asked = first;
        first = asked->next;
        asked_free(asked);
    }
    for (size_t i = 0; i < FAKE_STORE_KEYS; i++) {
        buf_deinit(&fake_entries[i].value);
        fake_entries[i] = (struct fake_entry){0};
    }
    fake_puts = fake_gets = 0;
    fake_put_error = ERR_NONE;
    fake_put_done = false;
}

static struct asked *ask(const char *key, void *arg)
{
    struct asked *asked = mem_alloc(sizeof *asked);
    struct asked **link = &first;

    snprintf(asked->key, sizeof asked->key, "%s", key);
    asked->arg = arg;
    while (*link != NULL)
        link = &(*link)->next;
    *link = asked;
    return asked;
}

void store_put_or_forget(struct bus *bus, const char *bucket, const char *key, uint64_t expected, struct buf *value,
                         int64_t timeout_ms, store_written *done, void (*forget)(void *arg), void *arg)
{
    struct asked *asked = ask(key, arg);

    (void)forget;
    (void)bus;
    (void)bucket;
    (void)timeout_ms;
    fake_puts++;
    asked->expected = expected;
    asked->written = done;
    buf_move(&asked->value, value);
}

void store_get_or_forget(struct bus *bus, const char *bucket, const char *key, int64_t timeout_ms, store_read *done,
                         void (*forget)(void *arg), void *arg)
{
    (void)forget;
    (void)bus;
    (void)bucket;
    (void)timeout_ms;
    fake_gets++;
    ask(key, arg)->read = done;
}

static void do_put(struct asked *asked)
{
    const struct fake_entry *entry = fake_store_find(asked->key);
    uint64_t revision = entry != NULL ? entry->revision : STORE_NEW;
    int err = fake_put_error;

    fake_put_error = ERR_NONE;
    if (err == ERR_NONE || fake_put_done) {
        if (asked->expected != STORE_ANY && asked->expected != revision)
            err = ERR_CONFLICT;
        else
            fake_store_write(asked->key, asked->value.data, asked->value.len);
    }
    asked->written(asked->arg, err, err == ERR_NONE ? sequence : 0, false);
}

static void do_get(struct asked *asked)
{
    const struct fake_entry *entry = fake_store_find(asked->key);
    struct buf copy = {0};

    if (entry == NULL) {
        asked->read(asked->arg, ERR_NOT_FOUND, NULL, 0, 0);
        return;
    }
    buf_append(&copy, entry->value.data, entry->value.len);
    asked->read(asked->arg, ERR_NONE, copy.data, copy.len, entry->revision);
    buf_deinit(&copy);
}

size_t fake_store_waiting(void)
{
    size_t count = 0;

    for (const struct asked *asked = first; asked != NULL; asked = asked->next)
        count++;
    return count;
}

bool fake_store_step(void)
{
    struct asked *asked = first;

    if (asked == NULL)
        return false;
    first = asked->next;
    if (asked->written != NULL)
        do_put(asked);
    else
        do_get(asked);
    asked_free(asked);
    return true;
}

void fake_store_run(void)
{
    while (fake_store_step()) {
    }
}
