/* util.c: memory, identifiers, clocks, percent-encoding, the home folder. */
#include "util/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

ist_status ist__alloc(size_t count, size_t size, void **out, ist_error *err)
{
    *out = calloc(count ? count : 1, size ? size : 1);
    if (!*out)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for %zu x %zu bytes", count, size);
    return IST_OK;
}

ist_status ist__strdup(const char *text, char **out, ist_error *err)
{
    size_t size = strlen(text) + 1;
    IST_TRY(ist__alloc(size, 1, (void **)out, err));
    memcpy(*out, text, size);
    return IST_OK;
}

void ist__buffer_wipe(ist_buffer *buffer)
{
    if (buffer->data)
        explicit_bzero(buffer->data, buffer->capacity);
    ist_buffer_free(buffer);
}

void ist__text_wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

/* Bytes of the UTF-8 sequence at text; 0 where there is none. */
static size_t character_size(const unsigned char *text)
{
    unsigned char lead = text[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (lead == 0xE0 && text[1] < 0xA0) || (lead == 0xF0 && text[1] < 0x90);
    bool outside = (lead == 0xED && text[1] >= 0xA0) || (lead == 0xF4 && text[1] >= 0x90);
    return overlong || outside ? 0 : size;
}

size_t ist__utf8_prefix(const char *text, size_t most)
{
    size_t size = 0, next;
    while (text[size] && (next = character_size((const unsigned char *)text + size)) > 0 && next <= most - size)
        size += next;
    return size;
}

void ist__utf8_copy(char *out, size_t room, const char *text)
{
    size_t size = ist__utf8_prefix(text, room - 1);
    memcpy(out, text, size);
    out[size] = '\0';
}

void ist__uuid(char out[37])
{
    unsigned char b[16];
    size_t have = 0;
    while (have < sizeof b) {
        ssize_t n = getrandom(b + have, sizeof b - have, 0);
        if (n > 0)
            have += (size_t)n;
        else if (errno != EINTR)
            abort(); /* the kernel has no random source: nothing that needs an identifier can go on */
    }
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
             b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void ist__hex(const void *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[at[i] >> 4];
        out[2 * i + 1] = digits[at[i] & 15];
    }
    out[2 * size] = '\0';
}

#define BASE64_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
static const char base64url_digits[] = BASE64_DIGITS "-_", base64_digits[] = BASE64_DIGITS "+/";

ist_status ist__base64url(const void *bytes, size_t size, ist_buffer *out, ist_error *err)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i += 3) {
        size_t have = size - i < 3 ? size - i : 3;
        uint32_t bits = 0;
        char text[4];
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (j < have ? at[i + j] : 0u);
        for (int j = 0; j < 4; j++)
            text[j] = base64url_digits[bits >> (18 - 6 * j) & 63];
        IST_TRY(ist_buffer_append(out, text, have + 1, err));
    }
    return IST_OK;
}

static bool decode(const char *digits, const char *text, size_t size, unsigned char *out, size_t *out_size)
{
    uint32_t bits = 0;
    size_t count = 0;
    if (size % 4 == 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return false;
        bits = bits << 6 | (uint32_t)(digit - digits);
        if (i % 4 > 0 && count == *out_size)
            return false;
        if (i % 4 > 0)
            out[count++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    *out_size = count;
    return true;
}

bool ist__base64url_decode(const char *text, size_t size, unsigned char *out, size_t *out_size)
{
    return decode(base64url_digits, text, size, out, out_size);
}

bool ist__base64_decode(const char *text, size_t size, unsigned char *out, size_t *out_size)
{
    if (size == 0 || size % 4 != 0)
        return false;
    size -= text[size - 1] == '=' ? text[size - 2] == '=' ? 2 : 1 : 0;
    return decode(base64_digits, text, size, out, out_size);
}

ist_status ist__read_file(const char *path, size_t limit, ist_buffer *out, ist_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ist_error_set(err, errno == ENOENT ? IST_NOT_FOUND : IST_IO, errno, path, "cannot open %s: %s", path,
                             strerror(errno));
    ist_status status = IST_OK;
    char chunk[4096];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = ist_error_set(err, IST_IO, errno, path, "cannot read %s: %s", path, strerror(errno));
        if (n <= 0)
            break;
        total += (size_t)n;
        if (total > limit)
            status = ist_error_set(err, IST_NO_MEMORY, 0, path, "%s is larger than %zu bytes", path, limit);
        else
            status = ist_buffer_append(out, chunk, (size_t)n, err);
        if (status != IST_OK)
            break;
    }
    close(fd);
    return status;
}

int64_t ist__now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t ist__monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void ist__format_time(int64_t ms, char out[32])
{
    int64_t millis = ms % 1000 < 0 ? ms % 1000 + 1000 : ms % 1000;
    time_t seconds = (time_t)((ms - millis) / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts))
        memset(&parts, 0, sizeof parts);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, 32 - n, ".%03dZ", (int)millis);
}

ist_status ist__home(bool create, ist_buffer *out, ist_error *err)
{
    const char *home = getenv("ISTHMUS_HOME");
    ist_buffer_clear(out);
    if (home && *home) {
        IST_TRY(ist_buffer_append_string(out, home, err));
    } else {
        const char *user = getenv("HOME");
        if (!user || !*user)
            return ist_error_set(err, IST_NOT_FOUND, 0, NULL, "neither ISTHMUS_HOME nor HOME is set");
        IST_TRY(ist_buffer_printf(out, err, "%s/.isthmus", user));
    }
    if (create && mkdir(out->data, 0700) != 0 && errno != EEXIST)
        return ist_error_set(err, IST_IO, errno, out->data, "cannot make the folder %s: %s", out->data,
                             strerror(errno));
    return IST_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ist_status ist__uri_decode(const char *text, size_t size, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_reserve(out, size, err));
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = size - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = size - i > 2 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "bad percent-encoding at byte %zu of '%.*s'", i,
                                     (int)(size < 200 ? size : 200), text);
            c = (char)(high * 16 + low);
            i += 2;
        }
        IST_TRY(ist_buffer_append(out, &c, 1, err));
    }
    return IST_OK;
}

ist_status ist__uri_encode(const char *text, size_t size, const char *keep, ist_buffer *out, ist_error *err)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c && (strchr(unreserved, c) || strchr(keep, c)))
            IST_TRY(ist_buffer_append(out, &c, 1, err));
        else
            IST_TRY(ist_buffer_printf(out, err, "%%%02X", (unsigned char)c));
    }
    return IST_OK;
}
