#include "memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "arguments.h"

namespace weft {
namespace {

constexpr uintptr_t kHugePageBytes = 2 << 20;

}  // namespace

Napi::Value adviseHugePages(const Napi::CallbackInfo& info) {
  void* data;
  size_t length;
  if (!readElements(info.Env(), info[0], "memory", napi_uint8_array, &data, &length)) return info.Env().Undefined();
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  const uintptr_t last = (begin + length) & ~(kHugePageBytes - 1);
  // A kernel that has none, or was told to give none: small pages do as well, only slower.
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  return Napi::Number::New(info.Env(), static_cast<double>(std::min<size_t>(first - begin, length)));
}

}  // namespace weft
