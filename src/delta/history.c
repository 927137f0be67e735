/* history.c: the commitInfo of each version. */
#include "delta/delta_internal.h"

#include <stdlib.h>
#include <string.h>

/* One entry: version and time first, then what the commit says of itself. */
static ist_status append_entry(const ist__log_commit *commit, const ist__action *info, ist_buffer *out, ist_error *err)
{
    yyjson_doc *said = NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    if (info->kind == IST__COMMIT_INFO)
        said = yyjson_read(info->commit_info.json, strlen(info->commit_info.json), 0);
    yyjson_val *object = yyjson_doc_get_root(said), *time = yyjson_obj_get(object, "timestamp");
    int64_t timestamp = commit->modified_ms;
    if (info->kind == IST__COMMIT_INFO && info->commit_info.in_commit_timestamp >= 0)
        timestamp = info->commit_info.in_commit_timestamp;
    else if (yyjson_is_int(time))
        timestamp = yyjson_get_sint(time);
    yyjson_mut_obj_add_sint(doc, root, "version", commit->version);
    yyjson_mut_obj_add_sint(doc, root, "timestamp", timestamp);
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter));) {
        if (!yyjson_equals_str(key, "version") && !yyjson_equals_str(key, "timestamp"))
            yyjson_mut_obj_add(root, yyjson_val_mut_copy(doc, key),
                               yyjson_val_mut_copy(doc, yyjson_obj_iter_get_val(key)));
    }
    size_t size;
    char *text = yyjson_mut_write(doc, 0, &size);
    ist_status status = text ? ist_buffer_append(out, text, size, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the table's history");
    free(text);
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(said);
    return status;
}

ist_status ist_table_history(ist_store *store, const ist_committer *committer, size_t limit, ist_buffer *out,
                             ist_error *err)
{
    ist__log_commit *commits = NULL;
    size_t count = 0;
    ist__log log;
    IST_TRY(ist__log_open(store, committer, &log, err));
    ist_status status;
    IST_TRY_GOTO(ist__log_list_commits(&log, &commits, &count, err));
    if (count == 0) {
        status = ist_error_set(err, IST_NOT_FOUND, 0, ist_store_uri(store), "there is no Delta table at %s",
                               ist_store_uri(store));
        goto done;
    }
    IST_TRY_GOTO(ist_buffer_append(out, "[", 1, err));
    for (size_t i = 0; i < count && (limit == 0 || i < limit); i++) {
        const ist__log_commit *commit = &commits[count - 1 - i];
        ist__arena *arena;
        ist__action info;
        IST_TRY_GOTO(ist__arena_new(&arena, err));
        status = ist__log_commit_info(&log, commit->version, arena, &info, err);
        if (status == IST_OK && i > 0)
            status = ist_buffer_append(out, ",", 1, err);
        if (status == IST_OK)
            status = append_entry(commit, &info, out, err);
        ist__arena_free(arena);
        if (status != IST_OK)
            goto done;
    }
    status = ist_buffer_append(out, "]", 1, err);
done:
    ist__log_close(&log);
    free(commits);
    return status;
}
