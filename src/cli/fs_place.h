/*
 * fs_place.h: what the fs commands share: from what the user typed to a store and a path in it. A path may be a volume's
 * (/Volumes/..., dbfs:/..., /dbfs/...), a cloud URI (s3://bucket/key, abfss://, gs://), or a local one.
 */
#ifndef ISTHMUS_CLI_FS_PLACE_H
#define ISTHMUS_CLI_FS_PLACE_H

#include "output.h"

typedef struct cli_place {
    const char *typed;
    ist_store *store;  /* NULL for a folder of catalogs, schemas or volumes */
    ist_catalog *catalog; /* of a volume; NULL otherwise */
    ist_buffer path;   /* within the store; "" for its root */
} cli_place;

/* Open a place. Errors: those of ist_volume_open and ist_store_open; cli_place_close also after one. */
ist_status cli_place_open(const cli_call *call, const char *typed, bool write, cli_place *out, ist_error *err);
void cli_place_close(cli_place *place);

/* Append {"objects", "folders"} of a folder beneath the place; NULL for the place itself. */
ist_status cli_place_list(const cli_place *place, const char *folder, ist_buffer *json, ist_error *err);

/* Is it an object? *entry is filled then. A missing one and a folder are false. */
bool cli_place_stat(const cli_place *place, ist_store_entry *entry);

/* Call `cb` for each object in a folder of the place and beneath, paths relative to it, "/" between segments; where it
 * returns an error the walk ends with that. `leave` is called for each folder after what is in it; NULL for none. */
typedef ist_status (*cli_walk_cb)(const char *path, uint64_t size, void *payload, ist_error *err);
ist_status cli_place_walk(const cli_place *place, cli_walk_cb cb, cli_walk_cb leave, void *payload, ist_error *err);

/* Append folder "/" name, or name alone where folder is "". */
ist_status cli_join(const char *folder, const char *name, ist_buffer *out, ist_error *err);

/* The text that goes with every command that takes PATH. */
#define CLI_PATH_HELP                                                                                                  \
    "PATH is a file or folder of a volume (/Volumes/catalog/schema/volume/..., dbfs:/Volumes/..., /dbfs/...), a URI "  \
    "(s3://bucket/key, abfss://..., gs://...), or local. For volumes the catalog checks READ VOLUME and WRITE VOLUME."

#endif
