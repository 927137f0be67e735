/*
 * deletion_vector.c: the rows of a data file that are deleted (PROTOCOL.md, "Deletion Vectors" and "Deletion Vector
 * Format").
 *
 *     file    version 1 | { size, 4 bytes big-endian | bitmap | CRC-32 of the bitmap, 4 bytes big-endian }*
 *     bitmap  magic, 4 bytes little-endian | buckets, 8 bytes | { high 32 bits, 4 bytes | portable 32-bit roaring }*
 *     native  magic | bitmaps, 4 bytes | { size, 4 bytes | portable 32-bit roaring }*: the form of PROTOCOL.md's inline
 *             example, of before the portable one; bitmap i has the high bits i. In either byte order
 *
 *     roaring cookie | containers' keys and cardinalities | (their offsets) | containers: array, runs or bitset
 *             (https://github.com/RoaringBitmap/RoaringFormatSpec)
 *
 * The bitmaps are not built but laid on the file's rows straight from the bytes. CRoaring 0.2 is of no help: it believes
 * the sizes in them.
 */
#include "delta/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC_PORTABLE = 1681511377, MAGIC_NATIVE = 1681511376, FILE_VERSION = 1, UUID_BYTES = 16, UUID_TEXT = 20 };
/* Of the roaring format: a container of up to ARRAY_MAX rows is an array, a larger one a bitset, unless it is of runs;
 * bitmaps with runs have offsets from OFFSETS_FROM containers on. */
enum {
    COOKIE_NO_RUNS = 12346,
    COOKIE_RUNS = 12347,
    ARRAY_MAX = 4096,
    BITSET_BYTES = 8192,
    CONTAINER_ROWS = 65536,
    CONTAINERS_MAX = 65536,
    OFFSETS_FROM = 4
};
/* A data file with more rows than this cannot have a deletion vector here: its bitmap would take 1 GiB. */
static const int64_t rows_max = INT64_C(1) << 33;

static uint16_t little_16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t little_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t big_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[3] | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[0] << 24;
}

static ist_status corrupt(const char *what, ist_error *err)
{
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the deletion vector is corrupt: %s", what);
}

/* CRC-32 as zlib and java.util.zip.CRC32 have it, four bits at a time. */
static uint32_t crc_32(const uint8_t *bytes, size_t size)
{
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                       0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc = crc >> 4 ^ table[(crc ^ bytes[i]) & 15];
        crc = crc >> 4 ^ table[(crc ^ bytes[i] >> 4) & 15];
    }
    return ~crc;
}

/* Z85 (https://rfc.zeromq.org/spec/32): five characters are four bytes, most significant first. */
static ist_status z85_decode(const char *text, size_t size, ist_buffer *out, ist_error *err)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    if (size % 5 != 0)
        return corrupt("Base85 text of a length that five does not divide", err);
    for (size_t i = 0; i < size; i += 5) {
        uint64_t value = 0;
        for (size_t k = i; k < i + 5; k++) {
            const char *place = text[k] ? strchr(alphabet, text[k]) : NULL;
            if (!place)
                return corrupt("a character that Base85 does not have", err);
            value = value * 85 + (uint64_t)(place - alphabet);
        }
        if (value > UINT32_MAX)
            return corrupt("a Base85 group out of range", err);
        const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                                  (uint8_t)value};
        IST_TRY(ist_buffer_append(out, bytes, sizeof bytes, err));
    }
    return IST_OK;
}

ist_status ist__dv_path(const ist__dv *dv, ist_buffer *out, ist_error *err)
{
    size_t size = strlen(dv->path_or_inline), prefix = size - UUID_TEXT;
    ist_buffer uuid = IST_BUFFER_INIT;
    if (size < UUID_TEXT)
        return corrupt("its file's identifier is too short", err);
    ist_status status;
    IST_TRY_GOTO(z85_decode(dv->path_or_inline + prefix, UUID_TEXT, &uuid, err));
    if (prefix > 0)
        IST_TRY_GOTO(ist_buffer_printf(out, err, "%.*s/", (int)prefix, dv->path_or_inline));
    IST_TRY_GOTO(ist_buffer_append_string(out, "deletion_vector_", err));
    for (size_t i = 0; i < UUID_BYTES; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        IST_TRY_GOTO(ist_buffer_printf(out, err, "%s%02x", dash ? "-" : "", (unsigned char)uuid.data[i]));
    }
    status = ist_buffer_append_string(out, ".bin", err);
done:
    ist_buffer_free(&uuid);
    return status;
}

/* ---- bytes -> bitmap ------------------------------------------------------------------------------------------ */

/* Bytes left to read. */
typedef struct input {
    const uint8_t *data;
    size_t size;
} input;

/* The next `size` bytes; NULL where there are fewer. */
static const uint8_t *take(input *from, size_t size)
{
    if (size > from->size)
        return NULL;
    const uint8_t *result = from->data;
    from->data += size;
    from->size -= size;
    return result;
}

typedef struct clearing {
    uint8_t *keep;
    uint64_t rows;
    int64_t cleared;
} clearing;

/* Clear rows [first, first + count); false where the file has fewer. */
static bool clear_rows(clearing *state, uint64_t first, uint64_t count)
{
    if (first >= state->rows || count > state->rows - first)
        return false;
    for (uint64_t row = first; row < first + count; row++) {
        uint8_t bit = (uint8_t)(1u << (row & 7));
        state->cleared += (state->keep[row >> 3] & bit) != 0;
        state->keep[row >> 3] &= (uint8_t)~bit;
    }
    return true;
}

static bool clear_bitset(clearing *state, uint64_t base, const uint8_t *bits)
{
    for (uint64_t i = 0; i < BITSET_BYTES; i++) {
        if (!bits[i])
            continue;
        uint64_t row = base + i * 8;
        if (row >= state->rows || (state->rows - row < 8 && bits[i] >> (state->rows - row)))
            return false;
        state->cleared += __builtin_popcount(state->keep[row >> 3] & bits[i]);
        state->keep[row >> 3] &= (uint8_t)~bits[i];
    }
    return true;
}

static const char cut_short[] = "it is cut short";
static const char not_in_file[] = "it deletes rows that the file does not have";

/* One container; its rows begin at `base`. */
static ist_status clear_container(clearing *state, input *from, uint64_t base, size_t cardinality, bool runs,
                                  ist_error *err)
{
    const uint8_t *bytes;
    if (runs) {
        if (!(bytes = take(from, 2)))
            return corrupt(cut_short, err);
        size_t count = little_16(bytes);
        if (!(bytes = take(from, count * 4)))
            return corrupt(cut_short, err);
        for (size_t i = 0; i < count; i++, bytes += 4) {
            uint64_t first = little_16(bytes), length = (uint64_t)little_16(bytes + 2) + 1;
            if (first + length > CONTAINER_ROWS || !clear_rows(state, base + first, length))
                return corrupt(not_in_file, err);
        }
        return IST_OK;
    }
    if (cardinality > ARRAY_MAX) {
        if (!(bytes = take(from, BITSET_BYTES)))
            return corrupt(cut_short, err);
        return clear_bitset(state, base, bytes) ? IST_OK : corrupt(not_in_file, err);
    }
    if (!(bytes = take(from, cardinality * 2)))
        return corrupt(cut_short, err);
    for (size_t i = 0; i < cardinality; i++) {
        if (!clear_rows(state, base + little_16(bytes + 2 * i), 1))
            return corrupt(not_in_file, err);
    }
    return IST_OK;
}

/* One 32-bit bitmap; its rows begin at `base`. */
static ist_status clear_bitmap(clearing *state, input *from, uint64_t base, ist_error *err)
{
    const uint8_t *bytes = take(from, 4), *run_flags = NULL;
    if (!bytes)
        return corrupt(cut_short, err);
    uint32_t cookie = little_32(bytes), count;
    if ((cookie & 0xFFFF) == COOKIE_RUNS) {
        count = (cookie >> 16) + 1;
        if (!(run_flags = take(from, (count + 7) / 8)))
            return corrupt(cut_short, err);
    } else if (cookie == COOKIE_NO_RUNS && (bytes = take(from, 4))) {
        count = little_32(bytes);
    } else {
        return corrupt("not a roaring bitmap", err);
    }
    if (count > CONTAINERS_MAX)
        return corrupt("more containers than a bitmap can have", err);
    const uint8_t *keys = take(from, (size_t)count * 4);
    bool offsets = !run_flags || count >= OFFSETS_FROM;
    if (!keys || (offsets && !take(from, (size_t)count * 4)))
        return corrupt(cut_short, err);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t container = base + (uint64_t)little_16(keys + 4 * i) * CONTAINER_ROWS;
        bool runs = run_flags && run_flags[i / 8] >> (i % 8) & 1;
        IST_TRY(clear_container(state, from, container, (size_t)little_16(keys + 4 * i + 2) + 1, runs, err));
    }
    return IST_OK;
}

static ist_status parse_portable(clearing *state, input *from, ist_error *err)
{
    const uint8_t *bytes = take(from, 8);
    if (!bytes)
        return corrupt(cut_short, err);
    uint64_t buckets = little_32(bytes) | (uint64_t)little_32(bytes + 4) << 32;
    int64_t last_high = -1;
    for (; buckets > 0; buckets--) {
        if (!(bytes = take(from, 4)))
            return corrupt(cut_short, err);
        uint32_t high = little_32(bytes);
        if (high <= last_high || high > INT32_MAX)
            return corrupt("its keys are out of order", err);
        last_high = high;
        IST_TRY(clear_bitmap(state, from, (uint64_t)high << 32, err));
    }
    return IST_OK;
}

static ist_status parse_native(clearing *state, input *from, uint32_t (*number)(const uint8_t *), ist_error *err)
{
    const uint8_t *bytes = take(from, 4);
    uint32_t count = bytes ? number(bytes) : 0;
    if (!bytes || count > INT32_MAX)
        return corrupt(cut_short, err);
    for (uint64_t high = 0; high < count; high++) {
        if (!(bytes = take(from, 4)))
            return corrupt(cut_short, err);
        input one = {NULL, number(bytes)};
        if (!(one.data = take(from, one.size)))
            return corrupt(cut_short, err);
        IST_TRY(clear_bitmap(state, &one, high << 32, err));
    }
    return IST_OK;
}

ist_status ist__dv_parse(const uint8_t *data, size_t size, int64_t rows, uint8_t *keep, int64_t *deleted,
                         ist_error *err)
{
    input from = {data, size};
    clearing state = {.keep = keep, .rows = (uint64_t)rows};
    const uint8_t *magic = take(&from, 4);
    if (!magic)
        return corrupt(cut_short, err);
    if (little_32(magic) == MAGIC_PORTABLE)
        IST_TRY(parse_portable(&state, &from, err));
    else if (little_32(magic) == MAGIC_NATIVE)
        IST_TRY(parse_native(&state, &from, little_32, err));
    else if (big_32(magic) == MAGIC_NATIVE)
        IST_TRY(parse_native(&state, &from, big_32, err));
    else
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "a deletion vector of unknown format %" PRIu32,
                             little_32(magic));
    *deleted = state.cleared;
    return IST_OK;
}

void ist__dv_slice(const uint8_t *keep, int64_t rows, int64_t first, int64_t count, uint8_t *out)
{
    int shift = (int)(first % 8);
    int64_t size = (count + 7) / 8, last = (rows + 7) / 8 - 1;
    for (int64_t i = 0; i < size; i++) {
        int64_t from = first / 8 + i;
        out[i] = (uint8_t)(keep[from] >> shift | (from < last ? keep[from + 1] << (8 - shift) : 0));
    }
}

/* ---- where the bytes are --------------------------------------------------------------------------------------- */

static ist_status read_inline(const ist__dv *dv, ist_buffer *out, ist_error *err)
{
    IST_TRY(z85_decode(dv->path_or_inline, strlen(dv->path_or_inline), out, err));
    size_t size = (size_t)dv->size_in_bytes; /* Base85 pads it to four bytes */
    if (out->size < size || out->size - size >= 4)
        return corrupt("its size is not what the log says", err);
    out->size = size;
    return IST_OK;
}

static ist_status read_stored(ist_store *store, const char *path, const ist__dv *dv, ist_buffer *out, ist_error *err)
{
    ist_store_reader *reader;
    IST_TRY(ist_store_reader_open(store, path, &reader, err));
    ist_status status;
    uint8_t version, frame[4];
    size_t size = (size_t)dv->size_in_bytes;
    uint64_t offset = dv->offset > 0 ? (uint64_t)dv->offset : 1, end = ist_store_reader_size(reader);
    if (end < 9 || offset > end - 8 || size > end - 8 - offset) {
        status = corrupt("its file is cut short", err);
        goto done;
    }
    IST_TRY_GOTO(ist_store_reader_read(reader, 0, &version, 1, err));
    if (version != FILE_VERSION) {
        status = ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "a deletion vector file of unknown version %d", version);
        goto done;
    }
    IST_TRY_GOTO(ist_store_reader_read(reader, offset, frame, sizeof frame, err));
    if (big_32(frame) != size) {
        status = corrupt("its size is not what the log says", err);
        goto done;
    }
    IST_TRY_GOTO(ist_buffer_reserve(out, size, err));
    IST_TRY_GOTO(ist_store_reader_read(reader, offset + 4, out->data, size, err));
    out->size = size;
    IST_TRY_GOTO(ist_store_reader_read(reader, offset + 4 + size, frame, sizeof frame, err));
    if (big_32(frame) != crc_32((const uint8_t *)out->data, size))
        status = corrupt("its checksum is wrong", err);
done:
    ist_store_reader_free(reader);
    if (status != IST_OK)
        ist_error_context(err, "%s", path);
    return status;
}

static ist_status read_bytes(ist_store *store, const ist__dv *dv, ist_buffer *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status;
    if (dv->storage_type == 'i')
        return read_inline(dv, out, err);
    if (dv->storage_type == 'u')
        status = ist__dv_path(dv, &path, err);
    else if (dv->storage_type == 'p')
        status = ist__data_path(store, dv->path_or_inline, &path, err);
    else
        status = ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "a deletion vector of unknown storage type '%c'",
                               dv->storage_type);
    if (status == IST_OK)
        status = read_stored(store, path.data, dv, out, err);
    ist_buffer_free(&path);
    return status;
}

ist_status ist__dv_read(ist_store *store, const ist__dv *dv, int64_t rows, uint8_t **keep, ist_error *err)
{
    ist_buffer bytes = IST_BUFFER_INIT;
    uint8_t *bits = NULL;
    int64_t deleted;
    ist_status status;
    if (rows < 0 || rows > rows_max)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "a deletion vector on a file of %" PRId64 " rows", rows);
    IST_TRY_GOTO(read_bytes(store, dv, &bytes, err));
    size_t size = (size_t)(rows + 7) / 8;
    IST_TRY_GOTO(ist__alloc(size, 1, (void **)&bits, err));
    memset(bits, 0xFF, size);
    IST_TRY_GOTO(ist__dv_parse((const uint8_t *)bytes.data, bytes.size, rows, bits, &deleted, err));
    if (deleted != dv->cardinality) {
        status = corrupt("it does not delete as many rows as the log says", err);
        goto done;
    }
    *keep = bits;
    bits = NULL;
done:
    free(bits);
    ist_buffer_free(&bytes);
    return status;
}
