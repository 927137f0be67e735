/*
 * graph_internal.h: the lineage graph between its parts: read from the catalog's answer (graph.c), laid out
 * (graph_layout.c), drawn (graph_svg.c). Library-private.
 */
#ifndef ISTHMUS_LINEAGE_GRAPH_INTERNAL_H
#define ISTHMUS_LINEAGE_GRAPH_INTERNAL_H

#include "isthmus/lineage.h"

#include <yyjson.h>

typedef enum ist__node_kind {
    IST__NODE_TABLE,
    IST__NODE_LOCATION, /* files without a name */
    IST__NODE_HIDDEN,   /* a table that the reader may not see */
    IST__NODE_JOB,      /* what made one dataset from others */
    IST__NODE_BEND      /* where a long edge crosses a layer */
} ist__node_kind;

typedef struct ist__graph_node {
    ist__node_kind kind;
    const char *name; /* borrowed from the answer, as all text here */
    const char *engine;
    bool dropped;
    const char **columns; /* those that column edges touch */
    size_t column_count;
    double width, height; /* for the layout */
    int layer;            /* from the layout, as all below: 0 is leftmost */
    double order;         /* within the layer */
    double x, y;          /* left edge, middle */
} ist__graph_node;

typedef struct ist__graph_edge {
    int from, to;
    yyjson_val *told; /* the answer's edge */
    bool back;        /* it closes a circle: laid out as if it went the other way */
    int bend_count;
    int *bends; /* nodes, from the leftmost on */
} ist__graph_edge;

typedef struct ist__graph {
    yyjson_doc *doc;
    const char *table; /* what was asked for; NULL for everything */
    ist__graph_node *nodes;
    size_t node_count, node_capacity;
    ist__graph_edge *edges;
    size_t edge_count, edge_capacity;
    double layer_gap; /* for the layout */
    int layer_count;  /* from the layout, as the next two */
    double width, height;
} ist__graph;

enum { IST__GRAPH_EDGES_MAX = 4000 };

/* Read an answer. with_jobs: a job is a node between its datasets; otherwise edges join the datasets themselves, and
 * those with a dataset at one end only are left out. The caller frees *graph with ist__graph_free, also after an error. */
ist_status ist__graph_read(const char *answer, bool with_jobs, ist__graph *graph, ist_error *err);
void ist__graph_free(ist__graph *graph);
/* The index of a new node, -1 without memory. */
int ist__graph_add_node(ist__graph *graph, ist__node_kind kind, const char *name);

/* Give every node its place; they have their width and height. Adds the bends. */
ist_status ist__graph_layout(ist__graph *graph, ist_error *err);

ist_status ist__graph_svg(ist__graph *graph, const ist_lineage_draw_options *options, ist_buffer *out, ist_error *err);

/* A text member of an edge; "" where it is null. */
const char *ist__graph_text(yyjson_val *edge, const char *key);

#endif
