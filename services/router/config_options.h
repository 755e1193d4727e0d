/* A persona's options: what is sent to the model provider with each of its questions, beside what the agent says
 * itself. Pure. */
#ifndef PARLEY_CONFIG_OPTIONS_H
#define PARLEY_CONFIG_OPTIONS_H

#include "config_reader.h"

/* Checks those that are the agent's own to say, and those of OpenAI's that are numbers. All others are the provider's
 * to judge, since providers differ. `options` NULL: none. */
void config_check_options(struct config_reader *reader, const struct config_place *place, const json_t *options);

#endif
