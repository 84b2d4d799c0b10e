/* One thread, one epoll: bytes come in and are handed to what they belong to. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };
static int poller = -1;
static struct connection control = {.fd = 0, .kind = CONTROL};
static int told;

void watch(struct connection *it) {
  if (poller < 0) poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, it->fd, &event)) fail("epoll");
}

void forget(struct connection *it) {
  epoll_ctl(poller, EPOLL_CTL_DEL, it->fd, NULL);
  close(it->fd);
  free(it->in.at);
  it->in = (struct bytes){0};
  it->fd = -1;
}

static void answer(struct connection *it, int event) {
  char text[64];
  int length = snprintf(text, sizeof text, "{\"id\":\"ev%08d\",\"status\":\"200\"}", event);
  send_frame(it->fd, TEXT, text, length);
}

static void on_text(struct connection *it, const struct frame *frame) {
  if (it->kind == CONFIRMING) {
    joined_on_confirmation(it);
    return;
  }
  /* The id stands near either end; names inside a resource do not begin with "ev". */
  char *id = memmem(frame->payload, frame->length, "\"id\":\"ev", 8);
  if (!id) {
    if (memmem(frame->payload, frame->length, "SyncError", 9)) counted.sync_errors++;
    return;
  }
  int event = atoi(id + 8);
  delivered(it, event);
  if (opt.answers) answer(it, event);
}

static void on_frames(struct connection *it) {
  size_t offset = 0, size;
  struct frame frame;
  while (it->in.at && (size = frame_at(&it->in, offset, &frame))) {
    offset += size;
    if (frame.opcode == TEXT) on_text(it, &frame);
    else if (frame.opcode == PING) send_frame(it->fd, PONG, frame.payload, frame.length);
    else if (frame.opcode == CLOSE) counted.closed++;
  }
  if (offset) drop(&it->in, offset);
}

static void on_answers(struct connection *it) {
  char *body;
  size_t length, size;
  int status;
  while ((status = http_response(&it->in, &body, &length, &size))) {
    drop(&it->in, size);
    answered(it, status);
  }
}

static void dispatch(struct connection *it) {
  if (it->kind == SUBSCRIBING) joined_on_http(it);
  else if (it->kind == PUBLISHER) on_answers(it);
  else {
    if (it->kind == UPGRADING) joined_on_upgrade(it);
    if (it->kind == CONFIRMING || it->kind == SUBSCRIBED) on_frames(it);
  }
}

static void read_from(struct connection *it) {
  static char chunk[1 << 18];
  if (it->fd < 0) return;
  ssize_t got = read(it->fd, chunk, sizeof chunk);
  if (got < 0 && errno == EAGAIN) return;
  if (got > 0) {
    if (it->kind == CONTROL) told = 1;
    if (it->kind == CONTROL || it->kind == TIMER) return;
    append(&it->in, chunk, got);
    dispatch(it);
    return;
  }
  if (it->kind == CONTROL) exit(0); /* whoever started this is gone */
  if (it->kind != SUBSCRIBED) counted.errors++;
  if (counted.closed++ < 3) fprintf(stderr, "load: a connection of kind %d was closed\n", it->kind);
  forget(it);
}

int serve_until(int (*is_done)(void), double seconds) {
  struct epoll_event events[512];
  uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
  while (!is_done()) {
    if (now_ns() > end) return 0;
    int count = epoll_wait(poller, events, 512, 200);
    for (int i = 0; i < count; i++) read_from(events[i].data.ptr);
  }
  return 1;
}

static int is_told(void) { return told; }

void serve_until_told(void) {
  watch(&control);
  while (!serve_until(is_told, 3600)) continue;
}
