#include "bus_nats.h"

#include "log.h"
#include "mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_JITTER_MS 50
#define CONNECT_TIMEOUT_MS  1000 /* at the least; else the write deadline */
#define PINGS_OUT           2
#define LIBRARY_CLOSE_MS    5000

static struct {
    pthread_mutex_t lock;
    int users;
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

void bus_nats_open(void)
{
    pthread_mutex_lock(&library.lock);
    /* One delivery thread: messages keep the broker's order across subscriptions. */
    if (library.users++ == 0 && (nats_Open(-1) != NATS_OK || nats_SetMessageDeliveryPoolSize(1) != NATS_OK))
        abort(); /* only memory or threads can be lacking */
    pthread_mutex_unlock(&library.lock);
}

void bus_nats_close(void)
{
    pthread_mutex_lock(&library.lock);
    if (--library.users == 0)
        nats_CloseAndWait(LIBRARY_CLOSE_MS);
    pthread_mutex_unlock(&library.lock);
}

/* `urls`, parted at commas. */
static natsStatus set_servers(natsOptions *options, const char *urls)
{
    char *copy = mem_strdup(urls);
    const char **servers = mem_alloc((strlen(urls) + 1) * sizeof *servers);
    int count = 0;
    char *rest = NULL;
    for (char *url = strtok_r(copy, ", ", &rest); url; url = strtok_r(NULL, ", ", &rest))
        servers[count++] = url;
    natsStatus status = count > 0 ? natsOptions_SetServers(options, servers, count) : NATS_OK;
    free(servers);
    free(copy);
    return status;
}

#define TRY(call) (status = status == NATS_OK ? (call) : status)

natsOptions *bus_nats_options(const struct bus_options *from, const struct bus_nats_callbacks *callbacks)
{
    natsOptions *options = NULL;
    int64_t timeout = from->write_deadline_ms > CONNECT_TIMEOUT_MS ? from->write_deadline_ms : CONNECT_TIMEOUT_MS;
    natsStatus status = natsOptions_Create(&options);
    TRY(set_servers(options, from->url));
    TRY(natsOptions_SetName(options, from->name));
    if (from->user)
        TRY(natsOptions_SetUserInfo(options, from->user, from->password));
    TRY(natsOptions_SetTimeout(options, timeout));
    TRY(natsOptions_SetWriteDeadline(options, from->write_deadline_ms));
    TRY(natsOptions_SetSendAsap(options, true));
    TRY(natsOptions_SetPingInterval(options, from->ping_interval_ms));
    TRY(natsOptions_SetMaxPingsOut(options, PINGS_OUT));
    TRY(natsOptions_SetMaxReconnect(options, -1));
    TRY(natsOptions_SetReconnectWait(options, BUS_RECONNECT_WAIT_MS));
    TRY(natsOptions_SetReconnectJitter(options, RECONNECT_JITTER_MS, RECONNECT_JITTER_MS));
    TRY(natsOptions_SetReconnectBufSize(options, 0));
    TRY(natsOptions_UseGlobalMessageDelivery(options, true));
    TRY(natsOptions_SetDisconnectedCB(options, callbacks->disconnected, callbacks->arg));
    TRY(natsOptions_SetReconnectedCB(options, callbacks->reconnected, callbacks->arg));
    TRY(natsOptions_SetClosedCB(options, callbacks->closed, callbacks->arg));
    TRY(natsOptions_SetErrorHandler(options, callbacks->error, callbacks->arg));
    if (status != NATS_OK) {
        log_error("settings of the message broker are refused", LOG_TEXT("error", natsStatus_GetText(status)));
        abort(); /* the settings' table has checked them */
    }
    return options;
}
