/* For the tests of completion: a provider that answers with given bytes, questions put to it, and what they came to. */
#ifndef PARLEY_COMPLETION_FIXTURE_H
#define PARLEY_COMPLETION_FIXTURE_H

#include "completion.h"
#include "scripted_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIB           (1024 * 1024)
#define KEY           "sk-very-secret" /* the provider's */
#define PARALLEL      300
#define SSE_HEAD      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
#define CHUNKED       "Transfer-Encoding: chunked\r\n\r\n"
#define TEXT(words)   "data: {\"choices\":[{\"delta\":{\"content\":\"" words "\"}}]}\n\n"
#define FINISH        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE          "data: [DONE]\n\n"
#define ERROR(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"

struct world {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct scripted_server server;
    struct http_client *client;
    char base_url[64];
    struct completion_options options;
    struct provider_usage usage; /* of the last that was answered */
    char words[256];             /* the provider's, of the last that failed */
};

/* One completion and what it came to. */
struct asked {
    struct world *world;
    struct completion *completion;
    struct buf text; /* the test's to free */
    bool done;
    int err;
    char reason[1024];
    bool resumable;
    size_t cancel_at;     /* bytes of text; 0: never */
    struct asked *victim; /* cancelled together with it */
    struct asked *next;   /* started by its first text */
};

/* The world is every test's own; what a test leaves open on its loop makes the test fail, and a test that takes too
 * long ends the program. */
int world_set_up(void **state);
int world_tear_down(void **state);

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

/* A reply that begins with these bytes; it is the server's. */
struct reply *reply_with(struct world *world, const char *bytes);
/* To one in chunks. */
void add_chunk(struct reply *reply, const char *bytes);
void add_text(struct reply *reply, const char *text);
void add_last_chunk(struct reply *reply);
void add_end(struct reply *reply); /* of the answer, with its usage, and the last chunk */
/* A whole answer. */
struct reply *reply_with_text(struct world *world, const char *text);
/* An event stream that says this over and over. */
void reply_without_end(struct world *world, const char *event, uint64_t pause_ms);

void ask(struct world *world, struct asked *asked);
void finish(struct world *world, struct asked *asked);

/* Ask, wait for the end, and hold what came to this. They return the milliseconds that it took. */
uint64_t expect_answer(struct world *world, const char *text);
uint64_t expect_error(struct world *world, int err, bool resumable, const char *reason);
/* Cancelled or failed: the server must see the connection end at once. */
void expect_hang_up(struct world *world);

#endif
