/*
 * http_load.c: a load of HTTP requests over connections that are kept, and how long the answers took.
 *
 *     http_load [--connections N] [--seconds S] [--rate R] [--method M] [--token T] [--body TEXT] [--first K] URL
 *
 * URL is http://IPV4:PORT/PATH. In path and body, {c} is the number of the connection from 0, {n} that of the request
 * on its connection, {m} the one before it, and {r:N} a random number below N. {n} begins with --first.
 * Without --rate each connection asks again as soon as it is answered. With it, the R requests a second of all are
 * spread evenly over the time, and an answer's time counts from when its request was due, not from when it was sent.
 *
 * Prints {"requests", "failed" (of them; not 2xx), "seconds", "rate", "p50_us", "p99_us"}. One thread, one epoll.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1024, REQUEST_MAX = 65536, REPLY_MAX = 1 << 20, SAMPLES_MAX = 1 << 22 };

typedef struct connection {
    int fd;
    long number, asked;
    bool waits;
    int64_t due_us; /* of the request under way, or the next one */
    char *reply;
    size_t got;
} connection;

typedef struct load {
    struct sockaddr_in where;
    const char *method, *token, *body, *path;
    char host[64];
    int connections, epoll, timer;
    double seconds, rate;
    long first, requests, failed;
    int64_t begun_us, end_us;
    uint32_t *samples; /* microseconds, as long as there is room */
    unsigned seed;
    connection all[CONNECTIONS_MAX];
} load;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A template with its numbers filled in; returns the size. */
static size_t fill(load *l, const connection *c, const char *template, char *out, size_t room)
{
    size_t used = 0;
    while (*template && used < room) {
        long number = 0, below;
        int length = 0;
        if (strncmp(template, "{c}", 3) == 0)
            number = c->number, length = 3;
        else if (strncmp(template, "{n}", 3) == 0)
            number = l->first + c->asked, length = 3;
        else if (strncmp(template, "{m}", 3) == 0)
            number = l->first + c->asked - 1, length = 3;
        else if (sscanf(template, "{r:%ld}%n", &below, &length) == 1 && length > 0)
            number = rand_r(&l->seed) % below;
        if (length)
            used += (size_t)snprintf(out + used, room - used, "%ld", number);
        else
            out[used++] = *template;
        template += length ? length : 1;
    }
    return used < room ? used : room - 1;
}

static void ask(load *l, connection *c)
{
    static char body[REQUEST_MAX], path[REQUEST_MAX / 2], request[2 * REQUEST_MAX];
    size_t body_size = fill(l, c, l->body, body, sizeof body), path_size = fill(l, c, l->path, path, sizeof path);
    int size = snprintf(request, sizeof request, "%s %.*s HTTP/1.1\r\nHost: %s\r\n%s%s%s", l->method, (int)path_size,
                        path, l->host, *l->token ? "Authorization: Bearer " : "", l->token, *l->token ? "\r\n" : "");
    if (body_size)
        size += snprintf(request + size, sizeof request - (size_t)size,
                         "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s", body_size,
                         (int)body_size, body);
    else
        size += snprintf(request + size, sizeof request - (size_t)size, "\r\n");
    if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        die("send");
    c->asked++;
    c->waits = true;
    c->got = 0;
}

/* The status of a reply that is there as a whole; 0 before. */
static int complete(const connection *c)
{
    char *end = memmem(c->reply, c->got, "\r\n\r\n", 4);
    if (!end)
        return 0;
    c->reply[c->got] = '\0';
    const char *length = strcasestr(c->reply, "\r\nContent-Length:");
    size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    if (c->got < (size_t)(end + 4 - c->reply) + body)
        return 0;
    return (int)strtol(c->reply + 9, NULL, 10);
}

static void next(load *l, connection *c, int64_t now)
{
    c->due_us = l->rate > 0 ? c->due_us + (int64_t)(1e6 * l->connections / l->rate) : now;
    if (c->due_us <= now && c->due_us < l->end_us)
        ask(l, c);
}

static void take(load *l, connection *c)
{
    ssize_t size = recv(c->fd, c->reply + c->got, REPLY_MAX - 1 - c->got, 0);
    if (size <= 0)
        die("the server closed a connection");
    c->got += (size_t)size;
    int status = complete(c);
    if (!status)
        return;
    int64_t now = now_us();
    if (l->requests < SAMPLES_MAX)
        l->samples[l->requests] = (uint32_t)(now - c->due_us);
    if (status / 100 != 2 && !l->failed++)
        fprintf(stderr, "http_load: first failure: %s\n", c->reply);
    l->requests++;
    c->waits = false;
    next(l, c, now);
}

static void connect_all(load *l)
{
    for (int i = 0; i < l->connections; i++) {
        connection *c = &l->all[i];
        int one = 1;
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&l->where, sizeof l->where) != 0)
            die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->number = i;
        c->reply = malloc(REPLY_MAX);
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
    }
}

/* Requests that are due and whose connections are free; then the timer for the next. */
static void send_due(load *l)
{
    int64_t now = now_us(), soonest = INT64_MAX;
    for (int i = 0; i < l->connections; i++) {
        connection *c = &l->all[i];
        if (!c->waits && c->due_us <= now && c->due_us < l->end_us)
            ask(l, c);
        if (!c->waits && c->due_us < soonest)
            soonest = c->due_us;
    }
    int64_t wait = soonest == INT64_MAX ? 1000 : soonest > now ? soonest - now : 1;
    timerfd_settime(l->timer, 0, &(struct itimerspec){.it_value = {wait / 1000000, wait % 1000000 * 1000}}, NULL);
}

static bool any_waits(const load *l)
{
    for (int i = 0; i < l->connections; i++)
        if (l->all[i].waits)
            return true;
    return false;
}

static void run(load *l)
{
    struct epoll_event events[64];
    l->begun_us = now_us();
    l->end_us = l->begun_us + (int64_t)(l->seconds * 1e6);
    for (int i = 0; i < l->connections; i++)
        l->all[i].due_us = l->begun_us + (l->rate > 0 ? (int64_t)(1e6 / l->rate * i) : 0);
    send_due(l);
    while (now_us() < l->end_us || any_waits(l)) {
        int count = epoll_wait(l->epoll, events, 64, 100);
        for (int i = 0; i < count; i++) {
            uint64_t ticks;
            if (events[i].data.ptr)
                take(l, events[i].data.ptr);
            else if (read(l->timer, &ticks, sizeof ticks) > 0)
                send_due(l);
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(load *l)
{
    double seconds = (double)(now_us() - l->begun_us) / 1e6;
    size_t count = (size_t)(l->requests < SAMPLES_MAX ? l->requests : SAMPLES_MAX);
    qsort(l->samples, count, sizeof *l->samples, compare);
    printf("{\"requests\": %ld, \"failed\": %ld, \"seconds\": %.3f, \"rate\": %.1f, \"p50_us\": %u, \"p99_us\": %u}\n",
           l->requests, l->failed, seconds, (double)l->requests / seconds, count ? l->samples[count / 2] : 0,
           count ? l->samples[count * 99 / 100] : 0);
}

static void read_options(load *l, int argc, char **argv)
{
    char address[64] = "", path[2048] = "/";
    unsigned port = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--connections") == 0)
            l->connections = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            l->seconds = strtod(value, NULL);
        else if (strcmp(name, "--rate") == 0)
            l->rate = strtod(value, NULL);
        else if (strcmp(name, "--method") == 0)
            l->method = value;
        else if (strcmp(name, "--token") == 0)
            l->token = value;
        else if (strcmp(name, "--body") == 0)
            l->body = value;
        else if (strcmp(name, "--first") == 0)
            l->first = strtol(value, NULL, 10);
    }
    if (argc % 2 != 0 || sscanf(argv[argc - 1], "http://%63[0-9.]:%u%2047s", address, &port, path) < 2 ||
        inet_pton(AF_INET, address, &l->where.sin_addr) != 1 || l->connections < 1 ||
        l->connections > CONNECTIONS_MAX) {
        fprintf(stderr, "http_load: see the head of bench/http_load.c\n");
        exit(2);
    }
    snprintf(l->host, sizeof l->host, "%s:%u", address, port);
    l->path = strdup(path);
    l->where.sin_family = AF_INET;
    l->where.sin_port = htons((uint16_t)port);
}

int main(int argc, char **argv)
{
    static load l = {.method = "GET", .token = "", .body = "", .connections = 16, .seconds = 1, .seed = 1};
    read_options(&l, argc, argv);
    l.samples = malloc(SAMPLES_MAX * sizeof *l.samples);
    l.epoll = epoll_create1(0);
    l.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (!l.samples || l.epoll < 0 || l.timer < 0)
        die("start");
    epoll_ctl(l.epoll, EPOLL_CTL_ADD, l.timer, &(struct epoll_event){.events = EPOLLIN});
    connect_all(&l);
    run(&l);
    report(&l);
    return 0;
}
