/* session.c: the connections behind the sessions: one that writes, a pool that reads. */
#include "catalog/local/session.h"

#include "catalog/local/object_cache.h"
#include "catalog/local/principals.h"
#include "catalog/local/vend.h"

#include <stdlib.h>

ist_status ist__session_read(ist__session *session, ist__db **out, ist_error *err)
{
    ist__local *local = session->local;
    if (session->transaction) { /* to see what was written in it */
        *out = session->transaction;
        return ist__db_savepoint(*out, err);
    }
    bool taken = false;
    for (int i = 0; i < local->reader_count && !taken; i++) { /* the first that is free: its caches are the warmest */
        *out = local->readers[i];
        IST_TRY(ist__db_try_begin(*out, &taken, err));
    }
    if (taken)
        return IST_OK;
    unsigned any = atomic_fetch_add_explicit(&local->next_reader, 1, memory_order_relaxed);
    *out = local->readers[any % (unsigned)local->reader_count];
    return ist__db_begin(*out, err); /* all are busy: queue at one */
}

ist_status ist__session_write(ist__session *session, ist__db **out, ist_error *err)
{
    *out = session->transaction ? session->transaction : session->local->writer;
    return session->transaction ? ist__db_savepoint(*out, err) : ist__db_begin(*out, err);
}

ist_status ist__local_open_readers(ist__local *local, const char *path, ist_error *err)
{
    while (local->reader_count < IST__READERS_MAX) {
        IST_TRY(ist__db_open(path, false, &local->readers[local->reader_count], err));
        local->reader_count++;
    }
    return IST_OK;
}

void ist__local_close(ist__local *local)
{
    if (!local)
        return;
    for (int i = 0; i < local->reader_count; i++)
        ist__db_close(local->readers[i]);
    ist__db_close(local->writer);
    ist__vendor_free(local->vendor);
    ist__principals_close(local);
    ist__object_cache_close(local);
    ist_buffer_free(&local->storage_root);
    free(local->home);
    free(local);
}
