/* catalog_names.c: full names, and locations in one spelling. Both come from outside: everything has a bound. */
#include "catalog/catalog_internal.h"

#include <string.h>

static const struct {
    int parts;
    ist_securable parent;
    const char *label, *plural, *path, *type;
} kinds[IST__SECURABLE_COUNT] = {
    [IST_SECURABLE_CATALOG] = {1, IST_SECURABLE_METASTORE, "Catalog", "catalogs", "catalogs", "catalog"},
    [IST_SECURABLE_SCHEMA] = {2, IST_SECURABLE_CATALOG, "Schema", "schemas", "schemas", "schema"},
    [IST_SECURABLE_TABLE] = {3, IST_SECURABLE_SCHEMA, "Table", "tables", "tables", "table"},
    [IST_SECURABLE_VOLUME] = {3, IST_SECURABLE_SCHEMA, "Volume", "volumes", "volumes", "volume"},
    [IST_SECURABLE_FUNCTION] = {3, IST_SECURABLE_SCHEMA, "Function", "functions", "functions", "function"},
    [IST_SECURABLE_REGISTERED_MODEL] = {3, IST_SECURABLE_SCHEMA, "Registered model", "registered_models", "models",
                                        "registered_model"},
    [IST_SECURABLE_MODEL_VERSION] = {4, IST_SECURABLE_REGISTERED_MODEL, "Model version", "model_versions", "models",
                                     "model_version"},
    [IST_SECURABLE_CREDENTIAL] = {1, IST_SECURABLE_METASTORE, "Storage credential", "credentials", "credentials",
                                  "credential"},
    [IST_SECURABLE_EXTERNAL_LOCATION] = {1, IST_SECURABLE_METASTORE, "External location", "external_locations",
                                         "external-locations", "external_location"},
    [IST_SECURABLE_METASTORE] = {0, IST_SECURABLE_METASTORE, "Metastore", "metastores", "metastore_summary",
                                 "metastore"},
};

int ist__securable_parts(ist_securable kind)
{
    return kinds[kind].parts;
}

ist_securable ist__securable_parent(ist_securable kind)
{
    return kinds[kind].parent;
}

const char *ist__securable_label(ist_securable kind)
{
    return kinds[kind].label;
}

const char *ist__securable_plural(ist_securable kind)
{
    return kinds[kind].plural;
}

const char *ist__securable_path(ist_securable kind)
{
    return kinds[kind].path;
}

const char *ist__securable_type(ist_securable kind)
{
    return kinds[kind].type;
}

/* Read one part at *text, bare or in backquotes (a doubled backquote is one), and move past it. */
static bool read_part(const char **text, char out[IST__NAME_MAX + 1])
{
    const char *at = *text;
    size_t size = 0;
    bool quoted = *at == '`';
    if (quoted)
        at++;
    for (;; at++) {
        if (quoted && *at == '`') {
            if (at[1] != '`')
                break;
            at++;
        } else if (*at == '\0' || (!quoted && (*at == '.' || *at == '`'))) {
            break;
        }
        if (size == IST__NAME_MAX)
            return false;
        out[size++] = *at;
    }
    out[size] = '\0';
    if (quoted && *at++ != '`')
        return false;
    *text = at;
    return size > 0;
}

ist_status ist__name_split(const char *full_name, int parts, ist__name *out, ist_error *err)
{
    static const char *const shapes[] = {"''", "name", "catalog.schema", "catalog.schema.name",
                                         "catalog.schema.model.version"};
    const char *at = full_name;
    memset(out, 0, sizeof *out);
    bool good = true;
    while (good && out->count < parts) {
        if (out->count > 0)
            good = *at++ == '.';
        good = good && read_part(&at, out->part[out->count]);
        out->count++;
    }
    if (!good || *at != '\0')
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "'%.300s' is not a name of the form %s", full_name,
                             shapes[parts]);
    return IST_OK;
}

ist_status ist__name_join(const ist__name *name, ist_buffer *out, ist_error *err)
{
    for (int i = 0; i < name->count; i++)
        IST_TRY(ist_buffer_printf(out, err, "%s%s", i ? "." : "", name->part[i]));
    return IST_OK;
}

ist_status ist__name_check(const char *part, ist_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@-";
    if (!*part)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a name cannot be empty");
    if (strlen(part) > IST__NAME_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the name '%.40s...' is longer than %d characters", part,
                             IST__NAME_MAX);
    if (part[strspn(part, allowed)] != '\0')
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "the name '%s' has a character that is not a letter, a digit, '_', '-' or '@'", part);
    return IST_OK;
}

/* Append "/" and the path's segments, decoded, without "", "." and ".."; "/" alone for the root. */
static ist_status resolve_segments(const char *path, ist_buffer *out, ist_error *err)
{
    while (*path) {
        size_t size = strcspn(path, "/");
        if (size == 2 && path[0] == '.' && path[1] == '.') {
            while (out->size > 0 && out->data[--out->size] != '/')
                ;
        } else if (size > 0 && !(size == 1 && path[0] == '.')) {
            IST_TRY(ist_buffer_append(out, "/", 1, err));
            IST_TRY(ist_buffer_append(out, path, size, err));
        }
        path += size;
        path += *path == '/';
    }
    return out->size ? IST_OK : ist_buffer_append(out, "/", 1, err);
}

static ist_status normalize_file(const char *path, bool encoded, ist_buffer *out, ist_error *err)
{
    ist_buffer decoded = IST_BUFFER_INIT, clean = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (encoded)
        IST_TRY_GOTO(ist__uri_decode(path, strlen(path), &decoded, err));
    else
        IST_TRY_GOTO(ist_buffer_append_string(&decoded, path, err));
    for (size_t i = 0; i < decoded.size; i++)
        if ((unsigned char)decoded.data[i] < 0x20 || decoded.data[i] == 0x7F) {
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the location has a control character");
            goto done;
        }
    IST_TRY_GOTO(resolve_segments(decoded.data, &clean, err));
    IST_TRY_GOTO(ist_buffer_append_string(out, "file://", err));
    IST_TRY_GOTO(ist__uri_encode(clean.data, clean.size, "/:@!$&'()*+,;=", out, err));
done:
    ist_buffer_free(&decoded);
    ist_buffer_free(&clean);
    return status;
}

static ist_status normalize_cloud(const char *location, ist_buffer *out, ist_error *err)
{
    size_t size = strlen(location);
    while (size > 0 && location[size - 1] == '/')
        size--;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)location[i] <= 0x20 || strchr("\"<>\\^`{|}\x7F", location[i]))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the location '%.300s' is not a URI", location);
    const char *authority = strstr(location, "://") + 3;
    if (authority >= location + size || *authority == '/')
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the location '%.300s' names no bucket", location);
    return ist_buffer_append(out, location, size, err);
}

ist_status ist__location_normalize(const char *location, ist_buffer *out, ist_error *err)
{
    static const char *const clouds[] = {"s3://", "gs://", "abfs://", "abfss://"};
    if (strlen(location) > IST__LOCATION_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a location is longer than %d bytes", IST__LOCATION_MAX);
    if (location[0] == '/')
        return normalize_file(location, false, out, err);
    if (strncmp(location, "file:///", 8) == 0)
        return normalize_file(location + 7, true, out, err);
    if (strncmp(location, "file:/", 6) == 0 && location[6] != '/')
        return normalize_file(location + 5, true, out, err);
    for (size_t i = 0; i < sizeof clouds / sizeof *clouds; i++)
        if (strncmp(location, clouds[i], strlen(clouds[i])) == 0)
            return normalize_cloud(location, out, err);
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                         "the location '%.300s' is neither an absolute path nor a file, s3, gs, abfs or abfss URI",
                         location);
}
