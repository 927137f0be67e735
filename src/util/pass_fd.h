/* pass_fd.h: bytes with a file descriptor through a Unix socket. Library-private. */
#ifndef ISTHMUS_UTIL_PASS_FD_H
#define ISTHMUS_UTIL_PASS_FD_H

#include "isthmus/export.h"

#include <stddef.h>
#include <sys/types.h>

IST_BEGIN_DECLS

/* sendmsg and recvmsg of what fits, with a file descriptor (-1: none) on the first byte. Return what those return;
 * EINTR is retried. A descriptor that is received belongs to the caller, in *fd. */
ssize_t ist__send_fd(int socket, const void *data, size_t size, int fd);
ssize_t ist__receive_fd(int socket, void *data, size_t size, int *fd);

IST_END_DECLS

#endif
