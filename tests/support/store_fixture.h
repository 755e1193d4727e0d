/* For tests of the store: two buses that play two processes, and its calls as if they blocked. What fails here fails
 * the test. */
#ifndef PARLEY_TEST_STORE_FIXTURE_H
#define PARLEY_TEST_STORE_FIXTURE_H

#include "bus_fixture.h"
#include "store.h"

#define TIMEOUT_MS 5000

extern struct bus *bus, *other;        /* the running test's */
extern const struct store_stream jobs; /* JOBS, a stream that keeps job.* */

int store_fixture_setup(void **state);
int store_fixture_teardown(void **state);
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)

/* What a call's handler was told. */
struct result {
    int calls;
    int err;
    uint64_t revision;
    bool duplicate;
    struct buf value; /* of a read: the test's to free */
    struct store_state state;
};

/* Handlers; `arg` is a struct result *, zeros when the call is made. */
void on_done(void *arg, int err);
void on_written(void *arg, int err, uint64_t revision, bool duplicate);
/* Until the handler was called, which it was not yet. */
void wait_for(struct result *result);

int ensure_stream(const struct store_stream *stream);
struct result get_state(const char *stream);
/* store_publish() of a text. */
struct result publish(const char *subject, const char *message_id, uint64_t expected, const char *text);
void publish_job(const char *text); /* to job.a, without an id, whatever is there */

#endif
