#include "arguments.h"

#include <errno.h>
#include <string.h>

#include <cmath>

namespace weft {
namespace {

// The names of those errors that these system calls can bring; strerrorname_np is glibc's alone.
const char* errorName(int number) {
  switch (number) {
    case EPERM: return "EPERM";
    case ENOENT: return "ENOENT";
    case EIO: return "EIO";
    case EBADF: return "EBADF";
    case EAGAIN: return "EAGAIN";
    case ENOMEM: return "ENOMEM";
    case EACCES: return "EACCES";
    case EBUSY: return "EBUSY";
    case EEXIST: return "EEXIST";
    case ENODEV: return "ENODEV";
    case EINVAL: return "EINVAL";
    case ENFILE: return "ENFILE";
    case EMFILE: return "EMFILE";
    case ENOSPC: return "ENOSPC";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    case EBADFD: return "EBADFD";
    case ENOTSOCK: return "ENOTSOCK";
    case ENOPROTOOPT: return "ENOPROTOOPT";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case EAFNOSUPPORT: return "EAFNOSUPPORT";
    case EADDRINUSE: return "EADDRINUSE";
    case EADDRNOTAVAIL: return "EADDRNOTAVAIL";
    case ENOBUFS: return "ENOBUFS";
    case ENXIO: return "ENXIO";
    default: return nullptr;
  }
}

}  // namespace

void throwSystemError(Napi::Env env, const SystemError& error) {
  const char* name = errorName(error.number);
  const std::string code = name != nullptr ? name : "E" + std::to_string(error.number);
  Napi::Error thrown =
      Napi::Error::New(env, error.syscall + " " + error.subject + ": " + strerror(error.number) + " (" + code + ")");
  thrown.Set("code", Napi::String::New(env, code));
  thrown.Set("errno", Napi::Number::New(env, -error.number));
  thrown.Set("syscall", Napi::String::New(env, error.syscall));
  thrown.ThrowAsJavaScriptException();
}

bool readNumber(Napi::Env env, const Napi::Object& from, const char* key, double low, double high, double fallback,
                double& value) {
  const Napi::Value given = from.Get(key);
  if (given.IsUndefined()) {
    value = fallback;
    return true;
  }
  return requireNumber(env, from, key, low, high, value);
}

bool requireNumber(Napi::Env env, const Napi::Object& from, const char* key, double low, double high, double& value) {
  const Napi::Value given = from.Get(key);
  value = given.IsNumber() ? given.As<Napi::Number>().DoubleValue() : NAN;
  if (value >= low && value <= high && value == std::floor(value)) return true;
  Napi::RangeError::New(env, std::string(key) + ": expected a whole number from " +
                                 std::to_string(static_cast<int64_t>(low)) + " to " +
                                 std::to_string(static_cast<int64_t>(high)))
      .ThrowAsJavaScriptException();
  return false;
}

bool readFlag(const Napi::Object& from, const char* key) { return from.Get(key).ToBoolean().Value(); }

std::string readText(const Napi::Object& from, const char* key) {
  const Napi::Value given = from.Get(key);
  return given.IsString() ? given.As<Napi::String>().Utf8Value() : std::string();
}

bool readElements(Napi::Env env, Napi::Value value, const char* key, napi_typedarray_type type, void** data,
                  size_t* length) {
  if (value.IsTypedArray()) {
    napi_typedarray_type actual;
    // Not through napi_get_arraybuffer_info, which refuses a SharedArrayBuffer.
    if (napi_get_typedarray_info(env, value, &actual, length, data, nullptr, nullptr) == napi_ok && actual == type) {
      return true;
    }
  }
  Napi::TypeError::New(env, std::string(key) + ": expected a typed array of another kind").ThrowAsJavaScriptException();
  return false;
}

}  // namespace weft
