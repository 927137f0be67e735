/* rows.c: rows of an Arrow stream as aligned columns, JSON lines or CSV. */
#include "rows.h"

#include "output.h"

#include <string.h>

enum { BLOCK_ROWS = 1000 }; /* rows whose widths are decided together */

/* Aligned columns. The grid keeps its widths from block to block. */
static ist_status print_grid(struct ArrowArrayStream *stream, ist_renderer *renderer, int64_t *total, ist_error *err)
{
    struct ArrowArray batch = {0};
    ist_buffer text = IST_BUFFER_INIT;
    size_t columns = ist_renderer_column_count(renderer);
    bool header = true;
    cli_grid grid;
    ist_status status = cli_grid_init(&grid, columns, err);
    for (size_t i = 0; status == IST_OK && i < columns; i++) {
        const char *name = ist_renderer_column_name(renderer, i);
        grid.right[i] = ist_renderer_column_is_number(renderer, i);
        status = cli_grid_add(&grid, name, strlen(name), err);
    }
    while (status == IST_OK && (status = ist_stream_next(stream, &batch, err)) == IST_OK && batch.release) {
        status = ist_renderer_set_batch(renderer, &batch, err);
        for (int64_t row = 0; status == IST_OK && row < batch.length; row++) {
            for (size_t i = 0; status == IST_OK && i < columns; i++) {
                bool is_null;
                ist_buffer_clear(&text);
                status = ist_renderer_cell(renderer, i, row, IST_RENDER_TEXT, &text, &is_null, err);
                if (status == IST_OK)
                    status = is_null ? cli_grid_add(&grid, "null", 4, err)
                                     : cli_grid_add(&grid, text.data, text.size, err);
            }
            ++*total;
            if (*total % BLOCK_ROWS == 0) {
                cli_grid_print(&grid, header);
                header = false;
            }
        }
        batch.release(&batch);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, header);
    cli_grid_free(&grid);
    ist_buffer_free(&text);
    return status;
}

/* A line per row: JSON or CSV. */
static ist_status print_lines(struct ArrowArrayStream *stream, ist_renderer *renderer, ist_render_form form,
                              int64_t *total, ist_error *err)
{
    enum { FLUSH_BYTES = 1 << 16 };
    struct ArrowArray batch = {0};
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (form == IST_RENDER_CSV && (status = ist_renderer_csv_header(renderer, &text, err)) == IST_OK)
        status = ist_buffer_append(&text, "\n", 1, err);
    while (status == IST_OK && (status = ist_stream_next(stream, &batch, err)) == IST_OK && batch.release) {
        status = ist_renderer_set_batch(renderer, &batch, err);
        for (int64_t row = 0; status == IST_OK && row < batch.length; row++, ++*total) {
            status = ist_renderer_row(renderer, row, form, &text, err);
            if (status == IST_OK)
                status = ist_buffer_append(&text, "\n", 1, err);
            if (status == IST_OK && text.size > FLUSH_BYTES) {
                if (fwrite(text.data, 1, text.size, stdout) != text.size)
                    status = cli_flush(err);
                ist_buffer_clear(&text);
            }
        }
        batch.release(&batch);
    }
    if (text.size > 0)
        fwrite(text.data, 1, text.size, stdout);
    ist_buffer_free(&text);
    return status;
}

ist_status cli_rows_print(struct ArrowArrayStream *stream, ist_render_form form, int64_t *total, ist_error *err)
{
    struct ArrowSchema schema;
    ist_renderer *renderer = NULL;
    ist_status status = ist_stream_schema(stream, &schema, err);
    *total = 0;
    if (status != IST_OK)
        return status;
    status = ist_renderer_new(&schema, &renderer, err);
    schema.release(&schema);
    if (status == IST_OK && form == IST_RENDER_TEXT)
        status = print_grid(stream, renderer, total, err);
    else if (status == IST_OK)
        status = print_lines(stream, renderer, form, total, err);
    ist_renderer_free(renderer);
    return status;
}
