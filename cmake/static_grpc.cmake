# nv_grpc: gRPC, abseil and protobuf from their archives. As shared libraries they are more than fifty, and loading them
# is a third of what a launcher needs until it serves; every program pays memory of its own for each of them.
# Without TLS: gRPC is spoken on unix sockets alone.
pkg_check_modules(GRPC REQUIRED grpc++_unsecure protobuf)
find_library(GRPCPP_ARCHIVE libgrpc++_unsecure.a REQUIRED)
get_filename_component(archives ${GRPCPP_ARCHIVE} DIRECTORY)
file(GLOB abseil ${archives}/libabsl_*.a)
list(FILTER abseil EXCLUDE REGEX "flags|mock|test|failure_signal|periodic_sampler|bad_any")
foreach(name grpc_unsecure gpr address_sorting upb re2 cares protobuf)
  find_library(${name}_ARCHIVE lib${name}.a REQUIRED)
  list(APPEND grpc_archives ${${name}_ARCHIVE})
endforeach()
add_library(nv_grpc INTERFACE)
target_link_libraries(nv_grpc INTERFACE -Wl,--start-group ${GRPCPP_ARCHIVE} ${grpc_archives} ${abseil} -Wl,--end-group z rt
  Threads::Threads)
