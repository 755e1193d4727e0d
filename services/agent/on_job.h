#ifndef PARLEY_ON_JOB_H
#define PARLEY_ON_JOB_H

#include "store.h"

/* A consumer_handler; `agent` is the struct agent. */
void on_job(void *agent, struct delivery *delivery);

#endif
