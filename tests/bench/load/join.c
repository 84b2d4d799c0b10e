/* Subscribers join: subscribe (FHIRcast only), upgrade, confirmation (FHIRcast only). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

struct connection *subscriber;
uint64_t *join_took;
int joined_count;
static int begun, wanted;
static struct connection *http; /* one for each that joins at the same time */

void topic_name(char *to, size_t room, int topic) {
  snprintf(to, room, "%s%05d", opt.prefix, topic);
}

const char *authorization(int number) {
  static char header[20000];
  if (!opt.token_count) return "";
  const char *token = opt.tokens[number % opt.token_count];
  snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", token);
  return header;
}

static void subscribe(struct connection *it) {
  char form[512], head[24000], topic[64];
  if (it->http->fd < 0) {
    it->http->fd = dial(opt.port);
    watch(it->http);
  }
  it->kind = it->http->kind = SUBSCRIBING;
  it->http->owner = it;
  topic_name(topic, sizeof topic, it->topic);
  int length = snprintf(form, sizeof form,
      "hub.channel.type=websocket&hub.mode=subscribe&hub.topic=%s"
      "&hub.events=Patient-open,Patient-close,SyncError&subscriber.name=load%d", topic, it->number);
  int size = snprintf(head, sizeof head,
      "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s"
      "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
      opt.hub, opt.port, authorization(it->number), length, form);
  send_all(it->http->fd, head, size);
}

static void upgrade(struct connection *it, const char *path) {
  char head[2048];
  int place = opt.together ? it->topic : it->number % opt.subscribers;
  it->kind = UPGRADING;
  it->fd = dial(port_of(&opt.sockets, place, opt.port));
  watch(it);
  int size = snprintf(head, sizeof head,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
      path, opt.port);
  send_all(it->fd, head, size);
}

static void begin(struct connection *over) {
  char path[128], topic[64];
  if (begun == wanted) return;
  struct connection *it = &subscriber[begun];
  *it = (struct connection){.fd = -1, .number = begun, .http = over};
  it->topic = begun / opt.subscribers;
  it->began = now_ns();
  begun++;
  if (opt.hub) return subscribe(it);
  topic_name(topic, sizeof topic, it->topic);
  snprintf(path, sizeof path, "/sub/%s", topic);
  upgrade(it, path);
}

/* "ws://127.0.0.1:8080/api/hub/ws/…" in the answer to a subscribe -> "/api/hub/ws/…" */
static int endpoint_path(const char *body, char *path, size_t room) {
  const char *from = strstr(body, "hub.channel.endpoint"), *end;
  if (!from || !(from = strstr(from, "://")) || !(from = strchr(from + 3, '/'))) return 0;
  if (!(end = strchr(from, '"')) || (size_t)(end - from) >= room) return 0;
  memcpy(path, from, end - from);
  path[end - from] = 0;
  return 1;
}

void joined_on_http(struct connection *it) {
  char *body, path[1024];
  size_t length, size;
  int status = http_response(&it->in, &body, &length, &size);
  if (!status) return;
  if (status / 100 != 2 || !endpoint_path(body, path, sizeof path)) {
    fprintf(stderr, "load: subscribe was answered %d %.*s\n", status, (int)length, body);
    exit(1);
  }
  drop(&it->in, size);
  if (opt.fresh) forget(it);
  upgrade(it->owner, path);
}

static void finish(struct connection *it) {
  it->kind = SUBSCRIBED;
  join_took[it->number] = now_ns() - it->began;
  joined_count++;
  begin(it->http);
}

void joined_on_upgrade(struct connection *it) {
  char *body;
  size_t length, size;
  int status = http_response(&it->in, &body, &length, &size);
  if (!status) return;
  if (status != 101) {
    fprintf(stderr, "load: the upgrade was answered %d\n", status);
    exit(1);
  }
  drop(&it->in, size);
  if (opt.hub) it->kind = CONFIRMING;
  else finish(it);
}

void joined_on_confirmation(struct connection *it) { finish(it); }

static int all_joined(void) { return joined_count == wanted; }

void join_all(void) {
  wanted = opt.topics * opt.subscribers;
  subscriber = cleared(wanted, sizeof *subscriber);
  join_took = cleared(wanted, sizeof *join_took);
  int at_once = opt.joiners < wanted ? opt.joiners : wanted;
  http = cleared(at_once, sizeof *http);
  uint64_t began = now_ns();
  for (int i = 0; i < at_once; i++) {
    http[i].fd = -1;
    begin(&http[i]);
  }
  if (!serve_until(all_joined, opt.seconds)) {
    fprintf(stderr, "load: %d of %d joined in time\n", joined_count, wanted);
    exit(1);
  }
  for (int i = 0; i < at_once; i++)
    if (http[i].fd >= 0) forget(&http[i]);
  print_joined((now_ns() - began) / 1e9);
}
