/* test_options.c: the parser of the command line. */
#include "cli/help.h"
#include "cli/options.h"
#include "testing.h"

#include <string.h>
#include <unistd.h>

typedef struct values {
    bool flag;
    const char *text;
    int64_t number, unset;
    int mode;
    cli_list words, texts;
    const char *file;
} values;

static const cli_option options[] = {
    {"flag", CLI_FLAG, offsetof(values, flag), NULL, NULL, "A flag.", 0, 0, NULL},
    {"text", CLI_TEXT, offsetof(values, text), "TEXT", "none", "A text.", 0, 0, NULL},
    {"number", CLI_NUMBER, offsetof(values, number), "N", "7", "A number.", 1, 10, NULL},
    {"unset", CLI_NUMBER, offsetof(values, unset), "N", NULL, "A number without a default.", 0, 10, NULL},
    {"mode", CLI_CHOICE, offsetof(values, mode), "red|green|blue", "green", "A choice.", 0, 0, NULL},
    {"words", CLI_LIST, offsetof(values, words), "A,B", NULL, "Words.", 0, 0, NULL},
    {"texts", CLI_TEXTS, offsetof(values, texts), "TEXT", NULL, "Texts.", 0, 0, NULL},
    {"file", CLI_FILE, offsetof(values, file), "FILE", NULL, "Settings.", 0, 0, NULL},
    {0},
};

static const cli_page page = {
    .arguments = "TABLE [FILE...]",
    .common = CLI_JSON,
    .options = options,
    .values_size = sizeof(values),
    .description = "Does nothing.\n\n    verbatim  text\n\nThe end.",
};

static const cli_page run_page = {.arguments = "SCRIPT [ARGUMENT...]", .passthrough = true, .description = "Runs."};

static const cli_command commands[] = {
    {"table show", NULL, "Show", &page},   {"table cat", NULL, "Cat", &page}, {"daemon", NULL, "Daemon", &page},
    {"daemon stop", NULL, "Stop", &page},  {"run", NULL, "Run", &run_page},   {0},
};

/* Parse words up to a NULL. */
static ist_status parse(const cli_command *command, cli_call *call, ist_error *err, char **words)
{
    int argc = 0;
    while (words[argc])
        argc++;
    *call = (cli_call){.commands = commands};
    *err = (ist_error)IST_ERROR_INIT;
    return cli_parse(command, argc, words, call, err);
}

#define PARSE(...) parse(&commands[0], &call, &err, (char *[]){__VA_ARGS__, NULL})

static void test_cli_options__defaults(void **state)
{
    (void)state;
    cli_call call;
    ist_error err;
    assert_ok(PARSE("t"), err);
    const values *v = call.values;
    assert_false(v->flag);
    assert_string_equal(v->text, "none");
    assert_int_equal(v->number, 7);
    assert_int_equal(v->unset, -1);
    assert_int_equal(v->mode, 1);
    assert_int_equal(v->words.count, 0);
    assert_int_equal(call.arg_count, 1);
    cli_call_free(&call);
}

static void test_cli_options__every_kind(void **state)
{
    (void)state;
    cli_call call;
    ist_error err;
    assert_ok(PARSE("--flag", "t", "--text=a=b", "--number", "10", "--mode", "blue", "--words", "a,b", "file", "--json",
                    "--words=c", "--texts", "a,b", "--texts=c=d"),
              err);
    const values *v = call.values;
    assert_true(v->flag);
    assert_true(call.json);
    assert_string_equal(v->text, "a=b");
    assert_int_equal(v->number, 10);
    assert_int_equal(v->mode, 2);
    assert_int_equal(v->words.count, 3);
    assert_string_equal(v->words.items[0], "a");
    assert_string_equal(v->words.items[2], "c");
    assert_int_equal(v->texts.count, 2);
    assert_string_equal(v->texts.items[0], "a,b");
    assert_string_equal(v->texts.items[1], "c=d");
    assert_int_equal(call.arg_count, 2);
    assert_string_equal(call.args[1], "file");
    cli_call_free(&call);
}

static void test_cli_options__double_dash_ends_them(void **state)
{
    (void)state;
    cli_call call;
    ist_error err;
    assert_ok(PARSE("t", "--", "--flag", "--help"), err);
    assert_false(((values *)call.values)->flag);
    assert_false(call.help);
    assert_int_equal(call.arg_count, 3);
    cli_call_free(&call);
    assert_ok(PARSE("t", "-"), err); /* a single dash is an argument */
    assert_string_equal(call.args[1], "-");
    cli_call_free(&call);
}

static void refuse(char **words, const char *message)
{
    cli_call call;
    ist_error err;
    assert_int_equal(parse(&commands[0], &call, &err, words), IST_BAD_INPUT);
    assert_true(call.usage);
    if (!strstr(err.message, message))
        fail_msg("'%s' is not in '%s'", message, err.message);
    cli_call_free(&call);
}

#define REFUSE(message, ...) refuse((char *[]){__VA_ARGS__, NULL}, message)

static void test_cli_options__refusals(void **state)
{
    (void)state;
    REFUSE("unknown option --numbr; did you mean --number?", "t", "--numbr", "3");
    REFUSE("did you mean --json?", "t", "--jsno");
    REFUSE("unknown option --zzzzzzzz (", "t", "--zzzzzzzz");
    REFUSE("unknown option -x", "t", "-x");
    REFUSE("--number needs a whole number, not '3x'", "t", "--number", "3x");
    REFUSE("--number needs a whole number, not ''", "t", "--number=");
    REFUSE("--number must be between 1 and 10, not 11", "t", "--number", "11");
    REFUSE("--number needs a whole number, not '99999999999999999999'", "t", "--number", "99999999999999999999");
    REFUSE("--mode must be one of red|green|blue, not 'gree'", "t", "--mode", "gree");
    REFUSE("--flag takes no value", "t", "--flag=1");
    REFUSE("--text needs a value: --text TEXT", "t", "--text");
    REFUSE("TABLE is missing: isthmus table show TABLE [FILE...]", "--flag");
}

static void test_cli_options__help_comes_before_refusals(void **state)
{
    (void)state;
    cli_call call;
    ist_error err;
    assert_ok(PARSE("--nonsense", "-h"), err);
    assert_true(call.help);
    cli_call_free(&call);
}

static void test_cli_options__passthrough(void **state)
{
    (void)state;
    cli_call call;
    ist_error err;
    assert_ok(parse(&commands[4], &call, &err, (char *[]){"job.py", "--help", "--x=1", NULL}), err);
    assert_false(call.help);
    assert_int_equal(call.arg_count, 3);
    assert_string_equal(call.args[1], "--help");
    cli_call_free(&call);
}

static void test_cli_options__finds_commands(void **state)
{
    (void)state;
    int used;
    assert_ptr_equal(cli_find(commands, 2, (char *[]){"table", "cat"}, &used), &commands[1]);
    assert_int_equal(used, 2);
    assert_ptr_equal(cli_find(commands, 2, (char *[]){"daemon", "stop"}, &used), &commands[3]);
    assert_ptr_equal(cli_find(commands, 2, (char *[]){"daemon", "--flag"}, &used), &commands[2]);
    assert_int_equal(used, 1);
    assert_null(cli_find(commands, 1, (char *[]){"table"}, &used));
    assert_null(cli_find(commands, 0, (char *[]){NULL}, &used));
    assert_string_equal(cli_nearest_command(commands, "table shwo"), "table show");
    assert_string_equal(cli_nearest_command(commands, "deamon"), "daemon");
    assert_null(cli_nearest_command(commands, "frobnicate"));
}

static void test_cli_options__argument_range(void **state)
{
    (void)state;
    static const struct {
        const char *arguments;
        size_t min, max;
    } cases[] = {
        {"", 0, 0},       {"TABLE", 1, 1},          {"[PARENT]", 0, 1},    {"TABLE FILE...", 2, SIZE_MAX},
        {"[X...]", 0, SIZE_MAX}, {"A [B] [C]", 1, 3}, {"bash|zsh|fish", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t min, max;
        cli_argument_range(&(cli_page){.arguments = cases[i].arguments}, &min, &max);
        assert_int_equal(min, cases[i].min);
        assert_int_equal(max, cases[i].max);
    }
}

/* Every page is complete in every form: each option, each command. */
static void test_cli_options__help_tells_all(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        if (form == 0)
            cli_help_text(&commands[0], out);
        else if (form == 1)
            cli_help_man(commands, &commands[0], out);
        else
            cli_help_markdown(commands, out);
        fclose(out);
        for (const cli_option *option = options; option->name; option++)
            assert_non_null(strstr(text, option->name));
        assert_non_null(strstr(text, "json"));
        assert_null(strstr(text, "catalog URI")); /* a common option that the page does not take */
        assert_non_null(strstr(text, "    verbatim  text"));
        free(text);
    }
}

/* A file's lines are as if they were typed first. */
static void test_cli_options__a_file_of_settings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *complaint;
    } bad[] = {{"\nnumber", ":2: not of the form"},   {"number = x\n", ":1: --number needs a whole number"},
               {"flag = yes", "neither true nor false"}, {"numbre = 3", "did you mean --number?"},
               {"file = /other", "cannot name another"}};
    cli_call call;
    ist_error err;
    char path[] = "/tmp/isthmus_settings_XXXXXX", word[100];
    int fd = mkstemp(path);
    dprintf(fd, "# what is wanted\n\n  number = 3\r\ntext=a = b # c \nwords = x,y\nflag = true\nunset =  4");
    snprintf(word, sizeof word, "--file=%s", path);
    assert_ok(PARSE("t", "--number", "5", "--words", "z", word), err);
    const values *v = call.values;
    assert_int_equal(v->number, 5);
    assert_int_equal(v->unset, 4);
    assert_string_equal(v->text, "a = b # c");
    assert_true(v->flag);
    assert_int_equal(v->words.count, 3);
    cli_call_free(&call);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ftruncate(fd, 0) | (int)lseek(fd, 0, SEEK_SET), 0);
        dprintf(fd, "%s", bad[i].text);
        assert_int_equal(PARSE("t", "--file", path), IST_BAD_INPUT);
        assert_non_null(strstr(err.message, bad[i].complaint));
        assert_non_null(strstr(err.message, path));
        cli_call_free(&call);
    }
    close(fd);
    unlink(path);
    assert_int_equal(PARSE("t", "--file", path), IST_IO);
    cli_call_free(&call);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_options__defaults),
        cmocka_unit_test(test_cli_options__a_file_of_settings),
        cmocka_unit_test(test_cli_options__every_kind),
        cmocka_unit_test(test_cli_options__double_dash_ends_them),
        cmocka_unit_test(test_cli_options__refusals),
        cmocka_unit_test(test_cli_options__help_comes_before_refusals),
        cmocka_unit_test(test_cli_options__passthrough),
        cmocka_unit_test(test_cli_options__finds_commands),
        cmocka_unit_test(test_cli_options__argument_range),
        cmocka_unit_test(test_cli_options__help_tells_all),
    };
    return run_group(tests, argc, argv);
}
