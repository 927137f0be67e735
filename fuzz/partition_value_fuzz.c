/* partition_value_fuzz.c: a partition value's text under every type; what is read must read again from its own text. */
#include "isthmus/buffer.h"
#include "shim/columns.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_release(struct ArrowSchema *schema)
{
    schema->release = NULL;
}

static void round_trip(const char *format, const char *text)
{
    struct ArrowSchema type = {.format = format, .name = "p", .flags = ARROW_FLAG_NULLABLE, .release = no_release};
    struct ArrowArray value, again;
    ist_buffer first = IST_BUFFER_INIT, second = IST_BUFFER_INIT;
    bool is_null;
    if (ist__columns_parse(&type, text, &value, NULL) != IST_OK)
        return;
    ist_status status = ist__columns_format(&type, &value, 0, &first, &is_null, NULL);
    value.release(&value);
    if (status == IST_OK && !is_null) {
        if (ist__columns_parse(&type, first.data, &again, NULL) != IST_OK ||
            ist__columns_format(&type, &again, 0, &second, &is_null, NULL) != IST_OK ||
            strcmp(first.data, second.data) != 0)
            abort();
        again.release(&again);
    }
    ist_buffer_free(&first);
    ist_buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"u", "z",   "c",       "s",    "i",     "l",      "f",     "g",
                                          "b", "tdD", "tsu:UTC", "tsu:", "d:9,2", "d:38,0", "d:38,38"};
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        round_trip(formats[i], text);
    free(text);
    return 0;
}
