"""The guest of the migration measurements: the demo guest with load_guest.c as its user data."""
import base64, gzip, os, socket, struct, subprocess, tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load_guest.c")
FLAGS = ("-m32 -Os -static -nostdlib -ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables "
         "-fcf-protection=none -Wall -Wextra -Werror -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-n -s").split()
OVERHEAD_MIB = 72      # the demo guest itself


def program():
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["gcc", *FLAGS, SOURCE, "-o", d + "/load"], check=True)
        with open(d + "/load", "rb") as f:
            return f.read()


def user_data(host, port, mib):
    """A script that runs the program; the guest's address is set by hand where no DHCP server is (plain libvirt)."""
    number = struct.unpack("=I", socket.inet_aton(host))[0]
    packed = base64.b64encode(gzip.compress(program(), 9, mtime=0)).decode()
    return ("#!/bin/sh\n"
            "ip -4 -o addr show dev eth0 | grep -q inet || { ip addr add 10.0.2.2/24 dev eth0; ip route add default via 10.0.2.1; }\n"
            f"echo {packed} | base64 -d | gunzip >/run/load\nchmod 755 /run/load\n/run/load {number} {port} {mib} &\n")


def memory(mib):
    return f"{mib + OVERHEAD_MIB}Mi"
