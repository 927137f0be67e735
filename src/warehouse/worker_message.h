/*
 * worker_message.h: what a worker says, read from its JSON. Library-private; README.md has the form of each.
 *
 * Threading: a message belongs to one thread at a time.
 */
#ifndef ISTHMUS_WAREHOUSE_WORKER_MESSAGE_H
#define ISTHMUS_WAREHOUSE_WORKER_MESSAGE_H

#include "catalog/catalog_json.h"

typedef enum ist__worker_message_type {
    IST__WORKER_READY,
    IST__WORKER_RESOLVE,
    IST__WORKER_COLUMNS,
    IST__WORKER_CHUNK,
    IST__WORKER_DONE,
    IST__WORKER_FAILED,
} ist__worker_message_type;

enum { IST__COLUMNS_MAX = 100000, IST__RESOLVE_MAX = 10000 };

/* Texts are borrowed from the document; what a type does not have is NULL or 0. */
typedef struct ist__worker_message {
    ist__worker_message_type type;
    yyjson_doc *doc;
    yyjson_val *root;
    const char *engine, *version;                /* ready */
    int64_t id;                                  /* resolve: told again in the answer */
    yyjson_val *tables, *functions;              /* resolve: arrays, or NULL */
    yyjson_val *columns;                         /* columns: an array of objects with name and type_name */
    int64_t rows, bytes;                         /* chunk; done has rows */
    bool truncated;                              /* done */
    const char *kind;                            /* done: "SELECT" */
    yyjson_val *lineage;                         /* done: an object, or NULL */
    const char *error_code, *sql_state, *message; /* failed; sql_state may be NULL */
} ist__worker_message;

/* Free it also after an error. Errors: IST_BAD_INPUT (no JSON object, unknown type, a member that is missing, of
 * another type or negative). */
ist_status ist__worker_message_read(const char *text, size_t size, ist__worker_message *out, ist_error *err);
void ist__worker_message_free(ist__worker_message *message);

/* Append the columns as Databricks' ResultSchema shows them: with their positions. */
ist_status ist__worker_columns_write(yyjson_val *columns, ist_buffer *out, ist_error *err);

#endif
