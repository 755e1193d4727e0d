/* Time zones without the C library's global state (TZ, tzset), so that threads can ask for different ones: reads the
 * system's TZif files (RFC 8536) itself. */
#ifndef PARLEY_ZONE_H
#define PARLEY_ZONE_H

#include "err.h"

#include <stdint.h>

/* Seconds east of UTC in the zone of this IANA name at that time (Unix seconds). ERR_NOT_FOUND: no such zone. "UTC"
 * needs no file. */
int zone_offset(const char *name, int64_t unix_seconds, int32_t *offset) MUST_CHECK;

/* The same from the bytes of a TZif file. ERR_INVALID: it is none, or one that counts leap seconds. */
int zone_offset_in(const void *bytes, uint64_t len, int64_t unix_seconds, int32_t *offset) MUST_CHECK;

/* The same from a rule such as "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX TZ, with the extensions of RFC 8536, section 3.3.1),
 * which says what holds after the last change that a file lists. */
int zone_offset_by_rule(const char *rule, int64_t unix_seconds, int32_t *offset) MUST_CHECK;

#endif
