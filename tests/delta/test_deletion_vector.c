/* test_deletion_vector.c: deletion vectors inline and in files. Those that Spark writes are read by test_scan.c. */
#include "delta/delta_internal.h"
#include "isthmus/sys/storage.h"
#include "testing.h"

#include <string.h>

/* The examples of PROTOCOL.md, "Deletion Vectors". */
static const char inline_example[] = "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L";
static const char path_example[] = "ab^-aqEH.-t@S}K{vb[*k^";

static const ist__dv example = {.storage_type = 'i', .path_or_inline = inline_example, .offset = -1,
                                .size_in_bytes = 40, .cardinality = 6};

static void test_delta_deletion_vector__inline(void **state)
{
    (void)state;
    static const int deleted[] = {3, 4, 7, 11, 18, 29};
    ist_error err = IST_ERROR_INIT;
    uint8_t *keep;
    assert_ok(ist__dv_read(NULL, &example, 30, &keep, &err), err);
    for (int row = 0, k = 0; row < 30; row++) {
        bool gone = k < 6 && deleted[k] == row;
        k += gone;
        assert_int_equal(keep[row / 8] >> (row % 8) & 1, !gone);
    }
    free(keep);
    assert_int_equal(ist__dv_read(NULL, &example, 29, &keep, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "rows that the file does not have"));
    ist__dv wrong = example;
    wrong.cardinality = 7;
    assert_int_equal(ist__dv_read(NULL, &wrong, 30, &keep, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "as many rows as the log says"));
    wrong = example;
    wrong.size_in_bytes = 36;
    assert_int_equal(ist__dv_read(NULL, &wrong, 30, &keep, &err), IST_BAD_INPUT);
    wrong.path_or_inline = "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{~";
    assert_int_equal(ist__dv_read(NULL, &wrong, 30, &keep, &err), IST_BAD_INPUT);
    wrong.path_or_inline = "00000";
    wrong.size_in_bytes = 4;
    assert_int_equal(ist__dv_read(NULL, &wrong, 30, &keep, &err), IST_UNSUPPORTED);
    wrong.storage_type = 'x';
    assert_int_equal(ist__dv_read(NULL, &wrong, 30, &keep, &err), IST_UNSUPPORTED);
}

static void test_delta_deletion_vector__slice(void **state)
{
    (void)state;
    const uint8_t keep[] = {0x5A, 0xC3, 0x0F, 0x91};
    for (int64_t rows = 25; rows <= 32; rows++) {
        for (int64_t first = 0; first < rows; first++) {
            for (int64_t count = 1; count <= rows - first; count++) {
                uint8_t *out = malloc((size_t)(count + 7) / 8); /* exactly: ASan sees what goes past it */
                ist__dv_slice(keep, rows, first, count, out);
                for (int64_t i = 0; i < count; i++)
                    assert_int_equal(out[i / 8] >> (i % 8) & 1, keep[(first + i) / 8] >> ((first + i) % 8) & 1);
                free(out);
            }
        }
    }
}

static void test_delta_deletion_vector__path(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer path = IST_BUFFER_INIT;
    ist__dv dv = {.storage_type = 'u', .path_or_inline = path_example};
    assert_ok(ist__dv_path(&dv, &path, &err), err);
    assert_string_equal(path.data, "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
    ist_buffer_clear(&path);
    dv.path_or_inline += 2;
    assert_ok(ist__dv_path(&dv, &path, &err), err);
    assert_string_equal(path.data, "deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
    dv.path_or_inline += 1;
    assert_int_equal(ist__dv_path(&dv, &path, &err), IST_BAD_INPUT);
    ist_buffer_free(&path);
}

/* A file of two vectors: rows {1} and rows {0, 2}; checksums by Python's zlib.crc32. */
static const uint8_t file[] = {
    1,
    0, 0, 0, 34, 0xD1, 0xD3, 0x39, 0x64, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3A, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    16, 0, 0, 0, 1, 0, 0xEE, 0xBD, 0x85, 0xF4,
    0, 0, 0, 36, 0xD1, 0xD3, 0x39, 0x64, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3A, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0,
    16, 0, 0, 0, 0, 0, 2, 0, 0xC9, 0x93, 0xC1, 0x8D};

static void test_delta_deletion_vector__file(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    uint8_t *keep, broken[sizeof file];
    static const char path[] = "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin";
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_ok(ist_store_put(store, path, file, sizeof file, IST_PUT_REPLACE, &err), err);
    ist__dv first = {.storage_type = 'u', .path_or_inline = path_example, .offset = 1, .size_in_bytes = 34,
                     .cardinality = 1};
    ist__dv second = {.storage_type = 'u', .path_or_inline = path_example, .offset = 43, .size_in_bytes = 36,
                      .cardinality = 2};
    assert_ok(ist__dv_read(store, &first, 3, &keep, &err), err);
    assert_int_equal(keep[0] & 7, 5);
    free(keep);
    assert_ok(ist__dv_read(store, &second, 3, &keep, &err), err);
    assert_int_equal(keep[0] & 7, 2);
    free(keep);
    second.offset = 44;
    assert_int_equal(ist__dv_read(store, &second, 3, &keep, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, path));
    second.offset = 43;
    for (size_t size = 0; size < sizeof file; size += 7) { /* cut short anywhere */
        assert_ok(ist_store_put(store, path, file, size, IST_PUT_REPLACE, &err), err);
        assert_int_equal(ist__dv_read(store, &second, 3, &keep, &err), IST_BAD_INPUT);
    }
    memcpy(broken, file, sizeof file);
    broken[80] ^= 1;
    assert_ok(ist_store_put(store, path, broken, sizeof broken, IST_PUT_REPLACE, &err), err);
    assert_int_equal(ist__dv_read(store, &second, 3, &keep, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "its checksum is wrong"));
    broken[0] = 2;
    assert_ok(ist_store_put(store, path, broken, sizeof broken, IST_PUT_REPLACE, &err), err);
    assert_int_equal(ist__dv_read(store, &first, 3, &keep, &err), IST_UNSUPPORTED);
    assert_ok(ist_store_delete(store, path, &err), err);
    assert_int_equal(ist__dv_read(store, &first, 3, &keep, &err), IST_NOT_FOUND);
    ist_store_free(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_deletion_vector__inline),
        cmocka_unit_test(test_delta_deletion_vector__slice),
        cmocka_unit_test(test_delta_deletion_vector__path),
        cmocka_unit_test(test_delta_deletion_vector__file),
    };
    return run_group(tests, argc, argv);
}
