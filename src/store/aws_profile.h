/* aws_profile.h: keys and region from the files of AWS' own tools, ~/.aws/credentials and ~/.aws/config. Library-private. */
#ifndef ISTHMUS_STORE_AWS_PROFILE_H
#define ISTHMUS_STORE_AWS_PROFILE_H

#include "isthmus/error.h"

#include <stddef.h>

IST_BEGIN_DECLS

enum { IST__AWS_FILE_MAX = 1 << 20 };

/* "" for what neither file says. Holds secrets: the caller overwrites it. */
typedef struct ist__aws_profile {
    char key[256], secret[256], token[8192], region[64];
} ist__aws_profile;

/*
 * Read a profile from $AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), then $AWS_CONFIG_FILE (~/.aws/config) for what
 * that does not say.
 * Errors: IST_BAD_INPUT (no such profile in either; a line that is none, with its number), IST_IO.
 */
ist_status ist__aws_profile_read(const char *name, ist__aws_profile *out, ist_error *err);

IST_END_DECLS

#endif
