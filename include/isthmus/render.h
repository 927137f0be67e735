/*
 * render.h: values of Arrow batches as text for people, JSON and CSV.
 *
 *     null       text: empty, and *is_null; JSON: null; CSV: an empty value (an empty string is "")
 *     numbers    the shortest decimal digits that read back as the same value; decimals with all digits of their scale;
 *                NaN and infinities are NaN, Infinity, -Infinity (strings in JSON)
 *     times      ISO 8601; instants in UTC with a Z; the fraction only where it is not zero
 *     binary     lower-case hexadecimal digits
 *     nested     JSON in all forms; a map is an object whose keys are the text of its keys
 *
 * All types of Arrow but unions, intervals, list views and run-end encoding.
 * Threading: a renderer belongs to one thread at a time.
 *
 *     ist_renderer_new(&schema, &renderer, &err);
 *     ist_renderer_set_batch(renderer, &batch, &err);
 *     ist_renderer_row(renderer, 0, IST_RENDER_JSON, &text, &err);      // {"id":1,"name":"a"}
 *     ist_renderer_free(renderer);
 */
#ifndef ISTHMUS_RENDER_H
#define ISTHMUS_RENDER_H

#include "isthmus/arrow.h"
#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdbool.h>

IST_BEGIN_DECLS

typedef struct ist_renderer ist_renderer;

typedef enum ist_render_form { IST_RENDER_TEXT, IST_RENDER_JSON, IST_RENDER_CSV } ist_render_form;

/* For batches (struct arrays) of this schema, which is borrowed for the call. Errors: IST_UNSUPPORTED (a type:
 * named). */
IST_API ist_status ist_renderer_new(const struct ArrowSchema *schema, ist_renderer **out, ist_error *err);
IST_API void ist_renderer_free(ist_renderer *renderer);

IST_API size_t ist_renderer_column_count(const ist_renderer *renderer);
/* Borrowed. */
IST_API const char *ist_renderer_column_name(const ist_renderer *renderer, size_t column);
/* Integers, floating point, decimals: what a table aligns on the right. */
IST_API bool ist_renderer_column_is_number(const ist_renderer *renderer, size_t column);

/* The batch whose rows are rendered next; borrowed until another is set or the renderer is freed. Its buffers are
 * checked against its lengths. Errors: IST_BAD_INPUT. */
IST_API ist_status ist_renderer_set_batch(ist_renderer *renderer, const struct ArrowArray *batch, ist_error *err);

/* Append one value. is_null may be NULL. */
IST_API ist_status ist_renderer_cell(const ist_renderer *renderer, size_t column, int64_t row, ist_render_form form,
                                     ist_buffer *out, bool *is_null, ist_error *err);

/* Append one row as a JSON object or a line of CSV, without a line end. */
IST_API ist_status ist_renderer_row(const ist_renderer *renderer, int64_t row, ist_render_form form, ist_buffer *out,
                                    ist_error *err);
/* Append the names of the columns as a line of CSV, without a line end. */
IST_API ist_status ist_renderer_csv_header(const ist_renderer *renderer, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
