/* worker_frame_fuzz.c: whatever bytes come from a worker: frames, messages, columns. */
#include "warehouse/worker_channel.h"
#include "warehouse/worker_message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_columns(const ist__worker_message *message)
{
    ist_buffer text = IST_BUFFER_INIT;
    if (ist__worker_columns_write(message->columns, &text, NULL) != IST_OK)
        abort();
    yyjson_doc *doc = yyjson_read(text.data, text.size, 0);
    if (yyjson_arr_size(yyjson_doc_get_root(doc)) != yyjson_arr_size(message->columns))
        abort();
    yyjson_doc_free(doc);
    ist_buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__channel channel;
    const char *frame;
    size_t length;
    ist__channel_init(&channel, -1);
    if (ist_buffer_append(&channel.in, data, size, NULL) == IST_OK)
        while (ist__channel_next(&channel, &frame, &length, NULL) == IST_OK && frame) {
            ist__worker_message message;
            if (ist__worker_message_read(frame, length, &message, NULL) == IST_OK && message.columns)
                read_columns(&message);
            ist__worker_message_free(&message);
        }
    ist__channel_close(&channel);
    return 0;
}
