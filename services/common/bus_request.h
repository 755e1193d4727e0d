/* Private to the bus: who waits for a reply, and until when. Knows nothing of the connection. On the loop's thread. */
#ifndef PARLEY_BUS_REQUEST_H
#define PARLEY_BUS_REQUEST_H

#include "bus.h"

struct bus_requests;

struct bus_requests *bus_requests_new(uv_loop_t *loop);
/* Nobody is called but those who asked to be (`forget`). The loop must run once more afterwards. */
void bus_requests_free(struct bus_requests **requests);
size_t bus_requests_count(const struct bus_requests *requests);

struct bus_waiting {
    bus_reply_handler *handler;
    void (*forget)(void *arg); /* called in place of the handler by bus_requests_free(); NULL: nobody is */
    void *arg;
    int64_t timeout_ms;
    int timeout_err;            /* what the handler gets when the time is over */
    struct bus_request **owner; /* where the caller keeps the request; nulled with it. NULL: nowhere */
};

/* Returns the id that its reply will bear. */
uint64_t bus_requests_add(struct bus_requests *requests, const struct bus_waiting *waiting);
/* Calls the handler; an unknown id (too late, cancelled, made up) is ignored. */
void bus_requests_end(struct bus_requests *requests, uint64_t id, int err, const struct bus_message *reply);
void bus_requests_end_all(struct bus_requests *requests, int err);
/* Without a word to anybody. */
void bus_requests_drop(struct bus_requests *requests, uint64_t id);

#endif
