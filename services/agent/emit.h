/* Events to gateways and rooms. What one turn of the loop produced for one of them leaves as one message, right after
 * the loop has read its sockets (uv_check), and before it sleeps again (uv_prepare, for what timers produced): no
 * timer, no wait.
 *
 * A listener is a position in a turn's transcript, as bytes of text and number of step events. Speaking means: bring
 * every listener from where it stands to the transcript's end. So what a turn said several times in one turn of the
 * loop is one chunk, text is copied once (from the transcript into the message), and sending again after a gap is just
 * a listener put back.
 *
 * What the bus refuses is dropped: gateways see the gap and ask (Attach). */
#ifndef PARLEY_EMIT_H
#define PARLEY_EMIT_H

#include "bus.h"
#include "event.pb-c.h"
#include "id.h"
#include "metrics.h"
#include "transcript.h"

#include <uv.h>

#define VOICE_LISTENERS_MAX 8

struct emit;

struct listener {
    struct route *route; /* to its gateway, or its room */
    char connection[ID_TOKEN_MAX + 1];
    size_t sent;    /* bytes of text that it has */
    uint32_t steps; /* step events that it has */
};

/* A turn as it speaks; in the turn's memory, everything in it is private. */
struct voice {
    struct emit *emit;
    struct voice *prev, *next; /* among those with something to say */
    bool pending;
    bool spoke; /* since voice_was_silent() was asked */
    bool open;
    const char *turn;
    uint32_t attempt;
    const struct transcript *transcript;
    struct listener listeners[VOICE_LISTENERS_MAX];
    size_t listener_count;
};

/* `chunks` counts; may be NULL. */
struct emit *emit_new(uv_loop_t *loop, struct bus *bus, struct metric *chunks);
/* All voices are gone by now. The loop must run once more afterwards. */
void emit_free(struct emit **emit);
/* Now, instead of at the end of this turn of the loop. */
void emit_flush(struct emit *emit);

/* Turn and transcript are lent until voice_deinit(). It is mute until voice_open(): till then its transcript may not
 * be what listeners' positions refer to. */
void voice_init(struct voice *voice, struct emit *emit, const char *turn, uint32_t attempt,
                const struct transcript *transcript);
void voice_open(struct voice *voice);
/* What was said goes out. */
void voice_deinit(struct voice *voice);

/* Speaks to `connection` of `gateway` (both id_is_token) too, from this position on. There is one listener a gateway:
 * a connection given later replaces the earlier one. Of too many gateways the one that listens longest is dropped. */
void voice_listen(struct voice *voice, const char *gateway, const char *connection, uint64_t sent, uint32_t steps);
/* The same for all members of a room (id_is_token), where the turn is `connection`'s. */
void voice_listen_room(struct voice *voice, const char *room, const char *connection, uint64_t sent, uint32_t steps);
/* Sends `event`, of which only the kind is set, to this gateway's listener alone, before what it lacks of the
 * transcript. */
void voice_greet(struct voice *voice, const char *gateway, Parley__Event *event);
/* The transcript has grown. Cheap: to be called for every token. */
void voice_say(struct voice *voice);
/* Sends `event`, of which only the kind is set, to all listeners, after all that the transcript holds. */
void voice_event(struct voice *voice, Parley__Event *event);
/* Whether nothing was said since the last call. */
bool voice_was_silent(struct voice *voice);

#endif
