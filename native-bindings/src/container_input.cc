#include "container_input.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pty.h"

namespace weft {
namespace {

constexpr uint8_t kInput = 0;
constexpr uint8_t kEnd = 1;
constexpr uint8_t kWindow = 2;
/// More than an agent has sessions: who comes when it is full is told so, not turned away by the kernel.
constexpr int kBacklog = 256;
constexpr int kFullTerminalMillis = 50;
/// Of the polls, before those of clients.
constexpr int kListenerPoll = 0;
constexpr int kInputPoll = 1;
constexpr int kClientPolls = 2;

uint16_t load16(const uint8_t* bytes) { return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]); }

void store64(uint8_t* bytes, uint64_t value) {
  for (int i = 0; i < 8; i++) bytes[i] = static_cast<uint8_t>(value >> (56 - 8 * i));
}

}  // namespace

const char* ContainerInput::open(const char* socketPath) {
  if (kind_ == InputKind::kNone) return nullptr;
  if (isTerminal()) {
    Pty pty;
    if (openPty({}, pty) != nullptr) return "a terminal";
    input_ = pty.controller;
    commandEnd_ = pty.terminal;
  } else {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "a pipe";
    commandEnd_ = ends[0];
    input_ = ends[1];
    // Ours alone: a command expects one that blocks.
    if (fcntl(input_, F_SETFL, O_NONBLOCK) != 0) return "a pipe";
  }
  return listenAt(socketPath);
}

const char* ContainerInput::listenAt(const char* socketPath) {
  const char* slash = strrchr(socketPath, '/');
  char folder[PATH_MAX] = ".";
  if (slash != nullptr) {
    const int length = snprintf(folder, sizeof folder, "%.*s/", static_cast<int>(slash - socketPath), socketPath);
    if (length < 0 || static_cast<size_t>(length) >= sizeof folder) {
      errno = ENAMETOOLONG;
      return "a socket";
    }
  }
  const int directory = ::open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return "a socket";
  // The path itself may be longer than an address takes.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const int length = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory,
                              slash == nullptr ? socketPath : slash + 1);
  bool isBound = false;
  if (length < 0 || static_cast<size_t>(length) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
  } else {
    unlink(socketPath);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const mode_t mask = umask(0177);
    isBound = listener_ >= 0 && bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    umask(mask);
  }
  const int why = errno;
  close(directory);
  errno = why;
  return isBound && listen(listener_, kBacklog) == 0 ? nullptr : "a socket";
}

void ContainerInput::started() {
  // A terminal of which no process has the other end for a while is none that has ended.
  if (isTerminal() || commandEnd_ < 0) return;
  close(commandEnd_);
  commandEnd_ = -1;
}

void ContainerInput::ended() {
  if (commandEnd_ >= 0) close(commandEnd_);
  commandEnd_ = -1;
}

int ContainerInput::watch(pollfd* polls) const {
  if (listener_ < 0) return 0;
  const bool isFull = pendingFrom_ < pendingTo_;
  polls[kListenerPoll] = {listener_, POLLIN, 0};
  polls[kInputPoll] = {isFull ? input_ : -1, POLLOUT, 0};
  for (int i = 0; i < kMostClients; i++) polls[kClientPolls + i] = {isFull ? -1 : clients_[i].socket, POLLIN, 0};
  return kMostPolls;
}

int ContainerInput::patienceMillis() const {
  return isTerminal() && pendingFrom_ < pendingTo_ ? kFullTerminalMillis : -1;
}

void ContainerInput::serve(const pollfd* polls, const ContainerLog& log) {
  if (listener_ < 0) return;
  flush();
  for (int i = 0; i < kMostClients && pendingFrom_ == pendingTo_; i++) {
    const int each = (turn_ + i) % kMostClients;
    if (polls[kClientPolls + each].revents == 0 || clients_[each].socket < 0) continue;
    receive(clients_[each], log);
    if (pendingFrom_ < pendingTo_) turn_ = each + 1;
  }
  if (polls[kListenerPoll].revents != 0) accept(log);
}

void ContainerInput::accept(const ContainerLog& log) {
  const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket < 0) return;
  const LogPosition begin = isAlone() ? unseen_ : log.position();
  for (Client& client : clients_) {
    if (client.socket >= 0) continue;
    uint8_t place[16];
    store64(place, begin.inode);
    store64(place + 8, begin.offset);
    if (send(socket, place, sizeof place, MSG_NOSIGNAL) != sizeof place) break;
    client = Client{};
    client.socket = socket;
    return;
  }
  close(socket);
}

void ContainerInput::receive(Client& client, const ContainerLog& log) {
  // All of it has room in what is pending: nothing is when this is called.
  static uint8_t bytes[sizeof pending_];
  const ssize_t length = read(client.socket, bytes, sizeof bytes);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0 || !take(client, bytes, static_cast<size_t>(length))) leave(client, log);
  flush();
}

/// Returns whether it can be understood.
bool ContainerInput::take(Client& client, const uint8_t* bytes, size_t length) {
  while (length > 0) {
    size_t used = 1;
    if (client.headerBytes < kHeaderBytes) {
      client.header[client.headerBytes++] = *bytes;
      if (client.headerBytes == kHeaderBytes && !beginFrame(client)) return false;
    } else {
      used = client.left < length ? client.left : length;
      if (client.header[0] == kInput) add(bytes, used);
      else memcpy(client.window + (kWindowBytes - client.left), bytes, used);
      client.left -= used;
    }
    bytes += used;
    length -= used;
    if (client.headerBytes == kHeaderBytes && client.left == 0) endFrame(client);
  }
  return true;
}

bool ContainerInput::beginFrame(Client& client) {
  const uint8_t kind = client.header[0];
  client.left = load16(client.header + 1);
  return kind == kInput || (kind == kEnd && client.left == 0) || (kind == kWindow && client.left == kWindowBytes);
}

void ContainerInput::endFrame(Client& client) {
  client.headerBytes = 0;
  if (client.header[0] == kInput) client.givesInput = true;
  else if (client.header[0] == kEnd) endInput();
  else if (isTerminal()) resizePty(input_, {load16(client.window), load16(client.window + 2)});
}

void ContainerInput::leave(Client& client, const ContainerLog& log) {
  close(client.socket);
  client.socket = -1;
  if (client.givesInput) endInput();
  if (isAlone()) unseen_ = log.position();
}

void ContainerInput::add(const uint8_t* bytes, size_t length) {
  if (input_ < 0 || ending_ || length > sizeof pending_ - pendingTo_) return;
  memcpy(pending_ + pendingTo_, bytes, length);
  pendingTo_ += length;
}

void ContainerInput::endInput() {
  if (kind_ == InputKind::kOnce) ending_ = true;
}

/// As much as there is room for.
void ContainerInput::flush() {
  while (pendingFrom_ < pendingTo_) {
    const ssize_t written = write(input_, pending_ + pendingFrom_, pendingTo_ - pendingFrom_);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0 || (written < 0 && errno == EAGAIN)) return;
    // Nobody reads it any more.
    if (written < 0) pendingFrom_ = pendingTo_;
    else pendingFrom_ += static_cast<size_t>(written);
  }
  pendingFrom_ = pendingTo_ = 0;
  if (!ending_ || input_ < 0) return;
  close(input_);
  input_ = -1;
}

void ContainerInput::tellMore() {
  // One that has not read the last byte knows already.
  for (const Client& client : clients_) {
    if (client.socket >= 0 && send(client.socket, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) continue;
  }
}

bool ContainerInput::isAlone() const {
  for (const Client& client : clients_) {
    if (client.socket >= 0) return false;
  }
  return true;
}

}  // namespace weft
