/* A prompt as a chat completions request: https://platform.openai.com/docs/api-reference/chat/create. */
#ifndef PARLEY_OPENAI_REQUEST_H
#define PARLEY_OPENAI_REQUEST_H

#include "provider.h"

/* Fills `out`, which is empty. */
void openai_request(const struct provider_endpoint *endpoint, const struct prompt *prompt,
                    struct provider_request *out);

#endif
