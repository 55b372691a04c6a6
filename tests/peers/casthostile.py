"""What calls itself a Cast device and means harm. casthostile.py FOLDER PORT huge|garbage|binary|flood|mute|plain"""

import socket
import ssl
import struct
import sys
import threading

folder, port, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")


def message(text):
    text = text.encode()
    field = lambda number, value: bytes([number << 3 | 2]) + varint(len(value)) + value
    body = (b"\x08\x00" + field(2, b"receiver-0") + field(3, b"*") + field(4, b"urn:x-cast:com.google.cast.receiver")
            + b"\x28\x00" + field(6, text))
    return struct.pack(">I", len(body)) + body


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
    return out + bytes([value])


def harm(plain):
    try:
        if mode == "plain":
            return plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with context.wrap_socket(plain, server_side=True) as stream:
            stream.recv(4096)
            if mode == "huge":
                stream.sendall(b"\xff\xff\xff\xff")
                while True:
                    stream.sendall(b"x" * 65536)
            elif mode == "garbage":
                stream.sendall(struct.pack(">I", 64) + b"\xff" * 64)
            elif mode == "binary":
                stream.sendall(struct.pack(">I", 5) + b"\x12\xff\xff\xff\x7f")
            elif mode == "flood":
                while True:
                    stream.sendall(message('{"type":"RECEIVER_STATUS","requestId":0,"status":{"volume":{"level":0.1}}}'))
            stream.recv(4096)
            while stream.recv(4096):
                pass
    except OSError:
        pass


with socket.create_server(("0.0.0.0", port)) as listener:
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=harm, args=[connection], daemon=True).start()
