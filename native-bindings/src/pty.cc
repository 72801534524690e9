#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

// asm-generic/ioctls.h, since Linux 4.13; build headers may be older than the kernel.
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

namespace weft {
namespace {

const char* openTerminal(const WindowSize& size, Pty& pty) {
  if (unlockpt(pty.controller) != 0) return "unlockpt";
  // By the controller and not by its path, which may be another terminal's where /dev is another one.
  pty.terminal = ioctl(pty.controller, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (pty.terminal < 0) return "ioctl(TIOCGPTPEER)";
  termios mode{};
  if (tcgetattr(pty.terminal, &mode) != 0) return "tcgetattr";
  mode.c_iflag |= IUTF8;
  if (tcsetattr(pty.terminal, TCSANOW, &mode) != 0) return "tcsetattr";
  return resizePty(pty.controller, size);
}

}  // namespace

const char* openPty(const WindowSize& size, Pty& pty) {
  pty.controller = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (pty.controller < 0) return "open(/dev/ptmx)";
  const char* failed = openTerminal(size, pty);
  if (failed != nullptr) {
    const int why = errno;
    if (pty.terminal >= 0) close(pty.terminal);
    close(pty.controller);
    pty = Pty{};
    errno = why;
  }
  return failed;
}

const char* resizePty(int controller, const WindowSize& size) {
  winsize window{};
  window.ws_col = size.columns;
  window.ws_row = size.rows;
  return ioctl(controller, TIOCSWINSZ, &window) == 0 ? nullptr : "ioctl(TIOCSWINSZ)";
}

}  // namespace weft
