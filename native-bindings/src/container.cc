// The program between the agent and a container: enters the pod's namespaces, starts the command, and stays as its
// parent. It outlives the agent, so that no line of output and no exit code is lost when there is none for a while.
//
//   agent ──spawns──▶ weft_container run ──forks──▶ the command
//        ◀─descriptor 3─┘   │    ▲────stdout, stderr──┘
//                           └─▶ log file, rotated; exit file
//
//   weft_container pause --net FILE --hostname NAME
//   weft_container run [--net FILE] [--uts FILE] [--bind SOURCE TARGET]… --cwd FOLDER
//                      --log FILE BYTES FILES --exit FILE -- COMMAND…
//   weft_container exec --pid PID --cwd FOLDER -- COMMAND…
//
// `exec` becomes another command beside a container's own. `pause` holds a pod's host name for all of its containers, whichever of them run. On descriptor 3 each says one line,
// `started PID` or `failed CODE WHY`. The log has CRI's format: time, stream, F or P (the line goes on), the text. The
// exit file says `CODE SIGNAL MILLISECONDS`; it is there, whole, before this program ends.
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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

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
constexpr const char* kResolvConf = "/etc/resolv.conf";

struct Options {
  const char* net = nullptr;
  const char* uts = nullptr;
  const char* hostname = nullptr;
  const char* cwd = "/";
  const char* log = nullptr;
  const char* exitFile = nullptr;
  const char* pid = nullptr;
  off_t logBytes = 0;
  int logFiles = 1;
  struct {
    const char* source;
    const char* target;
  } binds[kMostBinds];
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

int64_t nowMillis() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

/// Replaced whole, so that a reader finds the old one or the new one.
void writeExit(const Options& options, int code, int signal) {
  if (options.exitFile == nullptr) return;
  char next[PATH_MAX];
  snprintf(next, sizeof next, "%s.next", options.exitFile);
  const int file = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  char text[64];
  const int length = snprintf(text, sizeof text, "%d %d %lld\n", code, signal, static_cast<long long>(nowMillis()));
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

/// A link into a /run that is another one here leads nowhere: its target is made, or nothing could be mounted on it.
void ensureResolvConf() {
  if (access(kResolvConf, F_OK) == 0) return;
  char link[PATH_MAX];
  char target[PATH_MAX + 8];
  const ssize_t length = readlink(kResolvConf, link, sizeof link - 1);
  if (length < 0) {
    snprintf(target, sizeof target, "%s", kResolvConf);
  } else {
    link[length] = '\0';
    snprintf(target, sizeof target, "%s%s", link[0] == '/' ? "" : "/etc/", link);
  }
  for (char* at = strchr(target + 1, '/'); at != nullptr; at = strchr(at + 1, '/')) {
    *at = '\0';
    mkdir(target, 0755);
    *at = '/';
  }
  const int file = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file >= 0) close(file);
}

void mountFiles(const Options& options) {
  if (options.bindCount == 0) return;
  if (unshare(CLONE_NEWNS) != 0) fail(options, kNotPrepared, "unshare", "the mount namespace");
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) fail(options, kNotPrepared, "make private", "/");
  ensureResolvConf();
  for (int i = 0; i < options.bindCount; i++) {
    const char* target = options.binds[i].target;
    if (mount(options.binds[i].source, target, nullptr, MS_BIND | MS_REC, nullptr) != 0) {
      fail(options, kNotPrepared, "mount", target);
    }
  }
}

/// The forked child; never returns. What goes wrong is written to `problem`, which closes when the command begins.
[[noreturn]] void becomeCommand(const Options& options, int out, int err, int problem, pid_t parent) {
  // Without its parent nobody would read its output or learn of its end.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kNotPrepared);
  setsid();
  // Whatever those ignored who started us.
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
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

/// Reads both streams until the command has ended and they are empty; returns its wait status.
int follow(weft::ContainerLog& log, int out, int err, pid_t command) {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  const int ends = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  pollfd sources[] = {{out, POLLIN, 0}, {err, POLLIN, 0}, {ends, POLLIN, 0}};
  const char* const names[] = {"stdout", "stderr"};
  int status = 0;
  int64_t deadline = -1;
  static char chunk[kChunk];
  while (deadline < 0 || sources[0].fd >= 0 || sources[1].fd >= 0) {
    int wait = -1;
    if (deadline >= 0) {
      const int64_t left = deadline - nowMillis();
      if (left <= 0) break;
      wait = left < kDrainMillis ? static_cast<int>(left) : kDrainMillis;
    }
    if (poll(sources, 3, wait) < 0 && errno != EINTR) break;
    for (int i = 0; i < 2; i++) {
      if (sources[i].fd < 0 || sources[i].revents == 0) continue;
      const ssize_t length = read(sources[i].fd, chunk, sizeof chunk);
      if (length > 0) log.add(names[i], chunk, static_cast<size_t>(length));
      else if (length == 0 || errno != EINTR) sources[i].fd = -1;
    }
    signalfd_siginfo ended;
    while (read(ends, &ended, sizeof ended) > 0) continue;
    for (int each; deadline < 0;) {
      const pid_t pid = waitpid(-1, &each, WNOHANG);
      if (pid == 0 || (pid < 0 && errno != EINTR)) break;
      if (pid != command) continue;
      status = each;
      deadline = nowMillis() + kDrainMillis;
      endDescendants(command);
    }
  }
  return status;
}

int run(Options& options) {
  for (int number : {SIGPIPE, SIGTERM, SIGINT, SIGHUP}) signal(number, SIG_IGN);
  enterNamespace(options, options.net, CLONE_NEWNET);
  enterNamespace(options, options.uts, CLONE_NEWUTS);
  mountFiles(options);
  // What loses its parent in the container comes to us, not to the host.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  weft::ContainerLog log(options.log, options.logBytes, options.logFiles);
  if (!log.isOpen()) fail(options, kNotPrepared, "open", options.log);
  int out[2];
  int err[2];
  int problem[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || pipe2(problem, O_CLOEXEC) != 0) {
    fail(options, kNotPrepared, "make", "pipes");
  }
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, nullptr);
  const pid_t self = getpid();
  const pid_t command = fork();
  if (command < 0) fail(options, kNotPrepared, "start", options.command[0]);
  if (command == 0) becomeCommand(options, out[1], err[1], problem[1], self);
  for (int file : {out[1], err[1], problem[1]}) close(file);
  int why[2];
  if (read(problem[0], why, sizeof why) == sizeof why) {
    errno = why[1];
    const bool folder = why[0] == kNotPrepared;
    fail(options, why[0], folder ? "change to" : "execute", folder ? options.cwd : options.command[0]);
  }
  close(problem[0]);
  report("started %d", command);
  close(kReport);
  const int status = follow(log, out[0], err[0], command);
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
    } else {
      return false;
    }
  }
  return strcmp(words[1], "pause") == 0;
}

}  // namespace

int main(int count, char** words) {
  // Nobody else's business; where nobody listens there is none.
  fcntl(kReport, F_SETFD, FD_CLOEXEC);
  Options options;
  const bool understood = count > 1 && parse(options, count, words);
  if (understood && strcmp(words[1], "pause") == 0) return hold(options);
  if (understood && options.pid != nullptr && strcmp(words[1], "exec") == 0) return join(options);
  const bool complete = options.log != nullptr && options.logBytes > 0 && options.logFiles > 0;
  if (understood && complete && strcmp(words[1], "run") == 0) return run(options);
  dprintf(STDERR_FILENO, "weft_container is started by weft agent\n");
  return 2;
}
