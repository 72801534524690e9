#include "container_files.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft {
namespace {

constexpr const char* kResolvConf = "/etc/resolv.conf";
// linux/stat.h, STATX_ATTR_MOUNT_ROOT, since Linux 5.8.
constexpr unsigned kMountRoot = 0x2000;

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

bool mountFile(const Bind& bind) { return mount(bind.source, bind.target, nullptr, MS_BIND | MS_REC, nullptr) == 0; }

}  // namespace

MountFailure mountFiles(const Bind* binds, int count) {
  if (count == 0) return {};
  if (unshare(CLONE_NEWNS) != 0) return {"unshare", "the mount namespace"};
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return {"make private", "/"};
  ensureResolvConf();
  for (int i = 0; i < count; i++) {
    if (!mountFile(binds[i])) return {"mount", binds[i].target};
  }
  return {};
}

bool restoreFiles(const Bind* binds, int count) {
  bool complete = true;
  for (int i = 0; i < count; i++) {
    const Bind& bind = binds[i];
    struct statx ours;
    struct statx found;
    // It goes with its pod.
    if (statx(AT_FDCWD, bind.source, 0, STATX_INO, &ours) != 0) continue;
    const bool isThere = statx(AT_FDCWD, bind.target, 0, STATX_INO, &found) == 0;
    if (isThere && found.stx_ino == ours.stx_ino && found.stx_dev_minor == ours.stx_dev_minor) continue;
    if (isThere && (found.stx_attributes & kMountRoot) != 0) continue;
    if (!mountFile(bind)) complete = false;
  }
  return complete;
}

}  // namespace weft
