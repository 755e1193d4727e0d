/* A list of the pages that may connect, as WS_ALLOWED_ORIGINS has it: entries with commas, and perhaps spaces, each
 *
 *   *                          any page
 *   null                       pages without an origin, such as a file that was opened, or one in a sandbox
 *   https://chat.example:8443  exactly this origin; a scheme's own port may be left out
 *   chat.example, [::1]        this host, with any scheme and port
 *
 * Letters' case does not matter. Pure. RFC 6454, sections 6 and 7. */
#ifndef PARLEY_ORIGINS_H
#define PARLEY_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether each entry is one of these, and there is one. If not, `*entry` and `*len` say where the first wrong one is.
 */
bool origins_valid(const char *list, const char **entry, size_t *len);

/* Whether an Origin header's value is listed. */
bool origins_list(const char *list, const char *origin);

/* Whether a page of this host, given as a Host header has it, would be, whatever the scheme and port. */
bool origins_list_host(const char *list, const char *header);

#endif
