#include "store_call.h"

#include "mem.h"
#include "stores.h"

#include <stdlib.h>

struct store_call {
    struct store_call **slot; /* NULL: forgotten */
    store_read *read;
    store_written *written;
    void *arg;
};

static struct store_call *call_new(struct store_call **slot, void *arg)
{
    struct store_call *call = mem_alloc(sizeof *call);

    call->slot = slot;
    call->arg = arg;
    *slot = call;
    return call;
}

/* Ends the call; false where nobody waits for it any more. */
static bool call_end(struct store_call *call, struct store_call *out)
{
    *out = *call;
    free(call);
    if (out->slot == NULL)
        return false;
    *out->slot = NULL;
    return true;
}

static void on_forgotten(void *arg)
{
    struct store_call call;

    (void)call_end(arg, &call);
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct store_call call;

    if (call_end(arg, &call))
        call.read(call.arg, err, value, len, revision);
}

static void on_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    struct store_call call;

    if (call_end(arg, &call))
        call.written(call.arg, err, revision, duplicate);
}

void store_call_get(struct bus *bus, const char *bucket, const char *key, store_read *done, void *arg,
                    struct store_call **slot)
{
    struct store_call *call = call_new(slot, arg);

    call->read = done;
    store_get_or_forget(bus, bucket, key, STORE_TIMEOUT_MS, on_read, on_forgotten, call);
}

void store_call_put(struct bus *bus, const char *bucket, const char *key, uint64_t expected, struct buf *value,
                    store_written *done, void *arg, struct store_call **slot)
{
    struct store_call *call = call_new(slot, arg);

    call->written = done;
    store_put_or_forget(bus, bucket, key, expected, value, STORE_TIMEOUT_MS, on_written, on_forgotten, call);
}

void store_call_forget(struct store_call **call)
{
    if (*call == NULL)
        return;
    (*call)->slot = NULL;
    *call = NULL;
}
