/* Load for servers that take an event by POST and hand it to WebSockets: one thread, loopback only.
 *
 * Two wires: that of FHIRcast with --hub PATH, and a simple one for peers (POST /pub/TOPIC, upgrade
 * of GET /sub/TOPIC). On both, each delivery is answered with {"id", "status"}.
 *
 * 1. --topics times --subscribers join; a line of JSON says how long that took.
 * 2. It waits for a line on standard input, and goes on serving its connections.
 * 3. --events are posted, and a line of JSON gives the figures. With --events 0 it ends here.
 *
 * It ends at once when standard input is closed. */
#include <sys/resource.h>

#include "load.h"

int main(int argc, char **argv) {
  struct rlimit files;
  read_options(argc, argv);
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  join_all();
  serve_until_told();
  if (opt.events) publish_all();
  return 0;
}
