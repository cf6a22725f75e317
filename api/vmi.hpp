// The decoded view of a VirtualMachineInstance. See api/vmi/instance.hpp.
#pragma once
#include "api/vmi/instance.hpp"
