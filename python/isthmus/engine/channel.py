"""Frames between the server and a worker.

A frame is a uint32 length in little endian and that many bytes of JSON: an object with "type". A frame may carry one
open descriptor, which travels with its first byte (SCM_RIGHTS). Nothing here knows what the frames mean.

Threads: one may send while another receives; two may not send at once without their own lock.
"""

import array
import json
import socket
import struct

FRAME_MAX = 64 << 20
_LENGTH = struct.Struct("<I")


class ChannelError(Exception):
    """The other side does not speak the protocol."""


class Channel:
    """One end of the socket. It owns the socket."""

    def __init__(self, connection):
        self._socket = connection

    @classmethod
    def of_descriptor(cls, descriptor):
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor))

    def send(self, frame, descriptor=None):
        """Send a dict as a frame, with a copy of an open descriptor."""
        body = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if len(body) > FRAME_MAX:
            raise ChannelError(f"a frame of {len(body):,} bytes is over the limit of {FRAME_MAX:,}")
        data = memoryview(_LENGTH.pack(len(body)) + body)
        if descriptor is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            data = data[self._socket.sendmsg([data], rights):]
        self._socket.sendall(data)

    def receive(self):
        """(frame, descriptor or None); (None, None) at the end of the stream."""
        head, descriptor = self._read(_LENGTH.size)
        if head is None:
            return None, None
        length, = _LENGTH.unpack(head)
        if length > FRAME_MAX:
            raise ChannelError(f"a frame of {length:,} bytes is over the limit of {FRAME_MAX:,}")
        body, _ = self._read(length)
        try:
            frame = json.loads(body)
        except (TypeError, ValueError):
            raise ChannelError("a frame is cut off or is not JSON") from None
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise ChannelError("a frame is not an object with a type")
        return frame, descriptor

    def _read(self, length):
        data, descriptor = bytearray(), None
        while len(data) < length:
            try:
                more, rights, _, _ = self._socket.recvmsg(min(length - len(data), 1 << 20), socket.CMSG_SPACE(4))
            except ConnectionError:
                more = b""
            if not more:
                return None, None
            data += more
            for level, kind, payload in rights:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptor, = array.array("i", payload)
        return data, descriptor

    def close(self):
        self._socket.close()
