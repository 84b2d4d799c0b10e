/* Events are posted, in a closed loop or at a rate, and deliveries counted.
 *
 * Closed loop: an event is done when its POST was answered and all subscribers of its topic have
 * it; then the connection posts the next one. At a rate, an event counts from the moment it was due,
 * also when no connection was free then: what waits is not left out of the figures. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

int64_t deliveries, doubled;
uint64_t *sent_at, *answered_at, *last_at;
int *delivered_count, *topic_of;
int done_count, first_counted;
static int next_event;
static struct connection *publisher, **sender, timer = {.kind = TIMER};
static uint64_t began, counted_from;
static int64_t deliveries_before;
static char *padding;

static void prepare(void) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  sent_at = cleared(opt.events, sizeof *sent_at);
  answered_at = cleared(opt.events, sizeof *answered_at);
  last_at = cleared(opt.events, sizeof *last_at);
  delivered_count = cleared(opt.events, sizeof *delivered_count);
  topic_of = cleared(opt.events, sizeof *topic_of);
  sender = cleared(opt.events, sizeof *sender);
  padding = cleared(opt.bytes + 1, 1);
  for (int i = 0; i < opt.bytes; i++) padding[i] = letters[(i * 7919u + i / 61) % 64];
}

static void timestamp(char *to, size_t room) {
  static time_t second;
  static char text[32];
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (t.tv_sec != second) {
    second = t.tv_sec;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime(&second));
  }
  snprintf(to, room, "%s.%06ldZ", text, t.tv_nsec / 1000);
}

/* A Patient-open of a made-up patient. The id begins with "ev" so that no UUID looks like it. */
static int body_of(int event, char *to, size_t room) {
  char topic[64], at[64];
  static const char tail[] = "</div>\"}}}]}}";
  topic_name(topic, sizeof topic, topic_of[event]);
  timestamp(at, sizeof at);
  int head = snprintf(to, room,
      "{\"timestamp\":\"%s\",\"id\":\"ev%08d\",\"event\":{\"hub.topic\":\"%s\","
      "\"hub.event\":\"Patient-open\",\"context\":[{\"key\":\"patient\",\"resource\":{"
      "\"resourceType\":\"Patient\",\"id\":\"made-up\","
      "\"identifier\":[{\"system\":\"urn:example:made-up\",\"value\":\"1\"}],"
      "\"text\":{\"status\":\"generated\",\"div\":\"<div>",
      at, event, topic);
  int end = sizeof tail - 1, padded = opt.bytes - head - end;
  if (padded < 0) padded = 0;
  memcpy(to + head, padding, padded);
  memcpy(to + head + padded, tail, end);
  return head + padded + end;
}

static void post(struct connection *over, int event) {
  static char body[1 << 16], request[1 << 17];
  char topic[64];
  topic_of[event] = opt.hot && event % opt.hot == 0 ? 0 : event % opt.topics;
  topic_name(topic, sizeof topic, topic_of[event]);
  int length = body_of(event, body, sizeof body);
  int size = opt.hub ? snprintf(request, sizeof request, "POST %s", opt.hub)
                     : snprintf(request, sizeof request, "POST /pub/%s", topic);
  size += snprintf(request + size, sizeof request - size,
      " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s"
      "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n",
      opt.port, authorization(over->number), length);
  memcpy(request + size, body, length);
  over->event = event;
  over->waits_for = opt.rate > 0 ? 1 : 2;
  sender[event] = over;
  sent_at[event] = opt.rate > 0 ? began + (uint64_t)(event * 1e9 / opt.rate) : now_ns();
  send_all(over->fd, request, size + length);
}

static int is_due(int event) {
  return opt.rate <= 0 || began + (uint64_t)(event * 1e9 / opt.rate) <= now_ns();
}

static void arm_timer(void) {
  static int armed_for = -1;
  if (armed_for == next_event) return;
  armed_for = next_event;
  uint64_t due = began + (uint64_t)(next_event * 1e9 / opt.rate);
  struct itimerspec at = {.it_value = {due / 1000000000, due % 1000000000}};
  timerfd_settime(timer.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void post_what_is_due(void) {
  for (int i = 0; i < opt.publishers; i++) {
    if (next_event >= opt.events || !is_due(next_event)) break;
    if (!publisher[i].waits_for) post(&publisher[i], next_event++);
  }
  if (opt.rate > 0 && next_event < opt.events) arm_timer();
}

static void begin_counting(void) {
  counted_from = now_ns();
  first_counted = next_event;
  deliveries_before = deliveries;
}

static void part_done(struct connection *by) {
  if (--by->waits_for) return;
  if (opt.rate <= 0 && ++done_count == opt.warm) begin_counting();
  if (next_event < opt.events && is_due(next_event)) post(by, next_event++);
}

void answered(struct connection *by, int status) {
  if (status / 100 != 2 && counted.refused++ < 3)
    fprintf(stderr, "load: an event was answered %d\n", status);
  if (!by->waits_for) return;
  answered_at[by->event] = now_ns();
  part_done(by);
}

void delivered(const struct connection *to, int event) {
  if (event < 0 || event >= next_event || topic_of[event] != to->topic) {
    counted.misrouted++;
    return;
  }
  deliveries++;
  int count = ++delivered_count[event];
  if (count > opt.subscribers) doubled++;
  if (count != opt.subscribers) return;
  last_at[event] = now_ns();
  if (opt.rate > 0) {
    if (++done_count == opt.warm) begin_counting();
  } else if (sender[event]->event == event) {
    part_done(sender[event]);
  }
}

static int all_done(void) {
  if (opt.rate > 0) post_what_is_due();
  return done_count >= opt.events || counted.errors > 1000;
}

static double cpu_seconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
         (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void connect_publishers(void) {
  publisher = cleared(opt.publishers, sizeof *publisher);
  for (int i = 0; i < opt.publishers; i++) {
    int port = port_of(&opt.posts, i, opt.through ? opt.through : opt.port);
    publisher[i] = (struct connection){.fd = dial(port), .kind = PUBLISHER, .number = i};
    watch(&publisher[i]);
  }
  if (opt.rate <= 0) return;
  timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  watch(&timer);
}

void publish_all(void) {
  prepare();
  connect_publishers();
  double cpu = cpu_seconds();
  began = counted_from = now_ns();
  post_what_is_due();
  serve_until(all_done, opt.seconds);
  double seconds = (now_ns() - began) / 1e9, counted_seconds = (now_ns() - counted_from) / 1e9;
  double cpu_share = (cpu_seconds() - cpu) / seconds;
  print_figures(seconds, counted_seconds, deliveries - deliveries_before, cpu_share);
}
