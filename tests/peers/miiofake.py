"""A miIO device for tests that fails as devices do, and may tell of changes by itself, written from the protocol's public facts.

miiofake.py MODEL FOLDER [tells]

What was set is so a moment after it said that it did it. A question whose number it knows is answered from memory, and nothing
comes of it. In FOLDER, `mode` says how it is: `ok`, `error` (it refuses `get_status` as a whole), `codes` (it refuses each property with
-4004), `quiet` (it offers no subscription, and forgets the one that it has) or `silent` (it answers nothing); `level` how bright it
is, and when that changes it tells whom it is to tell; `count.json` says how often it was asked what, and `told.json` which hub
it tells. Its token is zeros. It hears UDP 54321 and only its own subnet, and needs the package `cryptography`.
"""

import collections
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


def answer(model, how, level, method, params):
    if method == "miIO.info":
        return {"result": {"model": model, "fw_ver": "1", "hw_ver": "1", "mac": "00:11:22:33:44:55"}}
    if method == "get_status":
        return {"error": {"code": -10000, "message": "error"}} if how == "error" else {"result": [STATUS]}
    if method == "get_properties":
        value = lambda one: True if (one["siid"], one["piid"]) == (2, 1) else level
        return {"result": [one | ({"code": -4004} if how == "codes" else {"code": 0, "value": value(one)}) for one in params]}
    if method == "set_properties":
        return {"result": [{"siid": one["siid"], "piid": one["piid"], "code": 0} for one in params]}
    return {"result": ["ok"]}


def replaced(file, value):
    written = file.with_suffix(".tmp")
    written.write_text(json.dumps(value))
    written.rename(file)


class Lamp:
    def __init__(self, model, folder, offers):
        self.model, self.folder, self.offers = model, folder, offers
        self.air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.air.bind(("0.0.0.0", 54321))
        self.air.settimeout(0.02)
        self.begun, self.count, self.level = time.monotonic(), {}, 50
        # Whom it tells, of which hub and since when, and what it told.
        self.told, self.hub, self.next = None, None, 9000
        self.waits = {}
        # What it answered to which question, as long as it remembers.
        self.known = collections.OrderedDict()

    def stamp(self):
        return int(time.monotonic() - self.begun) + 100

    def how(self):
        return (self.folder / "mode").read_text().strip()

    def counts(self, what):
        self.count[what] = self.count.get(what, 0) + 1
        replaced(self.folder / "count.json", self.count)

    def send(self, data, to):
        try:
            self.air.sendto(data, to)
        except OSError:
            pass  # Whoever asked is in a subnet to which it has no way.

    def say(self, what, to):
        sealed = seal(json.dumps(what).encode())
        head = struct.pack(">HHIII", 0x2131, 32 + len(sealed), 0, DID, self.stamp())
        self.send(head + hashlib.md5(head + TOKEN + sealed).digest() + sealed, to)

    def greeted(self, data, whence):
        hub = struct.unpack(">Q", data[20:28])[0] if data[16:20] == b"MDID" else None
        self.counts("hello" if hub is None else "hello of a hub")
        tail = b"\xff" * 16
        if hub is not None and self.offers and self.how() != "quiet":
            tail = b"MSUB" + struct.pack(">I", self.hub[1] if self.hub and self.hub[0] == hub else 0) + b"PUB\x01\xfe\0\0\0"
        self.send(struct.pack(">HHIII", 0x2131, 32, 0, DID, self.stamp()) + tail, whence)

    def subscribed(self, method, params, whence):
        if not self.offers or (params["version"], params["sub_method"]) != ("2.0", "."):
            return {"error": {"code": -32601}}
        self.told, self.hub = (whence, (int(params["did"]), params["update_ts"])) if method == "miIO.sub" else (None, None)
        replaced(self.folder / "told.json", self.hub and self.hub[0])
        return {"result": {"code": 0}}

    def heard(self, data, whence):
        if len(data) == 32:
            return self.greeted(data, whence)
        said = json.loads(unseal(data[32:]).rstrip(b"\0"))
        if "method" not in said:
            self.counts("answered" if said["result"] == {"code": 0} and self.waits.pop(said["id"], None) else "answered oddly")
            return None
        method, params = said["method"], said["params"]
        if said["id"] in self.known:
            self.counts(f"{method} again")
            return self.say(self.known[said["id"]], whence)
        self.counts(method)
        for one in params if method == "set_properties" else []:
            if (one["siid"], one["piid"]) == (2, 2):
                (self.folder / "level").write_text(str(one["value"]))
        sub = method in ("miIO.sub", "miIO.unsub")
        what = self.subscribed(method, params, whence) if sub else answer(self.model, self.how(), self.level, method, params)
        self.known[said["id"]] = what | {"id": said["id"]}
        while len(self.known) > 64:
            self.known.popitem(last=False)
        return self.say(self.known[said["id"]], whence)

    def tell(self):
        """Of what became otherwise, and once more what nobody answered."""
        file = self.folder / "level"
        level = int(file.read_text() or self.level) if file.exists() else self.level
        if self.how() == "quiet":
            self.told = self.hub = None
        now = time.monotonic()
        if level != self.level:
            self.level, self.next = level, self.next + 1
            if self.told:
                self.waits[self.next] = (now, {"id": self.next, "method": "properties_changed",
                                               "params": [{"did": str(DID), "siid": 2, "piid": 2, "value": level}]})
                self.say(self.waits[self.next][1], self.told)
        for number, (since, what) in list(self.waits.items()):
            if now - since > 4 or not self.told:
                del self.waits[number]
            elif now - since > 1:
                self.say(what, self.told)

    def run(self):
        while True:
            try:
                data, whence = self.air.recvfrom(4096)
            except TimeoutError:
                data = None
            if self.how() == "silent":
                continue
            if data:
                self.heard(data, whence)
            self.tell()


Lamp(sys.argv[1], pathlib.Path(sys.argv[2]), "tells" in sys.argv[3:]).run()
