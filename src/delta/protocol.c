/*
 * protocol.c: the protocol versions and table features that a table's schema and properties ask for.
 *
 * As long as old protocol versions say it, they are used (a new plain table is 1/2, which every reader knows); the first
 * feature that has no old version turns the table to features (writer 7, and reader 3 when one of them is a reader's),
 * and then what the old versions implied is listed too (PROTOCOL.md, "Table Features for New and Existing Tables").
 */
#include "delta/transaction_internal.h"

#include <string.h>
#include <strings.h>

static const struct feature {
    const char *name;
    bool reader;
    int legacy_reader; /* the old version that implies it; 0: none */
    int legacy_writer;
    const char *property; /* that switches it on; NULL: only by name or schema */
    const char *value;    /* the property's value that does; NULL: any but "none" */
} features[] = {
    {"appendOnly", false, 1, 2, "delta.appendOnly", "true"},
    {"invariants", false, 1, 2, NULL, NULL},
    {"checkConstraints", false, 1, 3, NULL, NULL},
    {"changeDataFeed", false, 1, 4, "delta.enableChangeDataFeed", "true"},
    {"generatedColumns", false, 1, 4, NULL, NULL},
    {"columnMapping", true, 2, 5, "delta.columnMapping.mode", NULL},
    {"identityColumns", false, 1, 6, NULL, NULL},
    {"deletionVectors", true, 0, 0, "delta.enableDeletionVectors", "true"},
    {"timestampNtz", true, 0, 0, NULL, NULL},
    {"v2Checkpoint", true, 0, 0, "delta.checkpointPolicy", "v2"},
    {"typeWidening", true, 0, 0, "delta.enableTypeWidening", "true"},
    {"vacuumProtocolCheck", true, 0, 0, NULL, NULL},
    {"domainMetadata", false, 0, 0, NULL, NULL},
    {"rowTracking", false, 0, 0, "delta.enableRowTracking", "true"},
    {"inCommitTimestamp", false, 0, 0, "delta.enableInCommitTimestamps", "true"},
    {"catalogManaged", true, 0, 0, NULL, NULL},
};
enum { FEATURE_COUNT = sizeof features / sizeof features[0], TABLE_FEATURES_READER = 3, TABLE_FEATURES_WRITER = 7 };

static bool is_asked_for(const struct feature *feature, const ist__metadata *metadata, ist__strings by_name)
{
    if (ist__strings_contain(by_name, feature->name))
        return true;
    const char *value = feature->property ? ist__pairs_get(metadata->configuration, feature->property) : NULL;
    return value && (feature->value ? strcasecmp(value, feature->value) == 0 : strcasecmp(value, "none") != 0);
}

static ist_status join(ist__strings old, bool add[FEATURE_COUNT], bool readers_only, ist__arena *arena,
                       ist__strings *out, ist_error *err)
{
    const char **names = ist__arena_alloc(arena, (old.count + FEATURE_COUNT) * sizeof *names);
    if (!names)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a protocol");
    size_t count = old.count;
    if (count)
        memcpy(names, old.items, count * sizeof *names);
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if (add[i] && (features[i].reader || !readers_only) && !ist__strings_contain(old, features[i].name))
            names[count++] = features[i].name;
    *out = (ist__strings){names, count};
    return IST_OK;
}

ist_status ist__protocol_require(ist__protocol *protocol, const ist__metadata *metadata, ist__strings by_name,
                                 ist__arena *arena, bool *changed, ist_error *err)
{
    bool need[FEATURE_COUNT] = {false};
    bool has_features = protocol->min_writer_version >= TABLE_FEATURES_WRITER, any = false, reader = false;
    int legacy_reader = protocol->min_reader_version, legacy_writer = protocol->min_writer_version;
    bool legacy = !has_features;
    for (size_t i = 0; i < by_name.count; i++) {
        size_t known = 0;
        while (known < FEATURE_COUNT && strcmp(features[known].name, by_name.items[i]) != 0)
            known++;
        if (known == FEATURE_COUNT)
            return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "Isthmus cannot write tables with the feature '%s'",
                                 by_name.items[i]);
    }
    bool row_tracking = false;
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        need[i] = is_asked_for(&features[i], metadata, by_name);
        row_tracking = row_tracking || (need[i] && strcmp(features[i].name, "rowTracking") == 0);
    }
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        const struct feature *f = &features[i];
        need[i] = need[i] || (row_tracking && strcmp(f->name, "domainMetadata") == 0) ||
                  (strcmp(f->name, "timestampNtz") == 0 &&
                   ist__schema_has_type(metadata->schema_string, "timestamp_ntz"));
        need[i] = need[i] && !ist__features_supported(protocol, f->name);
        any = any || need[i];
        legacy = legacy && (!need[i] || f->legacy_writer);
        if (need[i] && f->legacy_writer) {
            legacy_reader = f->legacy_reader > legacy_reader ? f->legacy_reader : legacy_reader;
            legacy_writer = f->legacy_writer > legacy_writer ? f->legacy_writer : legacy_writer;
        }
    }
    if (!any)
        return IST_OK;
    *changed = true;
    if (legacy) {
        protocol->min_reader_version = legacy_reader;
        protocol->min_writer_version = legacy_writer;
        return IST_OK;
    }
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        reader = reader || (need[i] && features[i].reader) || (!has_features && legacy_reader > 1);
    }
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        bool unlisted = !has_features || (reader && protocol->min_reader_version < TABLE_FEATURES_READER);
        need[i] = need[i] || (unlisted && ist__features_supported(protocol, features[i].name));
    }
    IST_TRY(join(protocol->writer_features, need, false, arena, &protocol->writer_features, err));
    protocol->min_writer_version = TABLE_FEATURES_WRITER;
    if (reader) {
        IST_TRY(join(protocol->reader_features, need, true, arena, &protocol->reader_features, err));
        protocol->min_reader_version = TABLE_FEATURES_READER;
    }
    return IST_OK;
}
