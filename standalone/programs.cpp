#include "standalone/programs.hpp"

#ifdef NODEVIRT_HAS_VIRT_API
#include "virt-api/app.hpp"
#endif
#ifdef NODEVIRT_HAS_VIRT_CONTROLLER
#include "virt-controller/app.hpp"
#endif
#ifdef NODEVIRT_HAS_VIRT_HANDLER
#include "virt-handler/app.hpp"
#endif

namespace nodevirt {

const std::vector<StandaloneProgram>& standalone_programs() {
  static const std::vector<StandaloneProgram> all{
#ifdef NODEVIRT_HAS_APISERVER
      {"apiserver", run_apiserver},
#endif
#ifdef NODEVIRT_HAS_PODRUNNER
      {"node", run_node},
#endif
#ifdef NODEVIRT_HAS_VIRT_API
      {"virt-api", virt_api::run},
#endif
#ifdef NODEVIRT_HAS_VIRT_CONTROLLER
      {"virt-controller", virt_controller::run},
#endif
#ifdef NODEVIRT_HAS_VIRT_HANDLER
      {"virt-handler", virt_handler::run},
#endif
  };
  return all;
}

}  // namespace nodevirt
