/*
 * daemon.h: the node daemon, for src/cli. Built on libisthmus' public headers only.
 *
 * One table of settings (settings.c) is the source of the command line flags, of --help, of the config file's parser and
 * of the commented sample file. Order of precedence: flag, config file, default.
 *
 *     ist_daemon_settings settings;
 *     ist_daemon_settings_init(&settings);
 *     ist_daemon_settings_load(&settings, NULL, &err);                   // <folder of the socket>/daemon.conf, if any
 *     ist_daemon_settings_set(&settings, "memory", "8G", &err);          // each flag
 *     ist_daemon_run(&settings, &err);                                   // until SIGTERM or SIGINT
 *
 * Threading: settings belong to one thread; a daemon is started and stopped from any one thread.
 */
#ifndef ISTHMUS_DAEMON_DAEMON_H
#define ISTHMUS_DAEMON_DAEMON_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdint.h>

enum { IST_DAEMON_PATH_MAX = 4096, IST_DAEMON_CONFIG_MAX = 1 << 20 };

typedef struct ist_daemon_settings {
    char socket[IST_DAEMON_PATH_MAX];    /* "" for the default */
    char spill_dir[IST_DAEMON_PATH_MAX]; /* "" for none */
    uint64_t memory;                     /* bytes; 0: half of the node's memory */
    uint64_t commit_threads;
    uint64_t commit_batch;
    uint64_t max_clients;
} ist_daemon_settings;

typedef enum ist_daemon_setting_type {
    IST_DAEMON_PATH,  /* text */
    IST_DAEMON_BYTES, /* a number with K, M, G or T (powers of 1024) or none behind it */
    IST_DAEMON_COUNT  /* a number */
} ist_daemon_setting_type;

typedef struct ist_daemon_setting {
    const char *name; /* "spill_dir" in the config file, "--spill-dir" as a flag */
    ist_daemon_setting_type type;
    uint64_t min, max;       /* of numbers */
    const char *fallback;    /* the default, as text */
    const char *placeholder; /* "DIR": for --help */
    const char *help;        /* one line */
    size_t offset;           /* in ist_daemon_settings */
} ist_daemon_setting;

/* The table, ended by an entry whose name is NULL. */
extern const ist_daemon_setting ist_daemon_setting_table[];

/* All defaults. */
void ist_daemon_settings_init(ist_daemon_settings *settings);

/* Set one by name ('-' and '_' are the same). Errors: IST_BAD_INPUT: unknown name (lists the known), a value that does
 * not parse or is out of bounds. */
ist_status ist_daemon_settings_set(ist_daemon_settings *settings, const char *name, const char *value, ist_error *err);

/* Take in a config file's text: lines of `name = value`, '#' starts a comment. Errors: IST_BAD_INPUT with file and line. */
ist_status ist_daemon_settings_parse(ist_daemon_settings *settings, const char *text, size_t size, const char *file,
                                     ist_error *err);

/* Read a config file; NULL: daemon.conf in the folder of the socket (settings->socket, else the default), which may be
 * missing. Errors: IST_NOT_FOUND (a file that was named), IST_BAD_INPUT, IST_IO. */
ist_status ist_daemon_settings_load(ist_daemon_settings *settings, const char *path, ist_error *err);

/* Append the lines of --help, and a sample config file with everything commented out. */
ist_status ist_daemon_settings_help(ist_buffer *out, ist_error *err);
ist_status ist_daemon_settings_sample(ist_buffer *out, ist_error *err);

typedef struct ist_daemon ist_daemon;

/* Start the daemon's threads in this process. Errors: those of ist_exchange_server_start. */
ist_status ist_daemon_start(const ist_daemon_settings *settings, ist_daemon **out, ist_error *err);

/* Path of the socket; borrowed. */
const char *ist_daemon_socket(const ist_daemon *daemon);

/* Finish the commits under way, refuse those that wait (IST_RETRYABLE), remove the socket, free. NULL is allowed. */
void ist_daemon_stop(ist_daemon *daemon);

/* Start, wait for SIGTERM or SIGINT, stop: what `isthmus daemon` does. One line to stderr for each start, stop and
 * problem. Call it before the process has other threads: it blocks the two signals. */
ist_status ist_daemon_run(const ist_daemon_settings *settings, ist_error *err);

#endif
