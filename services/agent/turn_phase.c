#include "turn_phase.h"

#define BIT(phase) (1u << (phase))

static const struct {
    const char *name;
    unsigned next;
} table[TURN_PHASE_COUNT] = {
    [TURN_CLAIMING] = {"claiming", BIT(TURN_LOADING) | BIT(TURN_RETURNING) | BIT(TURN_GONE)},
    [TURN_LOADING] = {"loading", BIT(TURN_ANSWERING) | BIT(TURN_CALLING) | BIT(TURN_SEALING) | BIT(TURN_REPORTING) |
                                     BIT(TURN_RETURNING) | BIT(TURN_GONE)},
    [TURN_ANSWERING] = {"answering", BIT(TURN_CALLING) | BIT(TURN_SEALING) | BIT(TURN_RETURNING) | BIT(TURN_GONE)},
    [TURN_CALLING] = {"calling", BIT(TURN_ANSWERING) | BIT(TURN_SEALING) | BIT(TURN_RETURNING) | BIT(TURN_GONE)},
    [TURN_SEALING] = {"sealing", BIT(TURN_REPORTING) | BIT(TURN_GONE)},
    [TURN_REPORTING] = {"reporting", BIT(TURN_ANNOUNCING) | BIT(TURN_GONE)},
    [TURN_ANNOUNCING] = {"announcing", BIT(TURN_GONE)},
    [TURN_RETURNING] = {"returning", BIT(TURN_SEALING) | BIT(TURN_GONE)},
    [TURN_GONE] = {"gone", 0},
};

bool turn_phase_may_follow(enum turn_phase from, enum turn_phase to)
{
    return (table[from].next & BIT(to)) != 0;
}

const char *turn_phase_name(enum turn_phase phase)
{
    return table[phase].name;
}
