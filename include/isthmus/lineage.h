/*
 * lineage.h: OpenLineage run events (https://openlineage.io/spec/2-0-2/OpenLineage.json) for what a job read and wrote.
 *
 * Datasets are named as OpenLineage names them: a table of the catalog is its full name in namespace "unitycatalog", a
 * local location its path in namespace "file", s3://bucket/key is "key" in namespace "s3://bucket".
 *
 * Threading: functions are free-standing.
 */
#ifndef ISTHMUS_LINEAGE_H
#define ISTHMUS_LINEAGE_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdint.h>

IST_BEGIN_DECLS

typedef struct ist_lineage_dataset {
    const char *name;        /* catalog.schema.table, or a location URI for a table without a name */
    const char *schema_json; /* Delta schema JSON for the schema facet; NULL for none */
    int64_t version;         /* Delta version for the version facet; -1 for none */
    int64_t rows;            /* output statistics facet; -1 for none */
    int64_t bytes;
} ist_lineage_dataset;

typedef struct ist_lineage_run {
    const char *job;    /* name of the job ("score.py") */
    const char *engine; /* "ray", "spark", "isthmus" */
    const char *run_id; /* UUID text; NULL for a new one */
    const char *state;  /* "COMPLETE", "FAIL", "START" */
    const ist_lineage_dataset *inputs;
    size_t input_count;
    const ist_lineage_dataset *outputs;
    size_t output_count;
} ist_lineage_run;

/* Append the run event as one JSON object; eventTime is now. Errors: IST_BAD_INPUT (no job or engine, unknown state,
 * schema_json that is no Delta schema). */
IST_API ist_status ist_lineage_event(const ist_lineage_run *run, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
