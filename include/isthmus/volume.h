/*
 * volume.h: files by the paths of volumes: "/Volumes/<catalog>/<schema>/<volume>/a/b.csv".
 *
 * The same path may be written "dbfs:/Volumes/..." or "/dbfs/Volumes/...". Other "dbfs:/x" and "/dbfs/x" paths lie in the
 * volume main.default.dbfs, which the first who writes there makes. Whether a principal may read or write is decided by
 * the catalog when it gives credentials (READ VOLUME, WRITE VOLUME); the store then carries them.
 *
 *     ist_volume_open(catalog, "/Volumes/main/demo/raw/a/b.csv", false, &store, &within, &err);   // within: "a/b.csv"
 *     ist_store_get(store, within.data, &bytes, &err);
 */
#ifndef ISTHMUS_VOLUME_H
#define ISTHMUS_VOLUME_H

#include "isthmus/catalog.h"
#include "isthmus/store.h"

IST_BEGIN_DECLS

/* Is it a path of one of these forms? It need not be a good one. */
IST_API bool ist_volume_is_path(const char *path);

/*
 * Split a path: the volume's full name (of fewer than three parts above a volume: "main.demo" for "/Volumes/main/demo", ""
 * for "/Volumes"), and the path within it ("" for the volume itself). Doubled and trailing slashes are left out; nothing
 * is percent-decoded. Both are appended.
 * Errors: IST_BAD_INPUT ("..", another form, a part of a name with a dot).
 */
IST_API ist_status ist_volume_split(const char *path, ist_buffer *volume, ist_buffer *within, ist_error *err);

/*
 * Open the store that a path lies in, with credentials of the catalog.
 *   write   for WRITE_VOLUME; else READ_VOLUME
 *   store   the caller's; ist_store_free. It outlives the catalog
 *   within  the path within the store is appended; "" for the volume itself
 * Errors: IST_NOT_FOUND (no such volume), IST_FORBIDDEN, IST_BAD_INPUT (also a path above any volume), those of
 * ist_catalog_open_credentials and ist_store_open.
 */
IST_API ist_status ist_volume_open(ist_catalog *catalog, const char *path, bool write, ist_store **store,
                                   ist_buffer *within, ist_error *err);

/*
 * Append what is in a folder: {"objects": [{"name", "size", "modified_ms"}...], "folders": ["x"...]}. Above a volume the
 * folders are the catalogs, schemas and volumes that the principal may know of. A missing folder is empty.
 */
IST_API ist_status ist_volume_list(ist_catalog *catalog, const char *path, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
