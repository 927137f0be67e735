/* test_chunk_store.c: states, leases and accounting of chunks, without sockets. */
#include "exchange/chunk_store.h"
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { MIB = 1 << 20 };
static const char no_id[] = "0189abcd-ef01-4345-8789-abcdef012345";

typedef struct fixture {
    ist__chunk_store *store;
    ist__holder *holder;
    char exchange[IST_ID_SIZE];
    ist_error err;
} fixture;

static void set_up(fixture *f, uint64_t limit, const char *spill_dir)
{
    f->err = (ist_error)IST_ERROR_INIT;
    assert_ok(ist__chunk_store_new(limit, spill_dir, &f->store, &f->err), f->err);
    assert_ok(ist__holder_new(f->store, &f->holder, &f->err), f->err);
    assert_ok(ist__holder_create(f->holder, f->exchange, &f->err), f->err);
}

static ist__chunk_counters counters(const fixture *f)
{
    ist__chunk_counters n;
    ist__chunk_store_counters(f->store, &n);
    return n;
}

/* Free everything; nothing may be left charged. */
static void tear_down(fixture *f)
{
    ist__holder_free(f->holder);
    ist__chunk_counters n = counters(f);
    assert_int_equal(n.memory_used, 0);
    assert_int_equal(n.spill_used, 0);
    assert_int_equal(n.chunks, 0);
    assert_int_equal(n.exchanges, 0);
    assert_int_equal(n.leases, 0);
    ist__chunk_store_free(f->store);
}

static int open_files(void)
{
    int count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* A sealed chunk of `size` bytes, all `fill`. */
static ist_chunk_info make_chunk(fixture *f, uint64_t size, char fill)
{
    ist__segment segment;
    ist_chunk_info info;
    char *data = malloc(size);
    memset(data, fill, size);
    assert_ok(ist__holder_grant(f->holder, f->exchange, size, &segment, &f->err), f->err);
    assert_int_equal(pwrite(segment.fd, data, size, 0), (ssize_t)size);
    assert_ok(ist__holder_seal(f->holder, segment.info.id, size, 1, &info, &f->err), f->err);
    free(data);
    return info;
}

static void expect_content(int fd, uint64_t size, char fill)
{
    char *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(data != MAP_FAILED);
    for (uint64_t i = 0; i < size; i++)
        if (data[i] != fill)
            fail_msg("byte %zu is %d", (size_t)i, data[i]);
    munmap(data, size);
}

static void test_exchange_chunk_store__grants_fills_seals_maps(void **state)
{
    (void)state;
    int files = open_files();
    fixture f;
    ist__segment segment, mapped;
    ist_chunk_info info;
    uint64_t granted;
    set_up(&f, 64 * MIB, NULL);
    assert_ok(ist__holder_grant(f.holder, f.exchange, 5000, &segment, &f.err), f.err);
    assert_int_equal(segment.info.bytes, 8192);
    assert_string_equal(segment.info.exchange, f.exchange);
    assert_int_equal(ist__holder_map(f.holder, segment.info.id, &mapped, &f.err), IST_NOT_FOUND); /* not yet sealed */
    assert_ok(ist__holder_grow(f.holder, segment.info.id, 3 * MIB, &granted, &f.err), f.err);
    assert_int_equal(granted, 3 * MIB);
    assert_ok(ist__holder_grow(f.holder, segment.info.id, 10, &granted, &f.err), f.err); /* never shrinks */
    assert_int_equal(granted, 3 * MIB);
    assert_int_equal(counters(&f).memory_used, 3 * MIB);
    assert_int_equal(pwrite(segment.fd, "hello", 5, 0), 5);
    assert_ok(ist__holder_seal(f.holder, segment.info.id, 5, 42, &info, &f.err), f.err);
    assert_int_equal(info.bytes, 5);
    assert_int_equal(info.rows, 42);
    assert_false(info.spilled);
    assert_int_equal(counters(&f).memory_used, 4096);
    assert_ok(ist__holder_map(f.holder, info.id, &mapped, &f.err), f.err);
    struct stat file;
    assert_int_equal(fstat(mapped.fd, &file), 0);
    assert_int_equal(file.st_size, 5);
    tear_down(&f);
    assert_int_equal(open_files(), files);
}

static void test_exchange_chunk_store__sealed_is_immutable(void **state)
{
    (void)state;
    fixture f;
    ist__segment segment;
    ist_chunk_info info;
    set_up(&f, MIB, NULL);
    assert_ok(ist__holder_grant(f.holder, f.exchange, 8192, &segment, &f.err), f.err);
    void *window = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, segment.fd, 0);
    assert_true(window != MAP_FAILED);
    /* Who could still write to it through a mapping keeps it from being sealed. */
    assert_int_equal(ist__holder_seal(f.holder, segment.info.id, 100, 1, &info, &f.err), IST_BAD_INPUT);
    assert_non_null(strstr(f.err.message, "still mapped for writing"));
    munmap(window, 8192);
    int writer = dup(segment.fd);
    assert_ok(ist__holder_seal(f.holder, segment.info.id, 100, 1, &info, &f.err), f.err);
    assert_int_equal(pwrite(writer, "x", 1, 0), -1);
    assert_int_equal(ftruncate(writer, 0), -1);
    assert_int_equal(ftruncate(writer, 1 << 20), -1);
    assert_true(mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0) == MAP_FAILED);
    close(writer);
    tear_down(&f);
}

static void test_exchange_chunk_store__seal_is_checked(void **state)
{
    (void)state;
    fixture f;
    ist__segment segment;
    ist_chunk_info info;
    ist__holder *other;
    set_up(&f, MIB, NULL);
    assert_ok(ist__holder_new(f.store, &other, &f.err), f.err);
    assert_ok(ist__holder_grant(f.holder, f.exchange, 4096, &segment, &f.err), f.err);
    const char *id = segment.info.id;
    assert_int_equal(ist__holder_seal(f.holder, id, 0, 1, &info, &f.err), IST_BAD_INPUT);
    assert_int_equal(ist__holder_seal(f.holder, id, 4097, 1, &info, &f.err), IST_BAD_INPUT);
    assert_int_equal(ist__holder_seal(f.holder, id, 10, -1, &info, &f.err), IST_BAD_INPUT);
    assert_int_equal(ist__holder_seal(other, id, 10, 1, &info, &f.err), IST_NOT_FOUND); /* another's grant */
    assert_int_equal(ist__holder_cancel(other, id, &f.err), IST_NOT_FOUND);
    assert_ok(ist__holder_seal(f.holder, id, 10, 1, &info, &f.err), f.err);
    assert_int_equal(ist__holder_seal(f.holder, id, 10, 1, &info, &f.err), IST_NOT_FOUND); /* twice */
    assert_int_equal(ist__holder_cancel(f.holder, id, &f.err), IST_NOT_FOUND);
    ist__holder_free(other);
    tear_down(&f);
}

static void test_exchange_chunk_store__last_lease_frees(void **state)
{
    (void)state;
    fixture f;
    ist__holder *second, *reader;
    ist__segment segment;
    set_up(&f, 64 * MIB, NULL);
    ist_chunk_info info = make_chunk(&f, MIB, 'a');
    assert_ok(ist__holder_new(f.store, &second, &f.err), f.err);
    assert_ok(ist__holder_new(f.store, &reader, &f.err), f.err);
    assert_ok(ist__holder_hold(second, f.exchange, &f.err), f.err);
    assert_ok(ist__holder_hold(second, f.exchange, &f.err), f.err); /* counted */
    assert_int_equal(counters(&f).leases, 3);
    assert_ok(ist__holder_release(f.holder, f.exchange, &f.err), f.err);
    assert_int_equal(ist__holder_release(f.holder, f.exchange, &f.err), IST_NOT_FOUND);
    assert_ok(ist__holder_release(second, f.exchange, &f.err), f.err);
    assert_ok(ist__holder_map(reader, info.id, &segment, &f.err), f.err); /* still there */
    ist__holder_unmap(reader, info.id);
    assert_ok(ist__holder_grant(f.holder, f.exchange, 4096, &segment, &f.err), f.err); /* no lease of its own needed */
    ist__holder_free(second);                                                          /* the last, by "death" */
    assert_int_equal(counters(&f).memory_used, 0);
    assert_int_equal(counters(&f).exchanges, 0);
    assert_int_equal(ist__holder_map(reader, info.id, &segment, &f.err), IST_NOT_FOUND);
    assert_int_equal(ist__holder_hold(reader, f.exchange, &f.err), IST_NOT_FOUND);
    assert_int_equal(ist__holder_grant(reader, f.exchange, 4096, &segment, &f.err), IST_NOT_FOUND);
    assert_int_equal(ist__holder_seal(f.holder, segment.info.id, 1, 1, &info, &f.err), IST_NOT_FOUND);
    ist__holder_free(reader);
    tear_down(&f);
}

static void test_exchange_chunk_store__grant_dies_with_its_writer(void **state)
{
    (void)state;
    fixture f;
    ist__holder *writer;
    ist__segment segment;
    ist_chunk_info info;
    set_up(&f, 64 * MIB, NULL);
    assert_ok(ist__holder_new(f.store, &writer, &f.err), f.err);
    assert_ok(ist__holder_grant(writer, f.exchange, MIB, &segment, &f.err), f.err);
    assert_ok(ist__holder_seal(writer, segment.info.id, 10, 1, &info, &f.err), f.err);
    assert_ok(ist__holder_grant(writer, f.exchange, MIB, &segment, &f.err), f.err);
    ist__holder_free(writer);
    assert_int_equal(counters(&f).memory_used, 4096); /* what it sealed stays: the exchange has its lease */
    assert_int_equal(counters(&f).chunks, 1);
    assert_ok(ist__holder_map(f.holder, info.id, &segment, &f.err), f.err);
    tear_down(&f);
}

static void test_exchange_chunk_store__keeps_to_its_limit(void **state)
{
    (void)state;
    fixture f;
    ist__segment segment, second;
    uint64_t granted;
    set_up(&f, 4 * MIB, NULL);
    assert_ok(ist__holder_grant(f.holder, f.exchange, 3 * MIB, &segment, &f.err), f.err);
    assert_int_equal(ist__holder_grant(f.holder, f.exchange, 2 * MIB, &second, &f.err), IST_NO_MEMORY);
    assert_non_null(strstr(f.err.message, "3 of 4 MiB are in use, 2 MiB more"));
    assert_non_null(strstr(f.err.message, "--memory"));
    assert_int_equal(ist__holder_grow(f.holder, segment.info.id, 4 * MIB + 1, &granted, &f.err), IST_NO_MEMORY);
    assert_int_equal(ist__holder_grow(f.holder, segment.info.id, UINT64_MAX, &granted, &f.err), IST_NO_MEMORY);
    assert_int_equal(ist__holder_grant(f.holder, f.exchange, UINT64_MAX, &second, &f.err), IST_NO_MEMORY);
    assert_ok(ist__holder_grow(f.holder, segment.info.id, 4 * MIB, &granted, &f.err), f.err);
    assert_int_equal(counters(&f).memory_used, 4 * MIB);
    assert_ok(ist__holder_cancel(f.holder, segment.info.id, &f.err), f.err);
    assert_int_equal(counters(&f).memory_used, 0);
    assert_ok(ist__holder_grant(f.holder, f.exchange, 4 * MIB, &segment, &f.err), f.err);
    tear_down(&f);
}

static void test_exchange_chunk_store__freed_stays_charged_while_mapped(void **state)
{
    (void)state;
    fixture f;
    ist__holder *reader;
    ist__segment segment;
    set_up(&f, 64 * MIB, NULL);
    ist_chunk_info one = make_chunk(&f, MIB, '1'), two = make_chunk(&f, MIB, '2');
    assert_ok(ist__holder_new(f.store, &reader, &f.err), f.err);
    assert_ok(ist__holder_map(reader, one.id, &segment, &f.err), f.err);
    assert_ok(ist__holder_map(reader, one.id, &segment, &f.err), f.err);
    assert_ok(ist__holder_map(reader, two.id, &segment, &f.err), f.err);
    assert_ok(ist__holder_free_chunk(f.holder, one.id, &f.err), f.err);
    assert_int_equal(ist__holder_free_chunk(f.holder, one.id, &f.err), IST_NOT_FOUND);
    assert_int_equal(counters(&f).memory_used, 2 * MIB);
    ist__holder_unmap(reader, one.id);
    assert_int_equal(counters(&f).memory_used, 2 * MIB);
    ist__holder_unmap(reader, one.id);
    assert_int_equal(counters(&f).memory_used, MIB);
    ist__holder_unmap(reader, one.id); /* once too often, and one never mapped: ignored */
    ist__holder_unmap(reader, no_id);
    assert_ok(ist__holder_release(f.holder, f.exchange, &f.err), f.err);
    assert_int_equal(counters(&f).memory_used, MIB);
    expect_content(segment.fd, MIB, '2');
    ist__holder_free(reader);
    assert_int_equal(counters(&f).memory_used, 0);
    assert_int_equal(counters(&f).freed, 2);
    tear_down(&f);
}

static ist_status spill_one(fixture *f)
{
    ist__spill spill;
    assert_true(ist__chunk_store_spill_begin(f->store, &spill));
    ist__spill_run(&spill);
    return ist__chunk_store_spill_end(f->store, &spill, &f->err);
}

static void test_exchange_chunk_store__spills_least_recently_used(void **state)
{
    (void)state;
    int files = open_files();
    char *folder = new_folder();
    ist_buffer dir = IST_BUFFER_INIT;
    fixture f;
    ist__segment segment;
    ist__spill spill;
    ist_buffer_printf(&dir, NULL, "%s/spill", folder);
    set_up(&f, 4 * MIB, dir.data);
    ist_chunk_info a = make_chunk(&f, MIB, 'a'), b = make_chunk(&f, MIB, 'b'), c = make_chunk(&f, MIB, 'c');
    assert_ok(ist__holder_map(f.holder, a.id, &segment, &f.err), f.err); /* now b is the oldest */
    ist__holder_unmap(f.holder, a.id);
    assert_ok(spill_one(&f), f.err);
    assert_int_equal(counters(&f).memory_used, 2 * MIB);
    assert_int_equal(counters(&f).spill_used, MIB);
    assert_int_equal(counters(&f).spill_writes, 1);
    assert_int_equal(counters(&f).spilled_bytes, MIB);
    assert_ok(ist__holder_map(f.holder, b.id, &segment, &f.err), f.err);
    assert_true(segment.info.spilled);
    expect_content(segment.fd, MIB, 'b');
    assert_int_equal(pwrite(segment.fd, "x", 1, 0), -1); /* readers cannot write to it */
    assert_int_equal(rmdir(dir.data), 0);                /* and it has no name */
    assert_ok(ist__holder_map(f.holder, c.id, &segment, &f.err), f.err);
    assert_false(segment.info.spilled);
    assert_ok(spill_one(&f), f.err); /* c is mapped: a goes */
    assert_ok(ist__holder_map(f.holder, a.id, &segment, &f.err), f.err);
    assert_true(segment.info.spilled);
    assert_false(ist__chunk_store_spill_begin(f.store, &spill)); /* nothing is left that would help */
    assert_ok(ist__holder_free_chunk(f.holder, b.id, &f.err), f.err);
    tear_down(&f);
    assert_int_equal(open_files(), files);
    ist_buffer_free(&dir);
    remove_folder(folder);
}

static void test_exchange_chunk_store__spilling_meets_free_and_map(void **state)
{
    (void)state;
    int files = open_files();
    char *folder = new_folder();
    fixture f;
    ist__segment segment;
    ist__spill spill;
    set_up(&f, 4 * MIB, folder);
    ist_chunk_info a = make_chunk(&f, MIB, 'a');
    assert_true(ist__chunk_store_spill_begin(f.store, &spill));
    assert_ok(ist__holder_free_chunk(f.holder, a.id, &f.err), f.err);
    assert_int_equal(counters(&f).memory_used, MIB); /* the copy is still being made from it */
    ist__spill_run(&spill);
    assert_ok(ist__chunk_store_spill_end(f.store, &spill, &f.err), f.err);
    assert_int_equal(counters(&f).memory_used, 0);
    assert_int_equal(counters(&f).spill_used, 0);

    a = make_chunk(&f, MIB, 'A');
    assert_true(ist__chunk_store_spill_begin(f.store, &spill));
    assert_ok(ist__holder_map(f.holder, a.id, &segment, &f.err), f.err);
    ist__spill_run(&spill);
    assert_ok(ist__chunk_store_spill_end(f.store, &spill, &f.err), f.err);
    assert_int_equal(counters(&f).memory_used, MIB); /* mapped meanwhile: it stays where it is */
    assert_ok(ist__holder_map(f.holder, a.id, &segment, &f.err), f.err);
    assert_false(segment.info.spilled);
    tear_down(&f);
    assert_int_equal(open_files(), files);
    remove_folder(folder);
}

static void test_exchange_chunk_store__failed_spill_keeps_the_chunk(void **state)
{
    (void)state;
    int files = open_files();
    fixture f;
    ist__segment segment;
    set_up(&f, 4 * MIB, "/proc/no/such/folder");
    ist_chunk_info a = make_chunk(&f, MIB, 'a');
    assert_int_equal(spill_one(&f), IST_IO);
    assert_non_null(strstr(f.err.message, "/proc/no/such/folder"));
    assert_int_equal(counters(&f).spill_writes, 0);
    assert_ok(ist__holder_map(f.holder, a.id, &segment, &f.err), f.err);
    expect_content(segment.fd, MIB, 'a');
    tear_down(&f);

    set_up(&f, 4 * MIB, "/dev/full"); /* not a folder */
    make_chunk(&f, MIB, 'a');
    assert_int_equal(spill_one(&f), IST_IO);
    tear_down(&f);
    assert_int_equal(open_files(), files);
}

static void test_exchange_chunk_store__holds_many(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    fixture f;
    ist__segment segment;
    static char ids[COUNT][IST_ID_SIZE], exchanges[COUNT][IST_ID_SIZE];
    set_up(&f, 64 * MIB, NULL);
    for (int i = 0; i < COUNT; i++) {
        ist_chunk_info info = make_chunk(&f, 1, (char)i);
        memcpy(ids[i], info.id, IST_ID_SIZE);
        assert_ok(ist__holder_create(f.holder, exchanges[i], &f.err), f.err);
    }
    assert_int_equal(counters(&f).chunks, COUNT);
    assert_int_equal(counters(&f).exchanges, COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        assert_ok(ist__holder_map(f.holder, ids[i], &segment, &f.err), f.err);
        expect_content(segment.fd, 1, (char)i);
        if (i % 2) {
            assert_ok(ist__holder_free_chunk(f.holder, ids[i], &f.err), f.err);
            assert_ok(ist__holder_release(f.holder, exchanges[i], &f.err), f.err);
        }
    }
    assert_int_equal(counters(&f).chunks, COUNT / 2);
    assert_int_equal(counters(&f).exchanges, COUNT / 2 + 1);
    assert_int_equal(ist__holder_map(f.holder, no_id, &segment, &f.err), IST_NOT_FOUND);
    tear_down(&f);
}

static void test_exchange_chunk_store__default_limit_is_sane(void **state)
{
    (void)state;
    assert_true(ist__chunk_store_default_limit() > MIB);
    assert_true(ist__chunk_store_default_limit() < (uint64_t)sysconf(_SC_PHYS_PAGES) * 4096);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_chunk_store__grants_fills_seals_maps),
        cmocka_unit_test(test_exchange_chunk_store__sealed_is_immutable),
        cmocka_unit_test(test_exchange_chunk_store__seal_is_checked),
        cmocka_unit_test(test_exchange_chunk_store__last_lease_frees),
        cmocka_unit_test(test_exchange_chunk_store__grant_dies_with_its_writer),
        cmocka_unit_test(test_exchange_chunk_store__keeps_to_its_limit),
        cmocka_unit_test(test_exchange_chunk_store__freed_stays_charged_while_mapped),
        cmocka_unit_test(test_exchange_chunk_store__spills_least_recently_used),
        cmocka_unit_test(test_exchange_chunk_store__spilling_meets_free_and_map),
        cmocka_unit_test(test_exchange_chunk_store__failed_spill_keeps_the_chunk),
        cmocka_unit_test(test_exchange_chunk_store__holds_many),
        cmocka_unit_test(test_exchange_chunk_store__default_limit_is_sane),
    };
    return run_group(tests, argc, argv);
}
