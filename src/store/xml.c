/* xml.c: bounded reading of XML by expat. A document type is refused: no entities, no files. */
#include "store/xml.h"

#include "util/util.h"

#include <expat.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
    XML_Parser parser;
    ist__xml_cb cb;
    void *payload;
    ist_buffer path;
    size_t lengths[IST__XML_DEPTH_MAX]; /* of path, before each open element */
    int depth;
    ist_buffer text; /* of the innermost open element; what its children leave behind is cleared */
    ist_status status;
    ist_error *err;
} reader;

static void stop(reader *r, ist_status status)
{
    r->status = status;
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *payload, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    reader *r = payload;
    const char *colon = strchr(name, ':');
    if (r->depth == IST__XML_DEPTH_MAX) {
        stop(r, ist_error_set(r->err, IST_BAD_INPUT, 0, NULL, "an XML answer is nested deeper than %d",
                              IST__XML_DEPTH_MAX));
        return;
    }
    r->lengths[r->depth++] = r->path.size;
    ist_buffer_clear(&r->text);
    ist_status status = ist_buffer_printf(&r->path, r->err, "%s%s", r->path.size ? "/" : "", colon ? colon + 1 : name);
    if (status != IST_OK)
        stop(r, status);
}

static void on_end(void *payload, const XML_Char *name)
{
    (void)name;
    reader *r = payload;
    ist_status status = r->cb(r->path.data, r->text.size ? r->text.data : "", r->payload, r->err);
    r->path.size = r->lengths[--r->depth];
    r->path.data[r->path.size] = '\0';
    ist_buffer_clear(&r->text);
    if (status != IST_OK)
        stop(r, status);
}

static void on_text(void *payload, const XML_Char *text, int size)
{
    reader *r = payload;
    ist_status status = ist_buffer_append(&r->text, text, (size_t)size, r->err);
    if (status != IST_OK)
        stop(r, status);
}

static void on_doctype(void *payload, const XML_Char *name, const XML_Char *system, const XML_Char *public_id,
                       int internal)
{
    (void)name, (void)system, (void)public_id, (void)internal;
    reader *r = payload;
    stop(r, ist_error_set(r->err, IST_BAD_INPUT, 0, NULL, "an XML answer brings a document type"));
}

ist_status ist__xml_read(const char *data, size_t size, ist__xml_cb cb, void *payload, ist_error *err)
{
    reader r = {.cb = cb, .payload = payload, .err = err, .status = IST_OK};
    r.path.limit = (size_t)IST__XML_DEPTH_MAX * 256;
    r.text.limit = IST__XML_TEXT_MAX;
    if (size > INT32_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "an XML answer is too large");
    r.parser = XML_ParserCreate("UTF-8");
    if (!r.parser)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to read XML");
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    if (XML_Parse(r.parser, data, (int)size, 1) != XML_STATUS_OK && r.status == IST_OK)
        r.status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "an XML answer is not well-formed: %s in line %lu",
                                 XML_ErrorString(XML_GetErrorCode(r.parser)),
                                 (unsigned long)XML_GetCurrentLineNumber(r.parser));
    XML_ParserFree(r.parser);
    ist_buffer_free(&r.path);
    ist_buffer_free(&r.text);
    return r.status;
}

static ist_status on_error_element(const char *path, const char *text, void *payload, ist_error *err)
{
    (void)err;
    if (strcmp(path, "Error/Code") == 0)
        snprintf(payload, 64, "%s", text);
    return IST_OK;
}

void ist__xml_error_code(const char *data, size_t size, char code[64])
{
    ist__xml_read(data, size, on_error_element, code, NULL);
}

ist_status ist__xml_escape(const char *text, ist_buffer *out, ist_error *err)
{
    for (; *text; text++) {
        const char *escaped = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;"
                              : *text == '"' ? "&quot;" : NULL;
        IST_TRY(escaped ? ist_buffer_append_string(out, escaped, err) : ist_buffer_append(out, text, 1, err));
    }
    return IST_OK;
}
