/*
 * A flood of UDP datagrams and the one who counts it, in batches of one system call each, so that neither end limits
 * what the network between them is asked to carry.
 *
 *   flood receive PORT SECONDS            prints {"received":N,"seconds":S}; ends SECONDS after the first datagram
 *   flood send ADDRESS PORT BYTES SECONDS [DATAGRAMS_PER_SECOND]   prints {"sent":N,"seconds":S}
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const int kBatch = 64;
static const int kMaxBytes = 2048;
static char buffers[kBatch][kMaxBytes];
static struct mmsghdr messages[kBatch];
static struct iovec pieces[kBatch];

static double now() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void prepare(int bytes) {
  for (int i = 0; i < kBatch; i++) {
    pieces[i].iov_base = buffers[i];
    pieces[i].iov_len = bytes;
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
}

static int receive(int port, double seconds) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  struct sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  if (bind(fd, (struct sockaddr*)&at, sizeof at) != 0) return perror("bind"), 1;
  prepare(kMaxBytes);
  printf("ready\n");
  fflush(stdout);
  struct pollfd wait = {fd, POLLIN, 0};
  if (poll(&wait, 1, 10000) <= 0) {
    printf("{\"received\":0,\"seconds\":0}\n");
    return 0;
  }
  long received = 0;
  double first = now(), last = first;
  while (now() - first < seconds) {
    int n = recvmmsg(fd, messages, kBatch, MSG_DONTWAIT, nullptr);
    if (n > 0) {
      received += n;
      last = now();
    } else {
      poll(&wait, 1, 10);
    }
  }
  printf("{\"received\":%ld,\"seconds\":%.6f}\n", received, last - first);
  return 0;
}

static int flood(const char* address, int port, int bytes, double seconds, double rate) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) return fprintf(stderr, "no address: %s\n", address), 2;
  if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) return perror("connect"), 1;
  prepare(bytes);
  long sent = 0;
  double begun = now(), t = begun;
  while ((t = now()) - begun < seconds) {
    long due = rate > 0 ? (long)((t - begun) * rate) - sent : kBatch;
    if (due <= 0) {
      struct timespec nap = {0, 50000};
      nanosleep(&nap, nullptr);
      continue;
    }
    int n = sendmmsg(fd, messages, due < kBatch ? due : kBatch, 0);
    // ECONNREFUSED reports an earlier datagram's fate, ENOBUFS a full queue: a flood goes on.
    if (n > 0) sent += n;
    else if (errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN) return perror("sendmmsg"), 1;
  }
  printf("{\"sent\":%ld,\"seconds\":%.6f}\n", sent, t - begun);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 4 && !strcmp(argv[1], "receive")) return receive(atoi(argv[2]), atof(argv[3]));
  if (argc >= 6 && !strcmp(argv[1], "send") && atoi(argv[4]) > 0 && atoi(argv[4]) <= kMaxBytes) {
    return flood(argv[2], atoi(argv[3]), atoi(argv[4]), atof(argv[5]), argc > 6 ? atof(argv[6]) : 0);
  }
  fprintf(stderr, "flood receive PORT SECONDS | flood send ADDRESS PORT BYTES SECONDS [DATAGRAMS_PER_SECOND]\n");
  return 2;
}
