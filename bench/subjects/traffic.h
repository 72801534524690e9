// What every part of the traffic generator needs: a clock, socket addresses, percentiles. traffic.cc lists the
// commands; datagrams.cc, connections.cc and streams.cc are what they do.
#pragma once
#include <netinet/in.h>

#include <vector>

/** Monotonic seconds. One clock for all processes of a machine: it may be sent from one to the other. */
double now();

/** True, with `to` filled, for an IPv4 address in text. */
bool addressOf(const char* text, int port, struct sockaddr_in* to);

/** The IPv4 wildcard address and a port. */
struct sockaddr_in anyAddress(int port);

/** Tells whoever started us that traffic may come. */
void sayReady();

/** Wakes naps and waits when they are due: the default slack of 50 µs would be most of a round trip. */
void sleepExactly();

class Latencies {
 public:
  void add(double seconds) { microseconds_.push_back(static_cast<float>(seconds * 1e6)); }
  size_t count() const { return microseconds_.size(); }
  /** `,"NAMEp50":µs,"NAMEp90":…,"NAMEp99":…,"NAMEp999":…`, for the middle of a JSON object. */
  void print(const char* name);

 private:
  std::vector<float> microseconds_;
};

struct FloodOptions {
  const char* address;
  int port;
  int bytes;
  double seconds;
  double rate;  // datagrams per second of all senders together; 0: as fast as they can
  int senders;
  long flows;  // above 0: addresses and ports of that many flows, in turn, from a raw socket
};

/** Ports that a flood of many flows is spread over, from the first one on. */
constexpr int kFlowPorts = 4;

int flood(const FloodOptions& options);
int receive(int port, int ports);
int echo(int port);
int askUdp(const char* address, int port, int bytes, double seconds, double rate);
int serve(int port);
int sink(int port);
int stream(const char* address, int port, double seconds);
int ask(const char* address, int port, double seconds);
int connectOften(const char* address, int port, double seconds, int atOnce);
