"""Memory at hand. A virtual machine that tells its hypervisor which of its pages are free loses them within seconds, and
gets each back at its first touch: 5 ms per MiB were measured, for whoever is next. Before each measured run, of either
side, as much is touched as a guest and its programs need; the pages freed last are given out first."""
import ctypes, mmap

MIB = 512


def warm(mib=MIB):
    size = mib << 20
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        held = ctypes.c_char.from_buffer(memory)
        ctypes.memset(ctypes.addressof(held), 1, size)
        del held
