/* What the swarm counts: continuity per client and partition, latency, silence, notices, statuses.
 *
 * Continuity is exact: each hole is remembered, so a record that arrives late is told from one that arrives twice,
 * and what is still a hole at the end is what was lost.  No I/O here.
 */
#ifndef SWARM_TALLY_H
#define SWARM_TALLY_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARTITIONS 4096
#define MAX_NAMES 24
/* 64 linear steps in each power of two: 1.6 % resolution without a logarithm per record. */
#define STEP_BITS 6
#define BUCKETS (64 << STEP_BITS)

struct hole { uint64_t from, to; };                       /* [from, to) */
struct track {                                            /* one partition as one client sees it */
  uint64_t next;
  struct hole *holes;
  uint32_t used, room;
  int begun;
};
struct names { char text[MAX_NAMES][32]; uint64_t count[MAX_NAMES]; int used; };

static struct {
  uint64_t delivered, repeated, out_of_order, lost, gaps, malformed, without_id, other_events, bytes;
  uint64_t first_ns, last_ns, earliest_t, silence_ns;
  uint64_t latency[BUCKETS], latency_max;
  struct names notices, statuses;
} tally;

static void *grow(void *old, size_t bytes) {
  void *fresh = realloc(old, bytes);
  if (!fresh) { perror("swarm: memory"); exit(1); }
  return fresh;
}

static int name_slot(struct names *list, const char *text, size_t length) {
  if (length > sizeof list->text[0] - 1) length = sizeof list->text[0] - 1;
  for (int i = 0; i < list->used; i++)
    if (strlen(list->text[i]) == length && !memcmp(list->text[i], text, length)) return i;
  if (list->used == MAX_NAMES) return MAX_NAMES - 1;
  for (size_t i = 0; i < length; i++)                     /* goes into JSON as it is */
    list->text[list->used][i] = text[i] < ' ' || text[i] == '"' || text[i] == '\\' ? '?' : text[i];
  return list->used++;
}

static void track_hole(struct track *track, uint64_t from, uint64_t to) {
  if (track->used == track->room) {
    track->room = track->room ? track->room * 2 : 8;
    track->holes = grow(track->holes, track->room * sizeof *track->holes);
  }
  track->holes[track->used++] = (struct hole){from, to};
  tally.gaps++;
  tally.lost += to - from;
}

/* A number below the next one: fills a hole (late) or was there already.  Returns 1 when it is new. */
static int track_late(struct track *track, uint64_t seq) {
  for (uint32_t i = track->used; i-- > 0;) {
    struct hole *hole = track->holes + i, old = *hole;
    if (seq < old.from || seq >= old.to) continue;
    tally.out_of_order++;
    tally.lost--;
    hole->to = seq;
    if (seq + 1 < old.to) { track_hole(track, seq + 1, old.to); tally.gaps--; tally.lost -= old.to - seq - 1; }
    return 1;
  }
  tally.repeated++;
  return 0;
}

/* Returns 1 when the record is one that this client had not seen.  `first` < 0: start where the client starts. */
static inline int track_take(struct track *track, uint64_t seq, int64_t first) {
  if (!track->begun) {
    track->begun = 1;
    track->next = first < 0 ? seq : (uint64_t)first;
  }
  if (seq < track->next) return track_late(track, seq);
  if (seq > track->next) track_hole(track, track->next, seq);
  track->next = seq + 1;
  return 1;
}

static inline void tally_latency(uint64_t ns) {
  unsigned power = ns < (1 << STEP_BITS) ? STEP_BITS : 63 - __builtin_clzll(ns);
  unsigned step = (ns >> (power - STEP_BITS)) & ((1 << STEP_BITS) - 1);
  tally.latency[(power << STEP_BITS) + step]++;
  if (ns > tally.latency_max) tally.latency_max = ns;
}

/* Upper edge, in milliseconds, of the bucket below which `share` of all records lie. */
static double latency_ms(double share) {
  uint64_t all = 0, below = 0;
  for (int i = 0; i < BUCKETS; i++) all += tally.latency[i];
  for (int i = 0; all && i < BUCKETS; i++) {
    below += tally.latency[i];
    if (below < share * all || !tally.latency[i]) continue;
    unsigned power = i >> STEP_BITS;
    uint64_t step = (uint64_t)((i & ((1 << STEP_BITS) - 1)) | (1 << STEP_BITS)) + 1;
    uint64_t edge = step << (power - STEP_BITS);
    return (edge < tally.latency_max ? edge : tally.latency_max) / 1e6;
  }
  return 0;
}

static void print_names(const char *key, const struct names *list) {
  printf("\"%s\":{", key);
  for (int i = 0; i < list->used; i++)
    printf("%s\"%s\":%lu", i ? "," : "", list->text[i], (unsigned long)list->count[i]);
  printf("},");
}
#endif
