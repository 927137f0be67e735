/* test_columns.c: conforming, filtering, taking, grouping, and the text of partition values. */
#include "arrow_json.h"
#include "shim/columns.h"

typedef struct table {
    struct ArrowSchema schema;
    struct ArrowArray batch;
} table;

static table make_table(const char *types, const char *rows)
{
    table t;
    make_schema(types, &t.schema);
    make_batch(&t.schema, rows, &t.batch);
    return t;
}

static void set_metadata(struct ArrowSchema *field, const char *key, const char *value)
{
    struct ArrowBuffer metadata;
    ArrowMetadataBuilderInit(&metadata, field->metadata);
    ArrowMetadataBuilderAppend(&metadata, ArrowCharView(key), ArrowCharView(value));
    ArrowSchemaSetMetadata(field, (const char *)metadata.data);
    ArrowBufferReset(&metadata);
}

/* Conform and compare; takes the table's batch and its schema. */
static void assert_conformed(table from, const struct ArrowSchema *target, bool by_physical, const char *expected)
{
    ist_error err = IST_ERROR_INIT;
    struct ArrowArray out;
    assert_ok(ist__columns_conform(&from.schema, &from.batch, target, by_physical, NULL, &out, &err), err);
    assert_null(from.batch.release);
    assert_rows(target, &out, expected);
    out.release(&out);
    from.schema.release(&from.schema);
}

static void assert_to(const char *types, const char *rows, const char *target_types, const char *expected)
{
    struct ArrowSchema target;
    make_schema(target_types, &target);
    assert_conformed(make_table(types, rows), &target, false, expected);
    target.release(&target);
}

static void assert_refused(const char *types, const char *rows, const char *target_types, const char *message)
{
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema target;
    struct ArrowArray out;
    make_schema(target_types, &target);
    table from = make_table(types, rows);
    assert_int_equal(ist__columns_conform(&from.schema, &from.batch, &target, false, NULL, &out, &err), IST_BAD_INPUT);
    assert_null(from.batch.release);
    assert_string_equal(err.message, message);
    from.schema.release(&from.schema);
    target.release(&target);
}

static void test_shim_columns_conform__copies_nothing_when_there_is_nothing_to_do(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    const char types[] = "{'a':'l!','s':'u','x':{'y':'g','z':['l']},'m':{'#map':['u','l']}}";
    table t = make_table(types, "[{'a':1,'s':'p','x':{'y':2,'z':[3]}},{'a':4}]");
    struct ArrowSchema target;
    struct ArrowArray out, before = t.batch;
    make_schema(types, &target);
    ArrowSchemaSetName(target.children[2]->children[1]->children[0], "item"); /* means nothing */
    assert_ok(ist__columns_conform(&t.schema, &t.batch, &target, false, NULL, &out, &err), err);
    assert_memory_equal(&out, &before, sizeof out);
    t.batch = out;

    /* Also where an import is needed (here for the order of columns) the values stay where they are. */
    const void *values = t.batch.children[1]->buffers[2];
    struct ArrowSchema swapped;
    make_schema("{'s':'u','a':'l!'}", &swapped);
    assert_ok(ist__columns_conform(&t.schema, &t.batch, &swapped, false, NULL, &out, &err), err);
    assert_ptr_equal(out.children[0]->buffers[2], values);
    assert_rows(&swapped, &out, "{'s':'p','a':1}\n{'s':null,'a':4}\n");
    out.release(&out);
    swapped.release(&swapped);
    target.release(&target);
    t.schema.release(&t.schema);
}

static void test_shim_columns_conform__matches_by_name_at_every_level(void **state)
{
    (void)state;
    assert_to("{'c':'l','a':{'y':'l','x':'l'},'list':[{'q':'l','p':'l'}],'m':{'#map':['u',{'w':'i','v':'i'}]},'gone':'u'}",
              "[{'c':1,'a':{'x':2,'y':3},'list':[{'p':4,'q':5},null],'m':{'k':{'v':6,'w':7}}},{},{'a':{}}]",
              "{'a':{'x':'l','new':'u','y':'l'},'c':'l','list':[{'p':'l','q':'l','r':'l'}],'fresh':'d:5,1',"
              "'m':{'#map':['u',{'v':'l','w':'i'}]}}",
              "{'a':{'x':2,'new':null,'y':3},'c':1,'list':[{'p':4,'q':5,'r':null},null],'fresh':null,"
              "'m':{'k':{'v':6,'w':7}}}\n"
              "{'a':null,'c':null,'list':null,'fresh':null,'m':null}\n"
              "{'a':{'x':null,'new':null,'y':null},'c':null,'list':null,'fresh':null,'m':null}\n");
}

static void test_shim_columns_conform__casts_what_keeps_its_value(void **state)
{
    (void)state;
    assert_to("{'a':'c','b':'l','c':'i','d':'g','e':'f','f':'L','g':'l','h':'n'}",
              "[{'a':-5,'b':7,'c':3,'d':2,'e':0.5,'f':9,'g':12},{'d':-0.5}]",
              "{'a':'l','b':'i','c':'g','d':'f','e':'g','f':'l','g':'d:10,2','h':'u'}",
              "{'a':-5,'b':7,'c':3.0,'d':2.0,'e':0.5,'f':9,'g':12.00,'h':null}\n"
              "{'a':null,'b':null,'c':null,'d':-0.5,'e':null,'f':null,'g':null,'h':null}\n");
    assert_to("{'a':'U','b':'Z','c':'vu','d':'w:2','e':'+L'}", "[{'a':'x','b':'y','c':'z','d':'pq','e':['k',null]}]",
              "{'a':'u','b':'z','c':'u','d':'z','e':['u']}", "{'a':'x','b':'79','c':'z','d':'7071','e':['k',null]}\n");
    assert_to("{'a':'u','e':['u']}", "[{'a':'x','e':['k']}]", "{'a':'U','e':'+L'}", "{'a':'x','e':['k']}\n");
    assert_to("{'s':'tss:UTC','m':'tsm:UTC','n':'tsn:Europe/Berlin','w':'tsn:','p':'tsu:','day':'tdD','dm':'tdm'}",
              "[{'s':1,'m':1500,'n':1000,'w':2000,'p':5,'day':1,'dm':86400000}]",
              "{'s':'tsu:UTC','m':'tsu:UTC','n':'tsu:UTC','w':'tsu:','p':'tsu:UTC','day':'tsu:','dm':'tdD'}",
              "{'s':'1970-01-01T00:00:01Z','m':'1970-01-01T00:00:01.500000Z','n':'1970-01-01T00:00:00.000001Z',"
              "'w':'1970-01-01T00:00:00.000002','p':'1970-01-01T00:00:00.000005Z','day':'1970-01-02T00:00:00',"
              "'dm':'1970-01-02'}\n");
    assert_to("{'d':'d:5,1','n':['c']}", "[{'d':'15','n':[1,2]}]", "{'d':'d:38,4','n':['s']}",
              "{'d':1.5000,'n':[1,2]}\n");
    assert_to("{'a':'n','b':'n','m':'n'}", "[{},{}]", "{'a':{'x':'l'},'b':['u'],'m':{'#map':['u','l']}}",
              "{'a':null,'b':null,'m':null}\n{'a':null,'b':null,'m':null}\n");
}

static void test_shim_columns_conform__refuses_what_would_change(void **state)
{
    (void)state;
    assert_refused("{'a':'l'}", "[{'a':1},{},{'a':3000000000},{'a':4000000000}]", "{'a':'i'}",
                   "column a: value 3000000000 of type int64 does not fit int32");
    assert_refused("{'a':'g'}", "[{'a':1},{'a':1.5}]", "{'a':'l'}",
                   "column a: value 1.5 of type double does not fit int64");
    assert_refused("{'a':'g'}", "[{'a':0.5},{'a':0.1}]", "{'a':'f'}",
                   "column a: value 0.1 of type double does not fit float");
    assert_refused("{'a':'l'}", "[{'a':9007199254740993}]", "{'a':'g'}",
                   "column a: value 9007199254740993 of type int64 does not fit double");
    assert_refused("{'s':{'t':'tsn:'}}", "[{'s':{'t':1000}},{'s':{'t':1001}}]", "{'s':{'t':'tsu:'}}",
                   "column s.t: value 1970-01-01 00:00:00.000001001 of type timestamp[ns] does not fit timestamp[us]");
    assert_refused("{'d':'d:5,2'}", "[{'d':'155'}]", "{'d':'d:5,1'}",
                   "column d: value 1.55 of type decimal128(5, 2) does not fit decimal128(5, 1)");
    assert_refused("{'a':'u'}", "[{'a':'1'}]", "{'a':'l'}", "column a is string where int64 is needed");
    assert_refused("{'a':'l'}", "[{'a':1}]", "{'a':'u'}", "column a is int64 where string is needed");
    assert_refused("{'a':'b'}", "[{'a':true}]", "{'a':'l'}", "column a is bool where int64 is needed");
    assert_refused("{'a':'z'}", "[{'a':'x'}]", "{'a':'u'}", "column a is binary where string is needed");
    assert_refused("{'a':'tsu:UTC'}", "[{'a':1}]", "{'a':'tsu:'}",
                   "column a is timestamp[us, tz=UTC] where timestamp[us] is needed");
    assert_refused("{'l':['u']}", "[{'l':['x']}]", "{'l':['l']}", "column l.element is string where int64 is needed");
    assert_refused("{'l':['u']}", "[{'l':['x']}]", "{'l':'u'}",
                   "column l is list<element: string> where string is needed");
}

static void test_shim_columns_conform__keeps_nulls_out_of_required_fields(void **state)
{
    (void)state;
    assert_refused("{'a':'l'}", "[{'a':1},{}]", "{'a':'l!'}", "column a may not be null, but a row has null there");
    assert_refused("{'b':'l'}", "[{}]", "{'b':'l','a':'l!'}", "column a may not be null, but a row has null there");
    assert_refused("{'s':{'x':'l'}}", "[{},{'s':{}}]", "{'s':{'x':'l!'}}",
                   "column s.x may not be null, but a row has null there");
    /* Where the struct itself is null its fields do not count. */
    assert_to("{'s':{'x':'l'}}", "[{},{'s':{'x':1}}]", "{'s':{'x':'l!'}}", "{'s':null}\n{'s':{'x':1}}\n");
    assert_to("{'a':'l'}", "[]", "{'a':'l!','b':'l!'}", "");
}

static void test_shim_columns_conform__undoes_column_mapping(void **state)
{
    (void)state;
    struct ArrowSchema target;
    make_schema("{'b':'l','a':'l','s':{'x':'l'},'new':'l'}", &target);
    set_metadata(target.children[0], "delta.columnMapping.physicalName", "a"); /* renamed crosswise */
    set_metadata(target.children[1], "delta.columnMapping.physicalName", "b");
    set_metadata(target.children[2], "delta.columnMapping.physicalName", "col-1");
    set_metadata(target.children[2]->children[0], "delta.columnMapping.physicalName", "col-2");
    set_metadata(target.children[3], "delta.columnMapping.physicalName", "col-3");
    assert_conformed(make_table("{'a':'l','b':'l','col-1':{'x':'l','col-2':'l'},'new':'l'}",
                                "[{'a':1,'b':2,'col-1':{'x':3,'col-2':4},'new':5}]"),
                     &target, true, "{'b':1,'a':2,'s':{'x':4},'new':null}\n");

    /* Ids win over names. */
    table t = make_table("{'b':'l','a':'l'}", "[{'b':1,'a':2}]");
    set_metadata(t.schema.children[0], "PARQUET:field_id", "4");
    set_metadata(t.schema.children[1], "PARQUET:field_id", "3");
    set_metadata(target.children[0], "PARQUET:field_id", "4");
    set_metadata(target.children[1], "PARQUET:field_id", "3");
    assert_conformed(t, &target, true, "{'b':1,'a':2,'s':null,'new':null}\n");
    target.release(&target);
}

static void test_shim_columns_conform__fills_constants(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema target;
    make_schema("{'p':'i','a':'l','q':'u'}", &target);
    table t = make_table("{'a':'l','q':'u'}", "[{'a':1,'q':'in the file'},{'a':2}]");
    struct ArrowArray constants[3] = {{0}}, out;
    assert_ok(ist__columns_parse(target.children[0], "7", &constants[0], &err), err);
    assert_ok(ist__columns_parse(target.children[2], NULL, &constants[2], &err), err);
    assert_ok(ist__columns_conform(&t.schema, &t.batch, &target, true, constants, &out, &err), err);
    assert_rows(&target, &out, "{'p':7,'a':1,'q':null}\n{'p':7,'a':2,'q':null}\n");
    assert_null(constants[0].release);
    assert_null(constants[2].release);
    out.release(&out);

    /* Without any column of the file there is still its length. */
    struct ArrowSchema none;
    make_schema("{}", &none);
    make_batch(&none, "[{},{},{}]", &t.batch);
    assert_ok(ist__columns_parse(target.children[0], "8", &constants[0], &err), err);
    assert_ok(ist__columns_conform(&none, &t.batch, &target, true, constants, &out, &err), err);
    assert_rows(&target, &out, "{'p':8,'a':null,'q':null}\n{'p':8,'a':null,'q':null}\n{'p':8,'a':null,'q':null}\n");
    out.release(&out);
    none.release(&none);
    target.release(&target);
    t.schema.release(&t.schema);
}

/* A window of a longer array, as slices are in other libraries. */
static void slice(struct ArrowArray *batch, int64_t offset, int64_t length)
{
    for (int64_t i = 0; i < batch->n_children; i++) {
        batch->children[i]->offset = offset;
        batch->children[i]->length = length;
        batch->children[i]->null_count = -1;
    }
    batch->length = length;
}

static void test_shim_columns_conform__sees_slices_only(void **state)
{
    (void)state;
    struct ArrowSchema target;
    make_schema("{'a':'i','l':['i'],'s':{'x':'i!'},'m':{'#map':['u','i']}}", &target);
    const char types[] = "{'a':'l','l':['l'],'s':{'x':'l'},'m':{'#map':['u','l']}}";
    const char rows[] = "[{'a':3000000000,'l':[3000000000],'s':{},'m':{'k':3000000000}},"
                        "{'a':1,'l':[2,3],'s':{'x':4},'m':{'k':5}},{'l':[],'s':null},"
                        "{'a':3000000000,'l':[3000000000],'s':{},'m':{'k':3000000000}}]";
    table t = make_table(types, rows);
    slice(&t.batch, 1, 2);
    assert_conformed(t, &target, false,
                     "{'a':1,'l':[2,3],'s':{'x':4},'m':{'k':5}}\n{'a':null,'l':[],'s':null,'m':null}\n");

    /* The same by an offset of the batch itself. */
    t = make_table(types, rows);
    t.batch.offset = 1;
    t.batch.length = 2;
    assert_conformed(t, &target, false,
                     "{'a':1,'l':[2,3],'s':{'x':4},'m':{'k':5}}\n{'a':null,'l':[],'s':null,'m':null}\n");
    target.release(&target);
}

static void test_shim_columns_conform__decodes_dictionaries(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema target;
    struct ArrowArray out;
    table values = make_table("{'v':'u'}", "[{'v':'x'},{'v':'y'}]");
    table t = make_table("{'d':'c'}", "[{'d':1},{},{'d':0}]");
    assert_int_equal(ArrowSchemaAllocateDictionary(t.schema.children[0]), 0);
    ArrowSchemaMove(values.schema.children[0], t.schema.children[0]->dictionary);
    assert_int_equal(ArrowArrayAllocateDictionary(t.batch.children[0]), 0);
    ArrowArrayMove(values.batch.children[0], t.batch.children[0]->dictionary);
    make_schema("{'d':'u'}", &target);
    assert_ok(ist__columns_conform(&t.schema, &t.batch, &target, false, NULL, &out, &err), err);
    assert_rows(&target, &out, "{'d':'y'}\n{'d':null}\n{'d':'x'}\n");
    out.release(&out);
    target.release(&target);
    t.schema.release(&t.schema);
    values.schema.release(&values.schema);
    values.batch.release(&values.batch);
}

static void test_shim_columns_filter__keeps_set_bits(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowArray out;
    const char rows[] = "[{'a':0,'l':['x']},{'a':1},{'a':2,'l':['y','z']},{'a':3}]";
    table t = make_table("{'a':'l','l':['u']}", rows);
    assert_ok(ist__columns_filter(&t.schema, &t.batch, (uint8_t[]){0x06}, &out, &err), err);
    assert_rows(&t.schema, &out, "{'a':1,'l':null}\n{'a':2,'l':['y','z']}\n");
    out.release(&out);
    make_batch(&t.schema, rows, &t.batch);
    struct ArrowArray before = t.batch;
    assert_ok(ist__columns_filter(&t.schema, &t.batch, (uint8_t[]){0xFF}, &out, &err), err);
    assert_memory_equal(&out, &before, sizeof out);
    t.batch = out;
    assert_ok(ist__columns_filter(&t.schema, &t.batch, (uint8_t[]){0xF0}, &out, &err), err);
    assert_int_equal(out.length, 0);
    out.release(&out);
    t.schema.release(&t.schema);

    t = make_table("{}", "[{},{},{}]");
    assert_ok(ist__columns_filter(&t.schema, &t.batch, (uint8_t[]){0x05}, &out, &err), err);
    assert_int_equal(out.length, 2);
    out.release(&out);
    t.schema.release(&t.schema);
}

static void test_shim_columns_take__in_order(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowArray out;
    table t = make_table("{'a':'l','s':{'x':'u'}}", "[{'a':0,'s':{'x':'p'}},{'a':1},{'a':2,'s':{'x':'q'}}]");
    assert_ok(ist__columns_take(&t.schema, &t.batch, (int64_t[]){2, 0, 2}, 3, &out, &err), err);
    assert_rows(&t.schema, &t.batch, "{'a':0,'s':{'x':'p'}}\n{'a':1,'s':null}\n{'a':2,'s':{'x':'q'}}\n");
    t.batch.release(&t.batch); /* what was taken stands on its own */
    assert_rows(&t.schema, &out, "{'a':2,'s':{'x':'q'}}\n{'a':0,'s':{'x':'p'}}\n{'a':2,'s':{'x':'q'}}\n");
    out.release(&out);
    make_batch(&t.schema, "[{}]", &t.batch);
    assert_int_equal(ist__columns_take(&t.schema, &t.batch, (int64_t[]){1}, 1, &out, &err), IST_BAD_INPUT);
    t.batch.release(&t.batch);
    t.schema.release(&t.schema);
}

static void test_shim_columns_group__numbers_by_first_appearance(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    table t = make_table("{'v':'l','p':'u','d':'tdD','b':'b','n':'d:9,2','t':'tsu:UTC'}",
                         "[{'v':0,'p':'x','d':1,'b':true,'n':'100','t':5},{'v':1,'p':null,'d':1,'n':'100'},"
                         "{'v':2,'p':'x','d':2},{'v':3,'p':'x','d':1,'b':true,'n':'100','t':5},"
                         "{'v':4,'d':1,'n':'100'},{'v':5,'p':'','d':1,'n':'100'}]");
    uint32_t groups[6];
    struct ArrowSchema keys_schema;
    struct ArrowArray keys;
    assert_ok(ist__columns_group(&t.schema, &t.batch, (int[]){1, 2, 3, 4, 5}, 5, groups, &keys_schema, &keys, &err), err);
    t.batch.release(&t.batch);
    assert_memory_equal(groups, ((uint32_t[]){0, 1, 2, 0, 1, 3}), sizeof groups);
    assert_rows(&keys_schema, &keys,
                "{'p':'x','d':'1970-01-02','b':true,'n':1.00,'t':'1970-01-01T00:00:00.000005Z'}\n"
                "{'p':null,'d':'1970-01-02','b':null,'n':1.00,'t':null}\n"
                "{'p':'x','d':'1970-01-03','b':null,'n':null,'t':null}\n"
                "{'p':'','d':'1970-01-02','b':null,'n':1.00,'t':null}\n");
    keys.release(&keys);
    keys_schema.release(&keys_schema);
    t.schema.release(&t.schema);
}

/* Parse and write again; `canonical` NULL: the text is refused, "" stands for null. */
static void assert_value(const char *type, const char *text, const char *canonical)
{
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArray value;
    ist_buffer out = IST_BUFFER_INIT;
    char types[64];
    bool is_null = false;
    snprintf(types, sizeof types, "{'p':'%s'}", type);
    make_schema(types, &schema);
    ist_status status = ist__columns_parse(schema.children[0], text, &value, &err);
    if (!canonical) {
        if (status != IST_BAD_INPUT)
            fail_msg("%s '%s' was not refused", type, text);
        assert_non_null(strstr(err.message, "partition value of p: '"));
    } else {
        assert_ok(status, err);
        assert_int_equal(value.length, 1);
        assert_ok(ist__columns_format(schema.children[0], &value, 0, &out, &is_null, &err), err);
        assert_int_equal(is_null, !*canonical);
        assert_string_equal(out.data ? out.data : "", canonical);
        value.release(&value);
    }
    ist_buffer_free(&out);
    schema.release(&schema);
}

static void test_shim_columns_text__of_every_partition_type(void **state)
{
    (void)state;
    const char *const types[] = {"u", "z", "c", "s", "i", "l", "f", "g", "b", "tdD", "tsu:UTC", "tsu:", "d:9,2"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_value(types[i], NULL, "");
        assert_value(types[i], "", "");
    }
    assert_value("u", "caf\xC3\xA9 =/%", "caf\xC3\xA9 =/%");
    assert_value("u", "\xFF", NULL);
    assert_value("z", "\x01\x02", "\x01\x02");
    assert_value("c", "-128", "-128");
    assert_value("c", "128", NULL);
    assert_value("i", "2147483648", NULL);
    assert_value("l", "-9223372036854775808", "-9223372036854775808");
    assert_value("l", " 1", NULL);
    assert_value("l", "1x", NULL);
    assert_value("l", "0x10", NULL);
    assert_value("g", "1", "1.0");
    assert_value("g", "0.1", "0.1");
    assert_value("g", "1.5E10", "15000000000.0");
    assert_value("g", "1.0E300", "1e+300");
    assert_value("g", "NaN", "NaN");
    assert_value("g", "-Infinity", "-Infinity");
    assert_value("g", "one", NULL);
    assert_value("f", "0.1", "0.1");
    assert_value("f", "1e39", NULL);
    assert_value("b", "true", "true");
    assert_value("b", "false", "false");
    assert_value("b", "True", NULL);
    assert_value("d:9,2", "123.4", "123.40");
    assert_value("d:9,2", "-0.05", "-0.05");
    assert_value("d:9,2", "1E+3", "1000.00");
    assert_value("d:38,18", "0.000000000000000001", "0.000000000000000001");
    assert_value("d:38,0", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
    assert_value("d:9,2", "1.234", NULL);
    assert_value("d:9,2", "12345678.00", NULL);
    assert_value("d:9,2", "1E+2000000000", NULL);
    assert_value("d:9,2", "1E-60", NULL);
    assert_value("d:9,2", "", "");
}

static void test_shim_columns_text__of_dates_and_times(void **state)
{
    (void)state;
    assert_value("tdD", "2024-02-29", "2024-02-29");
    assert_value("tdD", "1969-12-31", "1969-12-31");
    assert_value("tdD", "0001-01-01", "0001-01-01");
    assert_value("tdD", "9999-12-31", "9999-12-31");
    assert_value("tdD", "2023-02-29", NULL);
    assert_value("tdD", "1900-02-29", NULL);
    assert_value("tdD", "2000-02-29", "2000-02-29");
    assert_value("tdD", "2024-13-01", NULL);
    assert_value("tdD", "2024-00-01", NULL);
    assert_value("tdD", "2024-04-31", NULL);
    assert_value("tdD", "2024-4-1", NULL);
    assert_value("tdD", "10000-01-01", NULL);
    assert_value("tdD", "2024-02-29 ", NULL);
    assert_value("tsu:UTC", "2024-02-29 12:30:00", "2024-02-29T12:30:00.000000Z");
    assert_value("tsu:UTC", "2024-02-29 12:30:00.123456", "2024-02-29T12:30:00.123456Z");
    assert_value("tsu:UTC", "2024-02-29T12:30:00.1Z", "2024-02-29T12:30:00.100000Z");
    assert_value("tsu:UTC", "2024-02-29T12:30:00+05:30", "2024-02-29T07:00:00.000000Z");
    assert_value("tsu:UTC", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z");
    assert_value("tsu:UTC", "0001-01-01 00:00:00", "0001-01-01T00:00:00.000000Z");
    assert_value("tsu:UTC", "2024-02-29", "2024-02-29T00:00:00.000000Z");
    assert_value("tsu:UTC", "2024-02-29 12:30:00.123456000", "2024-02-29T12:30:00.123456Z");
    assert_value("tsu:UTC", "2024-02-29 12:30:00.1234567", NULL);
    assert_value("tsu:UTC", "2024-02-29 12:30:00.", NULL);
    assert_value("tsu:UTC", "2024-02-29 24:00:00", NULL);
    assert_value("tsu:UTC", "2024-02-29 12:60:00", NULL);
    assert_value("tsu:UTC", "2024-02-29 12:30", NULL);
    assert_value("tsu:UTC", "2024-02-29 12:30:00 UTC", NULL);
    assert_value("tsu:", "2024-02-29 12:30:00", "2024-02-29 12:30:00");
    assert_value("tsu:", "2024-02-29 12:30:00.5", "2024-02-29 12:30:00.500000");
}

static void test_shim_columns_text__picks_the_row(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    bool is_null;
    table t = make_table("{'p':'u'}", "[{'p':'a'},{},{'p':'c'},{'p':''}]");
    assert_ok(ist__columns_format(t.schema.children[0], t.batch.children[0], 2, &out, &is_null, &err), err);
    assert_false(is_null);
    assert_string_equal(out.data, "c");
    assert_ok(ist__columns_format(t.schema.children[0], t.batch.children[0], 1, &out, &is_null, &err), err);
    assert_true(is_null);
    assert_ok(ist__columns_format(t.schema.children[0], t.batch.children[0], 3, &out, &is_null, &err), err);
    assert_true(is_null);
    assert_string_equal(out.data, "c");
    assert_int_equal(ist__columns_format(t.schema.children[0], t.batch.children[0], 4, &out, &is_null, &err),
                     IST_BAD_INPUT);
    ist_buffer_free(&out);
    t.batch.release(&t.batch);
    t.schema.release(&t.schema);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shim_columns_conform__copies_nothing_when_there_is_nothing_to_do),
        cmocka_unit_test(test_shim_columns_conform__matches_by_name_at_every_level),
        cmocka_unit_test(test_shim_columns_conform__casts_what_keeps_its_value),
        cmocka_unit_test(test_shim_columns_conform__refuses_what_would_change),
        cmocka_unit_test(test_shim_columns_conform__keeps_nulls_out_of_required_fields),
        cmocka_unit_test(test_shim_columns_conform__undoes_column_mapping),
        cmocka_unit_test(test_shim_columns_conform__fills_constants),
        cmocka_unit_test(test_shim_columns_conform__sees_slices_only),
        cmocka_unit_test(test_shim_columns_conform__decodes_dictionaries),
        cmocka_unit_test(test_shim_columns_filter__keeps_set_bits),
        cmocka_unit_test(test_shim_columns_take__in_order),
        cmocka_unit_test(test_shim_columns_group__numbers_by_first_appearance),
        cmocka_unit_test(test_shim_columns_text__of_every_partition_type),
        cmocka_unit_test(test_shim_columns_text__of_dates_and_times),
        cmocka_unit_test(test_shim_columns_text__picks_the_row),
    };
    return run_group(tests, argc, argv);
}
