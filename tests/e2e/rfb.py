"""A small RFB (VNC) client, enough to look at a guest's screen and to press its keys."""
import socket, struct


class Screen:
    """A connection to 127.0.0.1:PORT after its handshake; a context manager."""

    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        try:
            self._handshake()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def read(self, n):
        out = bytearray()
        while len(out) < n:
            piece = self.socket.recv(n - len(out))
            if not piece:
                raise ConnectionError(f"closed after {len(out)} of {n} bytes")
            out += piece
        return bytes(out)

    def _handshake(self):
        self.version = self.read(12)
        if not self.version.startswith(b"RFB 003."):
            raise ConnectionError(f"no RFB server: {self.version!r}")
        self.socket.sendall(b"RFB 003.008\n")
        kinds = self.read(self.read(1)[0])
        if 1 not in kinds:
            raise ConnectionError(f"the server offers no security type None: {list(kinds)}")
        self.socket.sendall(b"\1")
        if self.read(4) != b"\0\0\0\0":
            raise ConnectionError("the server refused security type None")
        self.socket.sendall(b"\1")  # shared
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0]).decode()
        # 32 bits per pixel, little-endian, red at bit 16; raw rectangles and nothing else.
        self.socket.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.socket.sendall(struct.pack(">BxHi", 2, 1, 0))

    def picture(self):
        """One whole picture as {(x, y): bytes of that rectangle}; see bright()."""
        self.socket.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        while True:
            kind = self.read(1)[0]
            if kind == 0:
                break
            if kind == 2:      # bell
                continue
            if kind == 3:      # the guest's clipboard
                self.read(3)
                self.read(struct.unpack(">I", self.read(4))[0])
                continue
            raise ConnectionError(f"unexpected message {kind}")
        rectangles = {}
        for _ in range(struct.unpack(">xH", self.read(3))[0]):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
            if encoding != 0:
                raise ConnectionError(f"unexpected encoding {encoding}")
            rectangles[x, y] = self.read(width * height * 4)
        return rectangles

    def bright(self):
        """How many pixels of a whole picture are not black."""
        return sum(1 for data in self.picture().values() for p in range(0, len(data), 4) if data[p:p + 3] != b"\0\0\0")

    def key(self, symbol):
        for down in (1, 0):
            self.socket.sendall(struct.pack(">BBxxI", 4, down, symbol))


def png_pixels(data):
    """Width, height and the number of pixels that are not black, of an 8 bit RGB PNG without interlacing."""
    import zlib
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    at, packed, head = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        at += 12 + size
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
    width, height, depth, colour = head[:4]
    if (depth, colour) != (8, 2):
        raise ValueError(f"depth {depth}, colour type {colour}: expected 8 bit RGB")
    rows, stride, previous, count = zlib.decompress(packed), width * 3, bytearray(width * 3), 0
    for y in range(height):
        filtered = rows[y * (stride + 1)]
        row = bytearray(rows[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride if filtered else 0):
            left, up = (row[i - 3] if i >= 3 else 0), previous[i]
            corner = previous[i - 3] if i >= 3 else 0
            nearest = min((abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner))
            row[i] = (row[i] + (0, left, up, (left + up) // 2, nearest[2])[filtered]) & 255
        previous = row
        count += sum(1 for i in range(0, stride, 3) if row[i] or row[i + 1] or row[i + 2])
    return width, height, count


def xwd_pixels(data):
    """Width, height and the number of pixels that are not black, of an X window dump with 32 bits per pixel."""
    head = struct.unpack(">25I", data[:100])
    size, width, height, bits, line, colours = head[0], head[4], head[5], head[11], head[12], head[19]
    if bits != 32:
        raise ValueError(f"{bits} bits per pixel: expected 32")
    start, count = size + colours * 12, 0
    for y in range(height):
        row = data[start + y * line:start + y * line + width * 4]
        if row.strip(b"\0"):
            count += sum(1 for i in range(0, len(row), 4) if row[i:i + 3] != b"\0\0\0")
    return width, height, count
