"""
What vSockets ask of the kernel: sockets of the family C{AF_VSOCK} and their addresses (vsock(7) of
Linux, linux/vm_sockets.h). It is one object, so that another family can take its place.
"""

from __future__ import annotations

import socket
from fcntl import ioctl
from typing import Any, Final

DEVICE: Final = "/dev/vsock"

_LOCAL_CID: Final = 0x7B9  # IOCTL_VM_SOCKETS_GET_LOCAL_CID
_ANY: Final = 0xFFFF_FFFF  # VMADDR_CID_ANY


class VSocketFamily:
    """
    The kernel's own.
    """

    def make(self, kind: int) -> socket.socket:
        """
        A socket.

        @param kind: C{SOCK_DGRAM}, C{SOCK_SEQPACKET} or C{SOCK_STREAM}.
        @raise OSError: there is none of this kind here.
        """
        return socket.socket(socket.AF_VSOCK, kind)

    def address(self, kind: int, cid: int, port: int) -> Any:
        """
        A place, as C{connect} and C{sendto} of this family take it.
        """
        return cid, port

    def bind(self, sock: socket.socket, port: int) -> None:
        """
        Have a socket be found at a port, by every context ID of this machine.

        @raise OSError: it is not to be had.
        """
        sock.bind((_ANY, port))

    def owns(self, sock: socket.socket) -> bool:
        """
        Whether a socket is of this family.
        """
        return sock.family == socket.AF_VSOCK

    def peer(self, sock: socket.socket) -> tuple[int, int]:
        """
        Context ID and port of the other end.

        @raise OSError: it is gone.
        """
        name: tuple[int, int] = sock.getpeername()
        return name

    def source(self, name: Any) -> int:
        """
        The context ID that a datagram came from.

        @param name: as C{recvfrom} gives it.
        """
        return int(name[0])

    def cid(self) -> int:
        """
        This machine's context ID; 0 when it has none that others could use.
        """
        answer = bytearray(4)
        try:
            with open(DEVICE, "rb") as device:
                ioctl(device, _LOCAL_CID, answer)
        except OSError:
            return 0
        found = int.from_bytes(answer, "little")
        return 0 if found == _ANY else found


VSOCK: Final = VSocketFamily()
