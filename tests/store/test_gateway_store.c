/*
 * test_gateway_store.c: local files through a server: the suite of all stores by both ways, clients that are another user
 * of the machine, credentials that are renewed, and clients that die.
 */
#include "conformance/store_conformance.h"
#include "processes.h"

#include "catalog/local/file_token.h"
#include "isthmus/server.h"
#include "store/gateway_internal.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

enum { SOCKET = 1, HTTP = 2, NOBODY = 65534 };

/* A server, and a folder of its user that nobody else may enter. */
static char *home, *folder;
static ist_server *server;
static ist__file_signer *signer; /* with the server's key */

static void start_server(void)
{
    ist_error err = IST_ERROR_INIT;
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    options.home = home;
    assert_ok(ist_server_start(&options, &server, &err), err);
    assert_ok(ist__file_signer_open(home, 0, &signer, &err), err);
    assert_ok(ist__file_signer_set_url(signer, ist_server_url(server), &err), err);
}

static void stop_server(void)
{
    ist_server_stop(server);
    ist__file_signer_free(signer);
    server = NULL;
    signer = NULL;
}

static void set_up(void)
{
    home = new_folder();
    folder = new_folder();
    start_server();
}

static void tear_down(void)
{
    stop_server();
    remove_folder(home);
    remove_folder(folder);
}

/* Drop a member of the token's object: then there is one way less. */
static void blind(ist_buffer *json, const char *member)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\":\"", member);
    char *at = strstr(json->data, key);
    assert_non_null(at);
    at[1] = '_';
}

static char *credentials_json(int ways, bool write)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer json = IST_BUFFER_INIT, url = IST_BUFFER_INIT;
    assert_ok(ist_buffer_printf(&url, &err, "file://%s", folder), err);
    assert_ok(ist__vend_file(signer, url.data, write, "ann", &json, &err), err);
    if (!(ways & SOCKET))
        blind(&json, "socket");
    if (!(ways & HTTP))
        blind(&json, "endpoint");
    ist_buffer_free(&url);
    return json.data;
}

static ist_store *open_with(ist_credentials *credentials)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    options.credentials = credentials;
    assert_ok(ist_store_open(folder, &options, &store, &err), err);
    return store;
}

static ist_store *open_store(int ways, bool write)
{
    ist_error err = IST_ERROR_INIT;
    ist_credentials *credentials;
    char *json = credentials_json(ways, write);
    assert_ok(ist_credentials_static(json, &credentials, &err), err);
    ist_store *store = open_with(credentials);
    ist_credentials_free(credentials);
    free(json);
    return store;
}

#define BOTH_WAYS(name)                                                                                                \
    static void run_##name(int way)                                                                                    \
    {                                                                                                                  \
        set_up();                                                                                                      \
        ist_store *store = open_store(way, true);                                                                      \
        store_conformance__##name(store);                                                                              \
        ist_store_free(store);                                                                                         \
        tear_down();                                                                                                   \
    }                                                                                                                  \
    static void test_gateway_socket__##name(void **state)                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        run_##name(SOCKET);                                                                                            \
    }                                                                                                                  \
    static void test_gateway_http__##name(void **state)                                                                \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        run_##name(HTTP);                                                                                              \
    }
#define BOTH_WAYS_ENTRY(name) cmocka_unit_test(test_gateway_socket__##name), cmocka_unit_test(test_gateway_http__##name),

STORE_CONFORMANCE_CASES(BOTH_WAYS)
STORE_FOLDER_CASES(BOTH_WAYS)

static bool count_entry(const ist_store_entry *entry, void *payload)
{
    (void)entry;
    ++*(int *)payload;
    return true;
}

/* Names of any kind in the folder, those that are hidden too. */
static int count_files(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_type == DT_REG;
    closedir(dir);
    return count;
}

static void wait_until_empty(void)
{
    for (int i = 0; i < 500 && count_files(folder) > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(count_files(folder), 0);
}

static void test_gateway_store__a_token_for_reading_changes_nothing(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store_writer *writer;
    ist_buffer out = IST_BUFFER_INIT;
    set_up();
    ist_store *owner = open_store(SOCKET, true);
    assert_ok(ist_store_put(owner, "x", "x", 1, IST_PUT_REPLACE, &err), err);
    for (int way = SOCKET; way <= HTTP; way++) {
        ist_store *store = open_store(way, false);
        assert_ok(ist_store_get(store, "x", &out, &err), err);
        assert_int_equal(ist_store_put(store, "x", "y", 1, IST_PUT_REPLACE, &err), IST_FORBIDDEN);
        assert_non_null(strstr(err.message, "reading only"));
        assert_int_equal(ist_store_delete(store, "x", &err), IST_FORBIDDEN);
        assert_int_equal(ist_store_rename(store, "x", "y", &err), IST_FORBIDDEN);
        assert_int_equal(ist_store_make_folder(store, "y", &err), IST_FORBIDDEN);
        assert_int_equal(ist_store_delete_folder(store, "y", &err), IST_FORBIDDEN);
        ist_status status = ist_store_writer_open(store, "y", &writer, &err);
        if (status == IST_OK) { /* over HTTP it is the first bytes that ask */
            assert_int_equal(ist_store_writer_close(writer, &err), IST_FORBIDDEN);
            ist_store_writer_free(writer);
        } else {
            assert_int_equal(status, IST_FORBIDDEN);
        }
        ist_store_free(store);
    }
    assert_string_equal(out.data, "xx");
    assert_int_equal(count_files(folder), 1);
    ist_buffer_free(&out);
    ist_store_free(owner);
    tear_down();
}

/* A provider whose first answer is refused, and whose others are good. */
typedef struct provider {
    int asked, bad;
    int way;
} provider;

static ist_status fetch(void *self, ist_buffer *json, ist_error *err)
{
    provider *p = self;
    char *text = credentials_json(p->way, true);
    if (p->asked++ < p->bad) {
        char *token = strstr(text, "\"token\":\"");
        token[12] = token[12] == 'A' ? 'B' : 'A';
    }
    ist_status status = ist_buffer_append_string(json, text, err);
    free(text);
    return status;
}

static void test_gateway_store__renews_refused_credentials_once(void **state)
{
    (void)state;
    static const ist_credentials_ops ops = {.fetch = fetch};
    ist_error err = IST_ERROR_INIT;
    set_up();
    for (int bad = 1; bad <= 2; bad++)
        for (int way = SOCKET; way <= HTTP; way++) {
            provider source = {.bad = bad, .way = way};
            ist_credentials *credentials;
            ist_error_clear(&err);
            assert_ok(ist_credentials_new(&ops, &source, &credentials, &err), err);
            ist_store *store = open_with(credentials);
            nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 100000000}, NULL); /* else they are new enough */
            ist_status status = ist_store_put(store, "x", "x", 1, IST_PUT_REPLACE, &err);
            assert_int_equal(status, bad == 1 ? IST_OK : IST_UNAUTHENTICATED);
            assert_int_equal(source.asked, 2);
            ist_store_free(store);
            ist_credentials_free(credentials);
        }
    tear_down();
}

static void test_gateway_store__credentials_without_a_token_open_the_folder(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_credentials *credentials;
    set_up();
    assert_ok(ist_credentials_static("{\"url\":\"file:///x\",\"expiration_time\":null}", &credentials, &err), err);
    stop_server();
    ist_store *store = open_with(credentials);
    assert_ok(ist_store_put(store, "x", "x", 1, IST_PUT_REPLACE, &err), err);
    ist_store_free(store);
    ist_credentials_free(credentials);
    start_server();
    tear_down();
}

static void test_gateway_store__goes_on_when_the_server_was_started_again(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    set_up();
    ist_store *store = open_store(SOCKET, true);
    assert_ok(ist_store_put(store, "x", "x", 1, IST_PUT_REPLACE, &err), err);
    stop_server();
    assert_int_equal(ist_store_get(store, "x", &out, &err), IST_RETRYABLE);
    assert_non_null(strstr(err.message, "is it running"));
    start_server();
    assert_ok(ist_store_get(store, "x", &out, &err), err);
    ist_buffer_free(&out);
    ist_store_free(store);
    tear_down();
}

/* More than one request, both whole and given up. */
static void test_gateway_store__streams_large_objects(void **state)
{
    (void)state;
    enum { SIZE = 9 << 20 };
    ist_error err = IST_ERROR_INIT;
    ist_store_writer *writer;
    ist_store_reader *reader;
    char *data = malloc(SIZE), *again = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (char)(i * 31 + i / 4096);
    set_up();
    for (int way = SOCKET; way <= HTTP; way++) {
        ist_store *store = open_store(way, true);
        assert_ok(ist_store_writer_open(store, "big", &writer, &err), err);
        for (size_t at = 0; at < SIZE; at += 700000)
            assert_ok(ist_store_writer_write(writer, data + at, SIZE - at < 700000 ? SIZE - at : 700000, &err), err);
        assert_ok(ist_store_writer_close(writer, &err), err);
        ist_store_writer_free(writer);

        assert_ok(ist_store_reader_open(store, "big", &reader, &err), err);
        assert_int_equal(ist_store_reader_size(reader), SIZE);
        assert_ok(ist_store_reader_read(reader, 0, again, SIZE, &err), err);
        assert_memory_equal(data, again, SIZE);
        assert_ok(ist_store_reader_read(reader, SIZE - 100000, again, 100000, &err), err);
        assert_memory_equal(data + SIZE - 100000, again, 100000);
        assert_ok(ist_store_put(store, "big", "other", 5, IST_PUT_REPLACE, &err), err);
        ist_status status = ist_store_reader_read(reader, 5, again, 1000, &err);
        assert_true(way == SOCKET ? status == IST_OK : status == IST_CONFLICT); /* never bytes of the other object */
        ist_store_reader_free(reader);
        assert_ok(ist_store_delete(store, "big", &err), err);

        assert_ok(ist_store_writer_open(store, "given up", &writer, &err), err);
        for (int i = 0; i < 3; i++)
            assert_ok(ist_store_writer_write(writer, data, 1 << 20, &err), err);
        ist_store_writer_free(writer);
        wait_until_empty();
        ist_store_free(store);
    }
    free(data);
    free(again);
    tear_down();
}

static void test_gateway_store__lists_more_than_a_page(void **state)
{
    (void)state;
    enum { NAMES = 2 * IST__FILE_WIRE_PAGE_MAX + 10 };
    ist_error err = IST_ERROR_INIT;
    char path[4200];
    set_up();
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "%s/%06d", folder, i);
        assert_int_equal(i % 3 ? mknod(path, S_IFREG | 0600, 0) : mkdir(path, 0700), 0);
    }
    for (int way = SOCKET; way <= HTTP; way++) {
        ist_store *store = open_store(way, false);
        int objects = 0, folders = 0, after = 0;
        assert_ok(ist_store_list(store, "", NULL, count_entry, &objects, &err), err);
        assert_ok(ist_store_list_folders(store, "", count_entry, &folders, &err), err);
        assert_ok(ist_store_list(store, "", "010000", count_entry, &after, &err), err);
        assert_int_equal(objects + folders, NAMES);
        assert_int_equal(folders, (NAMES + 2) / 3);
        assert_int_equal(after, 6);
        ist_store_free(store);
    }
    tear_down();
}

/* Other processes -------------------------------------------------------------------------------------------------- */

/* Become somebody who may not enter the folder, and use it all the same. */
static int role_nobody(const char *root, const char *json)
{
    ist_error err = IST_ERROR_INIT;
    ist_credentials *credentials;
    ist_store *store;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0 || access(root, X_OK) == 0)
        return 10;
    if (ist_store_open(root, NULL, &store, &err) != IST_OK || ist_store_get(store, "x", &out, &err) != IST_FORBIDDEN)
        return 11;
    ist_store_free(store);
    if (ist_credentials_static(json, &credentials, &err) != IST_OK)
        return 12;
    options.credentials = credentials;
    if (ist_store_open(root, &options, &store, &err) != IST_OK || ist_store_get(store, "x", &out, &err) != IST_OK ||
        ist_store_put(store, "new", "by nobody", 9, IST_PUT_IF_ABSENT, &err) != IST_OK ||
        ist_store_put(store, "new", "again", 5, IST_PUT_IF_ABSENT, &err) != IST_ALREADY_EXISTS)
        return fprintf(stderr, "%s\n", err.message), 13;
    ist_store_free(store);
    ist_credentials_free(credentials);
    say(out.data);
    ist_buffer_free(&out);
    return 0;
}

static void test_gateway_store__serves_another_user_of_the_machine(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    if (geteuid() != 0)
        skip(); /* only root can be two users */
    set_up();
    assert_int_equal(chmod(folder, 0700), 0);
    for (int way = SOCKET; way <= HTTP; way++) {
        ist_store *owner = open_store(SOCKET, true);
        assert_ok(ist_store_put(owner, "x", "for both", 8, IST_PUT_REPLACE, &err), err);
        char *json = credentials_json(way, true);
        child c = spawn("nobody", folder, json);
        expect_line(&c, "for both");
        assert_int_equal(reap(&c), 0);
        ist_buffer_clear(&out);
        assert_ok(ist_store_get(owner, "new", &out, &err), err);
        assert_string_equal(out.data, "by nobody");
        assert_ok(ist_store_delete(owner, "new", &err), err);
        ist_store_free(owner);
        free(json);
    }
    ist_buffer_free(&out);
    tear_down();
}

static int role_writer(const char *root, const char *json)
{
    ist_error err = IST_ERROR_INIT;
    ist_credentials *credentials;
    ist_store *store;
    ist_store_writer *writer;
    static char data[2 << 20];
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    if (ist_credentials_static(json, &credentials, &err) != IST_OK)
        return 12;
    options.credentials = credentials;
    if (ist_store_open(root, &options, &store, &err) != IST_OK ||
        ist_store_writer_open(store, "half", &writer, &err) != IST_OK ||
        ist_store_writer_write(writer, data, sizeof data, &err) != IST_OK)
        return fprintf(stderr, "%s\n", err.message), 13;
    say("half");
    pause();
    return 0;
}

static void test_gateway_store__what_a_killed_client_began_goes(void **state)
{
    (void)state;
    set_up();
    for (int way = SOCKET; way <= HTTP; way++) {
        char *json = credentials_json(way, true);
        child c = spawn("writer", folder, json);
        expect_line(&c, "half");
        for (int i = 0; i < 500 && count_files(folder) == 0; i++) /* over HTTP it is on its way */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        assert_int_equal(count_files(folder), 1);
        ist_error err = IST_ERROR_INIT;
        int entries = 0;
        ist_store *store = open_store(way, false);
        assert_ok(ist_store_list(store, "", NULL, count_entry, &entries, &err), err);
        assert_int_equal(entries, 0);
        kill_child(&c);
        wait_until_empty();
        ist_store_free(store);
        free(json);
    }
    tear_down();
}

/* Takes the name of a broker that does not run, as another user of the machine, and says what it is shown. */
static int role_squatter(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    memcpy(address.sun_path + 1, name + 1, size - 1);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0 ||
        bind(listener, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) !=
            0 ||
        listen(listener, 8) != 0)
        return 10;
    say("listening");
    char bytes[64];
    int client = accept(listener, NULL, NULL);
    say(recv(client, bytes, sizeof bytes, 0) > 0 ? "was shown something" : "was shown nothing");
    return 0;
}

static void test_gateway_store__shows_nobody_else_its_token(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    if (geteuid() != 0)
        skip();
    set_up();
    char *json = credentials_json(SOCKET | HTTP, true);
    char *name = strdup(ist__file_signer_socket(signer));
    stop_server();
    child c = spawn("squatter", name);
    expect_line(&c, "listening");
    start_server(); /* without its socket */
    free(json);
    ist_store *store = open_store(SOCKET | HTTP, true);
    assert_ok(ist_store_put(store, "x", "x", 1, IST_PUT_REPLACE, &err), err); /* over HTTP */
    expect_line(&c, "was shown nothing");
    assert_int_equal(reap(&c), 0);
    ist_store_free(store);
    free(name);
    tear_down();
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--role") == 0) {
        if (strcmp(argv[2], "nobody") == 0)
            return role_nobody(argv[3], argv[4]);
        if (strcmp(argv[2], "writer") == 0)
            return role_writer(argv[3], argv[4]);
        return role_squatter(argv[3]);
    }
    const struct CMUnitTest tests[] = {
        STORE_CONFORMANCE_CASES(BOTH_WAYS_ENTRY)
        STORE_FOLDER_CASES(BOTH_WAYS_ENTRY)
        cmocka_unit_test(test_gateway_store__a_token_for_reading_changes_nothing),
        cmocka_unit_test(test_gateway_store__renews_refused_credentials_once),
        cmocka_unit_test(test_gateway_store__credentials_without_a_token_open_the_folder),
        cmocka_unit_test(test_gateway_store__goes_on_when_the_server_was_started_again),
        cmocka_unit_test(test_gateway_store__streams_large_objects),
        cmocka_unit_test(test_gateway_store__lists_more_than_a_page),
        cmocka_unit_test(test_gateway_store__serves_another_user_of_the_machine),
        cmocka_unit_test(test_gateway_store__what_a_killed_client_began_goes),
        cmocka_unit_test(test_gateway_store__shows_nobody_else_its_token),
    };
    return run_group(tests, argc, argv);
}
