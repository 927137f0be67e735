/* home_key.h: keys of this server's home, each in a file of its own that only its user can read. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_HOME_KEY_H
#define ISTHMUS_CATALOG_LOCAL_HOME_KEY_H

#include "isthmus/error.h"

enum { IST__HOME_KEY_BYTES = 32 };

/*
 * Read <home>/<name>, made of random bytes (0600) where it is missing.
 *   ends_with  what a new key would end, for the message: "tokens given out"
 * Errors: IST_BAD_INPUT (the file is no key), IST_IO.
 */
ist_status ist__home_key(const char *home, const char *name, const char *ends_with,
                         unsigned char key[IST__HOME_KEY_BYTES], ist_error *err);

#endif
