/* Figures as JSON, one object a line on standard output. Times are microseconds. */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

struct counted counted;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* 102 values: the quantiles 0.00, 0.01 … 0.99, then 0.999 and the largest. */
static void print_quantiles(const char *name, double *values, int count) {
  qsort(values, count, sizeof *values, by_value);
  printf("\"%s_us\":[", name);
  for (int i = 0; i < 102 && count; i++) {
    double q = i < 100 ? i / 100.0 : i == 100 ? 0.999 : 1;
    int at = (int)(q * count);
    printf("%s%.0f", i ? "," : "", values[at < count ? at : count - 1]);
  }
  printf("]");
}

enum { ALL_TOPICS, FIRST_TOPIC, OTHER_TOPICS };

static void print_events(const char *name, const uint64_t *ended, int which) {
  double *values = cleared(opt.events, sizeof *values);
  int count = 0;
  for (int i = first_counted; i < opt.events; i++) {
    if (!ended[i] || !sent_at[i]) continue;
    if ((which == FIRST_TOPIC && topic_of[i]) || (which == OTHER_TOPICS && !topic_of[i])) continue;
    values[count++] = ((double)ended[i] - (double)sent_at[i]) / 1e3;
  }
  print_quantiles(name, values, count);
  free(values);
}

void print_joined(double seconds) {
  int count = opt.topics * opt.subscribers;
  double *values = cleared(count, sizeof *values);
  for (int i = 0; i < count; i++) values[i] = join_took[i] / 1e3;
  printf("{\"joined\":%d,\"seconds\":%.3f,", count, seconds);
  print_quantiles("join", values, count);
  printf("}\n");
  fflush(stdout);
  free(values);
}

void print_figures(double seconds, double counted_seconds, int64_t counted_deliveries,
                   double cpu_share) {
  int counted_events = done_count - (done_count > opt.warm ? opt.warm : 0);
  printf("{\"events\":%d,\"deliveries\":%lld,\"seconds\":%.3f,\"events_per_second\":%.0f,"
         "\"deliveries_per_second\":%.0f,",
         done_count, (long long)deliveries, seconds, counted_events / counted_seconds,
         counted_deliveries / counted_seconds);
  print_events("last", last_at, ALL_TOPICS), printf(",");
  print_events("answer", answered_at, ALL_TOPICS), printf(",");
  if (opt.hot) {
    print_events("last_first_topic", last_at, FIRST_TOPIC), printf(",");
    print_events("last_other_topics", last_at, OTHER_TOPICS), printf(",");
  }
  printf("\"missing\":%lld,\"doubled\":%lld,\"errors\":%lld,\"closed\":%lld,\"refused\":%lld,"
         "\"misrouted\":%lld,\"sync_errors\":%lld,\"generator_cpu_share\":%.2f}\n",
         (long long)done_count * opt.subscribers - (long long)deliveries, (long long)doubled,
         (long long)counted.errors, (long long)counted.closed, (long long)counted.refused,
         (long long)counted.misrouted, (long long)counted.sync_errors, cpu_share);
  fflush(stdout);
}
