// TCP: one stream, as fast as it goes. The receiver says on the same connection when another mebibyte has come, so that
// the figure is of what has arrived, whatever stands in between and however much that holds back.
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "traffic.h"

static const size_t kBlockBytes = 128 << 10;
static const size_t kReceiptBytes = 1 << 20;

int sink(int port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in at = anyAddress(port);
  if (bind(listener, reinterpret_cast<struct sockaddr*>(&at), sizeof at) != 0) return perror("bind"), 1;
  if (listen(listener, 16) != 0) return perror("listen"), 1;
  sayReady();
  std::vector<char> block(kBlockBytes);
  for (;;) {
    int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) return perror("accept"), 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    size_t unsaid = 0;
    for (ssize_t got; (got = recv(fd, block.data(), block.size(), 0)) > 0;) {
      unsaid += static_cast<size_t>(got);
      for (; unsaid >= kReceiptBytes; unsaid -= kReceiptBytes) send(fd, "m", 1, MSG_NOSIGNAL);
    }
    close(fd);
  }
}

int stream(const char* address, int port, double seconds) {
  struct sockaddr_in to;
  if (!addressOf(address, port, &to)) return 2;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&to), sizeof to) != 0) return perror("connect"), 1;
  std::vector<char> block(kBlockBytes);
  char receipts[256];
  size_t arrived = 0;
  const double begun = now();
  double last = begun;
  for (double t = begun; t - begun < seconds; t = now()) {
    if (send(fd, block.data(), block.size(), MSG_NOSIGNAL) < 0) return perror("the stream broke"), 1;
    ssize_t got = recv(fd, receipts, sizeof receipts, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return perror("the receiver is gone"), 1;
    if (got < 0) continue;
    arrived += static_cast<size_t>(got) * kReceiptBytes;
    last = now();
  }
  struct tcp_info info = {};
  socklen_t length = sizeof info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  printf("{\"bytes\":%zu,\"seconds\":%.6f,\"retransmissions\":%u}\n", arrived, last - begun, info.tcpi_total_retrans);
  return 0;
}
