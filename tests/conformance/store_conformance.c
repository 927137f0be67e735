/* store_conformance.c: what isthmus/store.h promises, case by case, on an empty store. */
#include "conformance/store_conformance.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

static void put(ist_store *store, const char *path, const char *text)
{
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_put(store, path, text, strlen(text), IST_PUT_IF_ABSENT, &err), err);
}

static void assert_content(ist_store *store, const char *path, const char *text)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer buffer = IST_BUFFER_INIT;
    assert_ok(ist_store_get(store, path, &buffer, &err), err);
    assert_int_equal(buffer.size, strlen(text));
    assert_memory_equal(buffer.data, text, buffer.size);
    ist_buffer_free(&buffer);
}

void store_conformance__get_what_was_put(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    put(store, "a", "one");
    put(store, "deep/er/b.json", "two\nlines");
    put(store, "empty", "");
    assert_content(store, "a", "one");
    assert_content(store, "deep/er/b.json", "two\nlines");
    assert_content(store, "empty", "");

    ist_buffer buffer = IST_BUFFER_INIT; /* get appends */
    assert_ok(ist_buffer_append_string(&buffer, "zero ", &err), err);
    assert_ok(ist_store_get(store, "a", &buffer, &err), err);
    assert_string_equal(buffer.data, "zero one");
    ist_buffer_free(&buffer);
}

void store_conformance__put_if_absent_loses_to_what_is_there(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    put(store, "log/1", "first");
    assert_int_equal(ist_store_put(store, "log/1", "second", 6, IST_PUT_IF_ABSENT, &err), IST_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "log/1"));
    assert_content(store, "log/1", "first");
}

void store_conformance__put_replace_replaces(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_put(store, "last", "a longer text", 13, IST_PUT_REPLACE, &err), err);
    assert_ok(ist_store_put(store, "last", "short", 5, IST_PUT_REPLACE, &err), err);
    assert_content(store, "last", "short");
}

enum { CONTENDERS = 20, ROUNDS = 25 };

typedef struct contest {
    ist_store *store;
    char path[32];
    int number;
    atomic_int *wins, *losses;
    pthread_barrier_t *start;
} contest;

static void *contend(void *payload)
{
    contest *mine = payload;
    char text[32];
    snprintf(text, sizeof text, "contender %02d", mine->number);
    pthread_barrier_wait(mine->start);
    ist_status status = ist_store_put(mine->store, mine->path, text, strlen(text), IST_PUT_IF_ABSENT, NULL);
    if (status == IST_OK)
        atomic_fetch_add(mine->wins, mine->number * 1000 + 1);
    else if (status == IST_ALREADY_EXISTS)
        atomic_fetch_add(mine->losses, 1);
    return NULL;
}

void store_conformance__one_of_many_threads_wins(ist_store *store)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[CONTENDERS];
        contest contests[CONTENDERS];
        pthread_barrier_t start;
        atomic_int wins = 0, losses = 0;
        pthread_barrier_init(&start, NULL, CONTENDERS);
        for (int i = 0; i < CONTENDERS; i++) {
            contests[i] = (contest){.store = store, .number = i, .wins = &wins, .losses = &losses, .start = &start};
            snprintf(contests[i].path, sizeof contests[i].path, "log/%020d.json", round);
            assert_int_equal(pthread_create(&threads[i], NULL, contend, &contests[i]), 0);
        }
        for (int i = 0; i < CONTENDERS; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&start);
        assert_int_equal(wins % 1000, 1);
        assert_int_equal(losses, CONTENDERS - 1);
        char winner[32];
        snprintf(winner, sizeof winner, "contender %02d", wins / 1000);
        assert_content(store, contests[0].path, winner);
    }
}

static bool count_entry(const ist_store_entry *entry, void *payload)
{
    (void)entry;
    ++*(int *)payload;
    return true;
}

void store_conformance__missing_objects_are_not_found(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer buffer = IST_BUFFER_INIT;
    ist_store_entry entry;
    ist_store_reader *reader;
    put(store, "folder/x", "x");
    const char *const missing[] = {"nothing", "no/thing", "folder", "folder/x/y"};
    for (size_t i = 0; i < 4; i++) {
        ist_error_clear(&err);
        ist_status status = ist_store_get(store, missing[i], &buffer, &err);
        assert_true(status == IST_NOT_FOUND || (i == 2 && status == IST_BAD_INPUT)); /* a folder is no object */
        assert_int_equal(err.status, status);
        assert_non_null(strstr(err.message, missing[i]));
        status = ist_store_reader_open(store, missing[i], &reader, &err);
        assert_true(status == IST_NOT_FOUND || (i == 2 && status == IST_BAD_INPUT));
        assert_int_equal(ist_store_stat(store, missing[i], &entry, &err), IST_NOT_FOUND);
    }
    int entries = 0;
    assert_ok(ist_store_list(store, "no/folder", NULL, count_entry, &entries, &err), err);
    assert_int_equal(entries, 0);
    ist_buffer_free(&buffer);
}

void store_conformance__stat_tells_size_and_time(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    ist_store_entry entry = {0};
    put(store, "d/x", "12345");
    assert_ok(ist_store_stat(store, "d/x", &entry, &err), err);
    assert_string_equal(entry.path, "d/x");
    assert_int_equal(entry.size, 5);
    int64_t now = (int64_t)time(NULL) * 1000;
    assert_in_range(entry.modified_ms, now - 60000, now + 60000);
}

typedef struct listing {
    char text[512];
    int stop_after; /* 0: do not */
} listing;

static bool note_entry(const ist_store_entry *entry, void *payload)
{
    listing *list = payload;
    size_t size = strlen(list->text);
    snprintf(list->text + size, sizeof list->text - size, "%s:%d ", entry->path, (int)entry->size);
    return --list->stop_after != 0;
}

void store_conformance__list_is_sorted_and_flat(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    put(store, "log/b", "22");
    put(store, "log/a", "1");
    put(store, "log/B", "333");
    put(store, "log/a.z", "");
    put(store, "log/sub/c", "x");
    put(store, "log2/d", "x");
    put(store, "top", "x");
    listing list = {0};
    assert_ok(ist_store_list(store, "log", NULL, note_entry, &list, &err), err);
    assert_string_equal(list.text, "log/B:3 log/a:1 log/a.z:0 log/b:2 ");
    list = (listing){0};
    assert_ok(ist_store_list(store, "", NULL, note_entry, &list, &err), err);
    assert_string_equal(list.text, "top:1 ");
}

void store_conformance__list_starts_after_and_stops(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    for (int i = 0; i < 5; i++) {
        char path[16];
        snprintf(path, sizeof path, "l/%d", i);
        put(store, path, "x");
    }
    listing list = {0};
    assert_ok(ist_store_list(store, "l", "1", note_entry, &list, &err), err);
    assert_string_equal(list.text, "l/2:1 l/3:1 l/4:1 ");
    list = (listing){.stop_after = 2};
    assert_ok(ist_store_list(store, "l", "0", note_entry, &list, &err), err);
    assert_string_equal(list.text, "l/1:1 l/2:1 ");
    list = (listing){0};
    assert_ok(ist_store_list(store, "l", "2x", note_entry, &list, &err), err); /* need not be there itself */
    assert_string_equal(list.text, "l/3:1 l/4:1 ");
}

void store_conformance__remove_is_idempotent(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    put(store, "d/x", "x");
    assert_ok(ist_store_delete(store, "d/x", &err), err);
    assert_int_equal(ist_store_get(store, "d/x", &(ist_buffer)IST_BUFFER_INIT, &err), IST_NOT_FOUND);
    assert_ok(ist_store_delete(store, "d/x", &err), err);
    assert_ok(ist_store_delete(store, "never/was", &err), err);
    put(store, "d/x", "again");
    assert_content(store, "d/x", "again");
}

void store_conformance__reader_reads_ranges_and_no_further(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    ist_store_reader *reader;
    char data[8] = "";
    put(store, "x", "0123456789");
    assert_ok(ist_store_reader_open(store, "x", &reader, &err), err);
    assert_int_equal(ist_store_reader_size(reader), 10);
    assert_ok(ist_store_reader_read(reader, 3, data, 4, &err), err);
    assert_memory_equal(data, "3456", 4);
    assert_ok(ist_store_reader_read(reader, 10, data, 0, &err), err);
    assert_int_equal(ist_store_reader_read(reader, 7, data, 4, &err), IST_BAD_INPUT);
    assert_int_equal(ist_store_reader_read(reader, UINT64_MAX, data, 2, &err), IST_BAD_INPUT);
    ist_store_reader_free(reader);
    ist_store_reader_free(NULL);
}

void store_conformance__reader_keeps_what_it_opened(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    ist_store_reader *reader;
    char data[3];
    put(store, "x", "old");
    assert_ok(ist_store_reader_open(store, "x", &reader, &err), err);
    assert_ok(ist_store_put(store, "x", "newer", 5, IST_PUT_REPLACE, &err), err);
    assert_ok(ist_store_reader_read(reader, 0, data, 3, &err), err);
    assert_memory_equal(data, "old", 3);
    ist_store_reader_free(reader);
}

void store_conformance__writer_publishes_on_close_only(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    ist_store_writer *writer;
    int entries = 0;
    assert_ok(ist_store_writer_open(store, "p=1/x.parquet", &writer, &err), err);
    assert_ok(ist_store_writer_write(writer, "half ", 5, &err), err);
    assert_int_equal(ist_store_get(store, "p=1/x.parquet", &(ist_buffer)IST_BUFFER_INIT, &err), IST_NOT_FOUND);
    assert_ok(ist_store_list(store, "p=1", NULL, count_entry, &entries, &err), err);
    assert_int_equal(entries, 0);
    assert_ok(ist_store_writer_write(writer, "", 0, &err), err);
    assert_ok(ist_store_writer_write(writer, "whole", 5, &err), err);
    assert_ok(ist_store_writer_close(writer, &err), err);
    ist_store_writer_free(writer);
    assert_content(store, "p=1/x.parquet", "half whole");

    assert_ok(ist_store_writer_open(store, "p=1/y.parquet", &writer, &err), err);
    assert_ok(ist_store_writer_write(writer, "abandoned", 9, &err), err);
    ist_store_writer_free(writer);
    assert_ok(ist_store_list(store, "p=1", NULL, count_entry, &entries, &err), err);
    assert_int_equal(entries, 1);
    ist_store_writer_free(NULL);
}

void store_conformance__paths_that_leave_the_root_are_refused(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    char overlong[1100], segment[300];
    memset(overlong, 'a', sizeof overlong);
    for (size_t i = 100; i < sizeof overlong; i += 100)
        overlong[i] = '/';
    overlong[sizeof overlong - 1] = '\0';
    memset(segment, 'a', sizeof segment);
    segment[sizeof segment - 1] = '\0';
    const char *const bad[] = {"",      "/",     "/etc/passwd", "..", "../x",   "a/..",  "a/../../x",
                               "a/../b", ".",     "./a",         "a/.", "a//b",   "a/",    overlong,
                               segment};
    ist_buffer buffer = IST_BUFFER_INIT;
    ist_store_entry entry;
    ist_store_reader *reader;
    ist_store_writer *writer;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ist_store_get(store, bad[i], &buffer, &err), IST_BAD_INPUT);
        assert_int_equal(ist_store_put(store, bad[i], "x", 1, IST_PUT_IF_ABSENT, &err), IST_BAD_INPUT);
        assert_int_equal(ist_store_stat(store, bad[i], &entry, &err), IST_BAD_INPUT);
        assert_int_equal(ist_store_delete(store, bad[i], &err), IST_BAD_INPUT);
        assert_int_equal(ist_store_reader_open(store, bad[i], &reader, &err), IST_BAD_INPUT);
        assert_int_equal(ist_store_writer_open(store, bad[i], &writer, &err), IST_BAD_INPUT);
        int entries = 0;
        if (i > 0) /* "" is the root folder */
            assert_int_equal(ist_store_list(store, bad[i], NULL, count_entry, &entries, &err), IST_BAD_INPUT);
    }
}

void store_conformance__odd_names_are_kept(ist_store *store)
{
    const char *const odd[] = {"p=a b/x", "p=100%25/x", "p=\xC3\xA9/x", "..a/b..", "a:b/c?d#e", ".hidden/.x",
                               "a\\b",    "new\nline",  "...",           "quote'\"$(x)"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        put(store, odd[i], odd[i]);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_content(store, odd[i], odd[i]);
}

void store_conformance__get_keeps_to_the_limit(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer buffer = {.limit = 10};
    put(store, "x", "0123456789");
    put(store, "y", "0123456789!");
    assert_ok(ist_store_get(store, "x", &buffer, &err), err);
    ist_buffer_clear(&buffer);
    assert_int_equal(ist_store_get(store, "y", &buffer, &err), IST_NO_MEMORY);
    ist_buffer_free(&buffer);
}

void store_conformance__folders_are_made_listed_and_removed(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    listing list = {0};
    put(store, "b/x", "x");
    put(store, "top", "x");
    assert_ok(ist_store_make_folder(store, "a/deep/er", &err), err);
    assert_ok(ist_store_make_folder(store, "a/deep/er", &err), err); /* is there already */
    assert_int_equal(ist_store_make_folder(store, "top", &err), IST_ALREADY_EXISTS);
    assert_ok(ist_store_list_folders(store, "", note_entry, &list, &err), err);
    assert_string_equal(list.text, "a:0 b:0 ");
    list = (listing){0};
    assert_ok(ist_store_list_folders(store, "a", note_entry, &list, &err), err);
    assert_string_equal(list.text, "a/deep:0 ");
    list = (listing){0};
    assert_ok(ist_store_list_folders(store, "no/where", note_entry, &list, &err), err);
    assert_string_equal(list.text, "");

    assert_int_equal(ist_store_delete_folder(store, "a/deep", &err), IST_CONFLICT);
    assert_int_equal(ist_store_delete_folder(store, "b", &err), IST_CONFLICT);
    assert_ok(ist_store_delete_folder(store, "a/deep/er", &err), err);
    assert_ok(ist_store_delete_folder(store, "a/deep", &err), err);
    assert_ok(ist_store_delete_folder(store, "a/deep", &err), err); /* is gone already */
    assert_content(store, "b/x", "x");
}

void store_conformance__rename_replaces_nothing(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    put(store, "a/x", "one");
    put(store, "b/x", "two");
    assert_int_equal(ist_store_rename(store, "a/x", "b/x", &err), IST_ALREADY_EXISTS);
    assert_content(store, "a/x", "one");
    assert_ok(ist_store_rename(store, "a/x", "new/er/x", &err), err);
    assert_content(store, "new/er/x", "one");
    assert_int_equal(ist_store_get(store, "a/x", &(ist_buffer)IST_BUFFER_INIT, &err), IST_NOT_FOUND);
    assert_ok(ist_store_rename(store, "new", "moved", &err), err); /* a folder */
    assert_content(store, "moved/er/x", "one");
    assert_int_equal(ist_store_rename(store, "nothing", "c", &err), IST_NOT_FOUND);
    assert_int_equal(ist_store_rename(store, "b/x", "../x", &err), IST_BAD_INPUT);
    assert_content(store, "b/x", "two");
}
