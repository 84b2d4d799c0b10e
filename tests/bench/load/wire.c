/* Sockets, HTTP/1.1 and WebSocket (RFC 6455), as far as a load generator needs them. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

void fail(const char *what) {
  fprintf(stderr, "load: %s (%s)\n", what, strerror(errno));
  exit(1);
}

void *cleared(size_t count, size_t size) {
  void *made = calloc(count ? count : 1, size);
  if (!made) fail("memory");
  return made;
}

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int dial(int port) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  /* On loopback a connect is over at once, so it may block. */
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

int send_all(int fd, const char *from, size_t length) {
  while (length) {
    ssize_t sent = write(fd, from, length);
    if (sent < 0 && errno == EAGAIN) {
      usleep(50); /* the server is behind; nothing else is to be done meanwhile */
      continue;
    }
    if (sent < 0) return counted.errors++, 0;
    from += sent;
    length -= sent;
  }
  return 1;
}

void send_frame(int fd, int opcode, const char *payload, size_t length) {
  /* A key that is not zero, so that the server has to unmask. */
  static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
  char out[512];
  size_t head = 2;
  if (length > 400) return;
  out[0] = (char)(0x80 | opcode);
  if (length < 126) {
    out[1] = (char)(0x80 | length);
  } else {
    out[1] = (char)(0x80 | 126), out[2] = (char)(length >> 8), out[3] = (char)length;
    head = 4;
  }
  memcpy(out + head, key, 4);
  for (size_t i = 0; i < length; i++) out[head + 4 + i] = payload[i] ^ key[i & 3];
  send_all(fd, out, head + 4 + length);
}

void append(struct bytes *to, const char *from, size_t length) {
  if (to->room < to->length + length + 1) {
    to->room = (to->length + length + 1) * 2;
    to->at = realloc(to->at, to->room);
    if (!to->at) fail("memory");
  }
  memcpy(to->at + to->length, from, length);
  to->length += length;
  to->at[to->length] = 0;
}

void drop(struct bytes *from, size_t length) {
  from->length -= length;
  memmove(from->at, from->at + length, from->length);
  if (from->length) {
    from->at[from->length] = 0;
    return;
  }
  /* Thousands of idle connections need no buffers. */
  free(from->at);
  *from = (struct bytes){0};
}

int http_response(struct bytes *from, char **body, size_t *body_length, size_t *size) {
  char *end, *header;
  if (!from->at || !(end = strstr(from->at, "\r\n\r\n"))) return 0;
  size_t head = end + 4 - from->at, length = 0;
  if ((header = strcasestr(from->at, "\r\ncontent-length:")) && header < end) {
    length = strtoul(header + 17, NULL, 10);
  } else if ((header = strcasestr(from->at, "\r\ntransfer-encoding: chunked")) && header < end) {
    char *last = strstr(end + 2, "\r\n0\r\n\r\n");
    if (!last) return 0;
    length = last + 7 - (end + 4);
  }
  if (from->length < head + length) return 0;
  *body = from->at + head;
  *body_length = length;
  *size = head + length;
  return atoi(from->at + 9);
}

size_t frame_at(const struct bytes *from, size_t offset, struct frame *found) {
  const unsigned char *p = (const unsigned char *)from->at + offset;
  size_t there = from->length - offset, head = 2, length;
  if (there < 2) return 0;
  length = p[1] & 127;
  if (length > 125) {
    head = length == 126 ? 4 : 10;
    if (there < head) return 0;
    length = 0;
    for (size_t i = 2; i < head; i++) length = length << 8 | p[i];
  }
  if (there < head + length) return 0;
  *found = (struct frame){p[0] & 15, from->at + offset + head, length};
  return head + length;
}
