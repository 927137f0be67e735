/*
 * places.h: what lies where. Data of one table, volume or model is in a place of its own: none lies in another's, and
 * what the catalog lays out itself is under a segment that nobody else may name. Library-private.
 *
 * A principal reaches a location outside of managed storage by way of an external location, as in Unity Catalog. Outside
 * of all external locations only the metastore's owner does: the server could read the whole disk for others.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_PLACES_H
#define ISTHMUS_CATALOG_LOCAL_PLACES_H

#include "catalog/local/local_internal.h"

/* An object with a location. */
typedef struct ist__place {
    ist_securable kind;
    char id[37];
} ist__place;

/* Sets of kinds, as bits. */
#define IST__PLACES(kind) (1u << (kind))
#define IST__PLACES_DATA                                                                                               \
    (IST__PLACES(IST_SECURABLE_TABLE) | IST__PLACES(IST_SECURABLE_VOLUME) | IST__PLACES(IST_SECURABLE_REGISTERED_MODEL))
#define IST__PLACES_EXTERNAL IST__PLACES(IST_SECURABLE_EXTERNAL_LOCATION)
/* Of catalogs and schemas, what they lay out; and staging tables that are no tables yet. */
#define IST__PLACES_MANAGED                                                                                            \
    (IST__PLACES(IST_SECURABLE_CATALOG) | IST__PLACES(IST_SECURABLE_SCHEMA) | IST__PLACES(IST_SECURABLE_METASTORE))

/* The longest location of these kinds that is `url` or a folder above it; *found is how many there are, at most 2. */
ist_status ist__places_above(ist__db *db, unsigned kinds, const char *url, ist__place *out, int *found, ist_error *err);
/* Any object of these kinds in a folder below `url`; with `itself` also one that is there. */
ist_status ist__places_below(ist__db *db, unsigned kinds, const char *url, bool itself, ist__place *out, bool *found,
                             ist_error *err);

/* Errors: INVALID_ARGUMENT where a location has the segment of managed storage. */
ist_status ist__place_check_not_managed(const char *url, ist_error *err);
/*
 * May an external table or volume, or a catalog's or schema's managed storage, be at `url`?
 *   action  what its external location is asked: IST__ACTION_CREATE_EXTERNAL_TABLE, ..._VOLUME, ..._MANAGED_STORAGE
 * Errors: INVALID_ARGUMENT (a bucket's root, managed storage), PERMISSION_DENIED (it overlaps with other data, or no
 * external location lets the principal).
 */
ist_status ist__place_authorize_new(ist__session *session, ist__db *db, const char *url, ist__action action,
                                    ist_error *err);
/*
 * Authorize IST__ACTION_READ or IST__ACTION_WRITE on a path: of the table, volume or model that it is in, else of the
 * external location.
 *   out  the object whose data it is; its kind is IST_SECURABLE_METASTORE where it is nobody's
 * Errors: PERMISSION_DENIED, INVALID_ARGUMENT (several objects).
 */
ist_status ist__place_authorize(ist__session *session, ist__db *db, const char *url, ist__action action,
                                ist__place *out, ist_error *err);
/* Append the folder that managed data of a schema's objects is laid out in. */
ist_status ist__place_of_managed(ist__session *session, ist__db *db, const char *schema_id, ist_buffer *out,
                                 ist_error *err);

#endif
