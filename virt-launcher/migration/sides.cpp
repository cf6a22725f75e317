#include "virt-launcher/migration/sides.hpp"

#include <cstdlib>

#include "pkg/domain/domain.hpp"

namespace nodevirt::virt_launcher::migration {

Sides::Sides(Parts parts, TargetHooks hooks)
    : monitor(domain::monitor_path(parts.paths.instance.string())),
      context{parts.paths, parts.domain_name, std::move(parts.domain),
              [file = parts.paths.qemu_pid_file(parts.domain_name)] {
                auto text = read_file(file, 64);
                return static_cast<pid_t>(text.ok() ? std::atoi(text->c_str()) : 0);
              },
              std::move(parts.post), events, monitor},
      target(context, std::move(hooks)), source(context) {}

}  // namespace nodevirt::virt_launcher::migration
