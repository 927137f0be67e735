/* lineage.c: OpenLineage run events. */
#include "isthmus/lineage.h"

#include "isthmus/version.h"
#include "util/util.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#define PRODUCER "urn:isthmus:" IST_VERSION /* a URI, as the specification asks */
#define SPEC "https://openlineage.io/spec/"
#define JOB_NAMESPACE "isthmus"

enum { TYPE_DEPTH_MAX = 64 };

typedef yyjson_mut_doc doc_t;
typedef yyjson_mut_val val_t;

static val_t *add_facet(doc_t *doc, val_t *facets, const char *name, const char *schema)
{
    val_t *facet = yyjson_mut_obj_add_obj(doc, facets, name);
    yyjson_mut_obj_add_str(doc, facet, "_producer", PRODUCER);
    yyjson_mut_obj_add_str(doc, facet, "_schemaURL", schema);
    return facet;
}

/* The schema facet: a type is its name, and parts of a nested one are its fields. */

static bool add_field(doc_t *doc, val_t *fields, const char *name, yyjson_val *type, const char *comment, int depth);

static bool add_fields(doc_t *doc, val_t *owner, yyjson_val *delta_fields, int depth)
{
    yyjson_val *field;
    size_t i, count;
    if (!yyjson_is_arr(delta_fields))
        return false;
    val_t *fields = yyjson_mut_obj_add_arr(doc, owner, "fields");
    yyjson_arr_foreach(delta_fields, i, count, field) {
        const char *name = yyjson_get_str(yyjson_obj_get(field, "name"));
        const char *comment = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(field, "metadata"), "comment"));
        if (!name || !add_field(doc, fields, name, yyjson_obj_get(field, "type"), comment, depth + 1))
            return false;
    }
    return true;
}

static bool add_field(doc_t *doc, val_t *fields, const char *name, yyjson_val *type, const char *comment, int depth)
{
    const char *kind = yyjson_is_str(type) ? yyjson_get_str(type) : yyjson_get_str(yyjson_obj_get(type, "type"));
    if (!kind || depth > TYPE_DEPTH_MAX)
        return false;
    val_t *field = yyjson_mut_arr_add_obj(doc, fields);
    yyjson_mut_obj_add_strcpy(doc, field, "name", name);
    yyjson_mut_obj_add_strcpy(doc, field, "type", kind);
    if (comment)
        yyjson_mut_obj_add_strcpy(doc, field, "description", comment);
    if (yyjson_is_str(type))
        return true;
    if (strcmp(kind, "struct") == 0)
        return add_fields(doc, field, yyjson_obj_get(type, "fields"), depth);
    val_t *parts = yyjson_mut_obj_add_arr(doc, field, "fields");
    if (strcmp(kind, "array") == 0)
        return add_field(doc, parts, "_element", yyjson_obj_get(type, "elementType"), NULL, depth + 1);
    if (strcmp(kind, "map") == 0)
        return add_field(doc, parts, "key", yyjson_obj_get(type, "keyType"), NULL, depth + 1) &&
               add_field(doc, parts, "value", yyjson_obj_get(type, "valueType"), NULL, depth + 1);
    return false;
}

/* (https://openlineage.io/docs/spec/naming) */
static ist_status add_dataset_name(doc_t *doc, val_t *object, const char *name, ist_error *err)
{
    const char *scheme = strstr(name, "://");
    ist_buffer path = IST_BUFFER_INIT;
    if (name[0] == '/') {
        yyjson_mut_obj_add_str(doc, object, "namespace", "file");
        yyjson_mut_obj_add_str(doc, object, "name", name);
    } else if (strncmp(name, "file:", 5) == 0) {
        const char *start = name + 5;
        if (strncmp(start, "//", 2) == 0)
            start += 2;
        ist_status status = ist__uri_decode(start, strlen(start), &path, err);
        yyjson_mut_obj_add_str(doc, object, "namespace", "file");
        yyjson_mut_obj_add_strncpy(doc, object, "name", path.data ? path.data : "", path.size);
        ist_buffer_free(&path);
        return status;
    } else if (scheme) {
        size_t authority = (size_t)(scheme - name) + 3;
        authority += strcspn(name + authority, "/");
        yyjson_mut_obj_add_strn(doc, object, "namespace", name, authority);
        yyjson_mut_obj_add_str(doc, object, "name", name[authority] ? name + authority + 1 : "/");
    } else {
        yyjson_mut_obj_add_str(doc, object, "namespace", "unitycatalog");
        yyjson_mut_obj_add_str(doc, object, "name", name);
    }
    return IST_OK;
}

static void add_version(doc_t *doc, val_t *facets, int64_t version)
{
    val_t *facet = add_facet(doc, facets, "version",
                             SPEC "facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet");
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)version);
    yyjson_mut_obj_add_strcpy(doc, facet, "datasetVersion", text);
}

static ist_status add_schema(doc_t *doc, val_t *facets, const ist_lineage_dataset *dataset, ist_error *err)
{
    val_t *facet =
        add_facet(doc, facets, "schema", SPEC "facets/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet");
    yyjson_doc *schema = yyjson_read(dataset->schema_json, strlen(dataset->schema_json), 0);
    bool good = add_fields(doc, facet, yyjson_obj_get(yyjson_doc_get_root(schema), "fields"), 0);
    yyjson_doc_free(schema);
    return good ? IST_OK : ist_error_set(err, IST_BAD_INPUT, 0, NULL, "lineage of %s: the schema is no Delta schema",
                                         dataset->name);
}

static void add_statistics(doc_t *doc, val_t *object, const ist_lineage_dataset *dataset, bool output)
{
    val_t *statistics = yyjson_mut_obj_add_obj(doc, object, output ? "outputFacets" : "inputFacets");
    val_t *facet = output ? add_facet(doc, statistics, "outputStatistics",
                                      SPEC "facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
                                           "#/$defs/OutputStatisticsOutputDatasetFacet")
                          : add_facet(doc, statistics, "inputStatistics",
                                      SPEC "facets/1-0-0/InputStatisticsInputDatasetFacet.json"
                                           "#/$defs/InputStatisticsInputDatasetFacet");
    if (dataset->rows >= 0)
        yyjson_mut_obj_add_sint(doc, facet, "rowCount", dataset->rows);
    if (dataset->bytes >= 0)
        yyjson_mut_obj_add_sint(doc, facet, "size", dataset->bytes);
}

/* Column lineage: for each column of the output its sources, and for each of these what was done to it. ------------ */

static const struct kind {
    const char *name;
    bool direct;
} kinds[] = {
    {"IDENTITY", true}, {"TRANSFORMATION", true}, {"AGGREGATION", true}, {"JOIN", false},        {"GROUP_BY", false},
    {"FILTER", false},  {"SORT", false},          {"WINDOW", false},     {"CONDITIONAL", false},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static bool same_text(val_t *value, val_t *other)
{
    return yyjson_mut_equals(value, other);
}

/* The entry of `sources` for this column of this dataset, made where there is none. */
static ist_status find_source(doc_t *doc, val_t *sources, const ist_lineage_column *column, val_t **out,
                              ist_error *err)
{
    val_t *made = yyjson_mut_obj(doc), *other;
    size_t i, count;
    IST_TRY(add_dataset_name(doc, made, column->dataset, err));
    yyjson_mut_obj_add_str(doc, made, "field", column->input);
    yyjson_mut_arr_foreach(sources, i, count, other) {
        *out = other;
        if (same_text(yyjson_mut_obj_get(other, "field"), yyjson_mut_obj_get(made, "field")) &&
            same_text(yyjson_mut_obj_get(other, "name"), yyjson_mut_obj_get(made, "name")) &&
            same_text(yyjson_mut_obj_get(other, "namespace"), yyjson_mut_obj_get(made, "namespace")))
            return IST_OK;
    }
    yyjson_mut_obj_add_arr(doc, made, "transformations");
    yyjson_mut_arr_append(sources, made);
    *out = made;
    return IST_OK;
}

static ist_status add_column(doc_t *doc, val_t *fields, val_t *whole, const ist_lineage_column *column, ist_error *err)
{
    const struct kind *kind = find_kind(column->kind);
    val_t *sources = whole, *source = NULL;
    if (!kind || !column->dataset || !column->input)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "lineage of the column %s needs a dataset, a column and a kind that OpenLineage knows",
                             column->output ? column->output : "(all)");
    if (column->output) {
        val_t *field = yyjson_mut_obj_get(fields, column->output);
        if (!field) {
            field = yyjson_mut_obj_add_obj(doc, fields, column->output);
            yyjson_mut_obj_add_arr(doc, field, "inputFields");
        }
        sources = yyjson_mut_obj_get(field, "inputFields");
    }
    IST_TRY(find_source(doc, sources, column, &source, err));
    val_t *step = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_get(source, "transformations"));
    yyjson_mut_obj_add_str(doc, step, "type", kind->direct ? "DIRECT" : "INDIRECT");
    yyjson_mut_obj_add_str(doc, step, "subtype", kind->name);
    return IST_OK;
}

static ist_status add_columns(doc_t *doc, val_t *facets, const ist_lineage_dataset *dataset, ist_error *err)
{
    val_t *facet = add_facet(doc, facets, "columnLineage",
                             SPEC "facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet");
    val_t *fields = yyjson_mut_obj_add_obj(doc, facet, "fields"), *whole = yyjson_mut_arr(doc);
    for (size_t i = 0; i < dataset->column_count; i++)
        IST_TRY(add_column(doc, fields, whole, &dataset->columns[i], err));
    if (yyjson_mut_arr_size(whole) > 0)
        yyjson_mut_obj_add_val(doc, facet, "dataset", whole);
    return IST_OK;
}

/* Events ----------------------------------------------------------------------------------------------------------- */

static ist_status add_dataset(doc_t *doc, val_t *array, const ist_lineage_dataset *dataset, bool output,
                              ist_error *err)
{
    val_t *object = yyjson_mut_arr_add_obj(doc, array);
    IST_TRY(add_dataset_name(doc, object, dataset->name, err));
    val_t *facets = yyjson_mut_obj_add_obj(doc, object, "facets");
    if (dataset->version >= 0)
        add_version(doc, facets, dataset->version);
    if (dataset->schema_json)
        IST_TRY(add_schema(doc, facets, dataset, err));
    if (output && dataset->column_count > 0)
        IST_TRY(add_columns(doc, facets, dataset, err));
    if (dataset->rows >= 0 || dataset->bytes >= 0)
        add_statistics(doc, object, dataset, output);
    return IST_OK;
}

static ist_status add_datasets(doc_t *doc, const char *key, const ist_lineage_dataset *datasets, size_t count,
                               bool output, ist_error *err)
{
    val_t *array = yyjson_mut_obj_add_arr(doc, yyjson_mut_doc_get_root(doc), key);
    for (size_t i = 0; i < count; i++)
        IST_TRY(add_dataset(doc, array, &datasets[i], output, err));
    return IST_OK;
}

static ist_status check_run(const ist_lineage_run *run, ist_error *err)
{
    static const char *const states[] = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"};
    if (!run->job || !*run->job || !run->engine || !*run->engine)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a lineage event needs a job and an engine");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (run->state && strcmp(run->state, states[i]) == 0)
            return IST_OK;
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%s' is no state of an OpenLineage run",
                         run->state ? run->state : "");
}

ist_status ist_lineage_event(const ist_lineage_run *run, ist_buffer *out, ist_error *err)
{
    char now[32], run_id[37], *text = NULL;
    ist_status status = IST_OK;
    IST_TRY(check_run(run, err));
    ist__format_time(ist__now_ms(), now);
    ist__uuid(run_id);

    doc_t *doc = yyjson_mut_doc_new(NULL);
    val_t *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "eventTime", now);
    yyjson_mut_obj_add_str(doc, root, "producer", PRODUCER);
    yyjson_mut_obj_add_str(doc, root, "schemaURL", SPEC "2-0-2/OpenLineage.json#/$defs/RunEvent");
    yyjson_mut_obj_add_str(doc, root, "eventType", run->state);
    val_t *object = yyjson_mut_obj_add_obj(doc, root, "run");
    yyjson_mut_obj_add_str(doc, object, "runId", run->run_id ? run->run_id : run_id);

    object = yyjson_mut_obj_add_obj(doc, root, "job");
    yyjson_mut_obj_add_str(doc, object, "namespace", JOB_NAMESPACE);
    yyjson_mut_obj_add_str(doc, object, "name", run->job);
    val_t *facet = add_facet(doc, yyjson_mut_obj_add_obj(doc, object, "facets"), "jobType",
                             SPEC "facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet");
    char integration[64];
    snprintf(integration, sizeof integration, "%s", run->engine);
    for (char *at = integration; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    yyjson_mut_obj_add_str(doc, facet, "processingType", "BATCH");
    yyjson_mut_obj_add_str(doc, facet, "integration", integration);
    yyjson_mut_obj_add_str(doc, facet, "jobType", "JOB");

    IST_TRY_GOTO(add_datasets(doc, "inputs", run->inputs, run->input_count, false, err));
    IST_TRY_GOTO(add_datasets(doc, "outputs", run->outputs, run->output_count, true, err));
    text = yyjson_mut_write(doc, 0, NULL);
    if (!text)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a lineage event holds text that is not UTF-8");
    else
        status = ist_buffer_append_string(out, text, err);
done:
    free(text);
    yyjson_mut_doc_free(doc);
    return status;
}
