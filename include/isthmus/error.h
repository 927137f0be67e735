/*
 * error.h: how every function of libisthmus reports failure.
 *
 * A function that can fail returns an ist_status and takes an ist_error as its last parameter. The error may be NULL.
 * The lowest level that knows the cause writes the message; callers add context (the operation, the table) and never
 * replace what is there. Messages are for people: what was wrong, where, what to do. They never hold a secret.
 *
 * Threading: an ist_error belongs to one thread at a time.
 *
 *     ist_error err = IST_ERROR_INIT;
 *     if (ist_snapshot_open(store, NULL, &snapshot, &err) != IST_OK)
 *         fprintf(stderr, "%s: %s\n", ist_status_name(err.status), err.message);
 */
#ifndef ISTHMUS_ERROR_H
#define ISTHMUS_ERROR_H

#include "isthmus/export.h"

#include <stddef.h>

IST_BEGIN_DECLS

/* The failures a caller branches on. The set is closed; a message says the rest. */
typedef enum ist_status {
    IST_OK = 0,
    IST_NOT_FOUND,       /* no such file, table, chunk, version */
    IST_ALREADY_EXISTS,  /* put-if-absent lost, or a name is taken */
    IST_CONFLICT,        /* a concurrent change invalidates this one; re-read and decide again */
    IST_RETRYABLE,       /* a passing fault: the same call may succeed */
    IST_UNAUTHENTICATED, /* no principal: token missing, wrong or expired */
    IST_FORBIDDEN,       /* the principal may not */
    IST_UNSUPPORTED,     /* a table feature, type or operation that Isthmus does not implement */
    IST_BAD_INPUT,       /* the caller's argument, or bytes from outside, are not what they must be */
    IST_IO,              /* the operating system or the network failed; code is errno or the HTTP status */
    IST_CANCELLED,       /* stopped on request */
    IST_NO_MEMORY,       /* out of memory, or over a named limit of memory */
    IST_INTERNAL         /* a bug in Isthmus */
} ist_status;

enum { IST_ERROR_MESSAGE_MAX = 1536, IST_ERROR_WHERE_MAX = 512 };

typedef struct ist_error {
    ist_status status;
    int code;                            /* foreign code: errno or HTTP status; 0 where there is none */
    char message[IST_ERROR_MESSAGE_MAX]; /* one line, NUL-terminated, truncated at a character boundary */
    char where[IST_ERROR_WHERE_MAX];     /* path, version or offset; "" where it adds nothing */
} ist_error;

#define IST_ERROR_INIT                                                                                                 \
    { IST_OK, 0, "", "" }

/* The name of a status ("not found"); static storage. Never NULL, also for values outside the enum. */
IST_API const char *ist_status_name(ist_status status);

/*
 * Write an error. Returns status, so that a failing function can end in `return ist_error_set(err, ...)`.
 *   err     may be NULL: then only the status is returned
 *   code    errno, HTTP status, or 0
 *   where   path or position; NULL for none
 *   format  printf format of the message
 */
IST_API ist_status ist_error_set(ist_error *err, ist_status status, int code, const char *where, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Put "<context>: " before the message of an error that is set. Returns err's status (IST_INTERNAL when err is NULL). */
IST_API ist_status ist_error_context(ist_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Back to IST_ERROR_INIT. NULL is allowed. */
IST_API void ist_error_clear(ist_error *err);

IST_END_DECLS

#endif
