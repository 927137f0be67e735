/*
 * statement_reply.h: the answers of a Statement Execution API, read. Bytes from outside: nothing in them is believed
 * that does not fit the rest. Library-private.
 *
 * Threading: plain data.
 */
#ifndef ISTHMUS_WAREHOUSE_STATEMENT_REPLY_H
#define ISTHMUS_WAREHOUSE_STATEMENT_REPLY_H

#include "isthmus/warehouse.h"

#include <sys/types.h>
#include <yyjson.h>

enum {
    IST__STATEMENT_ID_MAX = 128,
    IST__CHUNKS_MAX = 1 << 20,      /* of one result */
    IST__CHUNK_BYTES_MAX = 1 << 30, /* of one chunk, also after decompression */
};

/* One chunk, as the manifest tells it. */
typedef struct ist__chunk_size {
    int64_t rows;
    int64_t bytes; /* 0 where it is not told */
} ist__chunk_size;

/* Where a chunk is fetched, for a time. */
typedef struct ist__chunk_link {
    size_t chunk;
    char *url;          /* signed: a secret */
    char *headers;      /* JSON object of headers to send; NULL for none */
    char *socket;       /* of the file broker that passes its file, where that is on this machine; NULL for none */
    uid_t uid;          /* who must be at the socket's other end */
    int64_t expires_ms; /* since the epoch; INT64_MAX where it is not told */
} ist__chunk_link;

typedef struct ist__chunk_links {
    ist__chunk_link *items;
    size_t count;
} ist__chunk_links;

typedef struct ist__statement_reply {
    char id[IST__STATEMENT_ID_MAX + 1];
    ist_statement_state state;
    ist_error problem; /* of a statement that failed, was cancelled or closed: what ist_statement_wait gives */
    /* The rest where it succeeded. */
    char *manifest; /* JSON */
    ist__chunk_size *chunks;
    size_t chunk_count;
    int64_t rows;
    bool truncated;
    bool lz4;
    ist__chunk_links links;
} ist__statement_reply;

/* Read a StatementResponse. Errors: IST_BAD_INPUT (it is none: the message tells what is wrong), IST_UNSUPPORTED (a
 * format or compression), IST_NO_MEMORY. Free it also then. */
ist_status ist__statement_reply_read(const char *text, size_t size, ist__statement_reply *out, ist_error *err);
void ist__statement_reply_free(ist__statement_reply *reply);

/* Read a ResultData: links, of chunks below chunk_count. Errors: IST_BAD_INPUT. */
ist_status ist__chunk_links_read(const char *text, size_t size, size_t chunk_count, ist__chunk_links *out,
                                 ist_error *err);
void ist__chunk_links_free(ist__chunk_links *links);
void ist__chunk_link_free(ist__chunk_link *link);

/* result_type.c: the columns of a manifest as an Arrow struct. Errors: IST_UNSUPPORTED, IST_BAD_INPUT. */
ist_status ist__manifest_schema(const char *manifest, struct ArrowSchema *out, ist_error *err);

#endif
