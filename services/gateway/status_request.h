/* A client asks for the counts of its dialect, on all gateways; several questions meanwhile are answered together, each
 * by itself. */
#ifndef PARLEY_STATUS_REQUEST_H
#define PARLEY_STATUS_REQUEST_H

#include "connection.h"

void status_request_start(struct connection *connection);
void status_request_stop(struct connection *connection); /* none under way: nothing */

#endif
