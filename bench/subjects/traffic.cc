/*
 * The traffic of the bench's subjects. Every command prints one line of JSON at its end; the five that listen print
 * "ready" first and end by SIGTERM, or by themselves when nobody ends them.
 *
 *   traffic receive PORT PORTS                           counts datagrams on PORTS ports from PORT on
 *   traffic flood ADDRESS PORT BYTES SECONDS RATE SENDERS FLOWS
 *   traffic echo PORT                                    answers datagrams of ask-udp
 *   traffic ask-udp ADDRESS PORT BYTES SECONDS RATE      datagrams at a fixed rate: one way, there and back
 *   traffic serve PORT                                   TCP: a byte for a byte, and closes where asked to
 *   traffic sink PORT                                    TCP: swallows, and says how much
 *   traffic stream ADDRESS PORT SECONDS                  one TCP stream to a sink
 *   traffic ask ADDRESS PORT SECONDS                     a byte there and back on one connection, again and again
 *   traffic connect ADDRESS PORT SECONDS AT_ONCE         new connections, each for one byte there and back
 */
#include "traffic.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

static const unsigned kListenAtMostSeconds = 120;

double now() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

struct sockaddr_in anyAddress(int port) {
  struct sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  return at;
}

bool addressOf(const char* text, int port, struct sockaddr_in* to) {
  *to = anyAddress(port);
  if (inet_pton(AF_INET, text, &to->sin_addr) == 1) return true;
  fprintf(stderr, "no address: %s\n", text);
  return false;
}

void sayReady() {
  alarm(kListenAtMostSeconds);
  printf("ready\n");
  fflush(stdout);
}

void sleepExactly() { prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); }

void Latencies::print(const char* name) {
  static const struct {
    const char* name;
    double share;
  } kPoints[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
  std::sort(microseconds_.begin(), microseconds_.end());
  for (const auto& point : kPoints) {
    if (microseconds_.empty()) break;
    size_t at = std::min(microseconds_.size() - 1, static_cast<size_t>(microseconds_.size() * point.share));
    printf(",\"%s%s\":%.2f", name, point.name, microseconds_[at]);
  }
}

static int usage() {
  fprintf(stderr, "traffic receive|flood|echo|ask-udp|serve|sink|stream|ask|connect: see the head of traffic.cc\n");
  return 2;
}

int main(int argc, char** argv) {
  if (argc < 3) return usage();
  const char* command = argv[1];
  sleepExactly();
  if (!strcmp(command, "receive") && argc == 4) return receive(atoi(argv[2]), atoi(argv[3]));
  if (!strcmp(command, "echo") && argc == 3) return echo(atoi(argv[2]));
  if (!strcmp(command, "serve") && argc == 3) return serve(atoi(argv[2]));
  if (!strcmp(command, "sink") && argc == 3) return sink(atoi(argv[2]));
  if (argc < 5) return usage();
  const char* address = argv[2];
  const int port = atoi(argv[3]);
  if (!strcmp(command, "flood") && argc == 9) {
    return flood({address, port, atoi(argv[4]), atof(argv[5]), atof(argv[6]), atoi(argv[7]), atol(argv[8])});
  }
  if (!strcmp(command, "ask-udp") && argc == 7) {
    return askUdp(address, port, atoi(argv[4]), atof(argv[5]), atof(argv[6]));
  }
  if (!strcmp(command, "ask") && argc == 5) return ask(address, port, atof(argv[4]));
  if (!strcmp(command, "stream") && argc == 5) return stream(address, port, atof(argv[4]));
  if (!strcmp(command, "connect") && argc == 6) return connectOften(address, port, atof(argv[4]), atoi(argv[5]));
  return usage();
}
