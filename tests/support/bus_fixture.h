/* For tests of the bus and of what is built on it: a harness that is made anew for each test, and what many of them
 * say, ask and count. What fails here fails the test. */
#ifndef PARLEY_TEST_BUS_FIXTURE_H
#define PARLEY_TEST_BUS_FIXTURE_H

#include "bus_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern struct harness harness; /* the running test's */

int bus_fixture_setup(void **state);
int bus_fixture_teardown(void **state); /* the buses are the test's to free, before */
#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, bus_fixture_setup, bus_fixture_teardown)

/* bus_publish() of a text, without headers. */
int publish_text(struct bus *bus, const char *subject, const char *text) MUST_CHECK;

void count_message(void *arg, const struct bus_message *message); /* a bus_handler; `arg` is an int * */
void note_done(void *arg);                                        /* for bus_drain() and bus_flush(); a bool * */

struct answer {
    int calls;
    int err;
    char text[64];
    char header[64]; /* X-Echo */
};

void on_answer(void *arg, int err, const struct bus_message *reply); /* a bus_reply_handler; `arg` is an answer */

/* Sends a request that `answer`, zeros now, will tell of. `request` as in bus_request(). */
void ask(struct bus *bus, const char *subject, int64_t timeout_ms, struct answer *answer, struct bus_request **request);

#endif
