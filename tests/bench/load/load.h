/* What the parts of the load generator share. */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>

/* ---- options.c ---- */
struct ports {
  int at[16], count;
};

struct options {
  int port;
  int through;             /* port of publishers; 0: the same */
  struct ports sockets;    /* of hubs that share sessions: where subscribers connect; none: port */
  struct ports posts;      /* the same for publishers; none: through */
  int together;            /* 1: all subscribers of a topic connect at one of them */
  int topics, subscribers; /* per topic */
  int publishers;          /* connections that post */
  int events, warm;        /* the first `warm` events are not counted */
  int bytes;               /* of one event */
  int answers;             /* 1: each delivery is answered as FHIRcast asks for */
  int hot;                 /* every hot-th event goes to the first topic; 0: no topic is hot */
  int joiners;             /* subscribers that join at the same time */
  int fresh;               /* 1: each subscribe comes over a connection of its own */
  double rate;             /* events per second, open loop; 0: closed loop */
  double seconds;          /* bound of a run */
  const char *hub;         /* path of hub.url; NULL: the simple wire of the peers */
  const char *prefix;      /* of topics */
  char **tokens;           /* bearer tokens; subscriber and publisher i use token i % n */
  int token_count;
};
extern struct options opt;
void read_options(int argc, char **argv);
int port_of(const struct ports *ports, int number, int otherwise);

/* ---- wire.c: sockets, HTTP and WebSocket as far as they are needed here ---- */
struct bytes {
  char *at;
  size_t length, room;
};

struct frame {
  int opcode;
  char *payload;
  size_t length;
};

_Noreturn void fail(const char *what);
void *cleared(size_t count, size_t size);
uint64_t now_ns(void);
int dial(int port);
int send_all(int fd, const char *from, size_t length);
void send_frame(int fd, int opcode, const char *payload, size_t length);
void append(struct bytes *to, const char *from, size_t length);
void drop(struct bytes *from, size_t length);
/* Take one whole HTTP response: its status, 0 if it is not whole yet. `*body` points into the
 * buffer and holds until drop(from, *size). */
int http_response(struct bytes *from, char **body, size_t *body_length, size_t *size);
/* Take one whole frame at `offset`; the size it takes, 0 if it is not whole yet. */
size_t frame_at(const struct bytes *from, size_t offset, struct frame *found);

/* ---- connections ---- */
enum kind { IDLE_SLOT, SUBSCRIBING, UPGRADING, CONFIRMING, SUBSCRIBED, PUBLISHER, TIMER, CONTROL };

struct connection {
  int fd;
  enum kind kind;
  int number, topic;
  struct bytes in;
  uint64_t began;           /* of a join */
  struct connection *http;  /* of a subscriber: the connection that subscribes for it */
  struct connection *owner; /* of such a connection: the subscriber it serves */
  int event;                /* of a publisher: the one under way */
  int waits_for;            /* of a publisher: answer, deliveries */
};

/* ---- loop.c ---- */
void watch(struct connection *it);
void forget(struct connection *it);
/* Serve all connections until `is_done` says so or time is up; 0 if time is up. */
int serve_until(int (*is_done)(void), double seconds);
/* Serve all connections until a line comes in on standard input. */
void serve_until_told(void);

/* ---- join.c ---- */
void join_all(void);
void joined_on_http(struct connection *it);
void joined_on_upgrade(struct connection *it);
void joined_on_confirmation(struct connection *it);
void topic_name(char *to, size_t room, int topic);
const char *authorization(int number);
extern struct connection *subscriber;
extern uint64_t *join_took;
extern int joined_count;

/* ---- publish.c ---- */
void publish_all(void);
void answered(struct connection *publisher, int status);
void delivered(const struct connection *to, int event);
extern int64_t deliveries, doubled;
extern uint64_t *sent_at, *answered_at, *last_at;
extern int *delivered_count, *topic_of;
extern int done_count, first_counted;

/* ---- figures.c ---- */
struct counted {
  int64_t errors, closed, refused, misrouted, sync_errors;
};
extern struct counted counted;
void print_joined(double seconds);
void print_figures(double seconds, double counted_seconds, int64_t counted_deliveries,
                   double cpu_share);

#endif
