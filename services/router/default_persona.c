#include "default_persona.h"

#include <string.h>

static char name[] = "default";
static char system_prompt[] =
    "You are a helpful assistant in a chat. Answer in the language of the question. Be correct first, then brief: a "
    "few sentences, unless more is asked for. Use Markdown where it helps the reader. Use a tool where one gives a "
    "better answer than you could by yourself. If you don't know something, say so.";

void default_persona_init(Parley__Persona *persona)
{
    parley__persona__init(persona);
    persona->name = name;
    persona->system_prompt.data = (uint8_t *)system_prompt;
    persona->system_prompt.len = strlen(system_prompt);
}
