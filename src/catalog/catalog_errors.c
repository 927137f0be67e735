/* catalog_errors.c: Unity Catalog's error codes and error bodies <-> ist_error. */
#include "catalog/catalog_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

/* Already-exists codes go with 400: that is what Unity Catalog's older API does. */
static const struct {
    const char *name;
    int http;
    ist_status status;
    const char *delta_type; /* the Delta API's name for it */
} codes[] = {
    [IST__UC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400, IST_BAD_INPUT, "InvalidParameterValueException"},
    [IST__UC_INVALID_PARAMETER_VALUE] = {"INVALID_PARAMETER_VALUE", 400, IST_BAD_INPUT,
                                         "InvalidParameterValueException"},
    [IST__UC_RESOURCE_DOES_NOT_EXIST] = {"RESOURCE_DOES_NOT_EXIST", 404, IST_NOT_FOUND, "NotFoundException"},
    [IST__UC_NOT_FOUND] = {"NOT_FOUND", 404, IST_NOT_FOUND, "NotFoundException"},
    [IST__UC_CATALOG_NOT_FOUND] = {"CATALOG_NOT_FOUND", 404, IST_NOT_FOUND, "NoSuchCatalogException"},
    [IST__UC_SCHEMA_NOT_FOUND] = {"SCHEMA_NOT_FOUND", 404, IST_NOT_FOUND, "NoSuchSchemaException"},
    [IST__UC_TABLE_NOT_FOUND] = {"TABLE_NOT_FOUND", 404, IST_NOT_FOUND, "NoSuchTableException"},
    [IST__UC_CATALOG_ALREADY_EXISTS] = {"CATALOG_ALREADY_EXISTS", 400, IST_ALREADY_EXISTS, "AlreadyExistsException"},
    [IST__UC_SCHEMA_ALREADY_EXISTS] = {"SCHEMA_ALREADY_EXISTS", 400, IST_ALREADY_EXISTS, "AlreadyExistsException"},
    [IST__UC_TABLE_ALREADY_EXISTS] = {"TABLE_ALREADY_EXISTS", 400, IST_ALREADY_EXISTS, "AlreadyExistsException"},
    [IST__UC_RESOURCE_ALREADY_EXISTS] = {"RESOURCE_ALREADY_EXISTS", 400, IST_ALREADY_EXISTS, "AlreadyExistsException"},
    [IST__UC_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409, IST_ALREADY_EXISTS, "AlreadyExistsException"},
    [IST__UC_STORAGE_CREDENTIAL_ALREADY_EXISTS] = {"STORAGE_CREDENTIAL_ALREADY_EXISTS", 400, IST_ALREADY_EXISTS,
                                                  "AlreadyExistsException"},
    [IST__UC_EXTERNAL_LOCATION_ALREADY_EXISTS] = {"EXTERNAL_LOCATION_ALREADY_EXISTS", 400, IST_ALREADY_EXISTS,
                                                 "AlreadyExistsException"},
    [IST__UC_ABORTED] = {"ABORTED", 409, IST_CONFLICT, "CommitVersionConflictException"},
    [IST__UC_COMMIT_VERSION_CONFLICT] = {"COMMIT_VERSION_CONFLICT", 409, IST_CONFLICT,
                                        "CommitVersionConflictException"},
    [IST__UC_UPDATE_REQUIREMENT_CONFLICT] = {"UPDATE_REQUIREMENT_CONFLICT", 409, IST_CONFLICT,
                                            "UpdateRequirementConflictException"},
    [IST__UC_COMMIT_STATE_UNKNOWN] = {"COMMIT_STATE_UNKNOWN", 500, IST_RETRYABLE, "CommitStateUnknownException"},
    [IST__UC_OUT_OF_RANGE] = {"OUT_OF_RANGE", 400, IST_BAD_INPUT, "BadRequestException"},
    [IST__UC_UNSUPPORTED_TABLE_FORMAT] = {"UNSUPPORTED_TABLE_FORMAT", 400, IST_BAD_INPUT,
                                         "UnsupportedTableFormatException"},
    [IST__UC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 400, IST_BAD_INPUT, "InvalidParameterValueException"},
    [IST__UC_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403, IST_FORBIDDEN, "PermissionDeniedException"},
    [IST__UC_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401, IST_UNAUTHENTICATED, "NotAuthorizedException"},
    [IST__UC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429, IST_RETRYABLE, "ResourceExhaustedException"},
    [IST__UC_METHOD_NOT_ALLOWED] = {"METHOD_NOT_ALLOWED", 405, IST_UNSUPPORTED, "BadRequestException"},
    [IST__UC_PAYLOAD_TOO_LARGE] = {"PAYLOAD_TOO_LARGE", 413, IST_BAD_INPUT, "BadRequestException"},
    [IST__UC_UNIMPLEMENTED] = {"UNIMPLEMENTED", 501, IST_UNSUPPORTED, "NotImplementedException"},
    [IST__UC_TEMPORARILY_UNAVAILABLE] = {"TEMPORARILY_UNAVAILABLE", 503, IST_RETRYABLE, "InternalServerErrorException"},
    [IST__UC_INTERNAL] = {"INTERNAL", 500, IST_IO, "InternalServerErrorException"},
};

enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

/* Messages quote names from outside and texts of other servers: make of them one line of UTF-8. */
static void make_one_line(char *text)
{
    for (char *at = text; *(at += ist__utf8_prefix(at, SIZE_MAX)); at++)
        *at = '?';
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = ' ';
}

ist_status ist__uc_error(ist_error *err, ist__uc_code code, const char *format, ...)
{
    char message[IST_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    make_one_line(message);
    return ist_error_set(err, codes[code].status, codes[code].http, codes[code].name, "%s", message);
}

static int find_code(const char *name)
{
    for (int i = 0; i < CODE_COUNT; i++)
        if (strcmp(codes[i].name, name) == 0)
            return i;
    return -1;
}

ist__uc_code ist__uc_code_of(const ist_error *err)
{
    int code = find_code(err->where);
    if (code >= 0)
        return (ist__uc_code)code;
    switch (err->status) {
    case IST_NOT_FOUND:
        return IST__UC_NOT_FOUND;
    case IST_ALREADY_EXISTS:
        return IST__UC_ALREADY_EXISTS;
    case IST_CONFLICT:
        return IST__UC_ABORTED;
    case IST_RETRYABLE:
        return IST__UC_TEMPORARILY_UNAVAILABLE;
    case IST_UNAUTHENTICATED:
        return IST__UC_UNAUTHENTICATED;
    case IST_FORBIDDEN:
        return IST__UC_PERMISSION_DENIED;
    case IST_UNSUPPORTED:
        return IST__UC_UNIMPLEMENTED;
    case IST_BAD_INPUT:
        return IST__UC_INVALID_ARGUMENT;
    default:
        return IST__UC_INTERNAL;
    }
}

const char *ist__uc_code_name(ist__uc_code code)
{
    return codes[code].name;
}

int ist__uc_code_http(ist__uc_code code)
{
    return codes[code].http;
}

static ist_status status_of_http(int http)
{
    switch (http) {
    case 400:
    case 413:
        return IST_BAD_INPUT;
    case 401:
        return IST_UNAUTHENTICATED;
    case 403:
        return IST_FORBIDDEN;
    case 404:
        return IST_NOT_FOUND;
    case 405:
    case 501:
        return IST_UNSUPPORTED;
    case 409:
        return IST_CONFLICT;
    case 429:
    case 502:
    case 503:
    case 504:
        return IST_RETRYABLE;
    default:
        return IST_IO;
    }
}

/* Codes of Databricks, whose HTTP status does not tell, or tells less. */
static ist_status status_of_databricks(const char *name, int http)
{
    static const struct {
        const char *name;
        ist_status status;
    } foreign[] = {
        {"CATALOG_DOES_NOT_EXIST", IST_NOT_FOUND},   {"SCHEMA_DOES_NOT_EXIST", IST_NOT_FOUND},
        {"TABLE_DOES_NOT_EXIST", IST_NOT_FOUND},     {"VOLUME_DOES_NOT_EXIST", IST_NOT_FOUND},
        {"FUNCTION_DOES_NOT_EXIST", IST_NOT_FOUND},  {"ENDPOINT_NOT_FOUND", IST_UNSUPPORTED},
        {"FEATURE_DISABLED", IST_UNSUPPORTED},       {"RESOURCE_CONFLICT", IST_CONFLICT},
        {"REQUEST_LIMIT_EXCEEDED", IST_RETRYABLE},   {"INSUFFICIENT_PERMISSIONS", IST_FORBIDDEN},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strcmp(foreign[i].name, name) == 0)
            return foreign[i].status;
    size_t size = strlen(name), end = strlen("_ALREADY_EXISTS");
    if (size > end && strcmp(name + size - end, "_ALREADY_EXISTS") == 0)
        return IST_ALREADY_EXISTS;
    return status_of_http(http);
}

/* What an answer says, whoever wrote it. Borrowed from the document. */
typedef struct refusal {
    const char *name, *message;
} refusal;

static refusal read_refusal(yyjson_val *root)
{
    yyjson_val *error = yyjson_obj_get(root, "error");
    if (yyjson_is_obj(error)) /* Unity Catalog's Delta API: {"error": {"message", "type", "code"}} */
        return (refusal){yyjson_get_str(yyjson_obj_get(error, "type")),
                         yyjson_get_str(yyjson_obj_get(error, "message"))};
    if (yyjson_is_str(error)) { /* OAuth: RFC 6749, section 5.2 */
        const char *text = yyjson_get_str(yyjson_obj_get(root, "error_description"));
        return (refusal){yyjson_get_str(error), text ? text : yyjson_get_str(error)};
    }
    const char *detail = yyjson_get_str(yyjson_obj_get(root, "detail")); /* SCIM: RFC 7644, section 3.12 */
    const char *message = yyjson_get_str(yyjson_obj_get(root, "message"));
    return (refusal){yyjson_get_str(yyjson_obj_get(root, "error_code")), message && *message ? message : detail};
}

ist_status ist__uc_error_from_reply(int http, const char *body, size_t size, const char *what, ist_error *err)
{
    yyjson_doc *doc = size ? yyjson_read(body, size, 0) : NULL;
    refusal said = read_refusal(yyjson_doc_get_root(doc));
    int code = said.name ? find_code(said.name) : -1;
    ist_status status = code >= 0    ? codes[code].status
                        : said.name ? status_of_databricks(said.name, http)
                                    : status_of_http(http);

    char line[IST_ERROR_MESSAGE_MAX];
    if (said.message && *said.message)
        snprintf(line, sizeof line, "%s", said.message);
    else
        snprintf(line, sizeof line, "%s: the catalog server answered HTTP %d%s", what, http,
                 http == 404 ? ": it has no such call" : "");
    make_one_line(line);
    ist_error_set(err, status, http, said.name, "%s", line);
    yyjson_doc_free(doc);
    return status;
}

/* The message as it goes out: it may come from below, which quotes what it was given. */
static void message_of(const ist_error *error, char out[IST_ERROR_MESSAGE_MAX])
{
    snprintf(out, IST_ERROR_MESSAGE_MAX, "%s", error->message);
    make_one_line(out);
}

static ist_status finish_body(yyjson_mut_doc *doc, ist_buffer *out, ist_error *err)
{
    size_t size = 0;
    char *text = yyjson_mut_write(doc, 0, &size);
    yyjson_mut_doc_free(doc);
    if (!text)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for an error body");
    ist_status status = ist_buffer_append(out, text, size, err);
    free(text);
    return status;
}

ist_status ist__delta_error_body(const ist_error *error, int *http, ist_buffer *out, ist_error *err)
{
    ist__uc_code code = ist__uc_code_of(error);
    char message[IST_ERROR_MESSAGE_MAX];
    message_of(error, message);
    *http = codes[code].status == IST_ALREADY_EXISTS ? 409 : codes[code].http;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *model = yyjson_mut_obj_add_obj(doc, root, "error");
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, model, "message", message);
    yyjson_mut_obj_add_str(doc, model, "type", codes[code].delta_type);
    yyjson_mut_obj_add_int(doc, model, "code", *http);
    return finish_body(doc, out, err);
}

ist_status ist__uc_error_body(const ist_error *error, ist_buffer *out, ist_error *err)
{
    const char *name = codes[ist__uc_code_of(error)].name;
    char message[IST_ERROR_MESSAGE_MAX];
    message_of(error, message);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *details = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "error_code", name);
    yyjson_mut_obj_add_str(doc, root, "message", message);
    yyjson_mut_obj_add_val(doc, root, "details", details);
    yyjson_mut_val *detail = yyjson_mut_arr_add_obj(doc, details);
    yyjson_mut_obj_add_str(doc, detail, "@type", "type.googleapis.com/google.rpc.ErrorInfo");
    yyjson_mut_obj_add_str(doc, detail, "reason", name);
    return finish_body(doc, out, err);
}
