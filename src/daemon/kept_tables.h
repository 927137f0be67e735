/*
 * kept_tables.h: tables of a catalog that stay open from one batch of commits to the next, with the connection to their
 * catalog and their credentials. Private to src/daemon.
 *
 *     ist_status status = kept_tables_take(kept, access, &table, err);
 *     ... commit to it ...
 *     kept_tables_give(kept, access, table, committed);
 *
 * Threading: internally locked; a table that was taken is the taker's alone.
 */
#ifndef ISTHMUS_DAEMON_KEPT_TABLES_H
#define ISTHMUS_DAEMON_KEPT_TABLES_H

#include "isthmus/table.h"

typedef struct kept_tables kept_tables;

enum {
    KEPT_TABLES_MAX = 16,   /* the one that was unused longest goes */
    KEPT_TABLES_LIFE_S = 60 /* unused: then its token is forgotten too */
};

/* Opens a table by its access: ist_table_open_access, or a test's own. */
typedef ist_status (*kept_tables_open_cb)(const char *access, ist_table **out, ist_error *err);

ist_status kept_tables_new(kept_tables_open_cb open, kept_tables **out, ist_error *err);
/* NULL is allowed. */
void kept_tables_free(kept_tables *kept);

/* The table of this access, kept or opened now; access tells the principal, so nobody gets another's. */
ist_status kept_tables_take(kept_tables *kept, const char *access, ist_table **out, ist_error *err);
/* Give it back. One that is not `good`, because something failed with it, is closed. */
void kept_tables_give(kept_tables *kept, const char *access, ist_table *table, bool good);

#endif
