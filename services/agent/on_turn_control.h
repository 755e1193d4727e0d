#ifndef PARLEY_ON_TURN_CONTROL_H
#define PARLEY_ON_TURN_CONTROL_H

#include "bus.h"

/* A bus_handler; `turn` is the struct turn. */
void on_turn_control(void *turn, const struct bus_message *message);

#endif
