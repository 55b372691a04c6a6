"""A miIO device for tests that fails as devices do, written from the protocol's public facts.

miiofake.py MODEL FOLDER

In FOLDER, `mode` says how it is: `ok`, `error` (it refuses `get_status` as a whole) or `codes` (it refuses each property with
-4004); `count.json` says how often it was asked what. Its token is zeros. It hears UDP 54321 and only its own subnet, and needs
the package `cryptography`.
"""

import hashlib
import json
import pathlib
import socket
import struct
import sys
import time

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

TOKEN, DID = bytes(16), 4242
KEY = hashlib.md5(TOKEN).digest()
IV = hashlib.md5(KEY + TOKEN).digest()
STATUS = {"state": 8, "error_code": 0, "fan_power": 102, "battery": 87, "clean_area": 0, "clean_time": 0}


def seal(text):
    pad = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(KEY), modes.CBC(IV)).encryptor()
    return cipher.update(pad.update(text) + pad.finalize()) + cipher.finalize()


def unseal(sealed):
    pad = padding.PKCS7(128).unpadder()
    cipher = Cipher(algorithms.AES(KEY), modes.CBC(IV)).decryptor()
    return pad.update(cipher.update(sealed) + cipher.finalize()) + pad.finalize()


def answer(model, how, method, params):
    if method == "miIO.info":
        return {"result": {"model": model, "fw_ver": "1", "hw_ver": "1", "mac": "00:11:22:33:44:55"}}
    if method == "get_status":
        return {"error": {"code": -10000, "message": "error"}} if how == "error" else {"result": [STATUS]}
    if method == "get_properties":
        value = lambda one: True if (one["siid"], one["piid"]) == (2, 1) else 50
        return {"result": [one | ({"code": -4004} if how == "codes" else {"code": 0, "value": value(one)}) for one in params]}
    if method == "set_properties":
        return {"result": [{"siid": one["siid"], "piid": one["piid"], "code": 0} for one in params]}
    return {"result": ["ok"]}


def main(model, folder):
    air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    air.bind(("0.0.0.0", 54321))
    begun, count = time.monotonic(), {}
    while True:
        data, whence = air.recvfrom(4096)
        stamp = int(time.monotonic() - begun) + 100
        if len(data) == 32:
            method, sent = "hello", struct.pack(">HHIII", 0x2131, 32, 0, DID, stamp) + b"\xff" * 16
        else:
            question = json.loads(unseal(data[32:]).rstrip(b"\0"))
            method = question["method"]
            said = answer(model, (folder / "mode").read_text().strip(), method, question["params"]) | {"id": question["id"]}
            sealed = seal(json.dumps(said).encode())
            head = struct.pack(">HHIII", 0x2131, 32 + len(sealed), 0, DID, stamp)
            sent = head + hashlib.md5(head + TOKEN + sealed).digest() + sealed
        count[method] = count.get(method, 0) + 1
        written = folder / "count.tmp"
        written.write_text(json.dumps(count))
        written.rename(folder / "count.json")
        try:
            air.sendto(sent, whence)
        except OSError:
            pass  # Whoever asked is in a subnet to which it has no way.


main(sys.argv[1], pathlib.Path(sys.argv[2]))
