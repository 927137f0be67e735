/*
 * lineage.h: what was made from what. Events that tell it, the emitter that carries them, pictures of the answer.
 *
 * Events are OpenLineage run events (https://openlineage.io/spec/2-0-2/OpenLineage.json) with the facets for schema,
 * version, statistics and column lineage. Datasets are named as OpenLineage names them: a table of the catalog is its
 * full name in namespace "unitycatalog", a local location its path in namespace "file", s3://bucket/key is "key" in
 * namespace "s3://bucket".
 *
 * Threading: functions are free-standing; an emitter is internally locked and may be shared by threads.
 *
 *     ist_emitter_open(NULL, &emitter, &err);                 // to the configured catalog, and to $OPENLINEAGE_URL
 *     ist_lineage_event(&run, &event, &err);
 *     ist_emitter_emit(emitter, event.data);                  // never waits, never fails
 *     ist_emitter_flush(emitter, 2000);
 *     ist_emitter_free(emitter);
 */
#ifndef ISTHMUS_LINEAGE_H
#define ISTHMUS_LINEAGE_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

/* Events ----------------------------------------------------------------------------------------------------------- */

/* One column that an output's column came from, or that decided about it. */
typedef struct ist_lineage_column {
    const char *output;  /* column of the output; NULL: the source decided about every row (a filter, a join's key) */
    const char *dataset; /* the input that has the source, as it is named among the run's inputs */
    const char *input;   /* its column */
    const char *kind;    /* as OpenLineage calls it. The value itself: IDENTITY, TRANSFORMATION, AGGREGATION; what
                            decided about it: JOIN, GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL */
} ist_lineage_column;

typedef struct ist_lineage_dataset {
    const char *name;        /* catalog.schema.table, or a location URI for a table without a name */
    const char *schema_json; /* Delta schema JSON for the schema facet; NULL for none */
    int64_t version;         /* Delta version for the version facet; -1 for none */
    int64_t rows;            /* statistics facet: read from an input, written to an output; -1 for none */
    int64_t bytes;
    const ist_lineage_column *columns; /* outputs only: where its columns came from; NULL where that is not known */
    size_t column_count;
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
 * schema_json that is no Delta schema, a column of no known kind). */
IST_API ist_status ist_lineage_event(const ist_lineage_run *run, ist_buffer *out, ist_error *err);

/* The emitter ------------------------------------------------------------------------------------------------------ */

/*
 * Carries events to the catalog and to an OpenLineage endpoint, from a thread and a bounded queue for each, so that a
 * job neither waits for a place that is slow nor fails with one that is gone. OpenLineage's own settings say where:
 *
 *     OPENLINEAGE_DISABLED=true                no event goes anywhere, the catalog included
 *     OPENLINEAGE_URL, OPENLINEAGE_ENDPOINT    http://host:port, and the path on it (api/v1/lineage)
 *     OPENLINEAGE_API_KEY                      sent as bearer token
 *     OPENLINEAGE__TRANSPORT__TYPE             "console": events go to standard error; "file": they are appended to
 *                                              the file $OPENLINEAGE__TRANSPORT__LOG_FILE_PATH, one on a line
 *
 * An emitter belongs to the process that opened it: in a forked child its calls do nothing.
 */
typedef struct ist_emitter ist_emitter;

typedef struct ist_emitter_options {
    uint32_t size;
    const char *catalog_uri;   /* as in ist_catalog_options; NULL for the configured catalog; "" for none */
    const char *catalog_token;
    size_t queue_max;          /* most events that wait for one place; 0 for 1000. The oldest gives way */
    int64_t timeout_ms;        /* most time that one event takes to one place; 0 for 5000 */
} ist_emitter_options;

#define IST_EMITTER_OPTIONS_INIT                                                                                       \
    { sizeof(ist_emitter_options), NULL, NULL, 0, 0 }

/* Read the settings; nothing is connected to and no thread started before the first event. No catalog is no error.
 * Errors: IST_BAD_INPUT (a setting that cannot be: a URL that is none, a type without its file). */
IST_API ist_status ist_emitter_open(const ist_emitter_options *options, ist_emitter **out, ist_error *err);
/* Hand over one event (copied). Takes microseconds whatever becomes of it. */
IST_API void ist_emitter_emit(ist_emitter *emitter, const char *event);
/* Wait until what was handed over has been sent or given up, at most so long. False: some of it still waits. */
IST_API bool ist_emitter_flush(ist_emitter *emitter, int64_t timeout_ms);
/* Append {"sent", "failed", "dropped", "waiting", "last_error"}: events times places; last_error is null or one line. */
IST_API ist_status ist_emitter_counters(ist_emitter *emitter, ist_buffer *out, ist_error *err);
/* Does not wait: what was not flushed is lost. NULL is allowed. */
IST_API void ist_emitter_free(ist_emitter *emitter);

/* Pictures --------------------------------------------------------------------------------------------------------- */

typedef enum ist_lineage_form {
    IST_LINEAGE_TEXT, /* a tree: "<-" made from, "->" made into; control characters escaped */
    IST_LINEAGE_SVG   /* left to right, what a table was made from on its left */
} ist_lineage_form;

typedef struct ist_lineage_draw_options {
    uint32_t size;
    ist_lineage_form form;
    bool columns;     /* show the columns' edges too, where the answer has them */
    bool bare;        /* SVG: without its style sheet, for a page that has ist_lineage_style */
    const char *link; /* SVG: put before a dataset's encoded name to make a link of it ("#/lineage/"); NULL for none */
} ist_lineage_draw_options;

#define IST_LINEAGE_DRAW_OPTIONS_INIT                                                                                  \
    { sizeof(ist_lineage_draw_options), IST_LINEAGE_TEXT, false, false, NULL }

/*
 * Append a picture of what ist_catalog_get_lineage answered.
 *   answer   its JSON
 *   options  NULL for the text
 * Errors: IST_BAD_INPUT (answer is none).
 */
IST_API ist_status ist_lineage_draw(const char *answer, const ist_lineage_draw_options *options, ist_buffer *out,
                                    ist_error *err);
/* The style sheet of the SVG form, for light and dark. Static storage. */
IST_API const char *ist_lineage_style(void);

IST_END_DECLS

#endif
