/* A load generator that checks every answer.
 *
 *   load http PORT REQUEST_FILE ANSWER_FILE CONNECTIONS WARM_MS MEASURE_MS RATE
 *   load pipe HELLO_FILE REQUEST_FILE ANSWER_FILE WARM_MS MEASURE_MS COMMAND...
 *
 * Seven `@` in request and answer stand for an id, which is another one for each message. An answer is good
 * when it has status 200 and exactly the expected body.
 *
 * RATE 0 is a closed loop: each connection sends as soon as it has its answer. Otherwise RATE requests a
 * second are sent whatever comes back, and latency runs from the time a request was due, so that a stall
 * of the server counts for every request it delayed. After the measured time it sends no more and waits for
 * what is open, so that the number of calls made is exact. Prints one JSON object; times in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 65536, READY = 256, MARK = 7, FIRST_ID = 1000001, DRAIN_MS = 3000, KEPT = 4000000 };

struct text {
    char bytes[ROOM];
    int length, mark;
};

struct line {
    int fd, used, busy;
    double due;
    char request[ROOM], answer[ROOM], in[ROOM + 1];
};

static struct text request, expected;
static float *kept;
static long kept_count, all, good, received;
static double begin, from, until;
static int next_id = FIRST_ID;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void load(const char *path, struct text *into) {
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    into->length = (int)fread(into->bytes, 1, ROOM - 1, file);
    fclose(file);
    char *mark = memmem(into->bytes, into->length, "@@@@@@@", MARK);
    into->mark = mark ? (int)(mark - into->bytes) : -1;
}

static void put_id(char *out, const struct text *text, int id) {
    for (int digit = MARK - 1; digit >= 0 && text->mark >= 0; digit--, id /= 10) out[text->mark + digit] = '0' + id % 10;
}

static void note(double due, int is_good) {
    double time = now();
    all++;
    good += is_good;
    if (time >= from && time < until && kept_count < KEPT) kept[kept_count++] = (float)(time - due);
}

static int by_size(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static double quantile(double part) {
    return kept_count ? kept[(long)(part * (kept_count - 1))] : 0;
}

static int report(void) {
    qsort(kept, kept_count, sizeof *kept, by_size);
    printf("{\"calls\":%ld,\"good\":%ld,\"bytes\":%ld,\"measured\":%ld,\"seconds\":%.6f,"
           "\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n",
           all, good, received, kept_count, (until - from) / 1e6, quantile(.5), quantile(.99), quantile(1));
    return 0;
}

static void plan(double warm_ms, double measure_ms) {
    kept = malloc(KEPT * sizeof *kept);
    begin = now();
    from = begin + warm_ms * 1e3;
    until = from + measure_ms * 1e3;
}

/* HTTP */

static void broken(const char *why) {
    fprintf(stderr, "load: %s\n", why);
    exit(1);
}

static struct line *dial(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct line *line = calloc(1, sizeof *line);
    int one = 1;
    line->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(line->fd, (void *)&address, sizeof address)) {
        perror("connect");
        exit(1);
    }
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(line->fd, F_SETFL, O_NONBLOCK);
    memcpy(line->request, request.bytes, request.length);
    memcpy(line->answer, expected.bytes, expected.length);
    return line;
}

static void post(struct line *line, double due) {
    line->due = due;
    line->busy = 1;
    line->used = 0;
    put_id(line->request, &request, next_id);
    put_id(line->answer, &expected, next_id++);
    if (write(line->fd, line->request, request.length) != request.length) broken("a request was not taken whole");
}

/* Join the chunks of `from` in place. Returns the length of the body, or -1 while it is not complete. */
static int join(char *from, const char *end) {
    char *to = from, *at = from, *stop;
    for (;;) {
        long size = strtol(at, &stop, 16);
        if (stop == at || stop + 2 > end) return -1;
        at = stop + 2;
        if (at + size + 2 > end) return -1;
        if (!size) return (int)(to - from);
        memmove(to, at, size);
        to += size;
        at += size + 2;
    }
}

/* 1 for a good answer, 0 for another one, -1 while it is not complete. */
static int judge(struct line *line) {
    static char copy[ROOM + 1];
    line->in[line->used] = 0;
    char *head_end = memmem(line->in, line->used, "\r\n\r\n", 4);
    if (!head_end) return -1;
    char *body = head_end + 4;
    int there = (int)(line->in + line->used - body), length;
    char *sized = strcasestr(line->in, "\r\ncontent-length:");
    if (sized && sized < head_end) {
        length = atoi(sized + 17);
        if (there < length) return -1;
    } else {
        memcpy(copy, body, there + 1);
        length = join(copy, copy + there);
        if (length < 0) return -1;
        body = copy;
    }
    int matches = length == expected.length && !memcmp(body, line->answer, length);
    if (!strncmp(line->in, "HTTP/1.1 200 ", 13) && matches) return 1;
    fprintf(stderr, "load: unexpected answer: %.400s\n", line->in);
    return 0;
}

/* Send what is due. Returns how many are free after it. */
static int send_due(struct line **idle, int idle_count, double rate, double *next) {
    double time = now();
    while (idle_count && *next <= time && *next < until) {
        post(idle[--idle_count], *next);
        *next += 1e6 / rate;
    }
    return idle_count;
}

static void alarm_at(int timer, double time) {
    struct itimerspec when = {.it_value = {(long)(time / 1e6), (long)((time - (long)(time / 1e6) * 1e6) * 1e3)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, 0);
}

static int receive(struct line *line) {
    ssize_t got = read(line->fd, line->in + line->used, ROOM - line->used);
    if (got <= 0) broken(got ? strerror(errno) : "the connection was closed");
    received += got;
    line->used += (int)got;
    int verdict = judge(line);
    if (verdict < 0) return 0;
    note(line->due, verdict);
    line->busy = 0;
    return 1;
}

static int http(int port, int connections, double warm_ms, double measure_ms, double rate) {
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), open = 0;
    struct epoll_event wish = {.events = EPOLLIN}, ready[READY];
    struct line **idle = calloc(connections, sizeof *idle);
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &wish);
    for (int i = 0; i < connections; i++) {
        idle[i] = dial(port);
        wish.data.ptr = idle[i];
        epoll_ctl(epoll, EPOLL_CTL_ADD, idle[i]->fd, &wish);
    }
    plan(warm_ms, measure_ms);
    double next = begin;
    int idle_count = connections;
    if (rate <= 0) {
        for (int i = 0; i < connections; i++) post(idle[i], now());
        idle_count = 0;
    }
    for (;;) {
        if (rate > 0) {
            idle_count = send_due(idle, idle_count, rate, &next);
            if (idle_count && next < until) alarm_at(timer, next);
        }
        open = connections - idle_count;
        double time = now();
        if (time >= until && !open) break;
        if (time > until + DRAIN_MS * 1e3) broken("answers are missing");
        int count = epoll_wait(epoll, ready, READY, 100);
        for (int i = 0; i < count; i++) {
            struct line *line = ready[i].data.ptr;
            char expired[8];
            if (!line) {
                if (read(timer, expired, sizeof expired) < 0 && errno != EAGAIN) broken(strerror(errno));
            } else if (receive(line)) {
                if (rate <= 0 && now() < until) post(line, now());
                else idle[idle_count++] = line;
            }
        }
    }
    return report();
}

/* A pipe */

static int read_line(FILE *from, char *into) {
    if (!fgets(into, ROOM, from)) broken("the server closed its output");
    int length = (int)strlen(into);
    received += length;
    return length;
}

static int talk(FILE *to, FILE *from, const struct text *hello, double warm_ms, double measure_ms) {
    static char in[ROOM];
    fwrite(hello->bytes, 1, hello->length, to);
    fflush(to);
    read_line(from, in);
    plan(warm_ms, measure_ms);
    while (now() < until) {
        put_id(request.bytes, &request, next_id);
        put_id(expected.bytes, &expected, next_id++);
        double due = now();
        if (fwrite(request.bytes, 1, request.length, to) != (size_t)request.length || fflush(to)) broken("the server is gone");
        int length = read_line(from, in);
        int matches = length == expected.length && !memcmp(in, expected.bytes, length);
        if (!matches) fprintf(stderr, "load: unexpected answer: %.400s\n", in);
        note(due, matches);
    }
    return report();
}

static int over_pipe(char **words) {
    struct text hello;
    int down[2], up[2];
    load(words[2], &hello);
    if (pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC)) broken("no pipe");
    pid_t child = fork();
    if (!child) {
        dup2(down[0], 0);
        dup2(up[1], 1);
        execvp(words[7], words + 7);
        perror(words[7]);
        _exit(127);
    }
    close(down[0]);
    close(up[1]);
    FILE *to = fdopen(down[1], "w"), *from = fdopen(up[0], "r");
    int status = talk(to, from, &hello, atof(words[5]), atof(words[6]));
    fclose(to);
    waitpid(child, 0, 0);
    return status;
}

int main(int count, char **words) {
    int is_pipe = count > 7 && !strcmp(words[1], "pipe");
    if (!is_pipe && !(count == 9 && !strcmp(words[1], "http"))) {
        fprintf(stderr, "usage: load http PORT REQUEST ANSWER CONNECTIONS WARM_MS MEASURE_MS RATE\n"
                        "       load pipe HELLO REQUEST ANSWER WARM_MS MEASURE_MS COMMAND...\n");
        return 2;
    }
    load(words[3], &request);
    load(words[4], &expected);
    if (is_pipe) return over_pipe(words);
    return http(atoi(words[2]), atoi(words[5]), atof(words[6]), atof(words[7]), atof(words[8]));
}
