/* delta_contract.c: the features and properties that make a Delta table one that a catalog can commit to. */
#include "catalog/local/delta_contract.h"

#include "catalog/local/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEATURE_PREFIX "delta.feature."
#define MIN_READER_VERSION "delta.minReaderVersion"
#define MIN_WRITER_VERSION "delta.minWriterVersion"

enum { READER_VERSION = 3, WRITER_VERSION = 7 }; /* the first that name their features */

typedef struct feature {
    const char *name;
    bool reader; /* for readers too */
} feature;

static const feature required_features[] = {{"catalogManaged", true},
                                            {"v2Checkpoint", true},
                                            {"vacuumProtocolCheck", true},
                                            {"deletionVectors", true},
                                            {"inCommitTimestamp", false},
                                            {NULL, false}};
static const feature suggested_features[] = {
    {"columnMapping", true}, {"domainMetadata", false}, {"rowTracking", false}, {NULL, false}};

/* A value of NULL is the writer's to choose. */
static const struct property {
    const char *key, *value;
} required_properties[] = {{"delta.enableDeletionVectors", "true"},
                           {"delta.checkpointPolicy", "v2"},
                           {"delta.enableInCommitTimestamps", "true"},
                           {"delta.checkpoint.writeStatsAsStruct", "true"},
                           {"delta.checkpoint.writeStatsAsJson", "true"},
                           {NULL, NULL}},
  suggested_properties[] = {{"delta.columnMapping.mode", "name"},
                            {"delta.columnMapping.maxColumnId", NULL},
                            {"delta.enableRowTracking", "true"},
                            {"delta.rowTracking.materializedRowIdColumnName", NULL},
                            {"delta.rowTracking.materializedRowCommitVersionColumnName", NULL},
                            {"delta.randomizeFilePrefixes", "true"},
                            {"delta.parquet.compression.codec", "zstd"},
                            {NULL, NULL}};

static const struct domain {
    const char *name, *member, *property, *feature;
} domains[] = {
    {"delta.clustering", "clusteringColumns", "clusteringColumns", "clustering"},
    {"delta.rowTracking", "rowIdHighWaterMark", "delta.rowTracking.rowIdHighWaterMark", "rowTracking"},
};

enum { DOMAIN_COUNT = sizeof domains / sizeof *domains };

/* Describe --------------------------------------------------------------------------------------------------------- */

static void add_features(yyjson_mut_doc *doc, yyjson_mut_val *object, const feature *features)
{
    yyjson_mut_val *reader = yyjson_mut_obj_add_arr(doc, object, "reader-features");
    yyjson_mut_val *writer = yyjson_mut_obj_add_arr(doc, object, "writer-features");
    for (; features->name; features++) {
        if (features->reader)
            yyjson_mut_arr_add_str(doc, reader, features->name);
        yyjson_mut_arr_add_str(doc, writer, features->name);
    }
}

static yyjson_mut_val *add_properties(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                                      const struct property *properties)
{
    yyjson_mut_val *out = yyjson_mut_obj_add_obj(doc, object, key);
    for (; properties->key; properties++)
        ist__json_add_text(doc, out, properties->key, properties->value);
    return out;
}

void ist__delta_contract_describe(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *table_id)
{
    yyjson_mut_val *protocol = yyjson_mut_obj_add_obj(doc, object, "required-protocol");
    yyjson_mut_obj_add_int(doc, protocol, "min-reader-version", READER_VERSION);
    yyjson_mut_obj_add_int(doc, protocol, "min-writer-version", WRITER_VERSION);
    add_features(doc, protocol, required_features);
    add_features(doc, yyjson_mut_obj_add_obj(doc, object, "suggested-protocol"), suggested_features);
    yyjson_mut_val *required = add_properties(doc, object, "required-properties", required_properties);
    yyjson_mut_obj_add_strcpy(doc, required, IST__TABLE_ID_PROPERTY, table_id);
    add_properties(doc, object, "suggested-properties", suggested_properties);
}

/* Check ------------------------------------------------------------------------------------------------------------ */

static bool contains(yyjson_val *list, const char *text)
{
    yyjson_val *one;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, one)
        if (yyjson_equals_str(one, text))
            return true;
    return false;
}

static ist_status check_version(yyjson_val *protocol, const char *key, int least, ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(protocol, key);
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < least)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "MANAGED table %s must be at least %d", key, least);
    return IST_OK;
}

static ist_status check_features(yyjson_val *protocol, ist_error *err)
{
    yyjson_val *reader = yyjson_obj_get(protocol, "reader-features"), *one;
    yyjson_val *writer = yyjson_obj_get(protocol, "writer-features");
    size_t i, count;
    yyjson_arr_foreach(reader, i, count, one)
        if (!yyjson_is_str(one) || !contains(writer, yyjson_get_str(one)))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                                 "Feature '%.100s' is in reader-features but not writer-features",
                                 yyjson_is_str(one) ? yyjson_get_str(one) : "");
    for (const feature *f = required_features; f->name; f++)
        if ((f->reader && !contains(reader, f->name)) || !contains(writer, f->name))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "MANAGED table missing required %s-feature '%s'.",
                                 f->reader && !contains(reader, f->name) ? "reader" : "writer", f->name);
    return IST_OK;
}

static ist_status check_properties(yyjson_mut_val *properties, ist_error *err)
{
    for (const struct property *p = required_properties; p->key; p++) {
        const char *value = yyjson_mut_get_str(yyjson_mut_obj_get(properties, p->key));
        if (!value || strcmp(value, p->value) != 0)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                                 "MANAGED table required property '%s' must be '%s' (got '%.100s').", p->key, p->value,
                                 value ? value : "null");
    }
    const char *id = yyjson_mut_get_str(yyjson_mut_obj_get(properties, IST__TABLE_ID_PROPERTY));
    if (!id || !*id)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "MANAGED table required property '" IST__TABLE_ID_PROPERTY "' is missing.");
    return IST_OK;
}

ist_status ist__delta_contract_check(yyjson_val *protocol, yyjson_mut_val *properties, ist_error *err)
{
    IST_TRY(check_version(protocol, "min-reader-version", READER_VERSION, err));
    IST_TRY(check_version(protocol, "min-writer-version", WRITER_VERSION, err));
    IST_TRY(check_features(protocol, err));
    IST_TRY(ist__delta_contract_check_domains(properties, err));
    return check_properties(properties, err);
}

ist_status ist__delta_contract_check_domains(yyjson_mut_val *properties, ist_error *err)
{
    char key[64];
    for (int i = 0; i < DOMAIN_COUNT; i++) {
        snprintf(key, sizeof key, FEATURE_PREFIX "%s", domains[i].feature);
        if (yyjson_mut_obj_get(properties, domains[i].property) && !yyjson_mut_obj_get(properties, key))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "domain-metadata.%s requires the '%s' writer feature.",
                                 domains[i].name, domains[i].feature);
    }
    return IST_OK;
}

/* As properties ---------------------------------------------------------------------------------------------------- */

void ist__delta_property_set(yyjson_mut_doc *doc, yyjson_mut_val *properties, const char *key, const char *value)
{
    yyjson_mut_obj_put(properties, yyjson_mut_strcpy(doc, key), yyjson_mut_strcpy(doc, value));
}

void ist__delta_property_set_number(yyjson_mut_doc *doc, yyjson_mut_val *properties, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    ist__delta_property_set(doc, properties, key, text);
}

static ist_status apply_version(yyjson_mut_doc *doc, yyjson_mut_val *properties, yyjson_val *protocol,
                                const char *member, const char *key, ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(protocol, member);
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < 1)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "protocol.%s is required, a positive integer", member);
    ist__delta_property_set_number(doc, properties, key, yyjson_get_sint(value));
    return IST_OK;
}

static ist_status apply_features(yyjson_mut_doc *doc, yyjson_mut_val *properties, yyjson_val *protocol,
                                 const char *member, ist_error *err)
{
    enum { FEATURE_NAME_MAX = 100 };
    char key[sizeof FEATURE_PREFIX + FEATURE_NAME_MAX];
    yyjson_val *list = yyjson_obj_get(protocol, member), *one;
    size_t i, count;
    if (list && !yyjson_is_null(list) && !yyjson_is_arr(list))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "protocol.%s is not an array", member);
    yyjson_arr_foreach(list, i, count, one) {
        if (!yyjson_is_str(one) || yyjson_get_len(one) > FEATURE_NAME_MAX)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "protocol.%s: element %zu is no feature's name", member,
                                 i);
        snprintf(key, sizeof key, FEATURE_PREFIX "%s", yyjson_get_str(one));
        ist__delta_property_set(doc, properties, key, "supported");
    }
    return IST_OK;
}

ist_status ist__delta_protocol_apply(yyjson_mut_doc *doc, yyjson_mut_val *properties, yyjson_val *protocol,
                                     ist_error *err)
{
    if (!yyjson_is_obj(protocol))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "protocol is required.");
    yyjson_mut_obj_iter it;
    yyjson_mut_obj_iter_init(properties, &it);
    for (yyjson_mut_val *key; (key = yyjson_mut_obj_iter_next(&it));)
        if (strncmp(yyjson_mut_get_str(key), FEATURE_PREFIX, strlen(FEATURE_PREFIX)) == 0)
            yyjson_mut_obj_iter_remove(&it);
    IST_TRY(apply_version(doc, properties, protocol, "min-reader-version", MIN_READER_VERSION, err));
    IST_TRY(apply_version(doc, properties, protocol, "min-writer-version", MIN_WRITER_VERSION, err));
    IST_TRY(apply_features(doc, properties, protocol, "reader-features", err));
    return apply_features(doc, properties, protocol, "writer-features", err);
}

static ist_status apply_domain(yyjson_mut_doc *doc, yyjson_mut_val *properties, const struct domain *domain,
                               yyjson_val *value, ist_error *err)
{
    bool number = strcmp(domain->member, "rowIdHighWaterMark") == 0;
    if (number ? !yyjson_is_int(value) : !yyjson_is_arr(value))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "domain-metadata.%s.%s is not %s", domain->name,
                             domain->member, number ? "an integer" : "an array");
    char *text = yyjson_val_write(value, 0, NULL);
    if (!text)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for JSON");
    ist__delta_property_set(doc, properties, domain->property, text);
    free(text);
    return IST_OK;
}

ist_status ist__delta_domains_apply(yyjson_mut_doc *doc, yyjson_mut_val *properties, yyjson_val *values, int *count,
                                    ist_error *err)
{
    *count = 0;
    if (values && !yyjson_is_null(values) && !yyjson_is_obj(values))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "domain-metadata is not an object");
    for (int i = 0; i < DOMAIN_COUNT; i++) {
        yyjson_val *value = yyjson_obj_get(values, domains[i].name);
        if (!value || yyjson_is_null(value))
            continue;
        (*count)++;
        IST_TRY(apply_domain(doc, properties, &domains[i], yyjson_obj_get(value, domains[i].member), err));
    }
    return IST_OK;
}

const char *ist__delta_domain_property(const char *domain)
{
    for (int i = 0; i < DOMAIN_COUNT; i++)
        if (strcmp(domains[i].name, domain) == 0)
            return domains[i].property;
    return NULL;
}
