/* storage_answer_fuzz.c: what a storage service may answer. The first byte picks the service, the second the question. */
#include "store/http_store.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_page(const ist__cloud_backend *backend, const char *body, size_t size)
{
    ist__cloud_page page = {0};
    ist_error err = IST_ERROR_INIT;
    if (backend->read_page(body, size, &page, &err) != IST_OK && !err.message[0])
        abort();
    for (size_t i = 0; i < page.count; i++)
        if (!page.objects[i].key)
            abort();
    ist__cloud_page_free(&page);
}

static void read_upload(const ist__cloud_backend *backend, const char *body, size_t size)
{
    ist__http_reply reply = {0};
    ist_buffer upload = IST_BUFFER_INIT;
    if (!backend->read_upload || ist_buffer_append(&reply.body, body, size, NULL) != IST_OK)
        return;
    if (backend->read_upload(&reply, &upload, NULL) == IST_OK && upload.size == 0)
        abort();
    ist__http_reply_free(&reply);
    ist_buffer_free(&upload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ist__cloud_backend *const backends[] = {&ist__s3_backend, &ist__azure_backend, &ist__gcs_backend};
    if (size < 2)
        return 0;
    const ist__cloud_backend *backend = backends[data[0] % 3];
    const char *body = (const char *)data + 2;
    char code[64] = "";
    if (data[1] % 3 == 0)
        read_page(backend, body, size - 2);
    else if (data[1] % 3 == 1)
        read_upload(backend, body, size - 2);
    else
        backend->read_error(body, size - 2, code);
    if (!memchr(code, '\0', sizeof code))
        abort();
    return 0;
}
