/* Private to the bus: a subscription, as the loop and the other threads share it, and the letters that reach the loop.
 */
#ifndef PARLEY_BUS_SUBSCRIPTION_H
#define PARLEY_BUS_SUBSCRIPTION_H

#include "bus.h"
#include "mailbox.h"

#include <stdatomic.h>

struct bus_inbox;

struct bus_subscription {
    /* The loop's. */
    struct bus *bus;
    bus_handler *handler; /* NULL: unsubscribed */
    void *arg;
    void (*drained)(void *arg); /* NULL: nobody waits for that */
    void *drained_arg;
    /* Never changed. */
    char *subject;
    char *queue; /* or NULL */
    /* The publishing thread's. */
    struct bus_inbox *inbox; /* set once, before anything can arrive */
    void *native;            /* NULL: while there is no connection */
    struct bus_subscription *next;
    bool stranded; /* see bus_inbox.c */
    struct bus_subscription *next_stranded;
    /* The delivery thread's. */
    int64_t library_dropped;
    /* Anybody's. */
    atomic_bool draining;  /* set by the publishing thread */
    atomic_int references; /* the link's list, and each native subscription until its last message is through */
    atomic_size_t waiting, waiting_bytes; /* posted, and not handled yet */
};

struct bus_subscription *bus_subscription_new(const char *subject, const char *queue);
void bus_subscription_free(struct bus_subscription **subscription);

enum bus_letter_kind {
    BUS_ARRIVED,      /* a message */
    BUS_STATE,        /* the connection stands, or was lost */
    BUS_DRAINED,      /* its last message is through; may come more than once */
    BUS_UNSUBSCRIBED, /* the last letter of a subscription: it is the loop's to free */
    BUS_FLUSHED
};

struct bus_letter {
    struct letter letter;
    enum bus_letter_kind kind;
    struct bus_subscription *subscription; /* BUS_ARRIVED, BUS_DRAINED, BUS_UNSUBSCRIBED */
    struct bus_message message;            /* BUS_ARRIVED */
    bool connected;                        /* BUS_STATE */
    size_t max_payload;                    /* BUS_STATE, when connected */
    uint64_t flush;                        /* BUS_FLUSHED: the request that waits for it */
};

/* And the message in it. */
void bus_letter_free(struct bus_letter **letter);

#endif
