/* Where clients come in: hands upgrades, messages and requests to who knows about them. */
#ifndef PARLEY_EDGE_H
#define PARLEY_EDGE_H

#include "err.h"
#include "gateway.h"

/* Listens on all ports of the settings. Logs what goes wrong. */
int edge_listen(struct gateway *gateway) MUST_CHECK;

#endif
