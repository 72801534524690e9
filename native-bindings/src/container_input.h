// What a container's command reads: a pipe or a pseudo-terminal, which stays while clients come and go, and the socket at
// which the agent hands over what they type. What the command says, clients read from its log: there nothing is lost that
// came before them, and one that is slow holds up nobody.
//
//   client ──frames──▶ socket ──▶ pipe or terminal ──▶ the command
//          ◀── where in the log to begin, then a byte whenever there is more of it
//
// A frame is a byte for its kind, its length in two and so many bytes: 0, input; 1, its end, empty; 2, a window's columns
// and rows, two bytes each. The answer begins with the inode of a log file and an offset in it, eight bytes each: what was
// said while nobody was there comes first, from the run's beginning (inode 0) to the first client. All big-endian.
#pragma once

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "container_log.h"

namespace weft {

enum class InputKind {
  /** Whatever this program itself has. */
  kNone,
  /** A pipe that never ends. */
  kOpen,
  /** A pipe that ends with the first client that gave input. */
  kOnce,
  kTerminal,
};

class ContainerInput {
 public:
  static constexpr int kMostClients = 64;
  /// What watch() fills at most.
  static constexpr int kMostPolls = 2 + kMostClients;

  explicit ContainerInput(InputKind kind) : kind_(kind) {}
  ContainerInput(const ContainerInput&) = delete;
  ContainerInput& operator=(const ContainerInput&) = delete;

  /// Makes what there is to be. Returns what failed, with errno, or nullptr.
  const char* open(const char* socketPath);

  bool isTerminal() const { return kind_ == InputKind::kTerminal; }
  /// The command's end; of a terminal for its output too. -1: there is none.
  int commandEnd() const { return commandEnd_; }
  /// Where a terminal's output comes out. It does not block.
  int controller() const { return input_; }

  /// The command has its end.
  void started();
  /// Of a terminal nothing comes any more but what is in it.
  void ended();

  /// How many of `polls` it wants to be waited for.
  int watch(pollfd* polls) const;
  /// A full terminal does not always say that it has room again: look after so long. -1: no need to.
  int patienceMillis() const;
  /// After watch() and poll(2).
  void serve(const pollfd* polls, const ContainerLog& log);
  /// There is more in the log.
  void tellMore();

 private:
  static constexpr size_t kHeaderBytes = 3;
  static constexpr size_t kWindowBytes = 4;
  struct Client {
    int socket = -1;
    uint8_t header[kHeaderBytes] = {};
    size_t headerBytes = 0;
    /// Of the frame under way.
    size_t left = 0;
    uint8_t window[kWindowBytes] = {};
    bool givesInput = false;
  };

  const char* listenAt(const char* socketPath);
  void accept(const ContainerLog& log);
  void receive(Client& client, const ContainerLog& log);
  bool take(Client& client, const uint8_t* bytes, size_t length);
  bool beginFrame(Client& client);
  void endFrame(Client& client);
  void leave(Client& client, const ContainerLog& log);
  void add(const uint8_t* bytes, size_t length);
  void endInput();
  void flush();
  bool isAlone() const;

  const InputKind kind_;
  int listener_ = -1;
  int input_ = -1;
  int commandEnd_ = -1;
  /// Nothing is taken any more; what was is still passed on.
  bool ending_ = false;
  Client clients_[kMostClients];
  /// Whose turn it is: one that floods the command leaves the others theirs.
  int turn_ = 0;
  /// Where nobody looked on.
  LogPosition unseen_;
  /// What the command has no room for; until it has, nobody is read from.
  size_t pendingFrom_ = 0;
  size_t pendingTo_ = 0;
  uint8_t pending_[16384];
};

}  // namespace weft
