/*
 * features.c: which tables can be read and which can be written (PROTOCOL.md, "Table Features").
 *
 * Reading needs every reader feature, supported is enough. Writing looks at what is active: a table of writer version 4
 * may have check constraints, but only one that has some cannot be written.
 */
#include "delta/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { READER_VERSION_MAX = 3, WRITER_VERSION_MAX = 7, FEATURES_VERSION_READER = 3, FEATURES_VERSION_WRITER = 7 };
enum { SCHEMA_DEPTH_MAX = 200 };

/* What in a table makes a feature bar appending. */
typedef enum write_bar {
    WRITE_ALWAYS,      /* nothing: Isthmus keeps its rules */
    WRITE_NO_PROPERTY, /* its property being true */
    WRITE_NO_PREFIX,   /* a table property that begins with `marker` */
    WRITE_NO_FIELD,    /* a column whose metadata has `marker` */
    WRITE_BY_CATALOG   /* its catalog commits; the preview of the feature is only read */
} write_bar;

typedef struct feature {
    const char *name;
    int legacy_writer;    /* the writer version that implies it; 0 none */
    const char *property; /* switches it on; NULL: supported is enabled */
    write_bar bar;
    const char *marker;
} feature;

static const feature features[] = {
    {"appendOnly", 2, "delta.appendOnly", WRITE_ALWAYS, NULL},
    {"invariants", 2, NULL, WRITE_NO_FIELD, "delta.invariants"},
    {"checkConstraints", 3, NULL, WRITE_NO_PREFIX, "delta.constraints."},
    /* appends and whole overwrites need no cdc files: readers take their changes from the add and remove actions */
    {"changeDataFeed", 4, "delta.enableChangeDataFeed", WRITE_ALWAYS, NULL},
    {"generatedColumns", 4, NULL, WRITE_NO_FIELD, "delta.generationExpression"},
    {"columnMapping", 5, "delta.columnMapping.mode", WRITE_ALWAYS, NULL},
    {"identityColumns", 6, NULL, WRITE_NO_FIELD, "delta.identity.start"},
    {"deletionVectors", 0, "delta.enableDeletionVectors", WRITE_ALWAYS, NULL},
    {"timestampNtz", 0, NULL, WRITE_ALWAYS, NULL},
    {"v2Checkpoint", 0, NULL, WRITE_ALWAYS, NULL},
    {"vacuumProtocolCheck", 0, NULL, WRITE_ALWAYS, NULL},
    {"typeWidening", 0, "delta.enableTypeWidening", WRITE_ALWAYS, NULL},
    {"typeWidening-preview", 0, "delta.enableTypeWidening", WRITE_ALWAYS, NULL},
    {"domainMetadata", 0, NULL, WRITE_ALWAYS, NULL},
    {"rowTracking", 0, "delta.enableRowTracking", WRITE_ALWAYS, NULL},
    {"inCommitTimestamp", 0, "delta.enableInCommitTimestamps", WRITE_ALWAYS, NULL},
    /* clustering asks a writer for statistics on the clustering columns, and every file gets them on all columns */
    {"clustering", 0, NULL, WRITE_ALWAYS, NULL},
    {"allowColumnDefaults", 0, NULL, WRITE_ALWAYS, NULL}, /* ist__schema_merge wants such columns in the input */
    {"icebergCompatV1", 0, "delta.enableIcebergCompatV1", WRITE_NO_PROPERTY, NULL},
    {"icebergCompatV2", 0, "delta.enableIcebergCompatV2", WRITE_NO_PROPERTY, NULL},
    {"catalogManaged", 0, NULL, WRITE_BY_CATALOG, NULL},
    {"catalogOwned-preview", 0, NULL, WRITE_BY_CATALOG, NULL},
};
static const size_t feature_count = sizeof features / sizeof features[0];

static const feature *find_feature(const char *name)
{
    for (size_t i = 0; i < feature_count; i++) {
        if (strcmp(features[i].name, name) == 0)
            return &features[i];
    }
    return NULL;
}

static bool lists(ist__strings strings, const char *name)
{
    for (size_t i = 0; i < strings.count; i++) {
        if (strcmp(strings.items[i], name) == 0)
            return true;
    }
    return false;
}

bool ist__features_supported(const ist__protocol *protocol, const char *name)
{
    const feature *known = find_feature(name);
    if (protocol->min_writer_version >= FEATURES_VERSION_WRITER)
        return lists(protocol->writer_features, name) || lists(protocol->reader_features, name);
    return known && known->legacy_writer && protocol->min_writer_version >= known->legacy_writer;
}

static bool property_is_on(const ist__metadata *metadata, const char *property)
{
    const char *value = ist__pairs_get(metadata->configuration, property);
    if (!value)
        return false;
    if (strcmp(property, "delta.columnMapping.mode") == 0)
        return strcasecmp(value, "none") != 0;
    return strcasecmp(value, "true") == 0;
}

bool ist__features_enabled(const ist__protocol *protocol, const ist__metadata *metadata, const char *name)
{
    const feature *known = find_feature(name);
    return ist__features_supported(protocol, name) &&
           (!known || !known->property || property_is_on(metadata, known->property));
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static ist_status add_name(ist_buffer *names, const char *name, ist_error *err)
{
    return ist_buffer_printf(names, err, "%s%s", names->size ? ", " : "", name);
}

bool ist__features_by_catalog(const ist__protocol *protocol)
{
    for (size_t i = 0; i < feature_count; i++)
        if (features[i].bar == WRITE_BY_CATALOG && ist__features_supported(protocol, features[i].name))
            return true;
    return false;
}

static ist_status check_catalog(const ist__protocol *protocol, bool managed, ist_error *err)
{
    if (managed || !ist__features_by_catalog(protocol))
        return IST_OK;
    return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                         "the table is catalog-managed (feature %s): its catalog tells the newest version and commits, so "
                         "open it by its name in the catalog and not by its path",
                         ist__features_supported(protocol, "catalogManaged") ? "catalogManaged" : "catalogOwned-preview");
}

ist_status ist__features_check_read(const ist__protocol *protocol, bool managed, ist_error *err)
{
    if (protocol->min_reader_version > READER_VERSION_MAX)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                             "the table needs reader version %d of the Delta protocol; Isthmus reads up to %d",
                             protocol->min_reader_version, READER_VERSION_MAX);
    if (protocol->min_reader_version < FEATURES_VERSION_READER)
        return IST_OK;
    IST_TRY(check_catalog(protocol, managed, err));
    ist_buffer names = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    for (size_t i = 0; status == IST_OK && i < protocol->reader_features.count; i++) {
        if (!find_feature(protocol->reader_features.items[i]))
            status = add_name(&names, protocol->reader_features.items[i], err);
    }
    if (status == IST_OK && names.size)
        status = ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                               "the table needs reader features that Isthmus does not implement: %s", names.data);
    ist_buffer_free(&names);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* Does any field of a Delta type (struct, array, map, at any depth) have this key in its metadata? */
static bool type_has_marker(yyjson_val *type, const char *marker, int depth)
{
    if (depth > SCHEMA_DEPTH_MAX)
        return true; /* to be refused rather than followed */
    yyjson_val *field;
    size_t i, count;
    yyjson_arr_foreach(yyjson_obj_get(type, "fields"), i, count, field) {
        if (yyjson_obj_get(yyjson_obj_get(field, "metadata"), marker) ||
            type_has_marker(yyjson_obj_get(field, "type"), marker, depth + 1))
            return true;
    }
    static const char *const inner[] = {"elementType", "keyType", "valueType"};
    for (size_t k = 0; k < sizeof inner / sizeof inner[0]; k++) {
        yyjson_val *child = yyjson_obj_get(type, inner[k]);
        if (child && type_has_marker(child, marker, depth + 1))
            return true;
    }
    return false;
}

static bool is_barred(const feature *known, const ist__metadata *metadata, yyjson_val *schema)
{
    switch (known->bar) {
    case WRITE_ALWAYS:
        return false;
    case WRITE_NO_PROPERTY:
        return property_is_on(metadata, known->property);
    case WRITE_NO_PREFIX:
        for (size_t i = 0; i < metadata->configuration.count; i++) {
            if (strncmp(metadata->configuration.items[i].key, known->marker, strlen(known->marker)) == 0)
                return true;
        }
        return false;
    case WRITE_NO_FIELD:
        return type_has_marker(schema, known->marker, 0);
    case WRITE_BY_CATALOG:
        return strcmp(known->name, "catalogManaged") != 0; /* the preview's rules were others */
    }
    return true;
}

static ist_status parse_schema(const ist__metadata *metadata, yyjson_doc **out, ist_error *err)
{
    yyjson_read_err why;
    *out = yyjson_read_opts((char *)metadata->schema_string, strlen(metadata->schema_string), 0, NULL, &why);
    if (!*out)
        return ist_error_set(err, why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? IST_NO_MEMORY : IST_BAD_INPUT, 0,
                             NULL, "the table's schema is not valid JSON: %s", why.msg);
    return IST_OK;
}

ist_status ist__features_check_write(const ist__protocol *protocol, const ist__metadata *metadata, bool managed,
                                     ist_error *err)
{
    IST_TRY(ist__features_check_read(protocol, managed, err));
    if (protocol->min_writer_version > WRITER_VERSION_MAX)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                             "the table needs writer version %d of the Delta protocol; Isthmus writes up to %d",
                             protocol->min_writer_version, WRITER_VERSION_MAX);
    yyjson_doc *schema = NULL;
    ist_buffer names = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(parse_schema(metadata, &schema, err));
    if (protocol->min_writer_version >= FEATURES_VERSION_WRITER) {
        for (size_t i = 0; i < protocol->writer_features.count; i++) {
            if (!find_feature(protocol->writer_features.items[i]))
                IST_TRY_GOTO(add_name(&names, protocol->writer_features.items[i], err));
        }
    }
    for (size_t i = 0; i < feature_count; i++) {
        if (!ist__features_supported(protocol, features[i].name))
            continue;
        if (is_barred(&features[i], metadata, yyjson_doc_get_root(schema)))
            IST_TRY_GOTO(add_name(&names, features[i].name, err));
    }
    if (names.size)
        status = ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                               "the table uses writer features that Isthmus does not implement: %s", names.data);
done:
    yyjson_doc_free(schema);
    ist_buffer_free(&names);
    return status;
}
