/* test_file_store.c: local folders: the suite of all stores, symbolic links, crashes, and errors of the system. */
#include "conformance/store_conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char *folder;

static ist_store *conformance_open(void)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    folder = new_folder();
    assert_ok(ist_store_open(folder, NULL, &store, &err), err);
    return store;
}

static void conformance_close(ist_store *store)
{
    ist_store_free(store);
    remove_folder(folder);
}

STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_TEST)
STORE_FOLDER_CASES(STORE_CONFORMANCE_TEST)

static void make(const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_link(const char *target, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(symlink(target, path), 0);
}

static bool count_entry(const ist_store_entry *entry, void *payload)
{
    (void)entry;
    ++*(int *)payload;
    return true;
}

static void test_file_store_open__makes_the_root_on_request(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    folder = new_folder();
    char root[4096];
    snprintf(root, sizeof root, "file://%s/a%%20b/t/", folder);
    ist_store *store;
    assert_ok(ist_store_open(root, NULL, &store, &err), err); /* not looked at before it is used */
    assert_int_equal(ist_store_put(store, "x", "x", 1, IST_PUT_REPLACE, &err), IST_NOT_FOUND);
    int entries = 0;
    assert_ok(ist_store_list(store, "_delta_log", NULL, count_entry, &entries, &err), err);
    ist_store_free(store);

    ist_store_options options = IST_STORE_OPTIONS_INIT;
    options.create = true;
    assert_ok(ist_store_open(root, &options, &store, &err), err);
    assert_ok(ist_store_put(store, "x", "x", 1, IST_PUT_REPLACE, &err), err);
    snprintf(root, sizeof root, "file://%s/a%%20b/t", folder);
    assert_string_equal(ist_store_uri(store), root);
    ist_store_free(store);

    make("plain", "");
    snprintf(root, sizeof root, "%s/plain", folder);
    assert_int_not_equal(ist_store_open(root, &options, &store, &err), IST_OK);
    remove_folder(folder);
}

static void test_file_store_links__inside_the_root_only(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = conformance_open();
    ist_buffer buffer = IST_BUFFER_INIT;
    ist_store_entry entry;
    ist_store_writer *writer;
    make("inside", "inside");
    make_link("inside", "link");
    make_link("/etc", "etc");
    make_link("/etc/passwd", "passwd");
    make_link("../../../../../../etc/passwd", "dots");
    assert_ok(ist_store_get(store, "link", &buffer, &err), err);
    assert_string_equal(buffer.data, "inside");
    const char *const bad[] = {"etc/passwd", "passwd", "dots"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ist_store_get(store, bad[i], &buffer, &err), IST_BAD_INPUT);
        assert_non_null(strstr(err.message, "symbolic link"));
        assert_int_equal(ist_store_stat(store, bad[i], &entry, &err), IST_BAD_INPUT);
    }
    assert_int_equal(ist_store_put(store, "etc/isthmus_x", "x", 1, IST_PUT_REPLACE, &err), IST_BAD_INPUT);
    assert_int_equal(ist_store_put(store, "etc/new/isthmus_x", "x", 1, IST_PUT_REPLACE, &err), IST_BAD_INPUT);
    assert_int_equal(ist_store_writer_open(store, "etc/isthmus_x", &writer, &err), IST_BAD_INPUT);
    assert_int_equal(ist_store_delete(store, "etc/passwd", &err), IST_BAD_INPUT);
    int entries = 0;
    assert_int_equal(ist_store_list(store, "etc", NULL, count_entry, &entries, &err), IST_BAD_INPUT);
    assert_ok(ist_store_list(store, "", NULL, count_entry, &entries, &err), err);
    assert_int_equal(entries, 2); /* "inside" and "link" */

    /* Replacing a link replaces the link, not what it points to. */
    assert_ok(ist_store_put(store, "passwd", "x", 1, IST_PUT_REPLACE, &err), err);
    assert_ok(ist_store_get(store, "passwd", &buffer, &err), err);
    assert_string_equal(buffer.data, "insidex");
    ist_buffer_free(&buffer);
    conformance_close(store);
}

static void test_file_store_list__hides_temporary_files(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = conformance_open();
    make(".x.json.0c5b7a0e-0000-4000-8000-000000000000.tmp", "left by a killed writer");
    int entries = 0;
    assert_ok(ist_store_list(store, "", NULL, count_entry, &entries, &err), err);
    assert_int_equal(entries, 0);
    conformance_close(store);
}

static void test_file_store_errors__name_path_and_cause(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = conformance_open();
    if (geteuid() != 0) {
        chmod(folder, 0500);
        assert_int_equal(ist_store_put(store, "x", "x", 1, IST_PUT_REPLACE, &err), IST_FORBIDDEN);
        assert_non_null(strstr(err.message, folder));
        assert_non_null(strstr(err.message, "permission denied"));
        chmod(folder, 0700);
    }
    /* A device that is always full, reached as a file that is there already. */
    ist_store *dev;
    assert_ok(ist_store_open("/dev", NULL, &dev, &err), err);
    assert_int_equal(ist_store_get(dev, "full", &(ist_buffer)IST_BUFFER_INIT, &err), IST_BAD_INPUT);
    ist_store_free(dev);
    ist_store *proc; /* a file system that takes no new files, whoever asks */
    assert_ok(ist_store_open("file:///proc/self/fdinfo", NULL, &proc, &err), err);
    ist_status status = ist_store_put(proc, "x", "x", 1, IST_PUT_IF_ABSENT, &err);
    assert_true(status == IST_FORBIDDEN || status == IST_IO || status == IST_NOT_FOUND);
    assert_non_null(strstr(err.message, "/proc/self/fdinfo/x"));
    ist_store_free(proc);
    conformance_close(store);
}

/* A limit on file sizes stands for a full disk: write fails in the middle in the same way, with another errno. */
static void test_file_store_errors__a_failed_write_leaves_nothing(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = conformance_open();
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){4096, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    char data[10000] = "";
    ist_status put = ist_store_put(store, "x", data, sizeof data, IST_PUT_IF_ABSENT, &err);
    ist_store_writer *writer;
    ist_status opened = ist_store_writer_open(store, "y", &writer, NULL);
    ist_status written = opened == IST_OK ? ist_store_writer_write(writer, data, sizeof data, NULL) : IST_OK;
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(put, IST_IO);
    assert_int_equal(err.code, EFBIG);
    assert_int_equal(written, IST_IO);
    ist_store_writer_free(writer);
    char command[4200];
    snprintf(command, sizeof command, "test -z \"$(ls -A '%s')\"", folder);
    assert_int_equal(system(command), 0);
    conformance_close(store);
}

/* What the child of the crash test does until it is killed: whole objects only, of a known pattern. */
static void write_without_end(ist_store *store)
{
    static char data[1 << 20];
    for (unsigned i = 0;; i++) {
        char path[64];
        memset(data, 'a' + (int)(i % 26), sizeof data);
        size_t size = sizeof data - i % 1000;
        snprintf(path, sizeof path, "put/%06u", i);
        if (ist_store_put(store, path, data, size, IST_PUT_IF_ABSENT, NULL) == IST_ALREADY_EXISTS)
            continue;
        ist_store_put(store, "put/last", data, size, IST_PUT_REPLACE, NULL);
        snprintf(path, sizeof path, "written/%06u", i);
        ist_store_writer *writer;
        if (ist_store_writer_open(store, path, &writer, NULL) != IST_OK)
            _exit(1);
        for (size_t done = 0; done < size; done += 100000)
            ist_store_writer_write(writer, data, size - done < 100000 ? size - done : 100000, NULL);
        ist_store_writer_close(writer, NULL);
        ist_store_writer_free(writer);
    }
}

typedef struct check {
    ist_store *store;
    int count;
} check;

static bool assert_whole(const ist_store_entry *entry, void *payload)
{
    check *self = payload;
    ist_error err = IST_ERROR_INIT;
    ist_buffer buffer = IST_BUFFER_INIT;
    assert_ok(ist_store_get(self->store, entry->path, &buffer, &err), err);
    const char *name = strrchr(entry->path, '/') + 1;
    if (strcmp(name, "last") != 0) {
        unsigned i = (unsigned)strtoul(name, NULL, 10);
        assert_int_equal(buffer.size, (1 << 20) - i % 1000);
        assert_int_equal(buffer.data[0], 'a' + i % 26);
    }
    for (size_t k = 1; k < buffer.size; k++)
        if (buffer.data[k] != buffer.data[0])
            fail_msg("%s is torn at %zu", entry->path, k);
    ist_buffer_free(&buffer);
    self->count++;
    return true;
}

static void test_file_store_crash__nothing_partial_is_visible(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = conformance_open();
    for (int round = 0; round < 12; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_without_end(store);
        struct timespec pause = {0, 20000000 + round * 1700000};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        int result;
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_true(WIFSIGNALED(result));
    }
    check puts = {store, 0}, writes = {store, 0};
    assert_ok(ist_store_list(store, "put", NULL, assert_whole, &puts, &err), err);
    assert_ok(ist_store_list(store, "written", NULL, assert_whole, &writes, &err), err);
    assert_true(puts.count > 0 && writes.count > 0);
    conformance_close(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_ENTRY) STORE_FOLDER_CASES(STORE_CONFORMANCE_ENTRY)
        cmocka_unit_test(test_file_store_open__makes_the_root_on_request),
        cmocka_unit_test(test_file_store_links__inside_the_root_only),
        cmocka_unit_test(test_file_store_list__hides_temporary_files),
        cmocka_unit_test(test_file_store_errors__name_path_and_cause),
        cmocka_unit_test(test_file_store_errors__a_failed_write_leaves_nothing),
        cmocka_unit_test(test_file_store_crash__nothing_partial_is_visible),
    };
    return run_group(tests, argc, argv);
}
