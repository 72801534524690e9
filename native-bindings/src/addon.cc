// The addon's face: what src/io/native-addon.ts types. Nothing here is global to the process: each environment (the
// main thread, each worker) has its own exports and its own engines.
#include <errno.h>
#include <napi.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "arguments.h"
#include "bytes.h"
#include "checksum.h"
#include "engine_object.h"
#include "ethtool.h"
#include "frame.h"
#include "memory.h"
#include "probe.h"
#include "pty.h"
#include "stats.h"
#include "tcp.h"
#include "tun.h"
#include "udp.h"

namespace weft {
namespace {

bool requireOptions(const Napi::CallbackInfo& info, const char* function, Napi::Object& options) {
  if (info.Length() > 0 && info[0].IsObject()) {
    options = info[0].As<Napi::Object>();
    return true;
  }
  Napi::TypeError::New(info.Env(), std::string(function) + ": expected an object of options")
      .ThrowAsJavaScriptException();
  return false;
}

Napi::Value openTunDevice(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object options;
  if (!requireOptions(info, "openTun", options)) return env.Undefined();
  TunRequest request;
  request.name = readText(options, "name");
  request.netns = readText(options, "netns");
  request.tap = readText(options, "kind") == "tap";
  request.offloads = readFlag(options, "offloads");
  request.tunnelGso = readFlag(options, "tunnelGso");
  request.persist = readFlag(options, "persist");
  TunDevice device;
  if (SystemError error = openTun(request, device)) {
    throwSystemError(env, error);
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("fd", device.fd);
  result.Set("name", device.name);
  result.Set("vnetHeaderBytes", device.vnetHeaderBytes);
  result.Set("offloads", device.offloads);
  return result;
}

Napi::Value openUdpSocket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object options;
  if (!requireOptions(info, "openUdp", options)) return env.Undefined();
  double port, receiveBytes, sendBytes, sockets, first, first6;
  if (!requireNumber(env, options, "port", 0, 65535, port)) return env.Undefined();
  if (!requireNumber(env, options, "receiveBufferBytes", 0, INT32_MAX / 2, receiveBytes)) return env.Undefined();
  if (!requireNumber(env, options, "sendBufferBytes", 0, INT32_MAX / 2, sendBytes)) return env.Undefined();
  if (!readNumber(env, options, "sockets", 1, 64, 1, sockets)) return env.Undefined();
  if (!readNumber(env, options, "firstSocketsIp4", 0, UINT32_MAX, 0, first)) return env.Undefined();
  if (!readNumber(env, options, "firstSocketsIp6", 0, UINT32_MAX, 0, first6)) return env.Undefined();
  UdpRequest request;
  request.address = readText(options, "address");
  request.netns = readText(options, "netns");
  request.port = static_cast<int>(port);
  request.receiveBufferBytes = static_cast<int>(receiveBytes);
  request.sendBufferBytes = static_cast<int>(sendBytes);
  request.gso = readFlag(options, "gso");
  request.gro = readFlag(options, "gro");
  request.sockets = static_cast<uint32_t>(sockets);
  request.firstSocketsIp4 = static_cast<uint32_t>(first);
  request.firstSocketsIp6 = static_cast<uint32_t>(first6);
  UdpSocket socket;
  if (SystemError error = openUdp(request, socket)) {
    throwSystemError(env, error);
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  Napi::Array fds = Napi::Array::New(env, socket.fds.size());
  for (uint32_t i = 0; i < socket.fds.size(); i++) fds.Set(i, socket.fds[i]);
  result.Set("fd", socket.fds[0]);
  result.Set("fds", fds);
  result.Set("port", socket.port);
  result.Set("receiveBufferBytes", socket.receiveBufferBytes);
  result.Set("gso", socket.gso);
  result.Set("gro", socket.gro);
  return result;
}

Napi::Value openTcpSocket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object options;
  if (!requireOptions(info, "openTcp", options)) return env.Undefined();
  const int family = readText(options, "family") == "ipv6" ? AF_INET6 : AF_INET;
  int fd = -1;
  if (SystemError error = openTcp(family, readText(options, "netns"), fd)) {
    throwSystemError(env, error);
    return env.Undefined();
  }
  return Napi::Number::New(env, fd);
}

Napi::Value probe(const Napi::CallbackInfo& info) {
  const Capabilities found = probeCapabilities();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("tunnelGso", found.tunnelGso);
  result.Set("bigTcp", found.bigTcp);
  result.Set("bigTcp6", found.bigTcp6);
  result.Set("udpSegment", found.udpSegment);
  result.Set("udpGro", found.udpGro);
  result.Set("uso", found.uso);
  result.Set("checksum", sumVariantName());
  return result;
}

Napi::Value offloadsOf(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsString()) {
    Napi::TypeError::New(env, "deviceOffloads: expected a device's name").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  DeviceOffloads found;
  if (SystemError error = deviceOffloads(info[0].As<Napi::String>().Utf8Value(), found)) {
    throwSystemError(env, error);
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("tcpSegmentation", found.tcpSegmentation);
  result.Set("tunnelSegmentation", found.tunnelSegmentation);
  return result;
}

Napi::Value sendOneFrame(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsString()) {
    Napi::TypeError::New(env, "sendFrame: expected a device's name and the frame's bytes").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  void* bytes;
  size_t length;
  if (!readElements(env, info[1], "frame", napi_uint8_array, &bytes, &length)) return env.Undefined();
  const std::string device = info[0].As<Napi::String>().Utf8Value();
  if (SystemError error = sendFrame(device, static_cast<const uint8_t*>(bytes), length)) throwSystemError(env, error);
  return env.Undefined();
}

Napi::Value openWaker(const Napi::CallbackInfo& info) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd >= 0) return Napi::Number::New(info.Env(), fd);
  throwSystemError(info.Env(), systemError("eventfd", "waker"));
  return info.Env().Undefined();
}

bool requireDescriptor(const Napi::CallbackInfo& info, int32_t& fd) {
  if (info.Length() > 0 && napi_get_value_int32(info.Env(), info[0], &fd) == napi_ok && fd >= 0) return true;
  Napi::TypeError::New(info.Env(), "expected a file descriptor").ThrowAsJavaScriptException();
  return false;
}

void wake(const Napi::CallbackInfo& info) {
  int32_t fd;
  if (!requireDescriptor(info, fd)) return;
  const uint64_t once = 1;
  // EAGAIN: it has been woken 2^64 times already, which will do.
  if (write(fd, &once, sizeof once) < 0 && errno != EAGAIN) throwSystemError(info.Env(), systemError("write", "waker"));
}

void closeFd(const Napi::CallbackInfo& info) {
  int32_t fd;
  if (!requireDescriptor(info, fd)) return;
  if (close(fd) != 0 && errno != EINTR) {
    throwSystemError(info.Env(), systemError("close", "descriptor " + std::to_string(fd)));
  }
}

bool readWindowSize(const Napi::CallbackInfo& info, const Napi::Object& options, WindowSize& size) {
  double columns, rows;
  if (!requireNumber(info.Env(), options, "columns", 1, UINT16_MAX, columns)) return false;
  if (!requireNumber(info.Env(), options, "rows", 1, UINT16_MAX, rows)) return false;
  size.columns = static_cast<uint16_t>(columns);
  size.rows = static_cast<uint16_t>(rows);
  return true;
}

Napi::Value openPseudoTerminal(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object options;
  WindowSize size;
  if (!requireOptions(info, "openPty", options) || !readWindowSize(info, options, size)) return env.Undefined();
  Pty pty;
  if (const char* failed = openPty(size, pty)) {
    throwSystemError(env, systemError(failed, "pseudo-terminal"));
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("controller", pty.controller);
  result.Set("terminal", pty.terminal);
  return result;
}

void resizePseudoTerminal(const Napi::CallbackInfo& info) {
  int32_t controller;
  if (!requireDescriptor(info, controller)) return;
  if (info.Length() < 2 || !info[1].IsObject()) {
    Napi::TypeError::New(info.Env(), "resizePty: expected a window's size").ThrowAsJavaScriptException();
    return;
  }
  WindowSize size;
  if (!readWindowSize(info, info[1].As<Napi::Object>(), size)) return;
  if (const char* failed = resizePty(controller, size)) {
    throwSystemError(info.Env(), systemError(failed, "pseudo-terminal"));
  }
}

// Held until the descriptor is closed, at the latest by the end of the process, however that comes.
Napi::Value lockFile(const Napi::CallbackInfo& info) {
  int32_t fd;
  if (!requireDescriptor(info, fd)) return info.Env().Undefined();
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return Napi::Boolean::New(info.Env(), true);
  if (errno == EWOULDBLOCK) return Napi::Boolean::New(info.Env(), false);
  throwSystemError(info.Env(), systemError("flock", "descriptor " + std::to_string(fd)));
  return info.Env().Undefined();
}

// The optional fifth argument names a variant, so that tests reach all of them.
Napi::Value checksum(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  void* bytes;
  size_t available;
  if (info.Length() < 4 || !readElements(env, info[0], "bytes", napi_uint8_array, &bytes, &available)) {
    return env.Undefined();
  }
  double offset = 0, length = 0, initial = 0;
  const bool numbers = napi_get_value_double(env, info[1], &offset) == napi_ok &&
                       napi_get_value_double(env, info[2], &length) == napi_ok &&
                       napi_get_value_double(env, info[3], &initial) == napi_ok;
  if (!numbers || !(offset >= 0 && length >= 0 && offset + length <= static_cast<double>(available)) ||
      !(initial >= 0 && initial <= 0xffffffff)) {
    Napi::RangeError::New(env, "checksum: the span is outside of the bytes").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  SumFunction sum = sumBytes;
  if (info.Length() > 4 && info[4].IsString()) sum = sumVariant(info[4].As<Napi::String>().Utf8Value().c_str());
  if (sum == nullptr) {
    Napi::RangeError::New(env, "checksum: this processor has no such variant").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const uint64_t total = sum(static_cast<uint8_t*>(bytes) + static_cast<size_t>(offset), static_cast<size_t>(length));
  return Napi::Number::New(env, foldSum(uint64_t{swap16(foldSum(total))} + static_cast<uint64_t>(initial)));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  Napi::Array names = Napi::Array::New(env, kStatCount);
  for (uint32_t i = 0; i < kStatCount; i++) names.Set(i, kStatNames[i]);
  exports.Set("statNames", names);
  exports.Set("openTun", Napi::Function::New<openTunDevice>(env, "openTun"));
  exports.Set("openUdp", Napi::Function::New<openUdpSocket>(env, "openUdp"));
  exports.Set("openTcp", Napi::Function::New<openTcpSocket>(env, "openTcp"));
  exports.Set("probe", Napi::Function::New<probe>(env, "probe"));
  exports.Set("deviceOffloads", Napi::Function::New<offloadsOf>(env, "deviceOffloads"));
  exports.Set("sendFrame", Napi::Function::New<sendOneFrame>(env, "sendFrame"));
  exports.Set("openWaker", Napi::Function::New<openWaker>(env, "openWaker"));
  exports.Set("wake", Napi::Function::New<wake>(env, "wake"));
  exports.Set("openPty", Napi::Function::New<openPseudoTerminal>(env, "openPty"));
  exports.Set("resizePty", Napi::Function::New<resizePseudoTerminal>(env, "resizePty"));
  exports.Set("lockFile", Napi::Function::New<lockFile>(env, "lockFile"));
  exports.Set("closeFd", Napi::Function::New<closeFd>(env, "closeFd"));
  exports.Set("adviseHugePages", Napi::Function::New<adviseHugePages>(env, "adviseHugePages"));
  exports.Set("checksum", Napi::Function::New<checksum>(env, "checksum"));
  exports.Set("Engine", EngineObject::define(env));
  return exports;
}

}  // namespace
}  // namespace weft

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return weft::initialize(env, exports); }

NODE_API_MODULE(weft_native, Init)
