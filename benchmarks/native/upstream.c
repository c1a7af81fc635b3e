/* A fixed MCP server that costs as little as possible, so that what stands in front of it is measured.
 *
 *   upstream http PORT RESULT_FILE TOOLS_FILE     streamable HTTP on 127.0.0.1
 *   upstream pipe RESULT_FILE TOOLS_FILE          one JSON-RPC message a line on standard input and output
 *
 * It repeats the request's id, answers `tools/list`, `initialize` and `ping`, and `tools/call` with the one
 * result. Over HTTP a call of a tool whose name ends in `_events` is answered as an event stream, and every
 * other method of HTTP with 405, which is how a client learns that there is no stream to listen to.
 * It reads only what the gateways here send; it is no server for anybody else.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ROOM = 65536, EVENTS = 256 };

static const char INITIALIZED[] =
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
    "\"serverInfo\":{\"name\":\"benchmark\",\"version\":\"1\"}}";
static const char NOT_ALLOWED[] = "HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n";
static const char SESSION[] = "mcp-session-id: 5f1d7c2e9a0b4c3d8e6f7a1b2c3d4e5f\r\n";

static char result[ROOM], tools[ROOM];

struct line {
    int fd, used;
    char in[ROOM + 1];
};

static void load(const char *path, char *into) {
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    size_t got = fread(into, 1, ROOM - 1, file);
    into[got] = 0;
    fclose(file);
}

/* The text of the value after `key`, up to the end of a string or scalar. Returns its length. */
static int value(const char *text, const char *end, const char *key, const char **found) {
    size_t length = strlen(key);
    const char *at = memmem(text, end - text, key, length);
    if (!at) return 0;
    at += length;
    const char *stop = at + 1;
    if (*at == '"') {
        while (stop < end && *stop != '"') stop++;
        stop++;
    } else {
        while (stop < end && *stop != ',' && *stop != '}') stop++;
    }
    *found = at;
    return (int)(stop - at);
}

static int is(const char *text, int length, const char *expected) {
    return length == (int)strlen(expected) && !memcmp(text, expected, length);
}

/* The JSON-RPC answer to one message; 0 for what needs none. */
static int answer(const char *text, const char *end, char *out, int *opened, int *streamed) {
    const char *id, *method, *name;
    int id_length = value(text, end, "\"id\":", &id);
    int method_length = value(text, end, "\"method\":", &method);
    int name_length = value(text, end, "\"name\":", &name);
    if (!id_length || !method_length) return 0;
    const char *body = result;
    *opened = is(method, method_length, "\"initialize\"");
    *streamed = name_length > 8 && !memcmp(name + name_length - 8, "_events\"", 8);
    if (*opened) body = INITIALIZED;
    else if (is(method, method_length, "\"tools/list\"")) body = tools;
    else if (is(method, method_length, "\"ping\"")) body = "{}";
    else if (!is(method, method_length, "\"tools/call\""))
        return sprintf(out, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"error\":{\"code\":-32601,\"message\":\"unknown\"}}",
                       id_length, id);
    return sprintf(out, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":%s}", id_length, id, body);
}

static int respond(const char *body, const char *end, char *out) {
    static char json[2 * ROOM];
    int opened = 0, streamed = 0;
    int length = answer(body, end, json, &opened, &streamed);
    if (!length) return sprintf(out, "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
    if (streamed) {
        static char event[2 * ROOM + 64];
        int size = sprintf(event, "event: message\ndata: %s\n\n", json);
        return sprintf(out,
                       "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                       "transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
                       size, event);
    }
    return sprintf(out, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s",
                   opened ? SESSION : "", length, json);
}

/* Answer every complete request that has arrived. Returns 0 when the connection is to be closed. */
static int serve(struct line *line) {
    static char out[4 * ROOM];
    for (;;) {
        line->in[line->used] = 0;
        char *head_end = memmem(line->in, line->used, "\r\n\r\n", 4);
        if (!head_end) return line->used < ROOM;
        char *body = head_end + 4;
        char *header = strcasestr(line->in, "\r\ncontent-length:");
        long length = header && header < head_end ? atol(header + 17) : 0;
        long whole = (body - line->in) + length;
        if (whole > ROOM) return 0;
        if (line->used < whole) return 1;
        int size = memcmp(line->in, "POST ", 5) ? sprintf(out, "%s", NOT_ALLOWED)
                                                : respond(body, body + length, out);
        if (write(line->fd, out, size) != size) return 0;
        line->used -= (int)whole;
        memmove(line->in, line->in + whole, line->used);
        if (!line->used) return 1;
    }
}

static int listen_on(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&address, sizeof address) || listen(fd, 1024)) {
        perror("bind");
        exit(2);
    }
    return fd;
}

static void accept_all(int epoll, int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct line *line = calloc(1, sizeof *line);
        line->fd = fd;
        struct epoll_event wish = {.events = EPOLLIN, .data.ptr = line};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wish);
    }
}

static void http(int port) {
    int listener = listen_on(port), epoll = epoll_create1(0);
    struct epoll_event wish = {.events = EPOLLIN}, ready[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wish);
    for (;;) {
        int count = epoll_wait(epoll, ready, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct line *line = ready[i].data.ptr;
            if (!line) {
                accept_all(epoll, listener);
                continue;
            }
            ssize_t got = read(line->fd, line->in + line->used, ROOM - line->used);
            if (got < 0 && errno == EAGAIN) continue;
            line->used += got > 0 ? (int)got : 0;
            if (got <= 0 || !serve(line)) {
                close(line->fd);
                free(line);
            }
        }
    }
}

static int pipes(void) {
    static char in[ROOM], out[2 * ROOM + 1];
    int used = 0;
    for (;;) {
        ssize_t got = read(0, in + used, ROOM - used);
        if (got <= 0) return 0;
        used += (int)got;
        char *start = in, *end;
        while ((end = memchr(start, '\n', in + used - start))) {
            int opened, streamed, length = answer(start, end, out, &opened, &streamed);
            if (length) {
                out[length++] = '\n';
                if (write(1, out, length) != length) return 2;
            }
            start = end + 1;
        }
        used -= (int)(start - in);
        memmove(in, start, used);
    }
}

int main(int count, char **words) {
    int over_http = count == 5 && !strcmp(words[1], "http");
    if (!over_http && !(count == 4 && !strcmp(words[1], "pipe"))) {
        fprintf(stderr, "usage: upstream http PORT RESULT TOOLS | upstream pipe RESULT TOOLS\n");
        return 2;
    }
    load(words[count - 2], result);
    load(words[count - 1], tools);
    if (over_http) http(atoi(words[2]));
    return pipes();
}
