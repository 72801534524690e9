// The files that a container has in place of the host's: mounted over those, in mounts of its own (mount_namespaces(7)).
#pragma once

namespace weft {

struct Bind {
  const char* source;
  const char* target;
};

/// What could not be done, with errno; `what` is nullptr where all of it could.
struct MountFailure {
  const char* what;
  const char* subject;
};

/// Gives the calling process mounts of its own with these files in them; nothing where there are none.
MountFailure mountFiles(const Bind* binds, int count);

/// A host that replaces a file takes what is mounted on it away, from every namespace (rename(2), unlink(2)). Returns
/// whether all of ours are in place again, or what the container itself mounted there.
bool restoreFiles(const Bind* binds, int count);

}  // namespace weft
