/*
 * file_wire.h: the frames between a store (gateway_store.c) and the file broker of a server. Library-private.
 *
 * A Unix stream socket carries requests and answers in turn: a client sends its next request when it has the answer of the
 * one before. A frame is a header of 16 bytes and a payload, all little-endian, without padding:
 *
 *      0       4         6    8       12         16
 *      +-------+---------+----+-------+----------+----------------
 *      | magic | version | op | flags | size     | payload (size)
 *      | ISTG  | u16     | u16| u32   | u32      |
 *      +-------+---------+----+-------+----------+----------------
 *
 * Every payload has the same fields; those that an op does not use are 0 or absent:
 *
 *      u32 status, i32 code, u64 number, i64 time, text a, text b, text c
 *      text     u32 size with the NUL at its end, then that many bytes; size 0: absent
 *
 *      op              request (a: the token, b: a path)   answer
 *      1 OPEN                                              number: size, time: modified; passes the file, read-only
 *      2 CREATE        number: ist_put_mode                passes a new file without a name, write-only
 *      3 PUBLISH       no a, b; number: ist_put_mode       the file of this connection's CREATE has its name now
 *      4 STAT                                              number: size, time: modified
 *      5 LIST          c: start after; number: most        a: JSON {"objects", "folders", "next"}
 *      6 REMOVE
 *      7 MAKE_FOLDER
 *      8 REMOVE_FOLDER
 *      9 RENAME        c: the new path
 *      10 RESULT       a: a link to a result's chunk       number: size; passes the file, read-only
 *
 * A failure has the flag FAILED, status an ist_status, a the message and b where. A file is passed as SCM_RIGHTS with the
 * first byte of its frame. A connection makes one file at a time; one that ends before PUBLISH takes its file with it.
 */
#ifndef ISTHMUS_STORE_FILE_WIRE_H
#define ISTHMUS_STORE_FILE_WIRE_H

#include "isthmus/buffer.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

enum {
    IST__FILE_WIRE_VERSION = 1,
    IST__FILE_WIRE_HEADER_SIZE = 16,
    IST__FILE_WIRE_REQUEST_MAX = 32 << 10, /* payload of a request: a token and two paths */
    IST__FILE_WIRE_ANSWER_MAX = 8 << 20,   /* payload of an answer: a page of a listing */
    IST__FILE_WIRE_PAGE_MAX = 5000,        /* names of a page */
};

typedef enum ist__file_op {
    IST__FILE_OPEN = 1,
    IST__FILE_CREATE,
    IST__FILE_PUBLISH,
    IST__FILE_STAT,
    IST__FILE_LIST,
    IST__FILE_REMOVE,
    IST__FILE_MAKE_FOLDER,
    IST__FILE_REMOVE_FOLDER,
    IST__FILE_RENAME,
    IST__FILE_RESULT,
    IST__FILE_OP_COUNT
} ist__file_op;

enum { IST__FILE_ANSWER = 1, IST__FILE_FAILED = 2 }; /* flags */

typedef struct ist__file_header {
    uint16_t op;
    uint32_t flags;
    uint32_t size;
} ist__file_header;

/* A message; texts that were decoded point into the payload. */
typedef struct ist__file_message {
    uint16_t op;
    uint32_t flags;
    uint32_t status;
    int32_t code;
    uint64_t number;
    int64_t time;
    const char *a, *b, *c;
} ist__file_message;

/* Errors: IST_BAD_INPUT (magic, op), IST_UNSUPPORTED (version), IST_BAD_INPUT (a payload of more than `most` bytes). */
ist_status ist__file_wire_header(const uint8_t bytes[IST__FILE_WIRE_HEADER_SIZE], uint32_t most, ist__file_header *out,
                                 ist_error *err);
/* Decode a payload of exactly header->size bytes. Errors: IST_BAD_INPUT (cut off, trailing bytes, a bad text). */
ist_status ist__file_wire_decode(const ist__file_header *header, const uint8_t *payload, ist__file_message *out,
                                 ist_error *err);
/* Append the frame of a message. Errors: IST_NO_MEMORY, IST_BAD_INPUT (larger than an answer may be). */
ist_status ist__file_wire_encode(const ist__file_message *message, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
