// Pseudo-terminals (pty(7)): what a command on a terminal in a pod runs on. The caller gets both ends and starts the
// command on the one, with whatever makes it the controlling terminal. Plain system calls, for weft_container too.
#pragma once
#include <stdint.h>

namespace weft {

struct WindowSize {
  uint16_t columns = 80;
  uint16_t rows = 24;
};

struct Pty {
  /** Ours: does not block. */
  int controller = -1;
  /** The command's. */
  int terminal = -1;
};

/** Both ends are closed on exec. Returns the system call that failed, with errno and nothing left open, or nullptr. */
const char* openPty(const WindowSize& size, Pty& pty);

/** The processes on the terminal are told by SIGWINCH. Returns the system call that failed, with errno, or nullptr. */
const char* resizePty(int controller, const WindowSize& size);

}  // namespace weft
