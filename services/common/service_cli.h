/* The command line of every service, and what it starts with: arguments and settings. For service.c only. */
#ifndef PARLEY_SERVICE_CLI_H
#define PARLEY_SERVICE_CLI_H

#include "service.h"

#include <stdint.h>

/* SERVICE_GOES_ON with both settings filled, or the status to exit with; whatever there was to say has been said. */
int service_cli(const struct service_spec *spec, void *settings, struct common_settings *common, int argc, char **argv);

/* Asks `host`:`port` for /readyz, blocking, at most some two seconds a step, and prints what it said. Exit status 0 if
 * it is ready, else 1. `host` that stands for all addresses, or is empty, means this machine. */
int service_check(const char *host, uint16_t port);

#endif
