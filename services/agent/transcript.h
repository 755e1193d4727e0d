/* What a turn has said and done so far: the answer's text, and its tool steps in the order of calling. Prompts, events,
 * checkpoints and what the conversation remembers are all made from it.
 *
 * Step events are numbered from 1: of each round first that every call has started, then that every call has finished,
 * both in the order of calling. So a number means the same in every attempt, however the calls of a round race. */
#ifndef PARLEY_TRANSCRIPT_H
#define PARLEY_TRANSCRIPT_H

#include "buf.h"
#include "turn.pb-c.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>

struct step {
    uint32_t round; /* from 1; calls of one round run together */
    char *call;     /* <turn>-<round>-<index>: the same in every attempt */
    char *name;
    struct buf arguments; /* a JSON object */
    size_t offset;        /* bytes of answer text before its round */
    bool finished, ok;
    struct buf result; /* JSON where ok, else a text that says what went wrong */
};

struct transcript {
    struct buf text;
    struct step *steps;
    size_t step_count;
    size_t step_bytes; /* of all arguments and results */
    struct buf packed; /* the first steps, all finished, as they are stored; it only grows */
    size_t packed_count;
};

void transcript_deinit(struct transcript *transcript);

/* Copies. The step's offset is where the text stands. The pointer lasts until the next step is added. */
struct step *transcript_add(struct transcript *transcript, uint32_t round, const char *call, const char *name,
                            const void *arguments, size_t len);
void transcript_finish(struct transcript *transcript, size_t index, bool ok, const void *result, size_t len);

/* The last round's number (0: there was none), its first step's index, and whether all its steps have finished. */
uint32_t transcript_round(const struct transcript *transcript);
size_t transcript_round_begin(const struct transcript *transcript);
bool transcript_round_finished(const struct transcript *transcript);
/* Where the text after the last round begins. */
size_t transcript_tail(const struct transcript *transcript);

struct step_event {
    const struct step *step;
    bool finished; /* else started */
};
/* How many step events there are by now; event `number` is one of 1 to that. */
uint32_t transcript_event_count(const struct transcript *transcript);
struct step_event transcript_event(const struct transcript *transcript, uint32_t number);

/* The steps from `first` on as they are stored; their texts are the transcript's. */
struct stored_steps {
    Parley__ToolStep *items;
    Parley__ToolStep **pointers;
    size_t count;
};
void stored_steps_init(struct stored_steps *stored, const struct transcript *transcript, size_t first);
void stored_steps_deinit(struct stored_steps *stored);
/* Copies stored steps to the transcript's end, whose text is whole. What can't be (an earlier round left unfinished,
 * text offsets that run backwards or beyond the text) is put right. */
void transcript_load_steps(struct transcript *transcript, Parley__ToolStep *const *steps, size_t count);
/* The same for those in `packed`, which holds nothing else; before all others. ERR_INVALID: it does. */
int transcript_load_packed(struct transcript *transcript, struct wire_arena *arena) MUST_CHECK;

#endif
