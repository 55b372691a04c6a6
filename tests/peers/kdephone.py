#!/usr/bin/env python3
"""A small phone that speaks KDE Connect 8 as the Android app does, with messages and contacts. For tests only: no real phone.

    kdephone.py --name phone --folder DIR

Prints one JSON line per thing that happens; takes JSON lines on standard input: {"type": …, "body": …} is sent to the
linked device. It accepts every pairing, answers questions for messages and contacts, and fetches every payload.
"""

import argparse
import hashlib
import json
import os
import pathlib
import queue
import socket
import ssl
import subprocess
import sys
import threading
import time

PORTS = range(1716, 1765)
ID = "c0ffee00c0ffee00c0ffee00c0ffee00"
TAKES = ["ping", "mpris", "mousepad.keyboardstate", "mousepad.echo", "sms.request", "sms.request_conversations",
         "sms.request_conversation", "contacts.request_all_uids_timestamps", "contacts.request_vcards_by_uid"]
SENDS = ["ping", "mpris.request", "mousepad.request", "presenter", "sms.messages", "contacts.response_uids_timestamps",
         "contacts.response_vcards"]
NOON = 1_700_000_000_000


def message(number, thread, text, address, minutes, sent=False, **more):
    """As the app's database rows become packets: numbers as numbers, `read` as one, a sent message of type 2."""
    return {"addresses": [{"address": address}], "body": text, "date": NOON + minutes * 60_000, "type": 2 if sent else 1,
            "read": 1, "thread_id": thread, "_id": number, "sub_id": 1, "event": 1, **more}


MESSAGES = [
    message(1, 7, "lunch at noon?", "+49 170 1", 1),
    message(2, 7, "yes!", "+49 170 1", 2, sent=True),
    message(3, 7, "see you\nthere \U0001f600", "+49 170 1", 3),
    message(4, 8, "your code\x1b[2J is \u202e4711", "BANK\x07", 5,
            attachments=[{"part_id": 1, "mime_type": "image/jpeg", "encoded_thumbnail": "AAAA", "unique_identifier": "PART_1"}]),
    # Longer than anything that a person sends.
    message(5, 9, "x" * 300_000, "+49 170 3", 4),
]


def card(number):
    name = f"Person {number:03}"
    photo = "/9j/" + "A" * 60_000
    return (f"BEGIN:VCARD\r\nVERSION:2.1\r\nN:{number:03};Person;;;\r\nFN:{name}\r\nTEL;CELL:+49 170 {number}\r\n"
            f"PHOTO;ENCODING=BASE64;JPEG:{photo}\r\n\r\nX-KDECONNECT-ID-DEV-{ID}:{number}\r\nREV:1\r\nEND:VCARD")


CARDS = {f"1734i{number:04}": card(number) for number in range(450)}
CARDS["9999evil"] = "BEGIN:VCARD\r\nVERSION:2.1\r\nFN:Zoe\x1b[31m \u202eEvil\r\nTEL:110\r\nEND:VCARD"
CARDS["9999none"] = "not a card at all"


def say(what, **more):
    print(json.dumps({"what": what, **more}), flush=True)


class Phone:
    def __init__(self, name, folder):
        self.name, self.folder = name, pathlib.Path(folder)
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        if not self.cert.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-sha512", "-days", "3650", "-subj", f"/CN={ID}/O=KDE/OU=KDE Connect", "-keyout", self.key,
                            "-out", self.cert], check=True, capture_output=True)
        self.listener, self.port = self.listen()
        self.linked, self.peer = None, None
        self.words = queue.Queue()

    @staticmethod
    def listen():
        for port in PORTS:
            listener = socket.socket()
            try:
                listener.bind(("0.0.0.0", port))
                listener.listen()
                return listener, port
            except OSError:
                listener.close()
        raise SystemExit("no port")

    def identity(self, **more):
        prefixed = lambda kinds: ["kdeconnect." + kind for kind in kinds]
        return packet("identity", deviceId=ID, deviceName=self.name, deviceType="phone", protocolVersion=8,
                      incomingCapabilities=prefixed(TAKES), outgoingCapabilities=prefixed(SENDS), **more)

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.cert, self.key)
        return context

    def announce(self):
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        while True:
            if self.linked is None:
                try:
                    out.sendto(self.identity(tcpPort=self.port), ("255.255.255.255", 1716))
                except OSError:
                    pass
            time.sleep(1)

    def serve(self):
        threading.Thread(target=self.announce, daemon=True).start()
        while True:
            stream, address = self.listener.accept()
            threading.Thread(target=self.link, args=(stream, address), daemon=True).start()

    def link(self, stream, address):
        try:
            stream.settimeout(10)
            line(stream)
            # Who accepted the connection is the TLS client.
            secure = self.context().wrap_socket(stream)
            secure.sendall(self.identity())
            line(secure)
            secure.settimeout(None)
            self.linked, self.peer = secure, address[0]
            say("linked")
            while True:
                self.hear(json.loads(line(secure)))
        except (OSError, ValueError, EOFError) as error:
            say("ended", why=str(error))
        finally:
            stream.close()
            self.linked = None

    def send(self, kind, **body):
        self.linked.sendall(packet(kind, **body))

    def hear(self, said):
        kind, body = said["type"].removeprefix("kdeconnect."), said.get("body", {})
        if "payloadTransferInfo" in said:
            threading.Thread(target=self.fetch, args=(said,), daemon=True).start()
        say("packet", type=kind, body=body)
        if kind == "pair" and body.get("pair"):
            self.send("pair", pair=True)
        if kind == "sms.request_conversations":
            newest = {message["thread_id"]: message for message in MESSAGES}
            for one in newest.values():
                self.send("sms.messages", messages=[one], version=2)
        if kind == "sms.request_conversation":
            start, most = body.get("rangeStartTimestamp", -1), body.get("numberToRequest", -1)
            found = [one for one in MESSAGES if one["thread_id"] == body["threadID"] and (start < 0 or one["date"] <= start)]
            found.sort(key=lambda one: -one["date"])
            self.send("sms.messages", messages=found[:most] if most >= 0 else found, version=2)
        if kind == "contacts.request_all_uids_timestamps":
            self.send("contacts.response_uids_timestamps", uids=list(CARDS), **{uid: "1700000000000" for uid in CARDS})
        if kind == "contacts.request_vcards_by_uid":
            known = [uid for uid in body["uids"] if uid in CARDS]
            self.send("contacts.response_vcards", uids=known, **{uid: CARDS[uid] for uid in known})

    def fetch(self, said):
        with socket.create_connection((self.peer, said["payloadTransferInfo"]["port"]), timeout=10) as stream:
            secure, got = self.context().wrap_socket(stream), b""
            while part := secure.recv(65536):
                got += part
                if len(got) >= said["payloadSize"]:
                    break
        say("payload", size=len(got), sha256=hashlib.sha256(got).hexdigest(), promised=said["payloadSize"])


def packet(kind, **body):
    return json.dumps({"id": int(time.time() * 1000), "type": f"kdeconnect.{kind}", "body": body}).encode() + b"\n"


def line(stream):
    """One line, and not a byte of what comes after it. Inside TLS the rest waits in the stream's own buffer."""
    said = bytearray()
    while not said.endswith(b"\n"):
        byte = stream.recv(1)
        if not byte:
            raise EOFError("closed")
        said += byte
    return bytes(said)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--name", required=True)
    options.add_argument("--folder", required=True)
    options = options.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    phone = Phone(options.name, options.folder)
    threading.Thread(target=phone.serve, daemon=True).start()
    say("up", port=phone.port)
    for word in sys.stdin:
        word = json.loads(word)
        phone.send(word["type"], **word.get("body", {}))


if __name__ == "__main__":
    main()
