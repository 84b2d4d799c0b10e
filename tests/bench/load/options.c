/* The command line: pairs of a name and a value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

struct options opt = {.port = 8080, .topics = 1, .subscribers = 4, .publishers = 1, .bytes = 2048,
                      .answers = 1, .joiners = 1, .seconds = 60, .prefix = "t"};

static const struct { const char *name; int *value; } numbers[] = {
    {"--port", &opt.port},       {"--topics", &opt.topics},   {"--subscribers", &opt.subscribers},
    {"--publishers", &opt.publishers}, {"--events", &opt.events}, {"--warm", &opt.warm},
    {"--bytes", &opt.bytes},     {"--answers", &opt.answers}, {"--hot", &opt.hot},
    {"--joiners", &opt.joiners}, {"--fresh", &opt.fresh}, {"--through", &opt.through},
    {"--together", &opt.together}};

static void read_tokens(const char *path) {
  char line[16384];
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\r\n")] = 0;
    opt.tokens = realloc(opt.tokens, sizeof *opt.tokens * (opt.token_count + 1));
    if (!opt.tokens) fail("memory");
    opt.tokens[opt.token_count++] = strdup(line);
  }
  fclose(file);
}

static int read_number(const char *name, const char *value) {
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (!strcmp(name, numbers[i].name)) return *numbers[i].value = atoi(value), 1;
  return 0;
}

static void read_ports(struct ports *to, const char *value) {
  size_t most = sizeof to->at / sizeof *to->at;
  for (to->count = 0; *value && (size_t)to->count < most; value += strcspn(value, ",")) {
    value += *value == ',';
    to->at[to->count++] = atoi(value);
  }
}

int port_of(const struct ports *ports, int number, int otherwise) {
  return ports->count ? ports->at[number % ports->count] : otherwise;
}

void read_options(int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
    if (read_number(name, value)) continue;
    if (!strcmp(name, "--hub")) opt.hub = value;
    else if (!strcmp(name, "--prefix")) opt.prefix = value;
    else if (!strcmp(name, "--sockets")) read_ports(&opt.sockets, value);
    else if (!strcmp(name, "--posts")) read_ports(&opt.posts, value);
    else if (!strcmp(name, "--rate")) opt.rate = atof(value);
    else if (!strcmp(name, "--seconds")) opt.seconds = atof(value);
    else if (!strcmp(name, "--tokens")) read_tokens(value);
    else fprintf(stderr, "unknown option %s\n", name), exit(2);
  }
  if (opt.bytes > 60000) fprintf(stderr, "--bytes: 60000 at most\n"), exit(2);
  if (opt.warm >= opt.events) opt.warm = opt.events / 2;
}
