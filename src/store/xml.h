/* xml.h: the XML that storage services answer, read element by element with expat. Library-private. */
#ifndef ISTHMUS_STORE_XML_H
#define ISTHMUS_STORE_XML_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

IST_BEGIN_DECLS

enum {
    IST__XML_DEPTH_MAX = 16,
    IST__XML_TEXT_MAX = 8192, /* of one element */
};

/*
 * Called at the end of each element, inner ones first.
 *   path  names from the root on, without namespaces: "ListBucketResult/Contents/Key"
 *   text  what is directly inside, "" for none; borrowed
 */
typedef ist_status (*ist__xml_cb)(const char *path, const char *text, void *payload, ist_error *err);

/* Errors: IST_BAD_INPUT (not well-formed, deeper or longer than the limits, a document type), the callback's. */
ist_status ist__xml_read(const char *data, size_t size, ist__xml_cb cb, void *payload, ist_error *err);

/* The text of Error/Code, which S3 and Azure name a fault by; code stays as it is where there is none. */
void ist__xml_error_code(const char *data, size_t size, char code[64]);

/* Append text with '&', '<', '>' and '"' escaped. */
ist_status ist__xml_escape(const char *text, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
