// The program between the agent and a container: enters the pod's namespaces, starts the command, and stays as its
// parent. It outlives the agent, so that no line of output and no exit code is lost when there is none for a while.
//
//   agent ──spawns──▶ weft_container run ──forks──▶ the command
//       ◀─descriptor 3──▶   │    ▲────stdout, stderr──┘
//       ◀──socket, input──▶ └─▶ log file, rotated; exit file
//
//   weft_container pause --net FILE --hostname NAME
//   weft_container run [--net FILE] [--uts FILE] [--bind SOURCE TARGET]… --cwd FOLDER
//                      --log FILE BYTES FILES --exit FILE [--input open|once|terminal SOCKET] -- COMMAND…
//   weft_container exec --pid PID --cwd FOLDER -- COMMAND…
//
// `exec` becomes another command beside a container's own. `pause` holds a pod's host name for all of its containers,
// whichever of them run. On descriptor 3 both others say one line, `started PID` or `failed CODE WHY`; `run` starts its
// command when it has read a byte there: then the agent has written down who runs it, and the next one finds it. The log
// has CRI's format: time, stream, F or P (the line goes on), the text. The exit file says `CODE SIGNAL MILLISECONDS`; it
// is there, whole, before this program ends.
//
// Plain system calls and no C++ library: there is one of these beside every container.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

#include "container_files.h"
#include "container_input.h"
#include "container_log.h"

namespace {

constexpr int kReport = 3;
constexpr int kMostBinds = 128;
/// Exit codes by the shell's convention; 128: nothing was executed.
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kNotPrepared = 128;
/// What is read at once, and so the longest line that stays in one piece.
constexpr size_t kChunk = 16384;
/// Output that descendants in sessions of their own still hold is waited for so long after the command's end.
constexpr int kDrainMillis = 300;
/// A file that is missing, so that nothing can be mounted on it, is looked for so often.
constexpr int kMissingFileMillis = 1000;

// asm-generic/unistd.h and linux/close_range.h; build headers may be older than the kernel.
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
constexpr unsigned kCloseOnExec = 1U << 2;

struct Options {
  const char* net = nullptr;
  const char* uts = nullptr;
  const char* hostname = nullptr;
  const char* cwd = "/";
  const char* log = nullptr;
  const char* exitFile = nullptr;
  const char* pid = nullptr;
  weft::InputKind input = weft::InputKind::kNone;
  const char* inputSocket = nullptr;
  off_t logBytes = 0;
  int logFiles = 1;
  weft::Bind binds[kMostBinds];
  int bindCount = 0;
  char** command = nullptr;
};

void report(const char* format, ...) {
  char line[PATH_MAX + 256];
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line, sizeof line - 1, format, values);
  va_end(values);
  if (length < 0) return;
  if (static_cast<size_t>(length) > sizeof line - 2) length = sizeof line - 2;
  line[length] = '\n';
  // Nobody may be listening any more.
  if (write(kReport, line, static_cast<size_t>(length) + 1) < 0) return;
}

int64_t millisOf(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

/// Replaced whole, so that a reader finds the old one or the new one.
void writeExit(const Options& options, int code, int signal) {
  if (options.inputSocket != nullptr) unlink(options.inputSocket);
  if (options.exitFile == nullptr) return;
  char next[PATH_MAX];
  snprintf(next, sizeof next, "%s.next", options.exitFile);
  const int file = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  char text[64];
  const int length = snprintf(text, sizeof text, "%d %d %lld\n", code, signal, static_cast<long long>(millisOf(CLOCK_REALTIME)));
  const bool written = write(file, text, static_cast<size_t>(length)) == length;
  close(file);
  if (written) rename(next, options.exitFile);
}

[[noreturn]] void fail(const Options& options, int code, const char* what, const char* subject) {
  const char* why = strerror(errno);
  report("failed %d %s %s: %s", code, what, subject, why);
  writeExit(options, code, 0);
  _exit(code);
}

void enterNamespace(const Options& options, const char* path, int type) {
  if (path == nullptr) return;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || setns(file, type) != 0) fail(options, kNotPrepared, "enter", path);
  close(file);
}

/// The forked child; never returns. What goes wrong is written to `problem`, which closes when the command begins.
[[noreturn]] void becomeCommand(const Options& options, int in, int out, int err, int problem, pid_t parent) {
  // Without its parent nobody would read its output or learn of its end.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kNotPrepared);
  setsid();
  umask(022);
  // Whatever those ignored who started us.
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (options.input == weft::InputKind::kTerminal) ioctl(in, TIOCSCTTY, 0);
  if (in >= 0) dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  int code = kNotPrepared;
  if (chdir(options.cwd) == 0) {
    execvp(options.command[0], options.command);
    code = errno == ENOENT || errno == ENOTDIR ? kNotFound : kNotExecutable;
  }
  const int why[2] = {code, errno};
  if (write(problem, why, sizeof why) < 0) _exit(code);
  _exit(code);
}

/// The command's processes that were left to us end with it, as the rest of a container does.
void endDescendants(pid_t command) {
  kill(-command, SIGKILL);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
  // Each that ends may leave us its own children.
  for (int round = 0; round < 100; round++) {
    char text[4096];
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    if (length > 0) {
      text[length] = '\0';
      for (char* at = text; *at != '\0';) {
        char* end;
        const long pid = strtol(at, &end, 10);
        if (end == at) break;
        if (pid > 1) kill(static_cast<pid_t>(pid), SIGKILL);
        at = end;
      }
    }
    const timespec pause = {0, 1000000};
    for (pid_t pid; (pid = waitpid(-1, nullptr, WNOHANG)) != 0;) {
      if (pid < 0 && errno != EINTR) return;
    }
    nanosleep(&pause, nullptr);
  }
}

/// The sooner of two times to wait; -1: for ever.
int sooner(int a, int b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

/// Reads both streams until the command has ended and they are empty; returns its wait status.
int follow(const Options& options, weft::ContainerLog& log, weft::ContainerInput& input, int out, int err, int ends,
           pid_t command) {
  // Says by an error that mounts have changed (proc(5)).
  const int mounts = options.bindCount > 0 ? open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) : -1;
  constexpr int kOwn = 4;
  pollfd sources[kOwn + weft::ContainerInput::kMostPolls] = {
      {out, POLLIN, 0}, {err, POLLIN, 0}, {ends, POLLIN, 0}, {mounts, POLLPRI, 0}};
  const char* const names[] = {"stdout", "stderr"};
  int status = 0;
  bool complete = true;
  int64_t deadline = -1;
  static char chunk[kChunk];
  while (deadline < 0 || sources[0].fd >= 0 || sources[1].fd >= 0) {
    int wait = complete ? -1 : kMissingFileMillis;
    if (deadline >= 0) {
      const int64_t left = deadline - millisOf(CLOCK_MONOTONIC);
      if (left <= 0) break;
      wait = static_cast<int>(left);
    }
    wait = sooner(wait, input.patienceMillis());
    if (poll(sources, static_cast<nfds_t>(kOwn + input.watch(sources + kOwn)), wait) < 0) {
      // The kernel is out of memory, and may have some in a moment.
      const timespec pause = {0, 10000000};
      nanosleep(&pause, nullptr);
      continue;
    }
    for (int i = 0; i < 2; i++) {
      if (sources[i].fd < 0 || sources[i].revents == 0) continue;
      const ssize_t length = read(sources[i].fd, chunk, sizeof chunk);
      if (length > 0) {
        log.add(names[i], chunk, static_cast<size_t>(length));
        input.tellMore();
      } else if (length == 0 || (errno != EINTR && errno != EAGAIN)) {
        sources[i].fd = -1;
      }
    }
    input.serve(sources + kOwn, log);
    if (sources[3].revents != 0 || !complete) complete = weft::restoreFiles(options.binds, options.bindCount);
    signalfd_siginfo ended;
    while (read(ends, &ended, sizeof ended) > 0) continue;
    for (int each; deadline < 0;) {
      const pid_t pid = waitpid(-1, &each, WNOHANG);
      if (pid == 0 || (pid < 0 && errno != EINTR)) break;
      if (pid != command) continue;
      status = each;
      deadline = millisOf(CLOCK_MONOTONIC) + kDrainMillis;
      endDescendants(command);
      input.ended();
    }
  }
  return status;
}

int run(Options& options) {
  for (int number : {SIGPIPE, SIGTERM, SIGINT, SIGHUP}) signal(number, SIG_IGN);
  enterNamespace(options, options.net, CLONE_NEWNET);
  enterNamespace(options, options.uts, CLONE_NEWUTS);
  const weft::MountFailure failure = weft::mountFiles(options.binds, options.bindCount);
  if (failure.what != nullptr) fail(options, kNotPrepared, failure.what, failure.subject);
  // What loses its parent in the container comes to us, not to the host.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  weft::ContainerLog log(options.log, options.logBytes, options.logFiles);
  if (!log.isOpen()) fail(options, kNotPrepared, "open", options.log);
  int out[2] = {-1, -1};
  int err[2] = {-1, -1};
  int problem[2];
  const bool isTerminal = options.input == weft::InputKind::kTerminal;
  const bool isPiped = isTerminal || (pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
  if (!isPiped || pipe2(problem, O_CLOEXEC) != 0) fail(options, kNotPrepared, "make", "pipes");
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, nullptr);
  const int ends = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  if (ends < 0) fail(options, kNotPrepared, "make", "a signal descriptor");
  // Of an agent that ended before it wrote us down, nobody would know what we began.
  char go;
  if (read(kReport, &go, 1) != 1) return kNotPrepared;
  weft::ContainerInput input(options.input);
  const char* missing = input.open(options.inputSocket);
  if (missing != nullptr) fail(options, kNotPrepared, "make", missing);
  if (isTerminal) {
    out[0] = input.controller();
    out[1] = err[1] = input.commandEnd();
  }
  const pid_t self = getpid();
  const pid_t command = fork();
  if (command < 0) fail(options, kNotPrepared, "start", options.command[0]);
  if (command == 0) becomeCommand(options, input.commandEnd(), out[1], err[1], problem[1], self);
  if (!isTerminal) for (int file : {out[1], err[1]}) close(file);
  close(problem[1]);
  input.started();
  int why[2];
  if (read(problem[0], why, sizeof why) == sizeof why) {
    errno = why[1];
    const bool folder = why[0] == kNotPrepared;
    fail(options, why[0], folder ? "change to" : "execute", folder ? options.cwd : options.command[0]);
  }
  close(problem[0]);
  report("started %d", command);
  close(kReport);
  const int status = follow(options, log, input, out[0], err[0], ends, command);
  const int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const int code = number > 0 ? 128 + number : WEXITSTATUS(status);
  writeExit(options, code, number);
  return code;
}

int hold(const Options& options) {
  enterNamespace(options, options.net, CLONE_NEWNET);
  if (unshare(CLONE_NEWUTS) != 0) fail(options, kNotPrepared, "unshare", "the host name");
  // An ordinary user may not name hosts everywhere; the pod runs without, as it always did.
  if (options.hostname != nullptr && sethostname(options.hostname, strlen(options.hostname)) != 0) errno = 0;
  prctl(PR_SET_NAME, "weft_pause");
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  report("started %d", getpid());
  close(kReport);
  for (;;) pause();
}

/// Becomes a command in the namespaces of a container's process; what is wrong is said where its output goes.
int join(const Options& options) {
  // An agent that is killed leaves no command of a probe or a client behind, beside a container that goes on.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const char* type : {"net", "uts", "mnt"}) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", options.pid, type);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || setns(file, 0) != 0) {
      dprintf(STDERR_FILENO, "the container does not run: %s: %s\n", path, strerror(errno));
      return kNotPrepared;
    }
    close(file);
  }
  if (chdir(options.cwd) != 0) {
    dprintf(STDERR_FILENO, "change to %s: %s\n", options.cwd, strerror(errno));
    return kNotPrepared;
  }
  execvp(options.command[0], options.command);
  dprintf(STDERR_FILENO, "execute %s: %s\n", options.command[0], strerror(errno));
  return errno == ENOENT ? kNotFound : kNotExecutable;
}

bool readInput(Options& options, const char* kind, const char* socket) {
  if (strcmp(kind, "open") == 0) options.input = weft::InputKind::kOpen;
  else if (strcmp(kind, "once") == 0) options.input = weft::InputKind::kOnce;
  else if (strcmp(kind, "terminal") == 0) options.input = weft::InputKind::kTerminal;
  else return false;
  options.inputSocket = socket;
  return true;
}

bool parse(Options& options, int count, char** words) {
  for (int i = 2; i < count; i++) {
    const char* word = words[i];
    if (strcmp(word, "--") == 0) {
      options.command = words + i + 1;
      return i + 1 < count;
    }
    if (i + 1 >= count) return false;
    const char* value = words[++i];
    if (strcmp(word, "--net") == 0) options.net = value;
    else if (strcmp(word, "--uts") == 0) options.uts = value;
    else if (strcmp(word, "--hostname") == 0) options.hostname = value;
    else if (strcmp(word, "--cwd") == 0) options.cwd = value;
    else if (strcmp(word, "--pid") == 0) options.pid = value;
    else if (strcmp(word, "--exit") == 0) options.exitFile = value;
    else if (strcmp(word, "--bind") == 0 && i + 1 < count && options.bindCount < kMostBinds) {
      options.binds[options.bindCount++] = {value, words[++i]};
    } else if (strcmp(word, "--log") == 0 && i + 2 < count) {
      options.log = value;
      options.logBytes = static_cast<off_t>(atoll(words[++i]));
      options.logFiles = atoi(words[++i]);
    } else if (strcmp(word, "--input") == 0 && i + 1 < count && readInput(options, value, words[i + 1])) {
      i++;
    } else {
      return false;
    }
  }
  return strcmp(words[1], "pause") == 0;
}

}  // namespace

int main(int count, char** words) {
  // Nobody else's business, as whatever those left open who started the agent. An older kernel closes the one alone.
  if (syscall(SYS_close_range, kReport, ~0U, kCloseOnExec) != 0) fcntl(kReport, F_SETFD, FD_CLOEXEC);
  Options options;
  const bool understood = count > 1 && parse(options, count, words);
  if (understood && strcmp(words[1], "pause") == 0) return hold(options);
  if (understood && options.pid != nullptr && strcmp(words[1], "exec") == 0) return join(options);
  const bool complete = options.log != nullptr && options.logBytes > 0 && options.logFiles > 0;
  if (understood && complete && strcmp(words[1], "run") == 0) return run(options);
  dprintf(STDERR_FILENO, "weft_container is started by weft agent\n");
  return 2;
}
