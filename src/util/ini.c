/* ini.c: one section of a text of "key = value" lines. */
#include "util/ini.h"

#include "util/util.h"

#include <string.h>
#include <strings.h>

static ist__ini_piece trim(ist__ini_piece p)
{
    while (p.size > 0 && strchr(" \t\r", p.at[0]) && p.at[0])
        p.at++, p.size--;
    while (p.size > 0 && strchr(" \t\r", p.at[p.size - 1]) && p.at[p.size - 1])
        p.size--;
    return p;
}

static bool equal(ist__ini_piece p, const char *text)
{
    return p.size == strlen(text) && memcmp(p.at, text, p.size) == 0;
}

static ist_status read_line(ist__ini_piece line, int number, ist__ini_cb cb, void *payload, ist_error *err)
{
    size_t key = 0;
    while (key < line.size && line.at[key] != '=' && line.at[key] != ':')
        key++;
    if (key == line.size || key == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "line %d is no \"key = value\"", number);
    return cb(trim((ist__ini_piece){line.at, key}), trim((ist__ini_piece){line.at + key + 1, line.size - key - 1}), number,
              payload, err);
}

ist_status ist__ini_read(const char *text, size_t size, const char *section, ist__ini_cb cb, void *payload,
                         ist_error *err)
{
    bool found = false, inside = false;
    for (int number = 1; size > 0; number++) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        ist__ini_piece line = trim((ist__ini_piece){text, length});
        text += length + (end != NULL);
        size -= length + (end != NULL);
        if (line.size == 0 || line.at[0] == '#' || line.at[0] == ';')
            continue;
        if (line.at[0] == '[' && line.at[line.size - 1] == ']') {
            inside = equal(trim((ist__ini_piece){line.at + 1, line.size - 2}), section);
            found = found || inside;
        } else if (inside) {
            IST_TRY(read_line(line, number, cb, payload, err));
        }
    }
    return found ? IST_OK : ist_error_set(err, IST_NOT_FOUND, 0, NULL, "there is no profile [%.100s]", section);
}

ist_status ist__ini_take(ist__ini_piece key, ist__ini_piece value, const char *name, char *field, size_t field_size,
                         int line, ist_error *err)
{
    if (key.size != strlen(name) || strncasecmp(key.at, name, key.size) != 0)
        return IST_OK;
    if (value.size >= field_size || memchr(value.at, '\0', value.size))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "line %d: the value of %s is longer than %zu bytes or has a NUL",
                             line, name, field_size - 1);
    memcpy(field, value.at, value.size);
    field[value.size] = '\0';
    return IST_OK;
}
