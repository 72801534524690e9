// UDP: a flood and the one who counts it, in batches of one system call each, so that neither end limits what the
// network between them is asked to carry; and datagrams at a fixed rate that are timed one way and both.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "traffic.h"

static const int kBatch = 64;
static const int kMaxBytes = 2048;
static const double kQuietSeconds = 0.08;
static const int kHeaderBytes = sizeof(struct iphdr) + sizeof(struct udphdr);
static const int kFirstSourcePort = 1024;
static const int kSourcePorts = 65536 - kFirstSourcePort;

struct Batch {
  char buffers[kBatch][kMaxBytes] = {};
  struct mmsghdr messages[kBatch] = {};
  struct iovec pieces[kBatch] = {};

  explicit Batch(int bytes) {
    for (int i = 0; i < kBatch; i++) {
      pieces[i].iov_base = buffers[i];
      pieces[i].iov_len = bytes;
      messages[i].msg_hdr.msg_iov = &pieces[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

static volatile sig_atomic_t ending = 0;

static int boundSocket(int port) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  struct sockaddr_in at = anyAddress(port);
  if (fd < 0 || bind(fd, reinterpret_cast<struct sockaddr*>(&at), sizeof at) != 0) return perror("bind"), -1;
  return fd;
}

int receive(int port, int ports) {
  std::vector<struct pollfd> wait;
  for (int i = 0; i < ports; i++) {
    wait.push_back({boundSocket(port + i), POLLIN, 0});
    if (wait.back().fd < 0) return 1;
  }
  signal(SIGTERM, [](int) { ending = 1; });
  auto batch = std::make_unique<Batch>(kMaxBytes);
  sayReady();
  long received = 0;
  double first = 0, last = now();
  // Told that the sender has ended, it takes what is still on its way.
  for (double end = 0; !ending || now() - std::max(last, end) < kQuietSeconds;) {
    if (ending && end == 0) end = now();
    int taken = 0;
    for (auto& w : wait) {
      int n = recvmmsg(w.fd, batch->messages, kBatch, MSG_DONTWAIT, nullptr);
      if (n > 0) taken += n;
    }
    if (taken == 0) {
      poll(wait.data(), wait.size(), 10);
      continue;
    }
    received += taken;
    last = now();
    if (first == 0) first = last;
  }
  printf("{\"received\":%ld,\"seconds\":%.6f}\n", received, received > 0 ? last - first : 0);
  return 0;
}

/** Sends from one socket until the time is over; how many datagrams. -1: an error that it has reported. */
static long sendFrom(int fd, Batch& batch, double begun, double seconds, double rate, void (*next)(Batch&, long)) {
  long sent = 0;
  for (double t = now(); t - begun < seconds; t = now()) {
    long due = rate > 0 ? static_cast<long>((t - begun) * rate) - sent : kBatch;
    if (due <= 0) {
      struct timespec nap = {0, 50000};
      nanosleep(&nap, nullptr);
      continue;
    }
    if (next) next(batch, sent);
    int n = sendmmsg(fd, batch.messages, std::min<long>(due, kBatch), 0);
    // ECONNREFUSED reports an earlier datagram's fate, ENOBUFS a full queue: a flood goes on.
    if (n > 0) sent += n;
    else if (errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN) return perror("sendmmsg"), -1;
  }
  return sent;
}

static long flows;
static int firstPort;

/** Datagrams number `from` and on, each of the flow whose turn it is. */
static void nextFlows(Batch& batch, long from) {
  for (int i = 0; i < kBatch; i++) {
    long flow = (from + i) % flows;
    auto* udp = reinterpret_cast<struct udphdr*>(batch.buffers[i] + sizeof(struct iphdr));
    udp->source = htons(kFirstSourcePort + flow % kSourcePorts);
    udp->dest = htons(firstPort + flow / kSourcePorts);
  }
}

/** Whole packets of ours: a socket for each of 100,000 flows would measure the sockets. */
static int rawSocket(const FloodOptions& o, struct sockaddr_in* to, Batch& batch) {
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (fd < 0) return perror("raw socket"), -1;
  flows = std::min<long>(o.flows, static_cast<long>(kSourcePorts) * kFlowPorts);
  firstPort = o.port;
  for (int i = 0; i < kBatch; i++) {
    auto* ip = reinterpret_cast<struct iphdr*>(batch.buffers[i]);
    auto* udp = reinterpret_cast<struct udphdr*>(ip + 1);
    ip->version = 4;
    ip->ihl = 5;
    ip->ttl = 64;
    ip->protocol = IPPROTO_UDP;
    ip->daddr = to->sin_addr.s_addr;  // the kernel fills in source, length and checksum
    udp->len = htons(sizeof *udp + o.bytes);
    batch.messages[i].msg_hdr.msg_name = to;
    batch.messages[i].msg_hdr.msg_namelen = sizeof *to;
  }
  return fd;
}

int flood(const FloodOptions& o) {
  struct sockaddr_in to;
  if (o.bytes < 1 || o.bytes + kHeaderBytes > kMaxBytes || o.senders < 1) return fprintf(stderr, "bad size\n"), 2;
  if (!addressOf(o.address, o.port, &to)) return 2;
  std::vector<long> sent(o.senders, -1);
  std::vector<std::thread> threads;
  const double begun = now();
  for (int s = 0; s < o.senders; s++) {
    threads.emplace_back([&, s] {
      sleepExactly();
      auto batch = std::make_unique<Batch>(o.bytes + (o.flows > 0 ? kHeaderBytes : 0));
      int fd = o.flows > 0 ? rawSocket(o, &to, *batch) : socket(AF_INET, SOCK_DGRAM, 0);
      if (fd < 0) return;
      if (o.flows == 0 && connect(fd, reinterpret_cast<struct sockaddr*>(&to), sizeof to) != 0) return perror("connect");
      sent[s] = sendFrom(fd, *batch, begun, o.seconds, o.rate / o.senders, o.flows > 0 ? nextFlows : nullptr);
      close(fd);
    });
  }
  for (auto& t : threads) t.join();
  long all = 0;
  for (long n : sent) {
    if (n < 0) return 1;
    all += n;
  }
  printf("{\"sent\":%ld,\"seconds\":%.6f}\n", all, now() - begun);
  return 0;
}

/** A datagram of ask-udp: when it left, and when it arrived at the other end. */
struct Stamped {
  double sentAt;
  double arrivedAt;
};

int echo(int port) {
  int fd = boundSocket(port);
  if (fd < 0) return 1;
  sayReady();
  char buffer[kMaxBytes];
  for (;;) {
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<struct sockaddr*>(&from), &length);
    if (n < static_cast<ssize_t>(sizeof(Stamped))) continue;
    double at = now();
    memcpy(buffer + offsetof(Stamped, arrivedAt), &at, sizeof at);
    sendto(fd, buffer, n, 0, reinterpret_cast<struct sockaddr*>(&from), length);
  }
}

int askUdp(const char* address, int port, int bytes, double seconds, double rate) {
  struct sockaddr_in to;
  char buffer[kMaxBytes] = {};
  if (bytes < static_cast<int>(sizeof(Stamped)) || bytes > kMaxBytes || !addressOf(address, port, &to)) return 2;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&to), sizeof to) != 0) return perror("connect"), 1;
  Latencies oneWay, roundTrip;
  long sent = 0, late = 0;
  const double begun = now(), interval = 1 / rate;
  for (double t = begun; t - begun < seconds + 0.2; t = now()) {
    double due = begun + sent * interval;
    const bool sending = due - begun < seconds;
    if (sending && t >= due) {
      if (t - due > interval) late++;
      Stamped stamp = {t, 0};
      memcpy(buffer, &stamp, sizeof stamp);
      if (send(fd, buffer, bytes, 0) == bytes || errno != EAGAIN) sent++;
    }
    for (Stamped got; recv(fd, &got, sizeof got, MSG_DONTWAIT | MSG_TRUNC) > 0;) {
      oneWay.add(got.arrivedAt - got.sentAt);
      roundTrip.add(now() - got.sentAt);
    }
    if (!sending && static_cast<long>(roundTrip.count()) >= sent) break;
    double left = sending ? begun + sent * interval - now() : 0.01;
    if (left <= 0) continue;
    struct timespec nap = {0, static_cast<long>(left * 1e9)};
    struct pollfd wait = {fd, POLLIN, 0};
    ppoll(&wait, 1, &nap, nullptr);
  }
  printf("{\"sent\":%ld,\"answered\":%zu,\"late\":%ld", sent, roundTrip.count(), late);
  oneWay.print("oneWay-");
  roundTrip.print("roundTrip-");
  printf("}\n");
  return 0;
}
