/* A client's cancel: all that runs or waits on its connection is stopped, and when that has been settled the client is
 * told so, once for each cancel that it sent.
 *
 * From the moment a cancel is read, nothing more of those answers is sent. Questions not yet asked are forgotten, tool
 * calls let go. A turn in flight is withdrawn (withdraw.h); it is settled when its end has come, or the mark stands
 * that keeps agents from it, or CANCEL_TIMEOUT_MS have passed. Questions that come meanwhile wait for that. Others of a
 * room who follow the answer do so up to its end. */
#ifndef PARLEY_CANCEL_H
#define PARLEY_CANCEL_H

#include "connection.h"

struct turn;

void cancel_ask(struct connection *connection);
/* The turn, which the cancel awaited, is settled: it is forgotten, unless others follow it. */
void cancel_settle(struct turn *turn);
/* The connection goes away: nobody is to be told. Turns are being withdrawn all the same. */
void cancel_forget(struct connection *connection);

#endif
