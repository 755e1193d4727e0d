/* Withdrawing a turn: whoever runs it stops, and nobody starts it.
 *
 *   tell the agent ----- it answers ----------------------------------------> TOLD
 *        |  nobody there                                                        (its end will come as an event)
 *        |  (or somebody deaf, frozen or cut off: on with reading the record)
 *   leave the mark CANCEL_ASKED in the turns bucket, if there is no record --> SETTLED
 *        |  there is one
 *   tell the agent again: it may have claimed the turn meanwhile
 *        |  nobody there
 *   read the record: ended, or marked --------------------------------------> SETTLED
 *        |  running, but nobody runs it
 *   put the mark into the record, if it is still the same ------------------> SETTLED: whoever takes it over stops
 *        |  it is not: all of it again, a few times
 *   the broker is not there, or it takes too long --------------------------> KEPT: all of it again, each second that
 *                                                                             the broker is there, until it is done
 *                                                                             or no job can be left (the stream's age)
 *   the record can't be read, or too many are kept already -----------------> FAILED
 */
#ifndef PARLEY_WITHDRAW_H
#define PARLEY_WITHDRAW_H

#include "gateway.h"

enum withdraw_outcome { WITHDRAW_TOLD, WITHDRAW_SETTLED, WITHDRAW_KEPT, WITHDRAW_FAILED };

struct withdrawal;

/* Called once, and never from within withdraw_start(); the withdrawal is not to be used any more. */
typedef void withdraw_done(void *arg, enum withdraw_outcome outcome);

/* `done` NULL: nobody waits for it. Needs no turn of that id to exist here. */
struct withdrawal *withdraw_start(struct gateway *gateway, const char *turn, withdraw_done *done, void *arg);
/* `done` is not called any more; it goes on all the same. NULL inside is allowed; NULLs the pointer. */
void withdraw_forget(struct withdrawal **withdrawal);
/* Tries again what is kept; once a second, and when the broker is back. */
void withdraw_retry(struct gateway *gateway);
/* When no answer of the broker can come any more. */
void withdraw_free_all(struct gateway *gateway);

#endif
