/*
 * spiller.h: the thread that copies chunks to disk, so that the server need not wait for it. Library-private; spiller.c.
 * One spill at a time.
 */
#ifndef ISTHMUS_EXCHANGE_SPILLER_H
#define ISTHMUS_EXCHANGE_SPILLER_H

#include "exchange/chunk_store.h"

IST_BEGIN_DECLS

typedef struct ist__spiller ist__spiller;

/* `done` is called in the spiller's thread after each spill. */
ist_status ist__spiller_new(void (*done)(void *payload), void *payload, ist__spiller **out, ist_error *err);
/* Waits for the spill under way. True: one was left that nobody took (*left); it wants its ist__chunk_store_spill_end.
 * NULL is allowed. */
bool ist__spiller_free(ist__spiller *spiller, ist__spill *left);

bool ist__spiller_busy(ist__spiller *spiller);
/* Start a spill; the spiller must not be busy. */
void ist__spiller_start(ist__spiller *spiller, const ist__spill *spill);
/* Take a spill that was run; the spiller is then no longer busy. */
bool ist__spiller_take(ist__spiller *spiller, ist__spill *out);

IST_END_DECLS

#endif
