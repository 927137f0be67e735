/*
 * statement_lineage.c: what a statement read and wrote, as an OpenLineage event for the catalog's own store.
 *
 * The engine tells names, and for what it writes the columnLineage facet of each output. A statement that only reads is
 * told once a minute: the edge from a table to its readers says when it was read last, not how often.
 */
#include "warehouse/warehouse_internal.h"

#include <string.h>

enum { READ_AGAIN_MS = 60 * 1000 };

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

bool ist__statement_has_lineage(ist__warehouses *all, const ist__statement *s)
{
    if (!s->lineage)
        return false;
    if (strcmp(s->kind, "SELECT") != 0)
        return true;
    uint64_t hash = hash_text(hash_text(hash_text(14695981039346656037u, s->user_id), s->at->id), s->lineage);
    struct seen_read *seen = &all->seen_reads[hash % (sizeof all->seen_reads / sizeof *all->seen_reads)];
    int64_t now = ist__now_ms();
    if (seen->hash == hash && now - seen->at_ms < READ_AGAIN_MS)
        return false;
    *seen = (struct seen_read){hash, now};
    return true;
}

static void add_datasets(yyjson_mut_doc *doc, yyjson_mut_val *event, const char *key, yyjson_val *names,
                         yyjson_val *columns)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, event, key);
    size_t i, count;
    yyjson_val *name;
    yyjson_arr_foreach(names, i, count, name) {
        if (!yyjson_is_str(name))
            continue;
        yyjson_mut_val *dataset = yyjson_mut_arr_add_obj(doc, list);
        yyjson_val *facet = yyjson_obj_get(columns, yyjson_get_str(name));
        yyjson_mut_obj_add_str(doc, dataset, "namespace", "unitycatalog");
        yyjson_mut_obj_add_val(doc, dataset, "name", yyjson_val_mut_copy(doc, name));
        if (yyjson_is_obj(facet)) {
            yyjson_mut_val *facets = yyjson_mut_obj_add_obj(doc, dataset, "facets");
            yyjson_mut_obj_add_val(doc, facets, "columnLineage", yyjson_val_mut_copy(doc, facet));
        }
    }
}

static void add_engine(yyjson_mut_doc *doc, yyjson_mut_val *run, const ist__statement *s)
{
    yyjson_mut_val *facets = yyjson_mut_obj_add_obj(doc, run, "facets");
    yyjson_mut_val *engine = yyjson_mut_obj_add_obj(doc, facets, "processing_engine");
    yyjson_mut_obj_add_str(doc, engine, "name", s->at->kind);
}

ist_status ist__statement_lineage(const ist__statement *s, ist_buffer *out, ist_error *err)
{
    char time[32];
    yyjson_doc *told = yyjson_read(s->lineage, strlen(s->lineage), 0);
    yyjson_val *root = yyjson_doc_get_root(told);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *event = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, event);
    ist__format_time(s->ended_ms, time);
    yyjson_mut_obj_add_str(doc, event, "eventType", "COMPLETE");
    yyjson_mut_obj_add_str(doc, event, "eventTime", time);
    yyjson_mut_val *run = yyjson_mut_obj_add_obj(doc, event, "run");
    yyjson_mut_obj_add_str(doc, run, "runId", s->id);
    add_engine(doc, run, s);
    yyjson_mut_val *job = yyjson_mut_obj_add_obj(doc, event, "job");
    yyjson_mut_obj_add_str(doc, job, "namespace", "isthmus");
    ist_buffer name = IST_BUFFER_INIT;
    ist_status status = ist_buffer_printf(&name, err, "warehouse %s", s->at->id);
    yyjson_mut_obj_add_str(doc, job, "name", name.data);
    add_datasets(doc, event, "inputs", yyjson_obj_get(root, "inputs"), NULL);
    add_datasets(doc, event, "outputs", yyjson_obj_get(root, "outputs"), yyjson_obj_get(root, "columns"));
    if (status == IST_OK)
        status = ist__json_finish(doc, out, err);
    else
        yyjson_mut_doc_free(doc);
    ist_buffer_free(&name);
    yyjson_doc_free(told);
    return status;
}
