// TCP: a byte there and back on one connection, and connections that last for one byte there and back. The server
// closes first and the client resets what is left, so that no port waits for two minutes at either end.
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "traffic.h"

static const int kEvents = 64;
/** The first byte of a connection says what the server does after answering. */
static const char kStay = 's';
static const char kClose = 'c';

static void atOnceAndWithoutWaiting(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void watch(int epoll, int fd, uint32_t events, uint32_t tag) {
  struct epoll_event event = {};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(tag) << 32 | static_cast<uint32_t>(fd);
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int serve(int port) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in at = anyAddress(port);
  if (bind(listener, reinterpret_cast<struct sockaddr*>(&at), sizeof at) != 0) return perror("bind"), 1;
  if (listen(listener, 4096) != 0) return perror("listen"), 1;
  int epoll = epoll_create1(0);
  watch(epoll, listener, EPOLLIN, 0);
  sayReady();
  struct epoll_event events[kEvents];
  for (;;) {
    int n = epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < n; i++) {
      int fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
      if (fd == listener) {
        for (int c; (c = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
          atOnceAndWithoutWaiting(c);
          watch(epoll, c, EPOLLIN, 0);
        }
        continue;
      }
      char byte;
      ssize_t got = recv(fd, &byte, 1, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got == 1 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && byte == kStay) continue;
      close(fd);
    }
  }
}

int ask(const char* address, int port, double seconds) {
  struct sockaddr_in to;
  if (!addressOf(address, port, &to)) return 2;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&to), sizeof to) != 0) return perror("connect"), 1;
  atOnceAndWithoutWaiting(fd);
  Latencies latencies;
  const double begun = now();
  double t = begun;
  while (t - begun < seconds) {
    char byte = kStay;
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) return perror("the connection broke"), 1;
    double answered = now();
    latencies.add(answered - t);
    t = answered;
  }
  printf("{\"count\":%zu,\"seconds\":%.6f", latencies.count(), t - begun);
  latencies.print("");
  printf("}\n");
  return 0;
}

/** One of the connections that are under way at once. */
struct Attempt {
  int fd = -1;
  double begun = 0;
  bool asked = false;
  bool answered = false;
};

static int begin(int epoll, const struct sockaddr_in& to, Attempt& attempt, uint32_t tag) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return perror("socket"), -1;
  atOnceAndWithoutWaiting(fd);
  struct linger reset = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  attempt = {fd, now(), false, false};
  if (connect(fd, reinterpret_cast<const struct sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
    return perror("connect"), -1;
  }
  watch(epoll, fd, EPOLLOUT, tag);
  return 0;
}

/** Takes a connection one step on: 1 it is done, 0 it goes on, -1 it failed. */
static int step(int epoll, Attempt& a, uint32_t tag) {
  char byte = kClose;
  if (!a.asked) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(a.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0 || send(a.fd, &byte, 1, MSG_NOSIGNAL) != 1) return -1;
    a.asked = true;
    struct epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<uint64_t>(tag) << 32 | static_cast<uint32_t>(a.fd);
    epoll_ctl(epoll, EPOLL_CTL_MOD, a.fd, &event);
    return 0;
  }
  for (;;) {
    ssize_t got = recv(a.fd, &byte, 1, 0);
    if (got == 1) a.answered = true;
    else if (got == 0) return a.answered ? 1 : -1;
    else return errno == EAGAIN ? 0 : -1;
  }
}

int connectOften(const char* address, int port, double seconds, int atOnce) {
  struct sockaddr_in to;
  if (!addressOf(address, port, &to)) return 2;
  int epoll = epoll_create1(0);
  std::vector<Attempt> attempts(std::max(1, atOnce));
  Latencies latencies;
  long failed = 0;
  const double begun = now();
  double t = begun;
  for (uint32_t i = 0; i < attempts.size(); i++) {
    if (begin(epoll, to, attempts[i], i) != 0) return 1;
  }
  struct epoll_event events[kEvents];
  while ((t = now()) - begun < seconds) {
    int n = epoll_wait(epoll, events, kEvents, 10);
    for (int i = 0; i < n; i++) {
      uint32_t tag = static_cast<uint32_t>(events[i].data.u64 >> 32);
      Attempt& a = attempts[tag];
      int done = step(epoll, a, tag);
      if (done == 0) continue;
      if (done > 0) latencies.add(now() - a.begun);
      else failed++;
      close(a.fd);
      if (begin(epoll, to, a, tag) != 0) return 1;
    }
  }
  printf("{\"count\":%zu,\"failed\":%ld,\"seconds\":%.6f", latencies.count(), failed, t - begun);
  latencies.print("");
  printf("}\n");
  return 0;
}
