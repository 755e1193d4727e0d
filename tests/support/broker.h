/* A nats-server of a test's own, with JetStream, on a free port of 127.0.0.1 and in a temporary directory. It dies with
 * the test. All of these end the test where something goes wrong. */
#ifndef PARLEY_TEST_BROKER_H
#define PARLEY_TEST_BROKER_H

#include <stdbool.h>
#include <sys/types.h>

struct broker {
    pid_t pid; /* 0: not running */
    int port;
    bool refuses; /* from the next start on: everybody, for want of a password */
    char dir[64];
    char url[64];
};

void broker_init(struct broker *broker); /* and starts it */
void broker_start(struct broker *broker);
void broker_kill(struct broker *broker);   /* SIGKILL; what it stored stays */
void broker_freeze(struct broker *broker); /* SIGSTOP; returns when all of it has stopped */
void broker_thaw(struct broker *broker);
void broker_deinit(struct broker *broker); /* kills it and removes what it stored */

#endif
