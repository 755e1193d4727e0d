/* A bus for tests of one module: it keeps what is published, and answers requests when it is told to. Linked before the
 * real one, it stands in for it. */
#ifndef PARLEY_TEST_FAKE_BUS_H
#define PARLEY_TEST_FAKE_BUS_H

#include "bus.h"

#define FAKE_BUS_MAX 64

struct fake_message {
    char subject[192];
    struct buf payload;
    bool request, waiting;
    bus_reply_handler *handler;
    void *arg;
    struct bus_request **slot;
};

extern struct fake_message fake_messages[FAKE_BUS_MAX]; /* in order */
extern size_t fake_message_count;
extern size_t fake_max_payload;
extern int fake_publish_error; /* what publishing and requesting answer */

void fake_bus_reset(void);
/* To who has subscribed to that; false: nobody has. */
bool fake_bus_send(const char *subject, const void *data, size_t len);
/* Answers request `index`; `err` ERR_NONE: with these bytes. */
void fake_bus_reply(size_t index, int err, const void *data, size_t len);

#endif
