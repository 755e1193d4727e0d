/* Checks values against JSON schemas, of the subset that tools are described with: type (one or several), properties,
 * required, additionalProperties (a boolean), items, enum, minimum, maximum, minLength, maxLength, maxItems. What else
 * stands in a schema is for the model to read, and not checked. */
#ifndef PARLEY_SCHEMA_H
#define PARLEY_SCHEMA_H

#include "err.h"

#include <jansson.h>
#include <stddef.h>

/* ERR_INVALID with what is wrong, and where, for people and models: "'expression' must be of type string". */
int schema_check(const json_t *schema, const json_t *value, char *reason, size_t reason_size) MUST_CHECK;

#endif
