/*
 * file.c: files that are not tables, as streams.
 *
 * An Arrow IPC *file* is an Arrow IPC *stream* between a magic of eight bytes and a footer, so one decoder reads both.
 */
#include "isthmus/file.h"

#include "delta/delta_internal.h"
#include "shim/ipc.h"
#include "shim/parquet.h"
#include "shim/stream.h"
#include "shim/text.h"
#include "util/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char parquet_magic[] = "PAR1";
static const char arrow_magic[] = "ARROW1\0\0";
static const char ipc_continuation[] = "\xFF\xFF\xFF\xFF";

static bool ends_with(const char *path, const char *ending)
{
    size_t size = strlen(path), n = strlen(ending);
    return size >= n && strcasecmp(path + size - n, ending) == 0;
}

static ist_status guess_format(const ist__source *source, const char *path, ist_file_format *format, ist_error *err)
{
    char start[8] = "";
    size_t size = source->size < sizeof start ? (size_t)source->size : sizeof start;
    static const struct {
        const char *ending;
        ist_file_format format;
    } endings[] = {
        {".csv", IST_FILE_CSV},      {".tsv", IST_FILE_CSV},         {".json", IST_FILE_JSON},
        {".jsonl", IST_FILE_JSON},   {".ndjson", IST_FILE_JSON},     {".parquet", IST_FILE_PARQUET},
        {".arrow", IST_FILE_ARROW},  {".arrows", IST_FILE_ARROW},    {".feather", IST_FILE_ARROW},
        {".ipc", IST_FILE_ARROW},
    };
    if (size > 0)
        IST_TRY(source->read(source->self, 0, start, size, err));
    if (size >= 4 && memcmp(start, parquet_magic, 4) == 0) {
        *format = IST_FILE_PARQUET;
        return IST_OK;
    }
    if ((size == 8 && memcmp(start, arrow_magic, 8) == 0) || (size >= 4 && memcmp(start, ipc_continuation, 4) == 0)) {
        *format = IST_FILE_ARROW;
        return IST_OK;
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(path, endings[i].ending)) {
            *format = endings[i].format;
            return IST_OK;
        }
    return ist_error_set(err, IST_BAD_INPUT, 0, path,
                         "%s: its format is not known: it does not begin like Parquet or Arrow IPC and its name does "
                         "not end in .csv, .tsv, .json, .jsonl or .ndjson; say which it is",
                         path);
}

static ist_status read_parquet(ist__source source, struct ArrowArrayStream *out, ist_error *err)
{
    ist__parquet_reader *reader = NULL;
    IST_TRY(ist__parquet_reader_open(source, &reader, err));
    ist_status status = ist__parquet_reader_read(reader, NULL, 0, 0, out, err);
    ist__parquet_reader_free(reader);
    return status;
}

static ist_status read_arrow(ist__source source, struct ArrowArrayStream *out, ist_error *err)
{
    void *data = NULL;
    ist_status status = ist__alloc((size_t)source.size, 1, &data, err);
    if (status == IST_OK)
        status = source.read(source.self, 0, data, (size_t)source.size, err);
    size_t skip = status == IST_OK && source.size >= 8 && memcmp(data, arrow_magic, 8) == 0 ? 8 : 0;
    if (status == IST_OK)
        status = ist__ipc_read((char *)data + skip, (size_t)source.size - skip, data, free, out, err);
    else
        free(data);
    if (status == IST_BAD_INPUT)
        ist_error_context(err, "%s", source.name);
    source.free(source.self);
    return status;
}

ist_status ist_file_read(ist_store *store, const char *path, const ist_file_options *options,
                         struct ArrowArrayStream *out, ist_error *err)
{
    ist_file_options defaults = IST_FILE_OPTIONS_INIT;
    ist__source source;
    if (!options)
        options = &defaults;
    IST_TRY(ist__source_open(store, path, &source, err));
    ist_file_format format = options->format;
    ist_status status = IST_OK;
    if (format == IST_FILE_AUTO && (status = guess_format(&source, path, &format, err)) != IST_OK) {
        source.free(source.self);
        return status;
    }
    switch (format) {
    case IST_FILE_PARQUET:
        return read_parquet(source, out, err);
    case IST_FILE_ARROW:
        return read_arrow(source, out, err);
    case IST_FILE_CSV: {
        ist__csv_options csv = {
            .schema = options->schema,
            .delimiter = options->delimiter ? options->delimiter : ends_with(path, ".tsv") ? '\t' : ',',
            .no_header = options->no_header,
        };
        return ist__csv_read(source, &csv, out, err);
    }
    case IST_FILE_JSON:
        return ist__json_read(source, options->schema, out, err);
    case IST_FILE_AUTO:
        break;
    }
    source.free(source.self);
    return ist_error_set(err, IST_BAD_INPUT, 0, path, "%s: no such format: %d", path, (int)format);
}

ist_status ist_stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out, ist_error *err)
{
    memset(out, 0, sizeof *out);
    int code = stream->get_next(stream, out);
    return code ? ist__stream_error(stream, code, err) : IST_OK;
}

ist_status ist_stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out, ist_error *err)
{
    memset(out, 0, sizeof *out);
    int code = stream->get_schema(stream, out);
    return code ? ist__stream_error(stream, code, err) : IST_OK;
}

static ist_status write_fd(void *self, const void *data, size_t size, ist_error *err)
{
    int fd = *(int *)self;
    for (const char *p = data; size > 0;) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ist_error_set(err, IST_IO, errno, NULL, "cannot write Arrow IPC: %s", strerror(errno));
        p += n;
        size -= (size_t)n;
    }
    return IST_OK;
}

ist_status ist_stream_write_ipc(struct ArrowArrayStream *stream, int fd, int64_t *rows, ist_error *err)
{
    int64_t count = 0;
    ist__sink sink = {.self = &fd, .write = write_fd};
    ist_status status = ist__ipc_write(stream, sink, &count, err);
    if (rows)
        *rows = count;
    return status;
}
