/* swarm: many Server-Sent-Events clients in one process, and what each of them saw.
 *
 * Each record's data holds "t" (ns since the epoch when it was written), "p" (partition) and "seq" (dense per
 * partition).  Prints "ready" once every client is (its `stream-open` arrived, or its response head with --ready head,
 * or it failed), and one line of JSON at the end: when each client has its expected records, all connections are
 * over, nothing came for --idle seconds, or at the timeout.
 *
 *     swarm --port N --path /events/t/ --clients N --expect N [--timeout S] [--idle S] [--linger S]
 *           [--rate CONNECTS_PER_S] [--ready open|head] [--first SEQ] [--header "Name: value"] [--read BYTES] [--returns 1]
 *
 * --first is the number that every partition starts with (default: where a client starts is right); --read 1 tries
 * the parser with every cut; with --returns 1 a client whose stream was ended before it had all comes back, as an
 * EventSource does: after the time of the last `retry:`, with the id of the last event in place of --header, and again
 * for as long as nobody answers.
 *
 * cc -O2 -o swarm swarm.c
 */
#define _GNU_SOURCE
#include "swarm_stream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (256 << 10)
#define BATCH 256
#define RETRY_MS 2000                                     /* until the server says otherwise */
#define PER_ADDRESS 20000                                 /* below the number of local ports per destination */

static struct { int port, clients; double timeout, idle, linger, rate; const char *path, *header; size_t read; } want = {
  .clients = 1, .timeout = 60, .linger = 0.3, .rate = 500, .path = "/", .header = "", .read = READ_BYTES};
static struct { int epoll, opened, open, closed, announced; uint64_t began, ready_ns, done_ns, due_ns; } loop;
static struct client *clients;
static char buffer[READ_BYTES];

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);                      /* the writer's "t" is of this clock */
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void usage(void) {
  fprintf(stderr, "usage: swarm --port N --path PATH --clients N --expect N [--timeout S] [--idle S] [--linger S]"
                  " [--rate N] [--ready open|head] [--first SEQ] [--header 'Name: value'] [--read BYTES]"
                  " [--returns 1]\n");
  exit(2);
}

static void options(int argc, char **argv) {
  static const struct option known[] = {
    {"port", 1, 0, 'p'}, {"path", 1, 0, 'u'}, {"clients", 1, 0, 'c'}, {"expect", 1, 0, 'e'}, {"timeout", 1, 0, 't'},
    {"idle", 1, 0, 'i'}, {"linger", 1, 0, 'l'}, {"rate", 1, 0, 'r'}, {"ready", 1, 0, 'o'}, {"first", 1, 0, 'f'},
    {"header", 1, 0, 'h'}, {"read", 1, 0, 'b'}, {"returns", 1, 0, 'a'}, {0}};
  run.first = -1;
  for (int key; (key = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    switch (key) {
      case 'p': want.port = atoi(optarg); break;
      case 'u': want.path = optarg; break;
      case 'c': want.clients = atoi(optarg); break;
      case 'e': run.expect = atoll(optarg); break;
      case 't': want.timeout = atof(optarg); break;
      case 'i': want.idle = atof(optarg); break;
      case 'l': want.linger = atof(optarg); break;
      case 'r': want.rate = atof(optarg); break;
      case 'o': run.ready_on_head = !strcmp(optarg, "head"); break;
      case 'f': run.first = atoll(optarg); break;
      case 'h': want.header = optarg; break;
      case 'b': want.read = atoll(optarg); break;
      case 'a': run.returns = atoi(optarg); break;
      default: usage();
    }
  }
  if (!want.port || want.clients < 1 || !want.read || want.read > READ_BYTES) usage();
}

static void due_no_later(uint64_t due_ns) {
  if (!loop.due_ns || due_ns < loop.due_ns) loop.due_ns = due_ns;
}

static void client_over(struct client *c, int by_peer) {
  if (c->fd < 0) return;
  close(c->fd);                                           /* leaves the epoll set with it */
  c->fd = -1;
  c->phase = OVER;
  loop.open--;
  if (by_peer && c->status == 200) loop.closed++;
  /* As a browser: after a cut, and while nobody answers who did before; not after a status that is an error. */
  if (run.returns && !c->done && (c->status == 200 || (c->returning && !c->status))) {
    c->returning = 1;
    c->due_ns = now_ns() + (c->retry_ms ? c->retry_ms : RETRY_MS) * 1000000;
    due_no_later(c->due_ns);
    return;
  }
  if (c->status != 200) c->failed = 1;
  client_ready(c);
}

static void client_open(struct client *c, int index) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(want.port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / PER_ADDRESS);
  c->phase = CONNECTING;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) { c->failed = 1; client_ready(c); return; }
  loop.open++;
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
  if ((connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
      || epoll_ctl(loop.epoll, EPOLL_CTL_ADD, c->fd, &event))
    client_over(c, 0);
}

static void client_connected(struct client *c) {
  char request[16384];
  const struct id *last = c->ids;
  const char *resume = last->length ? "Last-Event-ID: " : want.header;
  int error = 0, length = snprintf(request, sizeof request,
    "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nAccept: text/event-stream\r\n%s%.*s%s\r\n",
    want.path, want.port, resume, (int)last->length, last->length ? last->text : "", *resume ? "\r\n" : "");
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error || length >= (int)sizeof request || send(c->fd, request, length, MSG_NOSIGNAL) != length) {
    client_over(c, 0);
    return;
  }
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  c->phase = HEAD;
  epoll_ctl(loop.epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void client_readable(struct client *c) {
  ssize_t got = recv(c->fd, buffer, want.read, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  run.now = now_ns();
  if (got > 0) {
    tally.bytes += got;
    client_feed(c, buffer, got);
  }
  if (got <= 0 || c->phase == OVER) client_over(c, 1);
}

static void open_due(void) {
  uint64_t due = (now_ns() - loop.began) / 1e9 * want.rate + 1;
  for (; loop.opened < want.clients && (uint64_t)loop.opened < due; loop.opened++)
    client_open(clients + loop.opened, loop.opened);
}

static void reopen_due(void) {
  uint64_t now = now_ns();
  if (now < loop.due_ns) return;
  loop.due_ns = 0;
  for (struct client *c = clients; c < clients + want.clients; c++) {
    if (!c->due_ns) continue;
    if (now < c->due_ns) { due_no_later(c->due_ns); continue; }
    c->due_ns = 0;
    c->status = c->chunked = c->after_cr = c->any_line = c->has_data = c->has_id = c->has = 0;
    c->left = c->carried = 0;
    c->kind = RECORD;
    client_open(c, c - clients);
  }
}

static void announce_when_ready(void) {
  if (loop.announced || run.ready < want.clients) return;
  loop.announced = 1;
  loop.ready_ns = now_ns();
  puts("ready");
  fflush(stdout);
}

static int finished(void) {
  uint64_t now = now_ns();
  if (run.done == want.clients && !loop.done_ns) loop.done_ns = now;
  if (loop.done_ns && now - loop.done_ns >= want.linger * 1e9) return 1;   /* lingers for repeats of the last ones */
  if (loop.announced && !loop.open && !loop.due_ns) return 1;
  if (want.idle && tally.last_ns && !loop.done_ns && now - tally.last_ns > want.idle * 1e9) return 1;
  return now - loop.began > want.timeout * 1e9;
}

static void serve(void) {
  struct epoll_event events[BATCH];
  while (!finished()) {
    if (loop.opened < want.clients) open_due();
    if (loop.due_ns) reopen_due();
    int count = epoll_wait(loop.epoll, events, BATCH, loop.opened < want.clients ? 2 : 20);
    for (int i = 0; i < count; i++) {
      struct client *c = events[i].data.ptr;
      if (c->phase == CONNECTING) client_connected(c);
      else client_readable(c);
    }
    announce_when_ready();
  }
}

/* A client that is not done and heard nothing while others did was silent until the last record of all. */
static uint64_t silence_ns(void) {
  uint64_t longest = tally.silence_ns;
  for (int i = 0; i < want.clients; i++) {
    struct client *c = clients + i;
    if (c->last_ns && !c->done && tally.last_ns > c->last_ns && tally.last_ns - c->last_ns > longest)
      longest = tally.last_ns - c->last_ns;
  }
  return longest;
}

/* getrusage's ru_maxrss would be that of the program which started this one, if larger. */
static long peak_kb(void) {
  char line[256];
  long kb = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "VmHWM: %ld", &kb) == 1) break;
  if (status) fclose(status);
  return kb;
}

static void report(void) {
  int failed = 0;
  for (int i = 0; i < want.clients; i++) failed += clients[i].failed;
  double seconds = (tally.last_ns - tally.first_ns) / 1e9, whole = (tally.last_ns - tally.earliest_t) / 1e9;
  int64_t expected = run.expect * want.clients, missing = expected - (int64_t)tally.delivered;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  printf("{\"clients\":%d,\"failed\":%d,\"closed\":%d,\"complete\":%d,", want.clients, failed, loop.closed, run.done);
  printf("\"delivered\":%lu,\"expected\":%ld,\"missing\":%ld,", tally.delivered, expected, missing);
  printf("\"lost\":%lu,\"gaps\":%lu,\"repeated\":%lu,", tally.lost, tally.gaps, tally.repeated);
  printf("\"out_of_order\":%lu,\"malformed\":%lu,", tally.out_of_order, tally.malformed);
  printf("\"without_id\":%lu,\"other_events\":%lu,", tally.without_id, tally.other_events);
  print_names("notices", &tally.notices);
  print_names("statuses", &tally.statuses);
  printf("\"seconds\":%.4f,\"seconds_from_first_write\":%.4f,", seconds, tally.earliest_t ? whole : 0);
  printf("\"deliveries_per_s\":%.0f,\"bytes\":%lu,", seconds > 0 ? tally.delivered / seconds : 0, tally.bytes);
  printf("\"connect_s\":%.3f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,",
         loop.ready_ns ? (loop.ready_ns - loop.began) / 1e9 : -1,
         latency_ms(.5), latency_ms(.9), latency_ms(.99), tally.latency_max / 1e6);
  printf("\"silence_ms\":%.1f,\"cpu_s\":%.2f,\"rss_kb\":%ld}\n", silence_ns() / 1e6, cpu, peak_kb());
}

static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
  options(argc, argv);
  raise_file_limit();
  clients = grow(NULL, want.clients * sizeof *clients);
  memset(clients, 0, want.clients * sizeof *clients);
  for (int i = 0; i < want.clients; i++) clients[i].fd = -1;
  loop.epoll = epoll_create1(EPOLL_CLOEXEC);
  loop.began = now_ns();
  serve();
  report();
  return 0;
}
