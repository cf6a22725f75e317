// The typed layer of Informer<T>; included by informer.hpp.
#pragma once
#include "pkg/runtime/informer_core.hpp"

namespace nodevirt::runtime {

template <class T>
struct Informer<T>::Impl : InformerCore {
  using InformerCore::InformerCore;
};

template <class T>
Informer<T>::Informer(client::Client client, Clock& clock, Options options) {
  InformerCore::Options core;
  core.resource = std::move(options.resource);
  core.ns = std::move(options.ns);
  core.label_selector = std::move(options.label_selector);
  core.field_selector = std::move(options.field_selector);
  core.decode = [](const Json& object) -> Result<InformerCore::Decoded> {
    auto decoded = T::decode(object);
    if (!decoded.ok()) return decoded.error();
    auto shared = std::make_shared<const T>(std::move(*decoded));
    return InformerCore::Decoded{shared->meta.key(), shared->meta.uid, shared->meta.resource_version, shared};
  };
  impl_ = std::make_shared<Impl>(std::move(client), clock, std::move(core));
}

template <class T>
Informer<T>::~Informer() = default;

template <class T>
void Informer<T>::on_change(Handler handler) {
  impl_->on_change([handler = std::move(handler)](const InformerCore::Object& old, const InformerCore::Object& now) {
    handler(std::static_pointer_cast<const T>(old), std::static_pointer_cast<const T>(now));
  });
}

template <class T>
Awaitable<void> Informer<T>::run(StopToken stop) {
  return impl_->run(std::move(stop));
}

template <class T>
Awaitable<bool> Informer<T>::synced(StopToken stop) {
  return impl_->synced(std::move(stop));
}

template <class T>
bool Informer<T>::has_synced() const {
  return impl_->has_synced();
}

template <class T>
typename Informer<T>::Ptr Informer<T>::get(const std::string& key) const {
  return std::static_pointer_cast<const T>(impl_->get(key));
}

template <class T>
std::vector<typename Informer<T>::Ptr> Informer<T>::list() const {
  std::vector<Ptr> out;
  for (auto& object : impl_->list()) out.push_back(std::static_pointer_cast<const T>(std::move(object)));
  return out;
}

template <class T>
void Informer<T>::add_index(std::string name, std::function<std::vector<std::string>(const T&)> index) {
  impl_->add_index(std::move(name), [index = std::move(index)](const void* object) { return index(*static_cast<const T*>(object)); });
}

template <class T>
std::vector<typename Informer<T>::Ptr> Informer<T>::by_index(const std::string& name, const std::string& value) const {
  std::vector<Ptr> out;
  for (auto& object : impl_->by_index(name, value)) out.push_back(std::static_pointer_cast<const T>(std::move(object)));
  return out;
}

}  // namespace nodevirt::runtime
