/*
 * graph_svg.c: the lineage graph as SVG: cards for datasets, pills for jobs, curves between them.
 *
 *      +-------------+                     +-------------+
 *      | events      |--( clean.py  ray )->| clean       |
 *      | main.demo   |                     | main.demo   |
 *      +-------------+                     +-------------+
 *
 * With columns, cards list those that edges touch, curves go from column to column, and the pills give way to them.
 * What a curve or a name means in full is its <title>. Colours are classes; the style sheet has them for light and dark.
 */
#include "lineage/graph_internal.h"

#include "util/util.h"

#include <stdlib.h>
#include <string.h>

enum {
    TITLE_SIZE = 13,
    SMALL_SIZE = 11,
    CARD_HEIGHT = 46,
    PILL_HEIGHT = 24,
    ROW_HEIGHT = 19,
    ROWS_PAD = 7,
    ROWS_MAX = 30, /* columns of one card; the others share a last row */
    CARD_WIDTH_MIN = 120,
    CARD_WIDTH_MAX = 270,
    PILL_WIDTH_MAX = 220,
    PAD = 12,
    LEGEND_HEIGHT = 26,
    JOBS_GAP = 40, /* between layers */
    COLUMNS_GAP = 80,
};

static const char style[] =
    ".ist-lineage{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;background:#fff}"
    ".ist-lineage text{fill:#1d2430}"
    ".ist-lineage .card{fill:#fff;stroke:#b9c2d0;stroke-width:1}"
    ".ist-lineage .rule{stroke:#dfe4ec;stroke-width:1}"
    ".ist-lineage .here .card{stroke:#1a56db;stroke-width:2;fill:#f1f5ff}"
    ".ist-lineage .location .card{stroke-dasharray:5 3}"
    ".ist-lineage .hidden .card{fill:#f3f4f6;stroke-dasharray:2 3}"
    ".ist-lineage .title{font-size:13px;font-weight:600}"
    ".ist-lineage .small{font-size:11px;fill:#5b6675}"
    ".ist-lineage .row{font-size:11.5px}"
    ".ist-lineage .dropped .title{text-decoration:line-through}"
    ".ist-lineage .pill{fill:#eef1f6;stroke:#d5dbe5}"
    ".ist-lineage .spark .pill{fill:#fff1e6;stroke:#f3cba6}"
    ".ist-lineage .ray .pill{fill:#e6f6fb;stroke:#a5dcec}"
    ".ist-lineage .edge{fill:none;stroke:#8d99ab;stroke-width:1.4}"
    ".ist-lineage .arrow{fill:#8d99ab}"
    ".ist-lineage .back{stroke-dasharray:6 4}"
    ".ist-lineage .faint{stroke:#e6eaf1;stroke-width:4}"
    ".ist-lineage .direct{stroke:#3b6fd8;stroke-width:1.2}"
    ".ist-lineage .indirect{stroke:#a06a18;stroke-width:1;stroke-dasharray:3 3}"
    ".ist-lineage .edge:hover{stroke-width:3}"
    ".ist-lineage a{cursor:pointer}"
    ".ist-lineage a:hover .card{stroke:#1a56db}"
    ".ist-lineage a:focus-visible{outline:none}"
    ".ist-lineage a:focus-visible .card{stroke:#1a56db;stroke-width:3}"
    "@media (prefers-color-scheme:dark){"
    ".ist-lineage{background:#12161d}"
    ".ist-lineage text{fill:#e6eaf1}"
    ".ist-lineage .card{fill:#1b212b;stroke:#465164}"
    ".ist-lineage .rule{stroke:#323b49}"
    ".ist-lineage .here .card{fill:#172441;stroke:#7ea6ff}"
    ".ist-lineage .hidden .card{fill:#171b22}"
    ".ist-lineage .small{fill:#9aa7b9}"
    ".ist-lineage .pill{fill:#252c38;stroke:#3a4454}"
    ".ist-lineage .spark .pill{fill:#3a2917;stroke:#6b4a28}"
    ".ist-lineage .ray .pill{fill:#12323c;stroke:#245868}"
    ".ist-lineage .edge{stroke:#6d7a8f}"
    ".ist-lineage .arrow{fill:#6d7a8f}"
    ".ist-lineage .faint{stroke:#2a3240}"
    ".ist-lineage .direct{stroke:#7ea6ff}"
    ".ist-lineage .indirect{stroke:#d9a24e}"
    ".ist-lineage a:hover .card,.ist-lineage a:focus-visible .card{stroke:#7ea6ff}}";

const char *ist_lineage_style(void)
{
    return style;
}

/* Text ------------------------------------------------------------------------------------------------------------- */

/* The next character of UTF-8 text that is known to be good. */
static unsigned next_character(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    unsigned c = *at++;
    int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : 0;
    c = more == 3 ? c & 7 : more == 2 ? c & 15 : more == 1 ? c & 31 : c;
    while (more-- > 0 && *at)
        c = c << 6 | (*at++ & 63);
    *text = (const char *)at;
    return c;
}

/* About how wide a character is, in ems of a usual sans-serif font, rather more than less. */
static double character_width(unsigned c)
{
    if (c >= 0x1100)
        return 1.05;
    if (c < 0x80 && strchr("iljI.,:;'|!()[]/", (int)c))
        return 0.37;
    if (c < 0x80 && strchr("mwMW@%", (int)c))
        return 0.95;
    return (c >= 'A' && c <= 'Z') || c == '_' ? 0.68 : 0.6;
}

static double text_width(const char *text, double size)
{
    double width = 0;
    while (*text)
        width += character_width(next_character(&text));
    return width * size;
}

static ist_status put(ist_buffer *out, const char *text, ist_error *err)
{
    return ist_buffer_append_string(out, text, err);
}

/* Text for XML, which has no control characters at all. */
static ist_status put_escaped(ist_buffer *out, const char *text, size_t size, ist_error *err)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *instead = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;"
                              : c < 0x20 || c == 0x7F ? "\xEF\xBF\xBD" : NULL;
        IST_TRY(instead ? put(out, instead, err) : ist_buffer_append(out, text + i, 1, err));
    }
    return IST_OK;
}

static ist_status put_text(ist_buffer *out, const char *text, ist_error *err)
{
    return put_escaped(out, text, strlen(text), err);
}

/* As much of a text as fits, then an ellipsis: its start, or with `end` its end (a path's end tells more). */
static ist_status put_fitting(ist_buffer *out, const char *text, double size, double room, bool end, ist_error *err)
{
    double width = text_width(text, size);
    if (width <= room + 1) /* what was made to fit does */
        return put_text(out, text, err);
    room -= size; /* for the ellipsis */
    const char *at = text;
    if (end) {
        while (*at && width > room)
            width -= character_width(next_character(&at)) * size;
        IST_TRY(put(out, "\xE2\x80\xA6", err));
        return put_text(out, at, err);
    }
    for (width = 0; *at;) {
        const char *next = at;
        width += character_width(next_character(&next)) * size;
        if (width > room)
            break;
        at = next;
    }
    IST_TRY(put_escaped(out, text, (size_t)(at - text), err));
    return put(out, "\xE2\x80\xA6", err);
}

/* A dataset's name in two lines: "scores" of "main.demo"; "part.csv" of "file:///data". */
static const char *last_part(const ist__graph_node *node)
{
    const char *cut = strrchr(node->name, node->kind == IST__NODE_LOCATION ? '/' : '.');
    return cut && cut[1] && node->kind != IST__NODE_HIDDEN ? cut + 1 : node->name;
}

static ist_status first_part(const ist__graph_node *node, ist_buffer *out, ist_error *err)
{
    const char *last = last_part(node);
    if (node->kind == IST__NODE_HIDDEN)
        return put(out, "you have no grant on it", err);
    if (last > node->name)
        IST_TRY(ist_buffer_append(out, node->name, (size_t)(last - node->name) - 1, err));
    if (node->dropped)
        IST_TRY(put(out, out->size ? " \xC2\xB7 dropped" : "dropped", err));
    return ist_buffer_append(out, "", 0, err);
}

/* Columns ---------------------------------------------------------------------------------------------------------- */

static ist_status add_column(ist__graph_node *node, const char *name, ist_error *err)
{
    if (!*name)
        return IST_OK;
    for (size_t i = 0; i < node->column_count; i++)
        if (strcmp(node->columns[i], name) == 0)
            return IST_OK;
    const char **more = realloc(node->columns, (node->column_count + 1) * sizeof *more);
    if (!more)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the lineage graph");
    node->columns = more;
    node->columns[node->column_count++] = name;
    return IST_OK;
}

static ist_status collect_columns(ist__graph *graph, ist_error *err)
{
    for (size_t i = 0; i < graph->edge_count; i++) {
        const ist__graph_edge *edge = &graph->edges[i];
        size_t k, count;
        yyjson_val *column;
        yyjson_arr_foreach(yyjson_obj_get(edge->told, "columns"), k, count, column) {
            IST_TRY(add_column(&graph->nodes[edge->from], ist__graph_text(column, "source"), err));
            IST_TRY(add_column(&graph->nodes[edge->to], ist__graph_text(column, "target"), err));
        }
    }
    return IST_OK;
}

static size_t row_count(const ist__graph_node *node)
{
    return node->column_count > ROWS_MAX ? ROWS_MAX + 1 : node->column_count;
}

/* The middle of a column's row; of the card's head for "". */
static double column_y(const ist__graph_node *node, const char *column)
{
    double top = node->y - node->height / 2;
    size_t row = 0;
    if (!*column)
        return top + CARD_HEIGHT / 2.0;
    while (row < node->column_count && strcmp(node->columns[row], column) != 0)
        row++;
    if (row > ROWS_MAX)
        row = ROWS_MAX;
    return top + CARD_HEIGHT + ROWS_PAD + ROW_HEIGHT * ((double)row + 0.5);
}

/* Sizes ------------------------------------------------------------------------------------------------------------ */

static double between(double least, double value, double most)
{
    return value < least ? least : value > most ? most : value;
}

static ist_status size_nodes(ist__graph *graph, ist_error *err)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        ist__graph_node *node = &graph->nodes[i];
        if (node->kind == IST__NODE_JOB) {
            double width = text_width(node->name, SMALL_SIZE) + text_width(node->engine, SMALL_SIZE) + SMALL_SIZE;
            node->width = between(40, width + 2 * PAD, PILL_WIDTH_MAX);
            node->height = PILL_HEIGHT;
            continue;
        }
        ist_buffer first = IST_BUFFER_INIT;
        ist_status status = first_part(node, &first, err);
        double width = text_width(last_part(node), TITLE_SIZE * 1.05); /* bold */
        if (status == IST_OK)
            width = between(width, text_width(first.data, SMALL_SIZE), CARD_WIDTH_MAX);
        ist_buffer_free(&first);
        IST_TRY(status);
        for (size_t k = 0; k < node->column_count && k < ROWS_MAX; k++)
            width = between(width, text_width(node->columns[k], SMALL_SIZE) + 8, CARD_WIDTH_MAX);
        node->width = between(CARD_WIDTH_MIN, width + 2 * PAD, CARD_WIDTH_MAX);
        node->height = CARD_HEIGHT + (node->column_count ? 2 * ROWS_PAD + ROW_HEIGHT * (double)row_count(node) : 0);
    }
    return IST_OK;
}

/* Curves ----------------------------------------------------------------------------------------------------------- */

/* From (x, y), where `out` begins a path, to another point, leaving and arriving level. */
static ist_status put_curve(ist_buffer *out, double x, double y, double to_x, double to_y, ist_error *err)
{
    double middle = (x + to_x) / 2;
    return ist_buffer_printf(out, err, " C%.1f %.1f %.1f %.1f %.1f %.1f", middle, y, middle, to_y, to_x, to_y);
}

/* The path of an edge between two heights, from left to right through its bends. */
static ist_status put_path(const ist__graph *graph, const ist__graph_edge *edge, double from_y, double to_y,
                           ist_buffer *out, ist_error *err)
{
    const ist__graph_node *from = &graph->nodes[edge->from], *to = &graph->nodes[edge->to];
    if (from == to) { /* a loop at the card's right side */
        double x = from->x + from->width;
        return ist_buffer_printf(out, err, "M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f", x, from_y - 6, x + 34,
                                 from_y - 22, x + 34, to_y + 22, x, to_y + 6);
    }
    const ist__graph_node *left = edge->back ? to : from, *right = edge->back ? from : to;
    double x = left->x + left->width, y = edge->back ? to_y : from_y, end_y = edge->back ? from_y : to_y;
    IST_TRY(ist_buffer_printf(out, err, "M%.1f %.1f", x, y));
    for (int i = 0; i < edge->bend_count; i++) {
        const ist__graph_node *bend = &graph->nodes[edge->bends[i]];
        IST_TRY(put_curve(out, x, y, bend->x, bend->y, err));
        x = bend->x + bend->width;
        y = bend->y;
        IST_TRY(ist_buffer_printf(out, err, " L%.1f %.1f", x, y));
    }
    return put_curve(out, x, y, right->x, end_y, err);
}

/* "main.demo.a to main.demo.b by clean.py (ray)" */
static ist_status put_edge_title(const ist__graph_edge *edge, yyjson_val *column, ist_buffer *out, ist_error *err)
{
    static const char *const parts[][2] = {{"", "source"}, {" \xE2\x86\x92 ", "target"}, {"  by ", "job"},
                                           {", ", "engine"}, {", ", "event_time"}};
    IST_TRY(put(out, "<title>", err));
    if (column) {
        IST_TRY(put_text(out, ist__graph_text(column, "source"), err));
        IST_TRY(put(out, " \xE2\x86\x92 ", err));
        const char *target = ist__graph_text(column, "target");
        IST_TRY(put_text(out, *target ? target : "every row", err));
        IST_TRY(put(out, " (", err));
        IST_TRY(put_text(out, ist__graph_text(column, "subtype"), err));
        IST_TRY(put(out, ")\n", err));
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *text = ist__graph_text(edge->told, parts[i][1]);
        if (!*text)
            continue;
        IST_TRY(put(out, parts[i][0], err));
        IST_TRY(put_text(out, text, err));
    }
    return put(out, "</title></path>", err);
}

/* One curve. column: of the edge's columns; NULL for the edge itself. */
static ist_status put_edge(const ist__graph *graph, const ist__graph_edge *edge, yyjson_val *column, const char *look,
                           ist_buffer *out, ist_error *err)
{
    const ist__graph_node *from = &graph->nodes[edge->from], *to = &graph->nodes[edge->to];
    double from_y = from->y, to_y = to->y;
    if (from->kind != IST__NODE_JOB)
        from_y = column_y(from, column ? ist__graph_text(column, "source") : "");
    if (to->kind != IST__NODE_JOB)
        to_y = column_y(to, column ? ist__graph_text(column, "target") : "");
    IST_TRY(ist_buffer_printf(out, err, "<path class=\"edge %s%s\" d=\"", look, edge->back ? " back" : ""));
    IST_TRY(put_path(graph, edge, from_y, to_y, out, err));
    /* Only at datasets: a pill is in the middle of its arrow. The path of a turned edge begins at its target. */
    bool arrow = !column && strcmp(look, "faint") != 0 && to->kind != IST__NODE_JOB;
    bool at_start = edge->back && from != to;
    IST_TRY(ist_buffer_printf(out, err, "\"%s>",
                              !arrow ? "" : at_start ? " marker-start=\"url(#ist-arrow)\"" :
                              " marker-end=\"url(#ist-arrow)\""));
    return put_edge_title(edge, column, out, err);
}

static ist_status put_edges(const ist__graph *graph, ist_buffer *out, ist_error *err)
{
    for (size_t i = 0; i < graph->edge_count; i++) {
        const ist__graph_edge *edge = &graph->edges[i];
        yyjson_val *columns = yyjson_obj_get(edge->told, "columns"), *column;
        bool listed = graph->nodes[edge->from].column_count > 0 && yyjson_arr_size(columns) > 0;
        IST_TRY(put_edge(graph, edge, NULL, listed ? "faint" : "whole", out, err));
        size_t k, count;
        for (int direct = 0; listed && direct < 2; direct++) /* the values' own ways lie on top */
            yyjson_arr_foreach(columns, k, count, column) {
                bool is_direct = strcmp(ist__graph_text(column, "type"), "INDIRECT") != 0;
                if (is_direct == direct)
                    IST_TRY(put_edge(graph, edge, column, direct ? "direct" : "indirect", out, err));
            }
    }
    return IST_OK;
}

/* Nodes ------------------------------------------------------------------------------------------------------------ */

static ist_status put_rows(const ist__graph_node *node, ist_buffer *out, ist_error *err)
{
    double top = node->y - node->height / 2, room = node->width - 2 * PAD;
    if (node->column_count)
        IST_TRY(ist_buffer_printf(out, err, "<path class=\"rule\" d=\"M%.1f %.1fh%.1f\"/>", node->x,
                                  top + CARD_HEIGHT, node->width));
    for (size_t i = 0; i < row_count(node); i++) {
        double y = top + CARD_HEIGHT + ROWS_PAD + ROW_HEIGHT * ((double)i + 0.5) + 4;
        IST_TRY(ist_buffer_printf(out, err, "<text class=\"row\" x=\"%.1f\" y=\"%.1f\">", node->x + PAD, y));
        if (i == ROWS_MAX)
            IST_TRY(ist_buffer_printf(out, err, "and %zu more", node->column_count - ROWS_MAX));
        else
            IST_TRY(put_fitting(out, node->columns[i], SMALL_SIZE, room, false, err));
        IST_TRY(put(out, "</text>", err));
    }
    return IST_OK;
}

static ist_status put_card(const ist__graph *graph, const ist__graph_node *node, ist_buffer *out, ist_error *err)
{
    static const char *const looks[] = {"table", "location", "hidden"};
    double top = node->y - node->height / 2, room = node->width - 2 * PAD;
    bool here = graph->table && strcmp(graph->table, node->name) == 0;
    ist_buffer first = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(first_part(node, &first, err));
    IST_TRY_GOTO(ist_buffer_printf(out, err, "<g class=\"%s%s%s\"><title>", looks[node->kind], here ? " here" : "",
                                   node->dropped ? " dropped" : ""));
    IST_TRY_GOTO(put_text(out, node->name, err));
    IST_TRY_GOTO(ist_buffer_printf(
        out, err, "</title><rect class=\"card\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"8\"/>"
                  "<text class=\"title\" x=\"%.1f\" y=\"%.1f\">",
        node->x, top, node->width, node->height, node->x + PAD, top + (first.size ? 20 : 28)));
    IST_TRY_GOTO(put_fitting(out, last_part(node), TITLE_SIZE * 1.05, room, false, err));
    IST_TRY_GOTO(ist_buffer_printf(out, err, "</text><text class=\"small\" x=\"%.1f\" y=\"%.1f\">", node->x + PAD,
                                   top + 36));
    IST_TRY_GOTO(put_fitting(out, first.data, SMALL_SIZE, room, true, err));
    IST_TRY_GOTO(put(out, "</text>", err));
    IST_TRY_GOTO(put_rows(node, out, err));
    status = put(out, "</g>", err);
done:
    ist_buffer_free(&first);
    return status;
}

static ist_status put_pill(const ist__graph_node *node, ist_buffer *out, ist_error *err)
{
    const char *look = strcmp(node->engine, "spark") == 0 ? " spark" : strcmp(node->engine, "ray") == 0 ? " ray" : "";
    double room = node->width - 2 * PAD - text_width(node->engine, SMALL_SIZE) - SMALL_SIZE;
    IST_TRY(ist_buffer_printf(out, err, "<g class=\"job%s\"><title>", look));
    IST_TRY(put_text(out, node->name, err));
    IST_TRY(put(out, *node->engine ? ", " : "", err));
    IST_TRY(put_text(out, node->engine, err));
    IST_TRY(ist_buffer_printf(
        out, err,
        "</title><rect class=\"pill\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"%d\"/>"
        "<text class=\"row\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">",
        node->x, node->y - PILL_HEIGHT / 2.0, node->width, PILL_HEIGHT, PILL_HEIGHT / 2, node->x + node->width / 2,
        node->y + 4));
    IST_TRY(put_fitting(out, node->name, SMALL_SIZE, room, false, err));
    if (*node->engine) {
        IST_TRY(put(out, "<tspan class=\"small\" dx=\"7\">", err));
        IST_TRY(put_text(out, node->engine, err));
        IST_TRY(put(out, "</tspan>", err));
    }
    return put(out, "</text></g>", err);
}

static ist_status put_linked_card(const ist__graph *graph, const ist__graph_node *node, const char *link,
                                  ist_buffer *out, ist_error *err)
{
    if (!link || node->kind == IST__NODE_HIDDEN)
        return put_card(graph, node, out, err);
    IST_TRY(put(out, "<a href=\"", err));
    IST_TRY(put_text(out, link, err));
    IST_TRY(ist__uri_encode(node->name, strlen(node->name), "", out, err));
    IST_TRY(put(out, "\">", err));
    IST_TRY(put_card(graph, node, out, err));
    return put(out, "</a>", err);
}

static ist_status put_legend(const ist__graph *graph, ist_buffer *out, ist_error *err)
{
    double y = graph->height - 8;
    return ist_buffer_printf(out, err,
                             "<g><path class=\"edge direct\" d=\"M16 %.1fh26\"/><text class=\"small\" x=\"48\" "
                             "y=\"%.1f\">the value itself</text><path class=\"edge indirect\" d=\"M150 %.1fh26\"/>"
                             "<text class=\"small\" x=\"182\" y=\"%.1f\">decides about it</text></g>",
                             y - 4, y, y - 4, y);
}

/* The whole -------------------------------------------------------------------------------------------------------- */

static ist_status put_svg(const ist__graph *graph, const ist_lineage_draw_options *options, ist_buffer *out,
                          ist_error *err)
{
    IST_TRY(ist_buffer_printf(out, err,
                              "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ist-lineage\" width=\"%.0f\" "
                              "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"%s\" aria-label=\"Lineage",
                              graph->width, graph->height, graph->width, graph->height,
                              options->link ? "group" : "img"));
    if (graph->table) {
        IST_TRY(put(out, " of ", err));
        IST_TRY(put_text(out, graph->table, err));
    }
    IST_TRY(put(out, "\">", err));
    if (!options->bare) {
        IST_TRY(put(out, "<style>", err));
        IST_TRY(put(out, style, err));
        IST_TRY(put(out, "</style>", err));
    }
    IST_TRY(put(out,
                "<defs><marker id=\"ist-arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" "
                "markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto-start-reverse\">"
                "<path class=\"arrow\" d=\"M0 0L8 4L0 8z\"/></marker></defs>",
                err));
    IST_TRY(put_edges(graph, out, err));
    for (size_t i = 0; i < graph->node_count; i++) {
        const ist__graph_node *node = &graph->nodes[i];
        if (node->kind == IST__NODE_JOB)
            IST_TRY(put_pill(node, out, err));
        else if (node->kind != IST__NODE_BEND)
            IST_TRY(put_linked_card(graph, node, options->link, out, err));
    }
    if (options->columns)
        IST_TRY(put_legend(graph, out, err));
    return put(out, "</svg>\n", err);
}

ist_status ist__graph_svg(ist__graph *graph, const ist_lineage_draw_options *options, ist_buffer *out, ist_error *err)
{
    if (options->columns)
        IST_TRY(collect_columns(graph, err));
    IST_TRY(size_nodes(graph, err));
    graph->layer_gap = options->columns ? COLUMNS_GAP : JOBS_GAP;
    IST_TRY(ist__graph_layout(graph, err));
    if (options->columns) {
        graph->height += LEGEND_HEIGHT;
        graph->width = between(300, graph->width, graph->width > 300 ? graph->width : 300);
    }
    return put_svg(graph, options, out, err);
}
