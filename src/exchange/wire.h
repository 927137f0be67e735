/*
 * wire.h: the frames between the node daemon and its clients. Library-private; wire.c.
 *
 * A Unix stream socket carries frames: a header of 24 bytes and a payload, all little-endian, without padding:
 *
 *      0       4         6    8       12         16           24
 *      +-------+---------+----+-------+----------+------------+----------------
 *      | magic | version | op | flags | size     | request    | payload (size)
 *      | ISTH  | u16     | u16| u32   | u32      | u64        |
 *      +-------+---------+----+-------+----------+------------+----------------
 *
 * The header's layout is the same in every version of the protocol; everything else may change with the version. A client
 * numbers its requests; the answer has the same op and request, and the flag ANSWER; a failure also has FAILED and the
 * payload `error`. Answers may come in another order than the requests. Payload fields, in the order of the tables below:
 *
 *      id       36 bytes, a UUID in lower-case text
 *      u32, u64, i32, i64
 *      text     u32 size with the NUL at its end, then that many bytes; size 0: absent
 *      error    u32 ist_status, i32 code, text message, text where
 *      info     id exchange, u64 size, i64 rows, u32 spilled
 *      member   text table_uri, table_name, context, actions, app_id, engine, access
 *      result   u32 outcome, i64 version, u32 attempts, i64 files, i64 rows, i64 bytes, u32 already, text reason
 *
 *      op           request                            answer
 *      1  HELLO     text library version               u32 daemon's pid, text library version
 *      2  CREATE                                       id exchange
 *      3  HOLD      id exchange
 *      4  RELEASE   id exchange
 *      5  GRANT     id exchange, u64 size              id chunk, u64 granted size, u32 pid, i32 fd; passes the segment
 *      6  GROW      id chunk, u64 size                 u64 granted size
 *      7  SEAL      id chunk, u64 used, i64 rows       info
 *      8  CANCEL    id chunk
 *      9  MAP       id chunk                           info; passes the segment or the spill file
 *     10  UNMAP     id chunk                           none: it is not answered
 *     11  FREE      id chunk
 *     12  COUNTERS                                     text JSON
 *     13  COMMIT    member                             result
 *
 * Segments are passed as SCM_RIGHTS with the first byte of the frame (flag FD). One who cannot take SCM_RIGHTS (a JVM)
 * opens /proc/<pid>/fd/<fd> of GRANT's answer instead: the number holds until that chunk is sealed, cancelled or lost.
 */
#ifndef ISTHMUS_EXCHANGE_WIRE_H
#define ISTHMUS_EXCHANGE_WIRE_H

#include "isthmus/committer.h"
#include "util/pass_fd.h"

IST_BEGIN_DECLS

enum {
    IST__WIRE_VERSION = 2,
    IST__WIRE_HEADER_SIZE = 24,
    IST__WIRE_PAYLOAD_MAX = 64 << 20 /* the actions of one COMMIT: some 60,000 files */
};

typedef enum ist__wire_op {
    IST__WIRE_HELLO = 1,
    IST__WIRE_CREATE,
    IST__WIRE_HOLD,
    IST__WIRE_RELEASE,
    IST__WIRE_GRANT,
    IST__WIRE_GROW,
    IST__WIRE_SEAL,
    IST__WIRE_CANCEL,
    IST__WIRE_MAP,
    IST__WIRE_UNMAP,
    IST__WIRE_FREE,
    IST__WIRE_COUNTERS,
    IST__WIRE_COMMIT,
    IST__WIRE_OP_COUNT
} ist__wire_op;

enum { IST__WIRE_ANSWER = 1, IST__WIRE_FAILED = 2, IST__WIRE_FD = 4 }; /* flags */

typedef struct ist__wire_header {
    uint16_t version;
    uint16_t op;
    uint32_t flags;
    uint32_t size;
    uint64_t request;
} ist__wire_header;

/* One message, request or answer; the op and flags tell which fields it has. Texts that were decoded point into the
 * payload. */
typedef struct ist__message {
    uint16_t op;
    uint32_t flags;
    uint64_t request;
    char exchange[IST_ID_SIZE];
    char chunk[IST_ID_SIZE];
    uint64_t size;
    int64_t rows;
    bool spilled;
    uint32_t pid;
    int32_t fd; /* its number in the daemon */
    const char *text;
    ist_commit_member member;
    ist_commit_result result;
    ist_error error;
} ist__message;

/* True for 36 characters of a UUID in lower-case text. */
bool ist__wire_is_id(const char *id);

/* Errors: IST_BAD_INPUT (magic; a size beyond IST__WIRE_PAYLOAD_MAX). The version is the caller's to judge. */
ist_status ist__wire_decode_header(const uint8_t bytes[IST__WIRE_HEADER_SIZE], ist__wire_header *out, ist_error *err);

/* Decode a payload of exactly header->size bytes. Errors: IST_BAD_INPUT (op, cut off, trailing bytes, a bad value). */
ist_status ist__wire_decode(const ist__wire_header *header, const uint8_t *payload, ist__message *out, ist_error *err);

/* Append the frame of a message. Errors: IST_BAD_INPUT (an actions text with a NUL, a frame too large). */
ist_status ist__wire_encode(const ist__message *message, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
