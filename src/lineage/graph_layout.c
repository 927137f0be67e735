/*
 * graph_layout.c: where each node of the lineage graph stands: the layered method of Sugiyama, Tagawa and Toda.
 *
 *   1. Edges that close a circle are turned around.
 *   2. A node's layer is the length of the longest way to it; nodes that nothing leads to move next to what they feed.
 *   3. An edge over several layers gets a bend in each, so that from here on edges join neighbouring layers.
 *   4. Within a layer, nodes are sorted by the mean place of their neighbours, to and fro, and the order with the fewest
 *      crossings is kept.
 *   5. Heights: each node wants to stand beside the mean of its neighbours; among the placements that keep order and
 *      distance, the nearest to that (least squares) is found exactly, by pooling adjacent violators.
 */
#include "lineage/graph_internal.h"

#include "util/util.h"

#include <stdlib.h>
#include <string.h>

enum {
    ORDER_SWEEPS = 12,
    PLACE_SWEEPS = 10,
    COUNTED_SEGMENTS_MAX = 4000, /* crossings take the square of it; a larger graph is sorted once and left so */
};
static const double NODE_GAP = 18, BEND_GAP = 12, MARGIN = 16;

/* An edge between neighbouring layers. */
typedef struct segment {
    int from, to;
} segment;

typedef struct layout {
    ist__graph *graph;
    segment *segments;
    size_t segment_count;
    int **layers; /* nodes by layer, in order */
    int *layer_size;
} layout;

/* Circles and layers ----------------------------------------------------------------------------------------------- */

static int left_of(const ist__graph_edge *edge)
{
    return edge->back ? edge->to : edge->from;
}

static int right_of(const ist__graph_edge *edge)
{
    return edge->back ? edge->from : edge->to;
}

/* Depth first without recursion: an edge to a node that is still open closes a circle. */
static void mark_back_edges(ist__graph *graph, int start, char *state, size_t *next, int *stack)
{
    size_t depth = 0;
    stack[depth++] = start;
    state[start] = 1;
    while (depth > 0) {
        int node = stack[depth - 1];
        if (next[node] == graph->edge_count) {
            state[node] = 2;
            depth--;
            continue;
        }
        ist__graph_edge *edge = &graph->edges[next[node]++];
        if (edge->from != node)
            continue;
        edge->back = state[edge->to] == 1;
        if (state[edge->to] == 0) {
            state[edge->to] = 1;
            stack[depth++] = edge->to;
        }
    }
}

static ist_status break_circles(ist__graph *graph, ist_error *err)
{
    size_t n = graph->node_count;
    char *state = calloc(n, 1);
    char *fed = calloc(n, 1);
    size_t *next = calloc(n, sizeof *next);
    int *stack = calloc(n, sizeof *stack);
    bool enough = state && fed && next && stack;
    if (enough) {
        for (size_t i = 0; i < graph->edge_count; i++)
            fed[graph->edges[i].to] = 1;
        for (int round = 0; round < 2; round++) /* first from where data begins, then from what is left: circles */
            for (size_t i = 0; i < n; i++)
                if (state[i] == 0 && (round == 1 || !fed[i]))
                    mark_back_edges(graph, (int)i, state, next, stack);
    }
    free(state);
    free(fed);
    free(next);
    free(stack);
    return enough ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the lineage graph");
}

static void assign_layers(ist__graph *graph)
{
    bool moved = true;
    for (size_t round = 0; moved && round < graph->node_count; round++) {
        moved = false;
        for (size_t i = 0; i < graph->edge_count; i++) {
            int from = left_of(&graph->edges[i]), to = right_of(&graph->edges[i]);
            if (from != to && graph->nodes[to].layer <= graph->nodes[from].layer) {
                graph->nodes[to].layer = graph->nodes[from].layer + 1;
                moved = true;
            }
        }
    }
}

/* Sources next to what they feed: a sketch of one table's neighbours should not have a column of far-off sources. */
static void pull_sources(ist__graph *graph)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        int nearest = -1;
        bool fed = false;
        for (size_t i = 0; i < graph->edge_count; i++) {
            int from = left_of(&graph->edges[i]), to = right_of(&graph->edges[i]);
            if (from == to)
                continue;
            fed = fed || to == (int)n;
            if (from == (int)n && (nearest < 0 || graph->nodes[to].layer < nearest))
                nearest = graph->nodes[to].layer;
        }
        if (!fed && nearest > 0)
            graph->nodes[n].layer = nearest - 1;
    }
}

/* Bends and segments ----------------------------------------------------------------------------------------------- */

static ist_status add_bends(layout *l, ist__graph_edge *edge, ist_error *err)
{
    ist__graph *graph = l->graph;
    int from = left_of(edge), to = right_of(edge);
    int first = graph->nodes[from].layer, span = graph->nodes[to].layer - first;
    if (span > 1)
        IST_TRY(ist__alloc((size_t)span - 1, sizeof *edge->bends, (void **)&edge->bends, err));
    for (int i = 1; i < span; i++) {
        int bend = ist__graph_add_node(graph, IST__NODE_BEND, "");
        if (bend < 0)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the lineage graph");
        graph->nodes[bend].layer = first + i;
        edge->bends[edge->bend_count++] = bend;
        l->segments[l->segment_count++] = (segment){from, bend};
        from = bend;
    }
    if (span > 0)
        l->segments[l->segment_count++] = (segment){from, to};
    return IST_OK;
}

static ist_status make_segments(layout *l, ist_error *err)
{
    ist__graph *graph = l->graph;
    size_t total = 0;
    for (size_t i = 0; i < graph->edge_count; i++)
        total += (size_t)abs(graph->nodes[graph->edges[i].to].layer - graph->nodes[graph->edges[i].from].layer);
    IST_TRY(ist__alloc(total + 1, sizeof *l->segments, (void **)&l->segments, err));
    for (size_t i = 0; i < graph->edge_count; i++)
        IST_TRY(add_bends(l, &graph->edges[i], err));
    return IST_OK;
}

static ist_status make_layers(layout *l, ist_error *err)
{
    ist__graph *graph = l->graph;
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].layer >= graph->layer_count)
            graph->layer_count = graph->nodes[i].layer + 1;
    size_t layers = (size_t)graph->layer_count;
    IST_TRY(ist__alloc(layers + 1, sizeof *l->layers, (void **)&l->layers, err));
    IST_TRY(ist__alloc(layers + 1, sizeof *l->layer_size, (void **)&l->layer_size, err));
    for (size_t i = 0; i < graph->node_count; i++)
        l->layer_size[graph->nodes[i].layer]++;
    for (size_t i = 0; i < layers; i++) {
        IST_TRY(ist__alloc((size_t)l->layer_size[i] + 1, sizeof **l->layers, (void **)&l->layers[i], err));
        l->layer_size[i] = 0;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        int layer = graph->nodes[i].layer, place = l->layer_size[layer]++;
        l->layers[layer][place] = (int)i;
        graph->nodes[i].order = place;
    }
    return IST_OK;
}

/* Order ------------------------------------------------------------------------------------------------------------ */

/* For each node of a layer: the sum and the number of its neighbours' values on one side or both. */
typedef enum side { LEFT = 1, RIGHT = 2 } side;

static void sum_neighbours(const layout *l, int layer, unsigned sides, bool heights, double *sum, double *count)
{
    const ist__graph_node *nodes = l->graph->nodes;
    for (int i = 0; i < l->layer_size[layer]; i++)
        sum[l->layers[layer][i]] = count[l->layers[layer][i]] = 0;
    for (size_t i = 0; i < l->segment_count; i++) {
        int from = l->segments[i].from, to = l->segments[i].to;
        if ((sides & LEFT) && nodes[to].layer == layer) {
            sum[to] += heights ? nodes[from].y : nodes[from].order;
            count[to]++;
        }
        if ((sides & RIGHT) && nodes[from].layer == layer) {
            sum[from] += heights ? nodes[to].y : nodes[to].order;
            count[from]++;
        }
    }
}

static int compare_keys(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0] ? 1 : x[1] < y[1] ? -1 : x[1] > y[1];
}

/* keys: room for 3 numbers for each node of the layer: wanted place, place before (so that equals stay), node. */
static void sort_layer(layout *l, int layer, side from, double *sum, double *count, double *keys)
{
    int size = l->layer_size[layer];
    sum_neighbours(l, layer, from, false, sum, count);
    for (int i = 0; i < size; i++) {
        int node = l->layers[layer][i];
        keys[3 * i] = count[node] > 0 ? sum[node] / count[node] : i;
        keys[3 * i + 1] = i;
        keys[3 * i + 2] = node;
    }
    qsort(keys, (size_t)size, 3 * sizeof *keys, compare_keys);
    for (int i = 0; i < size; i++) {
        l->layers[layer][i] = (int)keys[3 * i + 2];
        l->graph->nodes[l->layers[layer][i]].order = i;
    }
}

static size_t count_crossings(const layout *l)
{
    const ist__graph_node *nodes = l->graph->nodes;
    size_t crossings = 0;
    for (size_t i = 0; i < l->segment_count; i++)
        for (size_t j = 0; j < i; j++) {
            const segment *a = &l->segments[i], *b = &l->segments[j];
            if (nodes[a->from].layer == nodes[b->from].layer &&
                (nodes[a->from].order - nodes[b->from].order) * (nodes[a->to].order - nodes[b->to].order) < 0)
                crossings++;
        }
    return crossings;
}

static void order_layers(layout *l, double *sum, double *count, double *keys, double *best)
{
    ist__graph *graph = l->graph;
    size_t fewest = SIZE_MAX;
    for (int sweep = 0; sweep < ORDER_SWEEPS && fewest > 0; sweep++) {
        for (int i = 1; i < graph->layer_count; i++) {
            bool onward = sweep % 2 == 0;
            sort_layer(l, onward ? i : graph->layer_count - 1 - i, onward ? LEFT : RIGHT, sum, count, keys);
        }
        size_t crossings = l->segment_count <= COUNTED_SEGMENTS_MAX ? count_crossings(l) : 0;
        if (crossings >= fewest)
            continue;
        fewest = crossings;
        for (size_t i = 0; i < graph->node_count; i++)
            best[i] = graph->nodes[i].order;
    }
    for (size_t i = 0; i < graph->node_count && graph->layer_count > 1; i++) {
        graph->nodes[i].order = best[i];
        l->layers[graph->nodes[i].layer][(int)best[i]] = (int)i;
    }
}

/* Heights ---------------------------------------------------------------------------------------------------------- */

static double distance(const ist__graph_node *above, const ist__graph_node *below)
{
    bool bend = above->kind == IST__NODE_BEND || below->kind == IST__NODE_BEND;
    return (above->height + below->height) / 2 + (bend ? BEND_GAP : NODE_GAP);
}

/* A run of nodes that stand as close as they may; its place is the mean of what they want. */
typedef struct pool {
    double mean, weight;
    int size;
} pool;

/* Place a layer's nodes as near to wanted[] as order and distance allow: pool adjacent violators. */
static void place_layer(layout *l, int layer, const double *wanted, pool *pools)
{
    ist__graph_node *nodes = l->graph->nodes;
    int size = l->layer_size[layer], count = 0;
    double offset = 0;
    for (int i = 0; i < size; i++) {
        const ist__graph_node *node = &nodes[l->layers[layer][i]];
        offset += i ? distance(&nodes[l->layers[layer][i - 1]], node) : 0;
        pools[count++] = (pool){wanted[l->layers[layer][i]] - offset, node->kind == IST__NODE_BEND ? 4 : 1, 1};
        while (count > 1 && pools[count - 2].mean > pools[count - 1].mean) {
            pool *into = &pools[count - 2], *from = &pools[--count];
            into->mean = (into->mean * into->weight + from->mean * from->weight) / (into->weight + from->weight);
            into->weight += from->weight;
            into->size += from->size;
        }
    }
    offset = 0;
    for (int p = 0, i = 0; p < count; p++)
        for (int k = 0; k < pools[p].size; k++, i++) {
            ist__graph_node *node = &nodes[l->layers[layer][i]];
            offset += i ? distance(&nodes[l->layers[layer][i - 1]], node) : 0;
            node->y = pools[p].mean + offset;
        }
}

static void place_nodes(layout *l, double *sum, double *count, pool *pools)
{
    ist__graph *graph = l->graph;
    for (int layer = 0; layer < graph->layer_count; layer++) { /* centred, to begin with */
        double y = 0;
        for (int i = 1; i < l->layer_size[layer]; i++)
            y += distance(&graph->nodes[l->layers[layer][i - 1]], &graph->nodes[l->layers[layer][i]]);
        y = -y / 2;
        for (int i = 0; i < l->layer_size[layer]; i++) {
            ist__graph_node *node = &graph->nodes[l->layers[layer][i]];
            y += i ? distance(&graph->nodes[l->layers[layer][i - 1]], node) : 0;
            node->y = y;
        }
    }
    for (int sweep = 0; sweep < PLACE_SWEEPS; sweep++)
        for (int i = 0; i < graph->layer_count; i++) {
            int layer = sweep % 2 ? graph->layer_count - 1 - i : i;
            unsigned sides = sweep >= PLACE_SWEEPS - 2 ? LEFT | RIGHT : sweep % 2 ? RIGHT : LEFT;
            sum_neighbours(l, layer, sides, true, sum, count);
            for (int k = 0; k < l->layer_size[layer]; k++) {
                int node = l->layers[layer][k];
                sum[node] = count[node] > 0 ? sum[node] / count[node] : graph->nodes[node].y;
            }
            place_layer(l, layer, sum, pools);
        }
}

static void finish(layout *l)
{
    ist__graph *graph = l->graph;
    double top = 0, bottom = 0, x = MARGIN;
    for (size_t i = 0; i < graph->node_count; i++) {
        const ist__graph_node *node = &graph->nodes[i];
        top = i == 0 || node->y - node->height / 2 < top ? node->y - node->height / 2 : top;
        bottom = i == 0 || node->y + node->height / 2 > bottom ? node->y + node->height / 2 : bottom;
    }
    for (int layer = 0; layer < graph->layer_count; layer++) {
        double width = 0;
        for (int i = 0; i < l->layer_size[layer]; i++)
            if (graph->nodes[l->layers[layer][i]].width > width)
                width = graph->nodes[l->layers[layer][i]].width;
        for (int i = 0; i < l->layer_size[layer]; i++) {
            ist__graph_node *node = &graph->nodes[l->layers[layer][i]];
            if (node->kind == IST__NODE_BEND)
                node->width = width; /* straight through */
            node->x = x + (width - node->width) / 2;
            node->y += MARGIN - top;
        }
        x += width + graph->layer_gap;
    }
    graph->width = x - graph->layer_gap + MARGIN;
    graph->height = bottom - top + 2 * MARGIN;
}

ist_status ist__graph_layout(ist__graph *graph, ist_error *err)
{
    layout l = {.graph = graph};
    double *numbers = NULL;
    pool *pools = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(break_circles(graph, err));
    assign_layers(graph);
    pull_sources(graph);
    IST_TRY_GOTO(make_segments(&l, err));
    IST_TRY_GOTO(make_layers(&l, err));
    size_t n = graph->node_count + 1;
    IST_TRY_GOTO(ist__alloc(6 * n, sizeof *numbers, (void **)&numbers, err));
    IST_TRY_GOTO(ist__alloc(n, sizeof *pools, (void **)&pools, err));
    order_layers(&l, numbers, numbers + n, numbers + 2 * n, numbers + 5 * n);
    place_nodes(&l, numbers, numbers + n, pools);
    finish(&l);
done:
    for (int i = 0; l.layers && i < graph->layer_count; i++)
        free(l.layers[i]);
    free(l.layers);
    free(l.layer_size);
    free(l.segments);
    free(numbers);
    free(pools);
    return status;
}
