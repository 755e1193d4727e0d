/* Finds arithmetic in a question. Pure. */
#ifndef PARLEY_ARITHMETIC_H
#define PARLEY_ARITHMETIC_H

#include "question.h"

/* Appends the expression, as a calculator reads it: "what is 12 times 7?" → 12 * 7. False: the question is none of
 * arithmetic (a date or a telephone number is not). */
bool arithmetic_find(const struct question *question, struct buf *expression);

#endif
