/* One client's side of the wire, as a push parser: HTTP/1.1 response → body spans → SSE lines → events.
 *
 * Lines are looked at where the kernel put them; only what a read cut in two is copied (`carry`).  The SSE rules are
 * those of https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
 */
#ifndef SWARM_STREAM_H
#define SWARM_STREAM_H
#define _GNU_SOURCE
#include "swarm_tally.h"

enum phase { CONNECTING, HEAD, CHUNK_SIZE, CHUNK_EXTENSION, BODY_COUNTED, CHUNK_CRLF, BODY_OPEN, OVER };
enum kind { RECORD, NOTICE, OTHER };
enum { HAS_T = 1, HAS_P = 2, HAS_SEQ = 4, HAS_ALL = 7 };

struct id { char *text; size_t length, room; };

struct client {
  int fd, status;
  enum phase phase;
  int chunked, ready, done, failed, returning;
  uint64_t left;                                          /* bytes left of the chunk, or of Content-Length */
  char *carry;
  size_t carried, carry_room;
  int after_cr, any_line;
  enum kind kind;                                         /* of the event being read */
  int notice, has_data, has_id, has;
  struct id ids[2];                                       /* of the last event, and of the one being read */
  uint64_t retry_ms, due_ns;                              /* due_ns: when it comes back; 0: it is here, or gone */
  uint64_t t, p, seq;
  struct track *tracks;
  uint32_t partitions;
  uint64_t unique, last_ns;                               /* last_ns: 0 until the first record */
};

/* Set by main: called once per client when it is ready to be written to, and when it has all it expects. */
static struct { int64_t expect, first; int ready_on_head, returns; uint64_t now; int ready, done; } run;

static void client_ready(struct client *c) {
  if (!c->ready) { c->ready = 1; run.ready++; }
}

static void carry(struct client *c, const char *bytes, size_t length) {
  if (c->carried + length > c->carry_room) {
    c->carry_room = (c->carried + length) * 2;
    c->carry = grow(c->carry, c->carry_room);
  }
  memcpy(c->carry + c->carried, bytes, length);
  c->carried += length;
}

static void record_arrived(struct client *c) {
  if (c->has != HAS_ALL || c->p >= MAX_PARTITIONS) { tally.malformed++; return; }
  if (c->p >= c->partitions) {
    c->tracks = grow(c->tracks, (c->p + 1) * sizeof *c->tracks);
    memset(c->tracks + c->partitions, 0, (c->p + 1 - c->partitions) * sizeof *c->tracks);
    c->partitions = c->p + 1;
  }
  if (!c->has_id) tally.without_id++;
  if (!c->last_ns) c->last_ns = run.now;
  if (!tally.first_ns) tally.first_ns = run.now;
  tally.last_ns = run.now;
  if (!tally.earliest_t || c->t < tally.earliest_t) tally.earliest_t = c->t;
  if (!track_take(c->tracks + c->p, c->seq, run.first)) return;
  tally.delivered++;
  tally_latency(run.now > c->t ? run.now - c->t : 0);
  if ((int64_t)++c->unique == run.expect) { c->done = 1; run.done++; }
}

static void notice_arrived(struct client *c) {
  tally.notices.count[c->notice]++;
  if (!strcmp(tally.notices.text[c->notice], "stream-open")) client_ready(c);
}

static void dispatch(struct client *c) {
  if (c->has_data) {
    if (c->last_ns && !c->done && run.now - c->last_ns > tally.silence_ns) tally.silence_ns = run.now - c->last_ns;
    if (c->last_ns) c->last_ns = run.now;
    if (c->kind == RECORD) record_arrived(c);
    else if (c->kind == NOTICE) notice_arrived(c);
    else tally.other_events++;
  }
  if (c->has_id && run.returns) {                         /* that of an event which was cut short never counts */
    struct id read = c->ids[1];
    c->ids[1] = c->ids[0];
    c->ids[0] = read;
  }
  c->kind = RECORD;
  c->has_data = c->has_id = c->has = 0;
}

static uint64_t digits(const char **at, const char *end) {
  uint64_t value = 0;
  while (*at < end && **at == ' ') ++*at;
  while (*at < end && (unsigned)(**at - '0') < 10) value = value * 10 + (*(*at)++ - '0');
  return value;
}

/* Finds "t", "p" and "seq" in a line of JSON, in any order; stops as soon as it has all three. */
static void data_field(struct client *c, const char *at, const char *end) {
  c->has_data = 1;
  while (c->has != HAS_ALL && (at = memchr(at, '"', end - at))) {
    size_t left = end - ++at;
    uint64_t *into = NULL;
    if (left > 3 && at[1] == '"' && at[2] == ':') {
      if (*at == 't') into = &c->t, c->has |= HAS_T;
      else if (*at == 'p') into = &c->p, c->has |= HAS_P;
      at += 3;
    } else if (left > 5 && !memcmp(at, "seq\":", 5)) {
      into = &c->seq, c->has |= HAS_SEQ;
      at += 5;
    }
    if (into) *into = digits(&at, end);
  }
}

static void event_field(struct client *c, const char *value, size_t length) {
  if (length == 0 || (length == 7 && !memcmp(value, "message", 7))) c->kind = RECORD;
  else if (length > 7 && !memcmp(value, "stream-", 7)) {
    c->kind = NOTICE;
    c->notice = name_slot(&tally.notices, value, length);
  } else c->kind = OTHER;
}

static void id_field(struct client *c, const char *value, size_t length) {
  struct id *id = c->ids + 1;
  c->has_id = 1;
  if (!run.returns) return;
  if (length > id->room) id->text = grow(id->text, id->room = 2 * length);
  memcpy(id->text, value, length);
  id->length = length;
}

static void sse_line(struct client *c, const char *line, size_t length) {
  if (!c->any_line) {
    c->any_line = 1;
    if (length >= 3 && !memcmp(line, "\xEF\xBB\xBF", 3)) line += 3, length -= 3;
  }
  if (!length) { dispatch(c); return; }
  const char *colon = memchr(line, ':', length), *end = line + length;
  size_t name = colon ? (size_t)(colon - line) : length;
  const char *value = colon ? colon + 1 : end;
  if (value < end && *value == ' ') value++;
  if (name == 4 && !memcmp(line, "data", 4)) data_field(c, value, end);
  else if (name == 5 && !memcmp(line, "event", 5)) event_field(c, value, end - value);
  else if (name == 2 && !memcmp(line, "id", 2)) id_field(c, value, end - value);
  else if (name == 5 && !memcmp(line, "retry", 5)) c->retry_ms = digits(&value, end);
}

static const char *line_end(const char *at, const char *end, int any_cr) {
  if (!any_cr) return memchr(at, '\n', end - at);
  while (at < end && *at != '\n' && *at != '\r') at++;
  return at < end ? at : NULL;
}

static void sse_feed(struct client *c, const char *at, const char *end) {
  int any_cr = memchr(at, '\r', end - at) != NULL;        /* one pass for the whole span: rarely any */
  if (c->after_cr && at < end) { c->after_cr = 0; at += *at == '\n'; }
  while (at < end) {
    const char *stop = line_end(at, end, any_cr);
    if (!stop) { carry(c, at, end - at); return; }
    if (c->carried) {
      carry(c, at, stop - at);
      sse_line(c, c->carry, c->carried);
      c->carried = 0;
    } else sse_line(c, at, stop - at);
    at = stop + 1;
    if (*stop != '\r') continue;
    if (at == end) c->after_cr = 1;
    else at += *at == '\n';
  }
}

/* Looks a header up in a complete, NUL-terminated head; NULL when it is absent. */
static const char *header(const char *head, const char *name) {
  const char *at = strcasestr(head, name);
  return at ? at + strlen(name) : NULL;
}

static void head_complete(struct client *c) {
  c->status = c->carried > 12 ? atoi(c->carry + 9) : 0;
  char text[16];
  tally.statuses.count[name_slot(&tally.statuses, text, snprintf(text, sizeof text, "%d", c->status))]++;
  const char *coding = header(c->carry, "\r\ntransfer-encoding:"), *length = header(c->carry, "\r\ncontent-length:");
  const char *chunked = coding ? strcasestr(coding, "chunked") : NULL;
  c->chunked = chunked && chunked < strstr(coding, "\r\n");
  c->left = !c->chunked && length ? strtoull(length, NULL, 10) : 0;
  c->phase = c->chunked ? CHUNK_SIZE : length ? (c->left ? BODY_COUNTED : OVER) : BODY_OPEN;
  c->carried = 0;
  if (c->status != 200) c->failed = 1, c->phase = OVER;
  else if (run.ready_on_head) client_ready(c);
}

/* Takes bytes up to the blank line that ends the head; returns where the body starts. */
static const char *head_feed(struct client *c, const char *at, const char *end) {
  for (; at < end; at++) {
    carry(c, at, 1);
    if (*at != '\n' || c->carried < 4 || memcmp(c->carry + c->carried - 4, "\r\n\r\n", 4)) continue;
    c->carry[c->carried - 1] = 0;                         /* the last header keeps its \r\n before this */
    c->carry[c->carried - 2] = 0;
    head_complete(c);
    return at + 1;
  }
  if (c->carried > 65536) c->phase = OVER;
  return end;
}

/* One byte of a chunk's frame. */
static void frame_byte(struct client *c, char byte) {
  if (c->phase == CHUNK_CRLF) {
    if (byte == '\n') c->phase = CHUNK_SIZE;
  } else if (byte == '\n') c->phase = c->left ? BODY_COUNTED : OVER;
  else if (byte == ';') c->phase = CHUNK_EXTENSION;
  else if (c->phase == CHUNK_SIZE && byte != '\r' && byte != ' ')
    c->left = c->left * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
}

/* Takes what one read brought; the client's phase is OVER when the response has ended. */
static void client_feed(struct client *c, const char *at, size_t length) {
  const char *end = at + length;
  while (at < end && c->phase != OVER) {
    if (c->phase == HEAD) at = head_feed(c, at, end);
    else if (c->phase == BODY_OPEN) { sse_feed(c, at, end); at = end; }
    else if (c->phase == BODY_COUNTED) {
      size_t part = (uint64_t)(end - at) < c->left ? (size_t)(end - at) : c->left;
      sse_feed(c, at, at + part);
      at += part;
      c->left -= part;
      if (!c->left) c->phase = c->chunked ? CHUNK_CRLF : OVER;
    } else frame_byte(c, *at++);
  }
}
#endif
