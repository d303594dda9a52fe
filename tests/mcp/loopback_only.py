"""Programs of others, run without a way out: a network namespace that has nothing but loopback."""
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys


def enter():
    """Starts this script again in a namespace of its own; False where that is not allowed."""
    if os.environ.get("LOOPBACK_ONLY_INSIDE"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sh14x", b"lo", 0)
            flags = struct.unpack("16sh14x", fcntl.ioctl(control, 0x8913, request))[1]
            fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))
        return True
    probe = ["unshare", "--net", "--map-root-user", "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        return False
    os.environ["LOOPBACK_ONLY_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--map-root-user", sys.executable] + sys.argv)
