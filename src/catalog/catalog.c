/* catalog.c: the way from the public calls to the catalog that is used. */
#include "catalog/catalog_internal.h"

#include "store/http_client.h"

#include <stdlib.h>
#include <string.h>

ist_status ist_catalog_open(const ist_catalog_options *options, ist_catalog **out, ist_error *err)
{
    const ist_catalog_options defaults = IST_CATALOG_OPTIONS_INIT;
    if (!options)
        options = &defaults;
    ist_catalog *catalog = NULL;
    ist__connection connection;
    *out = NULL;
    ist_status status = ist__connection_find(options, &connection, err);
    if (status == IST_OK)
        status = ist__alloc(1, sizeof *catalog, (void **)&catalog, err);
    if (status == IST_OK)
        status = ist__strdup(connection.sqlite ? connection.uri : connection.host, &catalog->uri, err);
    if (status == IST_OK && !connection.sqlite && *connection.ca_file)
        status = ist__strdup(connection.ca_file, &catalog->ca_file, err);
    if (status == IST_OK)
        status = ist__http_new("what the server links to", &catalog->links, err);
    if (status == IST_OK && connection.sqlite)
        status = ist__local_open(connection.sqlite, options->storage_root, catalog, err);
    else if (status == IST_OK)
        status = ist__uc_open(&connection, catalog, err);
    ist__connection_wipe(&connection);
    if (status != IST_OK) {
        if (catalog) {
            ist__http_free(catalog->links);
            free(catalog->uri);
            free(catalog->ca_file);
        }
        free(catalog);
        return status;
    }
    atomic_init(&catalog->references, 1);
    pthread_mutex_init(&catalog->mutex, NULL);
    *out = catalog;
    return IST_OK;
}

const char *ist_catalog_uri(const ist_catalog *catalog)
{
    return catalog->uri;
}

ist_catalog *ist__catalog_hold(ist_catalog *catalog)
{
    atomic_fetch_add(&catalog->references, 1);
    return catalog;
}

void ist__catalog_release(ist_catalog *catalog)
{
    if (atomic_fetch_sub(&catalog->references, 1) > 1)
        return;
    catalog->backend->free(catalog->self);
    pthread_mutex_destroy(&catalog->mutex);
    ist__http_free(catalog->links);
    free(catalog->uri);
    free(catalog->ca_file);
    free(catalog);
}

void ist_catalog_free(ist_catalog *catalog)
{
    if (!catalog)
        return;
    ist__credential_cache *cached = catalog->credentials;
    catalog->credentials = NULL;
    ist__credential_cache_free(cached); /* each may be the last that holds the catalog besides the caller */
    ist__catalog_release(catalog);
}

ist_status ist_catalog_create(ist_catalog *catalog, ist_securable kind, const char *body, ist_buffer *out,
                              ist_error *err)
{
    ist_buffer dropped = IST_BUFFER_INIT;
    ist_status status = catalog->backend->create(catalog->self, kind, body, out ? out : &dropped, err);
    ist_buffer_free(&dropped);
    return status;
}

ist_status ist_catalog_get(ist_catalog *catalog, ist_securable kind, const char *full_name, ist_buffer *out,
                           ist_error *err)
{
    ist__name name;
    IST_TRY(ist__name_split(full_name, ist__securable_parts(kind), &name, err));
    return catalog->backend->get(catalog->self, kind, &name, out, err);
}

ist_status ist_catalog_update(ist_catalog *catalog, ist_securable kind, const char *full_name, const char *patch,
                              ist_buffer *out, ist_error *err)
{
    ist__name name;
    ist_buffer dropped = IST_BUFFER_INIT;
    IST_TRY(ist__name_split(full_name, ist__securable_parts(kind), &name, err));
    ist_status status = catalog->backend->update(catalog->self, kind, &name, patch, out ? out : &dropped, err);
    ist_buffer_free(&dropped);
    return status;
}

ist_status ist_catalog_delete(ist_catalog *catalog, ist_securable kind, const char *full_name, bool force,
                              ist_error *err)
{
    ist__name name;
    IST_TRY(ist__name_split(full_name, ist__securable_parts(kind), &name, err));
    return catalog->backend->remove(catalog->self, kind, &name, force, err);
}

ist_status ist_catalog_list(ist_catalog *catalog, ist_securable kind, const char *parent, int max_results,
                            const char *page_token, ist_buffer *out, ist_error *err)
{
    ist__name name;
    IST_TRY(ist__name_split(parent, ist__securable_parts(kind) - 1, &name, err));
    return catalog->backend->list(catalog->self, kind, &name, max_results, page_token ? page_token : "", out, err);
}

ist_status ist_catalog_create_staging_table(ist_catalog *catalog, const char *full_name, ist_buffer *out,
                                            ist_error *err)
{
    ist__name name;
    IST_TRY(ist__name_split(full_name, 3, &name, err));
    return catalog->backend->create_staging_table(catalog->self, &name, out, err);
}

ist_status ist_catalog_get_credentials(ist_catalog *catalog, const char *request, ist_buffer *out, ist_error *err)
{
    return catalog->backend->get_credentials(catalog->self, request, out, err);
}

ist_status ist_catalog_get_commits(ist_catalog *catalog, const char *request, ist_buffer *out, ist_error *err)
{
    return catalog->backend->get_commits(catalog->self, request, out, err);
}

ist_status ist_catalog_commit(ist_catalog *catalog, const char *body, ist_error *err)
{
    return catalog->backend->commit(catalog->self, body, err);
}

static ist_status needs_server(ist_error *err)
{
    return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "a sqlite: catalog has no REST API; start `isthmus serve`");
}

ist_status ist_catalog_get_grants(ist_catalog *catalog, ist_securable kind, const char *full_name,
                                  const char *principal, ist_buffer *out, ist_error *err)
{
    ist__name name;
    IST_TRY(ist__name_split(full_name, ist__securable_parts(kind), &name, err));
    if (!catalog->backend->get_grants)
        return needs_server(err);
    return catalog->backend->get_grants(catalog->self, kind, &name, principal, out, err);
}

ist_status ist_catalog_update_grants(ist_catalog *catalog, ist_securable kind, const char *full_name,
                                     const char *changes, ist_buffer *out, ist_error *err)
{
    ist__name name;
    ist_buffer dropped = IST_BUFFER_INIT;
    IST_TRY(ist__name_split(full_name, ist__securable_parts(kind), &name, err));
    if (!catalog->backend->update_grants)
        return needs_server(err);
    ist_status status =
        catalog->backend->update_grants(catalog->self, kind, &name, changes, out ? out : &dropped, err);
    ist_buffer_free(&dropped);
    return status;
}

ist_status ist__catalog_request(ist_catalog *catalog, const char *method, const char *path, const char *body,
                                int64_t deadline_us, ist_buffer *out, ist_error *err)
{
    if (!catalog->backend->request)
        return needs_server(err);
    return catalog->backend->request(catalog->self, method, path, body, deadline_us, out, err);
}

ist_status ist_catalog_request(ist_catalog *catalog, const char *method, const char *path, const char *body,
                               ist_buffer *out, ist_error *err)
{
    return ist__catalog_request(catalog, method, path, body, 0, out, err);
}

ist_status ist__catalog_get_metastore(ist_catalog *catalog, ist_buffer *out, ist_error *err)
{
    return catalog->backend->get_metastore(catalog->self, out, err);
}

ist_status ist_catalog_post_lineage(ist_catalog *catalog, const char *event, ist_error *err)
{
    return catalog->backend->post_lineage(catalog->self, event, err);
}

ist_status ist_catalog_get_lineage(ist_catalog *catalog, const char *full_name, int depth, bool columns,
                                   ist_buffer *out, ist_error *err)
{
    ist_buffer dataset = IST_BUFFER_INIT;
    ist__name name;
    ist_status status = IST_OK;
    if (full_name && (strchr(full_name, '/') || strchr(full_name, ':')))
        IST_TRY_GOTO(ist__location_normalize(full_name, &dataset, err));
    else if (full_name) {
        IST_TRY_GOTO(ist__name_split(full_name, 3, &name, err));
        IST_TRY_GOTO(ist__name_join(&name, &dataset, err));
    }
    status = catalog->backend->get_lineage(catalog->self, dataset.data, depth, columns, out, err);
done:
    ist_buffer_free(&dataset);
    return status;
}
