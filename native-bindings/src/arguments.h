// Reading JavaScript arguments with bounds, and turning failures into Errors. JavaScript validates for meaning; this
// only makes sure that nothing it passes can reach memory it should not.
#pragma once
#include <napi.h>

#include <string>

#include "netns.h"

namespace weft {

/** Throws an Error with `code` ('EPERM'), `errno` (negative, as Node has it) and `syscall`. */
void throwSystemError(Napi::Env env, const SystemError& error);

/** The number at `key`, or `fallback` when it is undefined. Throws a RangeError out of [low, high]; then false. */
bool readNumber(Napi::Env env, const Napi::Object& from, const char* key, double low, double high, double fallback,
                double& value);
/** The same without a fallback: an absent number throws. */
bool requireNumber(Napi::Env env, const Napi::Object& from, const char* key, double low, double high, double& value);
bool readFlag(const Napi::Object& from, const char* key);
std::string readText(const Napi::Object& from, const char* key);
/** Where a typed array's elements are; over a SharedArrayBuffer too. False (and a TypeError) for anything else. */
bool readElements(Napi::Env env, Napi::Value value, const char* key, napi_typedarray_type type, void** data,
                  size_t* length);

}  // namespace weft
