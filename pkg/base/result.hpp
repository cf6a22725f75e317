// Result<T>: a value or an Error. The first of the three error lanes (CONTRIBUTING.md).
#pragma once
#include <utility>
#include <variant>

#include "pkg/base/check.hpp"
#include "pkg/base/error.hpp"

namespace nodevirt {

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result() requires std::is_default_constructible_v<T> : v_(std::in_place_index<0>) {}
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}
  template <class U = T>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error>)
  Result(U&& value) : v_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { NV_CHECK(ok()); return *std::get_if<0>(&v_); }
  const T& value() const& { NV_CHECK(ok()); return *std::get_if<0>(&v_); }
  T&& value() && { NV_CHECK(ok()); return std::move(*std::get_if<0>(&v_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { NV_CHECK(!ok()); return *std::get_if<1>(&v_); }
  Error&& error() && { NV_CHECK(!ok()); return std::move(*std::get_if<1>(&v_)); }

  T value_or(T other) && { return ok() ? std::move(*std::get_if<0>(&v_)) : std::move(other); }

 private:
  std::variant<T, Error> v_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return error_.index() == 0; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { NV_CHECK(!ok()); return *std::get_if<1>(&error_); }
  Error&& error() && { NV_CHECK(!ok()); return std::move(*std::get_if<1>(&error_)); }

 private:
  std::variant<std::monostate, Error> error_;
};

#define NV_CONCAT_(a, b) a##b
#define NV_CONCAT(a, b) NV_CONCAT_(a, b)

/// NV_TRY(auto x, expr): x = value of expr, or return its error. NV_TRY_VOID(expr) for Result<void>.
#define NV_TRY(decl, ...) NV_TRY_IMPL_(NV_CONCAT(nv_r_, __LINE__), return, decl, __VA_ARGS__)
#define NV_TRY_VOID(...) \
  do { auto nv_r_ = (__VA_ARGS__); if (!nv_r_.ok()) return std::move(nv_r_).error(); } while (0)
/// The same inside a coroutine: NV_CO_TRY(auto x, co_await f()).
#define NV_CO_TRY(decl, ...) NV_TRY_IMPL_(NV_CONCAT(nv_r_, __LINE__), co_return, decl, __VA_ARGS__)
#define NV_CO_TRY_VOID(...) \
  do { auto nv_r_ = (__VA_ARGS__); if (!nv_r_.ok()) co_return std::move(nv_r_).error(); } while (0)
#define NV_TRY_IMPL_(r, ret, decl, ...)  \
  auto r = (__VA_ARGS__);                \
  if (!r.ok()) ret std::move(r).error(); \
  decl = std::move(r).value()

}  // namespace nodevirt
