#include "pty.h"

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

SystemError openTerminal(const WindowSize& size, Pty& pty) {
  if (unlockpt(pty.controller) != 0) return systemError("unlockpt", "pseudo-terminal");
  // By the controller and not by its path, which may be another terminal's where /dev is another one.
  pty.terminal = ioctl(pty.controller, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (pty.terminal < 0) return systemError("ioctl(TIOCGPTPEER)", "pseudo-terminal");
  termios mode{};
  if (tcgetattr(pty.terminal, &mode) != 0) return systemError("tcgetattr", "pseudo-terminal");
  mode.c_iflag |= IUTF8;
  if (tcsetattr(pty.terminal, TCSANOW, &mode) != 0) return systemError("tcsetattr", "pseudo-terminal");
  return resizePty(pty.controller, size);
}

}  // namespace

SystemError openPty(const WindowSize& size, Pty& pty) {
  pty.controller = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (pty.controller < 0) return systemError("open", "/dev/ptmx");
  SystemError error = openTerminal(size, pty);
  if (error) {
    if (pty.terminal >= 0) close(pty.terminal);
    close(pty.controller);
    pty = Pty{};
  }
  return error;
}

SystemError resizePty(int controller, const WindowSize& size) {
  winsize window{};
  window.ws_col = size.columns;
  window.ws_row = size.rows;
  if (ioctl(controller, TIOCSWINSZ, &window) != 0) return systemError("ioctl(TIOCSWINSZ)", "pseudo-terminal");
  return {};
}

}  // namespace weft
