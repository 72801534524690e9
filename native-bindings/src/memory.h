// Huge pages (2 MB) for memory that JavaScript has allocated. A large table that is read in an order that no cache can
// guess otherwise pays for each page that the processor has to look up anew.
#pragma once
#include <napi.h>

namespace weft {

/** adviseHugePages(memory: Uint8Array): number; what it does and returns stands in src/io/native-addon.ts. */
Napi::Value adviseHugePages(const Napi::CallbackInfo& info);

}  // namespace weft
