/* Messages of a client that can't be read yet: it is still being asked whether it may come in (join.h), or which
 * session it goes on with (session.h). Then all that it has sent is read as if it came now. */
#ifndef PARLEY_HELD_H
#define PARLEY_HELD_H

#include "connection.h"

/* From now on the connection's messages are held. */
void held_begin(struct connection *connection);
/* One more. Closes who sends too much. */
void held_add(struct connection *connection, const char *bytes, size_t len, bool binary);
/* They are read now; the connection may be closed afterwards. None held: nothing. */
void held_end(struct connection *connection);
/* They are forgotten. None held: nothing. */
void held_drop(struct connection *connection);

#endif
