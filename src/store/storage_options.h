/*
 * storage_options.h: the options that users of delta-rs and object_store write for a location, as what they mean.
 * Library-private.
 */
#ifndef ISTHMUS_STORE_STORAGE_OPTIONS_H
#define ISTHMUS_STORE_STORAGE_OPTIONS_H

#include "isthmus/sys/credentials.h"

#include <stdbool.h>
#include <yyjson.h>

IST_BEGIN_DECLS

typedef enum ist__storage_option {
    IST__OPTION_KEY_ID, /* S3 */
    IST__OPTION_SECRET_KEY,
    IST__OPTION_SESSION_TOKEN,
    IST__OPTION_REGION,
    IST__OPTION_VIRTUAL_HOSTED,
    IST__OPTION_PROFILE,
    IST__OPTION_ACCOUNT, /* Azure */
    IST__OPTION_ACCOUNT_KEY,
    IST__OPTION_SAS,
    IST__OPTION_KEY_FILE, /* Google */
    IST__OPTION_KEY_JSON,
    IST__OPTION_ENDPOINT,
    IST__OPTION_UNSIGNED,
    IST__OPTION_NO_EFFECT, /* what others must be told, and holds here anyway */
    IST__OPTION_COUNT
} ist__storage_option;

/* NULL for what is not said; "" never. Borrowed. All NULL: the environment alone. */
typedef struct ist__storage_options {
    const char *text[IST__OPTION_COUNT];
} ist__storage_options;

/* What an option says, else an environment variable; NULL where neither does. */
const char *ist__storage_setting(const ist__storage_options *options, ist__storage_option option, const char *variable);
bool ist__storage_is_true(const ist__storage_options *options, ist__storage_option option);
/* Where the service is and how it is asked, as isthmus_storage. Nothing where the options say nothing of it. */
void ist__storage_describe(const ist__storage_options *options, bool is_unsigned, yyjson_mut_doc *doc,
                           yyjson_mut_val *root);

IST_END_DECLS

#endif
