/*
 * worker_process.h: the process of an engine: started with one socket, watched, ended with all that it started.
 * Library-private.
 *
 * It gets no secret by its arguments or environment, no descriptor but the socket (3), a process group of its own, and
 * dies with the thread that started it.
 *
 * Threading: start and the rest in one thread, which must live as long as the processes shall.
 */
#ifndef ISTHMUS_WAREHOUSE_WORKER_PROCESS_H
#define ISTHMUS_WAREHOUSE_WORKER_PROCESS_H

#include "isthmus/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ist__process {
    pid_t pid;
    int fd; /* readable once the process has ended (pidfd) */
} ist__process;

/*
 * Start `command` with the arguments `kind --channel 3`.
 *   command   its words, NULL at the end; looked up in $PATH
 *   memory    most bytes of data that the kernel gives it; 0 for no limit
 *   socket    set to this side's end, which does not block; the caller's
 * Errors: IST_NOT_FOUND (no such program), IST_IO.
 */
ist_status ist__process_start(const char *const *command, const char *kind, uint64_t memory, ist__process *out,
                              int *socket, ist_error *err);
/* End it and what it has started, now. */
void ist__process_kill(const ist__process *process);
/* Has it ended? Then how, in words: "ended with status 1", "was killed by signal 9"; pid is 0 from then on, and fd the
 * caller's to close. */
bool ist__process_reap(ist__process *process, char words[64]);
/* Bytes of memory that it uses now; 0 where that cannot be told. */
uint64_t ist__process_memory(const ist__process *process);

#endif
