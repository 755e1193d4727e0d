/* Private to the bus, and the one place that includes libnats: the library itself, and how it is set up. */
#ifndef PARLEY_BUS_NATS_H
#define PARLEY_BUS_NATS_H

#include "bus.h"

#include <nats/nats.h>

#define BUS_RECONNECT_WAIT_MS 250

/* Opened by the first who needs it in the process, closed by the last: then its threads have ended. */
void bus_nats_open(void);
void bus_nats_close(void);

struct bus_nats_callbacks {
    natsConnectionHandler disconnected, reconnected, closed;
    natsErrHandler error;
    void *arg;
};

/* To be destroyed by the caller. */
natsOptions *bus_nats_options(const struct bus_options *from, const struct bus_nats_callbacks *callbacks);

#endif
