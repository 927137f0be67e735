/*
 * text.h: CSV and JSON lines through Arrow C++, and numbers as text through the C++ library. Library-private; text.cc.
 */
#ifndef ISTHMUS_SHIM_TEXT_H
#define ISTHMUS_SHIM_TEXT_H

#include "isthmus/arrow.h"
#include "shim/bytes.h"

#include <stdbool.h>

IST_BEGIN_DECLS

typedef struct ist__csv_options {
    const struct ArrowSchema *schema; /* types of the columns it names, borrowed; NULL: all inferred */
    char delimiter;
    bool no_header;
} ist__csv_options;

/*
 * Read a whole source as CSV, or as JSON objects one a line. Takes the source (freed with the stream, and also when
 * this fails). Where every column's type is given rows are streamed; otherwise the whole file is read to infer types.
 * Errors: IST_BAD_INPUT: the source's name, then what Arrow says (column, value).
 */
ist_status ist__csv_read(ist__source source, const ist__csv_options *options, struct ArrowArrayStream *out,
                         ist_error *err);
ist_status ist__json_read(ist__source source, const struct ArrowSchema *schema, struct ArrowArrayStream *out,
                          ist_error *err);

/* The shortest text that reads back as the same double (float where single), whatever the locale; "1.0", "1e-07",
 * "NaN", "Infinity". Returns its length. */
enum { IST__DOUBLE_TEXT_SIZE = 40 };
size_t ist__double_text(double value, bool single, char out[IST__DOUBLE_TEXT_SIZE]);

IST_END_DECLS

#endif
