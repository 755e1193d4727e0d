/* The persona of those who ask for none. */
#ifndef PARLEY_DEFAULT_PERSONA_H
#define PARLEY_DEFAULT_PERSONA_H

#include "job.pb-c.h"

/* Sets all fields; the texts live for ever. */
void default_persona_init(Parley__Persona *persona);

#endif
