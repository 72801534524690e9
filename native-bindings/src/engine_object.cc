#include "engine_object.h"

#include <time.h>

#include <algorithm>

#include "arguments.h"

namespace weft {

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceMethod<&EngineObject::attach>("attach"), InstanceMethod<&EngineObject::detach>("detach"),
                      InstanceMethod<&EngineObject::txrx>("txrx"), InstanceMethod<&EngineObject::nowMs>("nowMs"),
                      InstanceMethod<&EngineObject::close>("close")});
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info), env_(info.Env()) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsObject()) {
    Napi::TypeError::New(env, "Engine: expected an object of options").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  EngineMemory memory;
  double waker;
  if (!checkLayout(env, options) || !readMemory(env, options, memory)) return;
  if (!requireNumber(env, options, "waker", -1, INT32_MAX, waker)) return;
  auto engine = std::make_unique<Engine>(memory, static_cast<int>(waker));
  if (SystemError error = engine->open()) {
    throwSystemError(env, error);
    return;
  }
  Napi::Object buffers = Napi::Object::New(env);
  for (const char* key : {"arena", "descriptors", "stats"}) buffers.Set(key, options.Get(key));
  buffers_ = Napi::Persistent(buffers);
  engine_ = std::move(engine);
  // Objects are not finalized in a fixed order when a worker ends; the engine must be gone before its arena.
  napi_add_env_cleanup_hook(env_, endWithEnvironment, this);
}

EngineObject::~EngineObject() { release(); }

void EngineObject::release() {
  if (buffers_.IsEmpty()) return;
  engine_.reset();
  buffers_.Reset();
  napi_remove_env_cleanup_hook(env_, endWithEnvironment, this);
}

void EngineObject::endWithEnvironment(void* self) { static_cast<EngineObject*>(self)->engine_.reset(); }

bool EngineObject::checkLayout(Napi::Env env, const Napi::Object& options) {
  const Napi::Value fields = options.Get("fields");
  for (uint32_t field = 0; field < kFieldCount; field++) {
    const Napi::Value number =
        fields.IsObject() ? fields.As<Napi::Object>().Get(kFieldNames[field]) : env.Undefined();
    if (number.IsNumber() && number.As<Napi::Number>().DoubleValue() == field) continue;
    Napi::Error::New(env, std::string("Engine: the addon was built for another descriptor layout: field ") +
                              kFieldNames[field] + " is not " + std::to_string(field) + "; run make build")
        .ThrowAsJavaScriptException();
    return false;
  }
  return true;
}

bool EngineObject::readMemory(Napi::Env env, const Napi::Object& options, EngineMemory& memory) {
  void *arena, *descriptors, *stats;
  size_t arenaBytes, words, slots;
  if (!readElements(env, options.Get("arena"), "arena", napi_uint8_array, &arena, &arenaBytes)) return false;
  if (!readElements(env, options.Get("descriptors"), "descriptors", napi_int32_array, &descriptors, &words)) {
    return false;
  }
  if (!readElements(env, options.Get("stats"), "stats", napi_float64_array, &stats, &slots)) return false;
  double packets, spare, headroom, receive, busyPoll;
  if (!requireNumber(env, options, "packets", 1, 65536, packets)) return false;
  if (!requireNumber(env, options, "sparePackets", 0, packets - 1, spare)) return false;
  if (!requireNumber(env, options, "headroomBytes", kVnetTunnelHeaderBytes, 4096, headroom)) return false;
  // Room for two UDP buffers and two TUN packets, or nothing could ever be received.
  if (!readNumber(env, options, "busyPollMicros", 0, 10'000, 0, busyPoll)) return false;
  const double least = 4 * (kSlotBytes + headroom + 512);
  if (!requireNumber(env, options, "receiveBytes", least, static_cast<double>(std::min<size_t>(arenaBytes, INT32_MAX)),
                     receive)) {
    return false;
  }
  if (words != kFieldCount * static_cast<size_t>(packets) || slots < kStatCount) {
    Napi::RangeError::New(env, "Engine: descriptors or stats have another size than this addon was built for")
        .ThrowAsJavaScriptException();
    return false;
  }
  memory.arena = static_cast<uint8_t*>(arena);
  memory.arenaBytes = static_cast<uint32_t>(std::min<size_t>(arenaBytes, INT32_MAX));
  memory.descriptors = {static_cast<int32_t*>(descriptors), static_cast<uint32_t>(packets)};
  memory.receiveBytes = static_cast<uint32_t>(receive);
  memory.sparePackets = static_cast<uint32_t>(spare);
  memory.headroomBytes = static_cast<uint32_t>(headroom);
  memory.busyPollMicros = static_cast<uint32_t>(busyPoll);
  memory.stats = {static_cast<double*>(stats)};
  return true;
}

bool EngineObject::requireOpen(Napi::Env env) {
  if (engine_ != nullptr) return true;
  Napi::Error::New(env, "Engine: closed").ThrowAsJavaScriptException();
  return false;
}

void EngineObject::attach(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!requireOpen(env)) return;
  if (info.Length() < 1 || !info[0].IsObject()) {
    Napi::TypeError::New(env, "attach: expected a port").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Object given = info[0].As<Napi::Object>();
  double id, fd, vnet, encap, mtu, merge, merge6;
  if (!requireNumber(env, given, "id", 0, kMaxPorts - 1, id)) return;
  if (!requireNumber(env, given, "fd", 0, INT32_MAX, fd)) return;
  if (!readNumber(env, given, "vnetHeaderBytes", 0, kVnetTunnelHeaderBytes, 0, vnet)) return;
  if (!readNumber(env, given, "encapBytes", 0, 128, 0, encap)) return;
  if (!readNumber(env, given, "mtu", 0, kMaxPacketBytes, 0, mtu)) return;
  if (!readNumber(env, given, "mergeBytes", 0, kMaxMergeBytes, 0, merge)) return;
  if (!readNumber(env, given, "mergeBytes6", 0, kMaxMergeBytes, std::min<double>(merge, kMaxPacketBytes - 256), merge6)) {
    return;
  }
  const std::string kind = readText(given, "kind");
  auto port = std::make_unique<Port>();
  if (kind == "tun") port->kind = PortKind::kTun;
  else if (kind == "udp") port->kind = PortKind::kUdp;
  else if (kind == "tap") port->kind = PortKind::kTap;
  else {
    Napi::TypeError::New(env, "kind: expected 'tun', 'udp' or 'tap'").ThrowAsJavaScriptException();
    return;
  }
  const bool headerKnown = port->kind == PortKind::kTap ? vnet == kVnetTunnelHeaderBytes
                                                        : vnet == 0 || vnet == kVnetHeaderBytes;
  if (!headerKnown) {
    Napi::RangeError::New(env, "vnetHeaderBytes: expected 0 or 10, and 24 for a TAP").ThrowAsJavaScriptException();
    return;
  }
  port->id = static_cast<int>(id);
  port->fd = static_cast<int>(fd);
  port->vnetHeaderBytes = static_cast<uint32_t>(vnet);
  port->encapBytes = static_cast<uint32_t>(encap);
  port->mtu = static_cast<uint32_t>(mtu);
  port->mergeBytes = static_cast<uint32_t>(merge);
  port->mergeBytes6 = static_cast<uint32_t>(merge6);
  port->gso = readFlag(given, "gso");
  port->trustPartial = readFlag(given, "trustPartial");
  port->sendOnly = readFlag(given, "sendOnly");
  if (SystemError error = engine_->attach(std::move(port))) throwSystemError(env, error);
}

void EngineObject::detach(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!requireOpen(env)) return;
  const double id = info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
  if (id >= 0 && id < kMaxPorts) engine_->detach(static_cast<int>(id));
}

Napi::Value EngineObject::txrx(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!requireOpen(env)) return env.Undefined();
  int32_t count = 0, timeoutMs = 0;
  if (info.Length() < 2 || napi_get_value_int32(env, info[0], &count) != napi_ok ||
      napi_get_value_int32(env, info[1], &timeoutMs) != napi_ok) {
    Napi::TypeError::New(env, "txrx: expected a count and a timeout").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const uint32_t received = engine_->exchange(static_cast<uint32_t>(std::max(count, 0)), timeoutMs);
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  nowMs_ = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
  return Napi::Number::New(env, received);
}

Napi::Value EngineObject::nowMs(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), nowMs_); }

void EngineObject::close(const Napi::CallbackInfo&) { release(); }

}  // namespace weft
