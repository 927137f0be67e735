/*
 * fair_queue.h: statements that wait for one warehouse: a line for each principal, and the lines take turns, so that
 * whoever submits a thousand does not keep another's one waiting. Library-private.
 *
 *     if (!ist__queue_add(&queue, s))     // no memory
 *     while ((s = ist__queue_take(&queue)))
 *
 * Threading: call with the mutex of warehouse_internal.h held. Statements are borrowed; one waits in one queue at most.
 */
#ifndef ISTHMUS_WAREHOUSE_FAIR_QUEUE_H
#define ISTHMUS_WAREHOUSE_FAIR_QUEUE_H

#include "warehouse/warehouse.h"

#include <stddef.h>

/* A doubly linked list of statements. */
typedef struct ist__statement_list {
    ist__statement *first, *last;
    int count;
} ist__statement_list;

/* What one principal waits for, in the order of submission. */
typedef struct ist__queue_line {
    struct ist__queue_line *next, *previous;
    char user_id[37];
    ist__statement_list waiting; /* never empty */
} ist__queue_line;

/* All zeros is an empty one. */
typedef struct ist__fair_queue {
    ist__queue_line *first, *last; /* whose turn is next is first */
    int count;                     /* of statements */
    size_t bytes;                  /* of their texts */
} ist__fair_queue;

/* At the end of its principal's line; a new line is the last one. False: no memory. */
bool ist__queue_add(ist__fair_queue *queue, ist__statement *statement);
/* Before all others: it had its turn. False: no memory. */
bool ist__queue_put_back(ist__fair_queue *queue, ist__statement *statement);
/* The next one, out of the queue; its line goes behind the others. NULL where none waits. */
ist__statement *ist__queue_take(ist__fair_queue *queue);
/* Take one out wherever it is; nothing where it does not wait. */
void ist__queue_remove(ist__fair_queue *queue, ist__statement *statement);
/* How many of a principal's wait. */
int ist__queue_count_of(const ist__fair_queue *queue, const char *user_id);
/* Walk through all, line by line: the one after a statement that waits; after NULL the first. */
ist__statement *ist__queue_after(const ist__fair_queue *queue, const ist__statement *statement);

#endif
