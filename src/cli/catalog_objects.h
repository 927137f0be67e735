/*
 * catalog_objects.h: what the catalog commands share: the kinds of objects by the words that users type, lists over all
 * their pages, and objects as text.
 */
#ifndef ISTHMUS_CLI_CATALOG_OBJECTS_H
#define ISTHMUS_CLI_CATALOG_OBJECTS_H

#include "output.h"
#include "table.h"

/* The words for KIND. */
#define CLI_CATALOG_KINDS "catalog|schema|table|volume|function|model|model-version|credential|location|metastore"

typedef struct cli_kind_of_object {
    const char *word; /* "model-version" */
    ist_securable securable;
    const char *member; /* of a list's answer: "model_versions" */
    const char *form;   /* of a full name: "catalog.schema.model.version" */
} cli_kind_of_object;

/* The kind that a word names, also in the plural ("tables"). An error is about how the command was typed. */
ist_status cli_kind_of_word(cli_call *call, const char *word, const cli_kind_of_object **out, ist_error *err);

/* What a command of the form KIND NAME is about. */
typedef struct cli_object {
    cli_call *call;
    ist_catalog *catalog;
    const cli_kind_of_object *kind;
    const char *name; /* the second argument; "" for the metastore's */
} cli_object;

/*
 * The frame of those commands: read kind and name, open the catalog, do the work, print what it appended to `json`.
 *   word   of the kind
 *   print  cli_object_print or another; not called after an error
 */
ist_status cli_object_run(cli_call *call, const char *word,
                          ist_status (*work)(const cli_object *object, ist_buffer *json, ist_error *err),
                          ist_status (*print)(const cli_call *call, const ist_buffer *json, ist_error *err),
                          ist_error *err);

/* All pages of a list, as one array that becomes the root of `all`. */
ist_status cli_catalog_list_all(ist_catalog *catalog, const cli_kind_of_object *kind, const char *parent,
                                yyjson_mut_doc *all, ist_error *err);

/* Print an object: with --json as it is, otherwise one member a line, columns as a table. */
ist_status cli_object_print(const cli_call *call, const ist_buffer *json, ist_error *err);

/* The members that grids show of each element of an array, under headers: "owner", "name|full_name" for the first there is. */
ist_status cli_array_print(const cli_call *call, yyjson_val *array, const char *const *members, ist_error *err);

/* A file of the command line, or standard input for "-", which must hold a JSON object. NULL gives an empty one. */
ist_status cli_read_object(const char *path, yyjson_mut_doc **out, ist_error *err);

/* Any REST call whose answer is wanted as JSON; *out is NULL where there is none. */
ist_status cli_request(ist_catalog *catalog, const char *method, const char *path, const char *body, yyjson_doc **out,
                       ist_error *err);
/* Append text as the value of a parameter in a path. */
ist_status cli_append_encoded(ist_buffer *path, const char *text, ist_error *err);

#endif
