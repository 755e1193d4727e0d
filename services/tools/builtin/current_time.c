/* current_time: what time it is, in any time zone of the IANA database. */
#include "../tool.h"
#include "../zone.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void append_iso(time_t unix_seconds, int32_t offset, struct buf *out)
{
    time_t local = unix_seconds + offset;
    struct tm tm;
    gmtime_r(&local, &tm);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    int minutes = abs(offset) / 60;
    buf_printf(out, "%s%c%02d:%02d", text, offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

static int run(const struct tool_input *input, struct buf *result)
{
    size_t len = 0;
    const char *name = json_get_text(input->arguments, "timezone", &len);
    if (!name || len == 0) {
        name = "UTC";
        len = 3;
    }
    int64_t now = input->now_ms / 1000;
    int32_t offset;
    if (strlen(name) != len || zone_offset(name, now, &offset) != ERR_NONE) {
        buf_append_text(result, "there is no such time zone; give an IANA name such as Europe/Berlin");
        return ERR_INVALID;
    }
    struct buf iso = {0};
    append_iso((time_t)now, offset, &iso);
    json_append_take(result, json_pack("{s:s, s:s, s:I}", "time", iso.data, "timezone", name, "unix", (json_int_t)now));
    buf_deinit(&iso);
    return ERR_NONE;
}

const struct tool tool_current_time = {
    .name = "current_time",
    .description = "Tells the current date and time, in UTC or in a given time zone.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{\"timezone\":{\"type\":\"string\",\"description\":\"IANA name of "
        "the time zone, such as Asia/Shanghai; UTC if left out\"}}}",
    .run = run,
};
