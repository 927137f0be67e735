/* test_wire.c: frames there and back, frames that are wrong. */
#include "exchange/wire.h"
#include "testing.h"

#include <string.h>

static const char an_id[] = "0189abcd-ef01-4345-8789-abcdef012345";

/* Encode, decode, encode again: the same bytes. The decoded message's texts point into `frame`. */
static void round_trip(const ist__message *message, ist__message *out, ist_buffer *frame)
{
    ist_error err = IST_ERROR_INIT;
    ist__wire_header header;
    ist_buffer again = IST_BUFFER_INIT;
    ist_buffer_clear(frame);
    assert_ok(ist__wire_encode(message, frame, &err), err);
    const uint8_t *bytes = (const uint8_t *)frame->data;
    assert_ok(ist__wire_decode_header(bytes, &header, &err), err);
    assert_int_equal(header.version, IST__WIRE_VERSION);
    assert_int_equal(header.size, frame->size - IST__WIRE_HEADER_SIZE);
    assert_ok(ist__wire_decode(&header, bytes + IST__WIRE_HEADER_SIZE, out, &err), err);
    assert_ok(ist__wire_encode(out, &again, &err), err);
    assert_int_equal(again.size, frame->size);
    assert_memory_equal(again.data, frame->data, again.size);
    ist_buffer_free(&again);
}

static ist__message a_commit(void)
{
    ist__message message = {.op = IST__WIRE_COMMIT, .request = 7};
    message.member = (ist_commit_member){"file:///t", NULL, "{}", "{\"add\":{}}\n", 11, "app", "Ray", "{\"token\":1}"};
    return message;
}

static void test_exchange_wire__every_op_round_trips(void **state)
{
    (void)state;
    ist_buffer frame = IST_BUFFER_INIT;
    for (uint16_t op = IST__WIRE_HELLO; op < IST__WIRE_OP_COUNT; op++) {
        for (uint32_t flags = 0; flags <= 3; flags++) {
            if (flags == IST__WIRE_FAILED)
                continue;
            ist__message message = a_commit(), out;
            message.op = op;
            message.flags = flags;
            message.request = UINT64_MAX - op;
            strcpy(message.exchange, an_id);
            strcpy(message.chunk, an_id);
            message.size = (uint64_t)1 << 40;
            message.text = "text";
            strcpy(message.result.reason, "why");
            ist_error_set(&message.error, IST_CONFLICT, -5, "here", "words");
            round_trip(&message, &out, &frame);
            assert_int_equal(out.op, op);
            assert_int_equal(out.flags, flags);
            assert_true(out.request == UINT64_MAX - op);
        }
    }
    ist_buffer_free(&frame);
}

static void test_exchange_wire__keeps_the_values(void **state)
{
    (void)state;
    ist_buffer frame = IST_BUFFER_INIT;
    ist__message message = {.op = IST__WIRE_GRANT, .flags = IST__WIRE_ANSWER, .size = 0x0123456789ABCDEFu, .pid = 77};
    ist__message out;
    strcpy(message.chunk, an_id);
    message.fd = -1;
    round_trip(&message, &out, &frame);
    assert_string_equal(out.chunk, an_id);
    assert_true(out.size == 0x0123456789ABCDEFu);
    assert_int_equal(out.pid, 77);
    assert_int_equal(out.fd, -1);

    message = a_commit();
    round_trip(&message, &out, &frame);
    assert_string_equal(out.member.table_uri, "file:///t");
    assert_null(out.member.table_name);
    assert_int_equal(out.member.actions_size, 11);
    assert_string_equal(out.member.engine, "Ray");
    assert_string_equal(out.member.access, "{\"token\":1}");

    message = (ist__message){.op = IST__WIRE_COMMIT, .flags = IST__WIRE_ANSWER};
    message.result = (ist_commit_result){IST_COMMIT_CONFLICTED, -1, 3, 4, -1, 6, true, "the schema changed"};
    round_trip(&message, &out, &frame);
    assert_int_equal(out.result.outcome, IST_COMMIT_CONFLICTED);
    assert_int_equal(out.result.version, -1);
    assert_int_equal(out.result.attempts, 3);
    assert_int_equal(out.result.rows, -1);
    assert_true(out.result.already);
    assert_string_equal(out.result.reason, "the schema changed");
    ist_buffer_free(&frame);
}

static void test_exchange_wire__lays_out_the_header_as_documented(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer frame = IST_BUFFER_INIT;
    ist__message message = {.op = IST__WIRE_COUNTERS, .flags = IST__WIRE_ANSWER, .request = 0x0102, .text = "{}"};
    assert_ok(ist__wire_encode(&message, &frame, &err), err);
    static const uint8_t expected[] = {'I', 'S', 'T', 'H', IST__WIRE_VERSION, 0, 12, 0, 1, 0, 0,   0,   7, 0, 0, 0,
                                       2,   1,   0,   0,   0, 0, 0,  0, 3, 0, 0,   0,   '{', '}', 0};
    assert_int_equal(frame.size, sizeof expected);
    assert_memory_equal(frame.data, expected, sizeof expected);
    ist_buffer_free(&frame);
}

static ist_status decode(const ist_buffer *frame, size_t payload_size, ist_error *err)
{
    ist__wire_header header;
    ist__message out;
    /* A copy of just that size, so that a read beyond it is seen. */
    uint8_t *payload = malloc(payload_size ? payload_size : 1);
    memcpy(payload, frame->data + IST__WIRE_HEADER_SIZE, payload_size);
    assert_ok(ist__wire_decode_header((const uint8_t *)frame->data, &header, err), *err);
    header.size = (uint32_t)payload_size;
    ist_status status = ist__wire_decode(&header, payload, &out, err);
    free(payload);
    return status;
}

static void test_exchange_wire__refuses_what_is_cut_off_or_too_long(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer frame = IST_BUFFER_INIT;
    ist__message message = a_commit();
    assert_ok(ist__wire_encode(&message, &frame, &err), err);
    size_t size = frame.size - IST__WIRE_HEADER_SIZE;
    assert_ok(decode(&frame, size, &err), err);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(decode(&frame, cut, &err), IST_BAD_INPUT);
    assert_ok(ist_buffer_append(&frame, "x", 1, &err), err);
    assert_int_equal(decode(&frame, size + 1, &err), IST_BAD_INPUT);
    ist_buffer_free(&frame);
}

static void expect_refused(ist__message message, size_t at, uint8_t value)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer frame = IST_BUFFER_INIT;
    assert_ok(ist__wire_encode(&message, &frame, &err), err);
    size_t size = frame.size - IST__WIRE_HEADER_SIZE;
    assert_ok(decode(&frame, size, &err), err);
    frame.data[IST__WIRE_HEADER_SIZE + at] = (char)value;
    assert_int_equal(decode(&frame, size, &err), IST_BAD_INPUT);
    ist_buffer_free(&frame);
}

static void test_exchange_wire__refuses_values_out_of_range(void **state)
{
    (void)state;
    ist__message hold = {.op = IST__WIRE_HOLD};
    strcpy(hold.exchange, an_id);
    expect_refused(hold, 3, 'A');
    expect_refused(hold, 8, '0');
    expect_refused(a_commit(), 0, 200); /* the first text would reach beyond the payload */
    expect_refused(a_commit(), 6, 0);   /* a NUL inside a text */
    ist__message result = {.op = IST__WIRE_COMMIT, .flags = IST__WIRE_ANSWER};
    expect_refused(result, 0, 3);  /* outcome */
    expect_refused(result, 40, 2); /* already */
    ist__message failure = {.op = IST__WIRE_HOLD, .flags = IST__WIRE_ANSWER | IST__WIRE_FAILED};
    ist_error_set(&failure.error, IST_IO, 0, NULL, "x");
    expect_refused(failure, 0, IST_INTERNAL + 1);
    expect_refused(failure, 0, IST_OK);
}

static void test_exchange_wire__refuses_frames_of_no_kind(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist__message out;
    const ist__wire_header kinds[] = {{1, 0, 0, 0, 1},
                                      {1, IST__WIRE_OP_COUNT, 0, 0, 1},
                                      {1, 65535, IST__WIRE_ANSWER | IST__WIRE_FAILED, 0, 1},
                                      {1, IST__WIRE_HOLD, IST__WIRE_FAILED, 0, 1}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_int_equal(ist__wire_decode(&kinds[i], (const uint8_t *)"", &out, &err), IST_BAD_INPUT);

    uint8_t bytes[IST__WIRE_HEADER_SIZE] = "ISTH";
    ist__wire_header header;
    bytes[15] = 0x7F; /* 2 GB */
    assert_int_equal(ist__wire_decode_header(bytes, &header, &err), IST_BAD_INPUT);
    bytes[15] = 0;
    assert_ok(ist__wire_decode_header(bytes, &header, &err), err);
    bytes[0] = 'G';
    assert_int_equal(ist__wire_decode_header(bytes, &header, &err), IST_BAD_INPUT);
}

static void test_exchange_wire__does_not_send_a_text_with_a_nul(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer frame = IST_BUFFER_INIT;
    ist__message message = a_commit();
    message.member.actions = "a\0b";
    message.member.actions_size = 3;
    assert_int_equal(ist__wire_encode(&message, &frame, &err), IST_BAD_INPUT);
    ist_buffer_free(&frame);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_wire__every_op_round_trips),
        cmocka_unit_test(test_exchange_wire__keeps_the_values),
        cmocka_unit_test(test_exchange_wire__lays_out_the_header_as_documented),
        cmocka_unit_test(test_exchange_wire__refuses_what_is_cut_off_or_too_long),
        cmocka_unit_test(test_exchange_wire__refuses_values_out_of_range),
        cmocka_unit_test(test_exchange_wire__refuses_frames_of_no_kind),
        cmocka_unit_test(test_exchange_wire__does_not_send_a_text_with_a_nul),
    };
    return run_group(tests, argc, argv);
}
