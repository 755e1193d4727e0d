/* ISO 8601. Reads no clock. */
#ifndef PARLEY_ISO_TIME_H
#define PARLEY_ISO_TIME_H

#define ISO_TIME_SIZE 27
/* Unix seconds in UTC, to the microsecond, no zone: `2025-01-01T12:00:00.123456`. */
void iso_time(double wall_seconds, char out[ISO_TIME_SIZE]);

#endif
