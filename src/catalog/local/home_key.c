/* home_key.c: keys of the home, read or made. */
#include "catalog/local/home_key.h"

#include "catalog/catalog_internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/random.h>

static ist_status make_key(const char *path, unsigned char key[IST__HOME_KEY_BYTES], ist_error *err)
{
    if (getrandom(key, IST__HOME_KEY_BYTES, 0) != IST__HOME_KEY_BYTES)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot make a key: %s", strerror(errno));
    return ist__write_private(path, (const char *)key, IST__HOME_KEY_BYTES, err);
}

ist_status ist__home_key(const char *home, const char *name, const char *ends_with,
                         unsigned char key[IST__HOME_KEY_BYTES], ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, kept = IST_BUFFER_INIT;
    ist_error problem = IST_ERROR_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist_buffer_printf(&path, err, "%s/%s", home, name));
    status = ist__read_file(path.data, IST__HOME_KEY_BYTES, &kept, &problem);
    if (status == IST_NOT_FOUND) {
        status = make_key(path.data, key, err);
    } else if (status != IST_OK || kept.size != IST__HOME_KEY_BYTES) {
        status = ist_error_set(err, status == IST_IO ? IST_IO : IST_BAD_INPUT, problem.code, path.data,
                               "%s is not a key of %d bytes; remove it for a new one (%s end with it)", path.data,
                               IST__HOME_KEY_BYTES, ends_with);
    } else {
        memcpy(key, kept.data, IST__HOME_KEY_BYTES);
    }
done:
    if (kept.data)
        OPENSSL_cleanse(kept.data, kept.capacity);
    ist_buffer_free(&kept);
    ist_buffer_free(&path);
    return status;
}
