/*
 * fake_s3.h: a little S3 on loopback, over the in-memory store, that fails when it is told to. One thread serves it, so
 * that each request is atomic. Pages of listings have 3 names.
 */
#ifndef ISTHMUS_FAKE_S3_H
#define ISTHMUS_FAKE_S3_H

#include <stdatomic.h>

typedef struct fake_s3 fake_s3;

struct fake_s3 {
    atomic_int requests;
    atomic_int lose_answers; /* so many next requests are carried out, and the connection then closed */
    atomic_int drop;         /* so many next requests are not carried out, and the connection closed */
    atomic_int unavailable;  /* so many next requests are answered with 503 */
    atomic_int torn;         /* so many next complete-upload requests are answered with 200 and an error */
    const char *token;       /* the only session token that is taken; NULL: requests may be anonymous */
    char last_authorization[512];
    int uploads_open;
};

fake_s3 *fake_s3_start(void);
/* "http://127.0.0.1:port"; borrowed. */
const char *fake_s3_url(const fake_s3 *fake);
void fake_s3_stop(fake_s3 *fake);

#endif
