/* audit_trail.h: which requests leave an entry in the audit log, and what it says. Library-private. */
#ifndef ISTHMUS_SERVER_AUDIT_TRAIL_H
#define ISTHMUS_SERVER_AUDIT_TRAIL_H

#include "server/router.h"

/* Is the call, which was answered, one to keep? What changes something, and what was refused for want of a right. */
bool ist__audit_wanted(const ist__call *call);
/* Write its entry, in the caller's transaction. */
ist_status ist__audit_add(ist__db *db, const ist__session *session, const ist__call *call, ist_error *err);

#endif
