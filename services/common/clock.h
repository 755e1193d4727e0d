/* Time. Deadlines that cross processes are wall-clock milliseconds; everything inside one process is monotonic.
 * Policy code reads no clock: it is handed the time. */
#ifndef PARLEY_CLOCK_H
#define PARLEY_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);     /* Unix time, milliseconds */
double clock_wall_seconds(void); /* Unix time, seconds with a fraction, to 10 us: 15 digits */
int64_t clock_monotonic_ms(void);

#endif
