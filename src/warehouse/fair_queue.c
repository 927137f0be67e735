/* fair_queue.c: lines that take turns. There are as many as principals who wait: they are searched one by one. */
#include "warehouse/fair_queue.h"

#include "warehouse/warehouse_internal.h"

#include <stdlib.h>
#include <string.h>

static ist__queue_line *find_line(const ist__fair_queue *queue, const char *user_id)
{
    ist__queue_line *line = queue->first;
    while (line && strcmp(line->user_id, user_id) != 0)
        line = line->next;
    return line;
}

static void link_last(ist__fair_queue *queue, ist__queue_line *line)
{
    line->previous = queue->last;
    line->next = NULL;
    *(queue->last ? &queue->last->next : &queue->first) = line;
    queue->last = line;
}

static void link_first(ist__fair_queue *queue, ist__queue_line *line)
{
    line->next = queue->first;
    line->previous = NULL;
    *(queue->first ? &queue->first->previous : &queue->last) = line;
    queue->first = line;
}

static void unlink_line(ist__fair_queue *queue, ist__queue_line *line)
{
    *(line->previous ? &line->previous->next : &queue->first) = line->next;
    *(line->next ? &line->next->previous : &queue->last) = line->previous;
}

/* For the statement's principal, not yet in the queue. NULL: no memory. */
static ist__queue_line *new_line(const ist__statement *s)
{
    ist__queue_line *line = calloc(1, sizeof *line);
    if (line)
        memcpy(line->user_id, s->user_id, sizeof line->user_id);
    return line;
}

static void count(ist__fair_queue *queue, ist__statement *s, ist__queue_line *line)
{
    s->line = line;
    queue->count++;
    queue->bytes += s->text_bytes;
}

bool ist__queue_add(ist__fair_queue *queue, ist__statement *s)
{
    ist__queue_line *line = find_line(queue, s->user_id);
    if (!line) {
        if (!(line = new_line(s)))
            return false;
        link_last(queue, line);
    }
    ist__statement_append(&line->waiting, s);
    count(queue, s, line);
    return true;
}

bool ist__queue_put_back(ist__fair_queue *queue, ist__statement *s)
{
    ist__queue_line *line = find_line(queue, s->user_id);
    if (line)
        unlink_line(queue, line);
    else if (!(line = new_line(s)))
        return false;
    link_first(queue, line);
    ist__statement_prepend(&line->waiting, s);
    count(queue, s, line);
    return true;
}

void ist__queue_remove(ist__fair_queue *queue, ist__statement *s)
{
    ist__queue_line *line = s->line;
    if (!line)
        return;
    s->line = NULL;
    queue->count--;
    queue->bytes -= s->text_bytes;
    ist__statement_remove(s);
    if (line->waiting.count > 0)
        return;
    unlink_line(queue, line);
    free(line);
}

ist__statement *ist__queue_take(ist__fair_queue *queue)
{
    ist__queue_line *line = queue->first;
    if (!line)
        return NULL;
    unlink_line(queue, line);
    link_last(queue, line);
    ist__statement *s = line->waiting.first;
    ist__queue_remove(queue, s);
    return s;
}

int ist__queue_count_of(const ist__fair_queue *queue, const char *user_id)
{
    const ist__queue_line *line = find_line(queue, user_id);
    return line ? line->waiting.count : 0;
}

ist__statement *ist__queue_after(const ist__fair_queue *queue, const ist__statement *s)
{
    if (!s)
        return queue->first ? queue->first->waiting.first : NULL;
    if (s->next)
        return s->next;
    return s->line->next ? s->line->next->waiting.first : NULL;
}
