// The engine as JavaScript sees it: checks what crosses, holds the typed arrays alive, and lets go of everything when
// its environment (a worker) ends.
#pragma once
#include <napi.h>

#include <memory>

#include "engine.h"

namespace weft {

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);
  ~EngineObject() override;

 private:
  void attach(const Napi::CallbackInfo& info);
  void detach(const Napi::CallbackInfo& info);
  Napi::Value txrx(const Napi::CallbackInfo& info);
  Napi::Value nowMs(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  bool readMemory(Napi::Env env, const Napi::Object& options, EngineMemory& memory);
  bool checkLayout(Napi::Env env, const Napi::Object& options);
  bool requireOpen(Napi::Env env);
  void release();
  static void endWithEnvironment(void* self);

  std::unique_ptr<Engine> engine_;
  Napi::ObjectReference buffers_;
  double nowMs_ = 0;
  napi_env env_;
};

}  // namespace weft
