/* Allocation that cannot fail.
 *
 * Everything that comes from a peer is bounded before it is allocated, so an allocation fails only when the machine
 * itself is out of memory. Then these say so on stderr and abort: a restart and a takeover are safer than a thousand
 * error paths that no test has ever walked. */
#ifndef PARLEY_MEM_H
#define PARLEY_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                 /* zeroed; release with free() */
void *mem_realloc(void *memory, size_t size); /* as realloc() */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);
void *mem_dup(const void *bytes, size_t len); /* NULL for len 0 */

#endif
