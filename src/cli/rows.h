/* rows.h: rows of an Arrow stream on standard output. */
#ifndef ISTHMUS_CLI_ROWS_H
#define ISTHMUS_CLI_ROWS_H

#include "isthmus/isthmus.h"

/* Print all rows: aligned columns of at most 60 characters (IST_RENDER_TEXT), an object a line, or CSV with a header. The
 * stream stays the caller's. *total counts the rows. */
ist_status cli_rows_print(struct ArrowArrayStream *stream, ist_render_form form, int64_t *total, ist_error *err);

#endif
