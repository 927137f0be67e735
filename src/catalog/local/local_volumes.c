/* local_volumes.c: volumes, folders of files with a name. */
#include "catalog/local/objects.h"
#include "catalog/local/places.h"

#include <string.h>

static ist_status find_place(ist__creation *c, const char *type, ist_buffer *out, ist_error *err)
{
    const char *location;
    IST_TRY(ist__json_text(c->root, "storage_location", false, &location, err));
    if (strcmp(type, "MANAGED") == 0) {
        if (location)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                                 "Storage location should not be specified for managed volume");
        IST_TRY(ist__place_of_managed(c->session, c->db, ist__chain_id(&c->parent), out, err));
        return ist_buffer_printf(out, err, "/volumes/%s", c->id);
    }
    if (!location)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Storage location is required for external volume");
    IST_TRY(ist__location_normalize(location, out, err));
    return ist__place_authorize_new(c->session, c->db, out->data, IST__ACTION_CREATE_EXTERNAL_VOLUME, err);
}

static ist_status insert_volume(ist__creation *c, ist_error *err)
{
    static const char *const types[] = {"MANAGED", "EXTERNAL", NULL};
    const char *type;
    ist_buffer location = IST_BUFFER_INIT;
    IST_TRY(ist__json_text(c->root, "volume_type", true, &type, err));
    IST_TRY(ist__one_of(type, types, "volume_type", err));
    ist_status status = find_place(c, type, &location, err);
    if (status == IST_OK)
        status = ist__db_run(c->db,
                             "INSERT INTO volumes (id, parent_id, name, comment, owner, created_at, created_by,"
                             " updated_at, updated_by, volume_type, storage_location)"
                             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6, ?5, ?7, ?8)",
                             NULL, err, "tttttitt", c->id, ist__chain_id(&c->parent), c->name, c->comment,
                             c->session->who->name, c->now, type, location.data);
    ist_buffer_free(&location);
    return status;
}

#define SELECT_VOLUME                                                                                                  \
    "SELECT o.name, c.name AS catalog_name, s.name AS schema_name, c.name || '.' || s.name || '.' || o.name"           \
    " AS full_name, o.comment, o.volume_type, o.storage_location, " IST__SELECT_COMMON ", o.id AS volume_id"           \
    " FROM volumes o " IST__IN_SCHEMA

const ist__kind ist__kind_volume = {
    .id = "volume_id",
    .get = SELECT_VOLUME IST__BY_ID,
    .page = SELECT_VOLUME IST__PAGE,
    .own_page = SELECT_VOLUME IST__OWN_PAGE("volumes"),
    .update = "UPDATE volumes SET " IST__SET_COMMENT " WHERE id = ?1",
    .remove = "DELETE FROM volumes WHERE id = ?1",
    .managed = "SELECT storage_location FROM volumes WHERE id = ?1 AND volume_type = 'MANAGED'",
    .create = IST__ACTION_CREATE_VOLUME,
    .taken = IST__UC_RESOURCE_ALREADY_EXISTS,
    .insert = insert_volume,
};
