/*
 * file_broker.h: the fast way to the files of a server, for clients on its machine: a Unix socket that checks a file
 * token and passes the open file; chunks of results likewise, for their links. Library-private;
 * src/store/file_wire.h has the protocol, src/server/README.md the whole.
 *
 * Threading: a broker runs its own threads; start and stop are for one thread.
 */
#ifndef ISTHMUS_SERVER_FILE_BROKER_H
#define ISTHMUS_SERVER_FILE_BROKER_H

#include "catalog/local/file_token.h"
#include "warehouse/warehouse.h"

typedef struct ist__file_broker ist__file_broker;

/*
 * Listen at the signer's socket.
 *   signer   borrowed until stop
 *   results  whose results there are, borrowed until stop; NULL: none
 * Errors: IST_IO (the name is taken).
 */
ist_status ist__file_broker_start(const ist__file_signer *signer, ist__warehouses *results, ist__file_broker **out,
                                  ist_error *err);
/* Closes every connection; files that were not published go. NULL is allowed. */
void ist__file_broker_stop(ist__file_broker *broker);

#endif
