#!/usr/bin/env python3
"""A small LocalSend 2.2 device: certificates on both sides, pinned, checksums. For tests only.

    localsend22.py --name Phone --address 10.66.0.2 --folder DIR serve [--pin P] [--answer 403] [--slow SECONDS]
    localsend22.py --name Phone --address 10.66.0.2 --folder DIR send HOST:PORT FILE… [--text T] [--anonymous] [--parallel N]

`serve` announces by multicast, answers announcements by register, prints one JSON line per thing that happens.
"""

import argparse
import concurrent.futures
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

GROUP, PORT, API = "224.0.0.167", 53317, "/api/localsend/v2/"


def say(what, **more):
    print(json.dumps({"what": what, **more}), flush=True)


class Device:
    def __init__(self, name, address, folder, port=PORT):
        self.name, self.address, self.folder, self.port = name, address, pathlib.Path(folder), port
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        if not self.cert.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-sha256", "-days", "3650", "-subj", "/CN=LocalSend User", "-keyout", self.key, "-out", self.cert],
                           check=True, capture_output=True)
        self.fingerprint = fingerprint(ssl.PEM_cert_to_DER_cert(self.cert.read_text()))

    def info(self, **more):
        return {"alias": self.name, "version": "2.2", "deviceModel": "Test", "deviceType": "mobile",
                "fingerprint": self.fingerprint, "download": False, **more}

    def announced(self, **more):
        return self.info(port=self.port, protocol="https", **more)

    def connect(self, host, port, pin=None, anonymous=False, timeout=60):
        """A connection that shows our certificate; the server's must be the pinned one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if not anonymous:
            context.load_cert_chain(self.cert, self.key)
        connection = http.client.HTTPSConnection(host, port, context=context, timeout=timeout)
        connection.connect()
        shown = fingerprint(connection.sock.getpeercert(binary_form=True))
        if pin and shown != pin:
            raise ssl.SSLError(f"pinned {pin}, shown {shown}")
        return connection, shown

    def post(self, connection, call, body, **query):
        query = {name: value for name, value in query.items() if value is not None}
        path = API + call + ("?" + urllib.parse.urlencode(query) if query else "")
        data = body if isinstance(body, bytes) or hasattr(body, "read") else json.dumps(body).encode()
        headers = {"Content-Length": str(os.fstat(body.fileno()).st_size)} if hasattr(body, "read") else {}
        connection.request("POST", path, data, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def register(self, host, port):
        connection, shown = self.connect(host, port, timeout=10)
        status, body = self.post(connection, "register", self.announced())
        known = json.loads(body)
        if status != 200 or known["fingerprint"] != shown:
            raise ssl.SSLError("not who it says it is")
        return known, ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(binary_form=True))


def fingerprint(der):
    return hashlib.sha256(der).hexdigest().upper()


def multicast(address):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", PORT))
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address)))
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    return listener


class Receiver:
    """Serves those whose certificates were seen by register: others fail in the handshake, as with 1.18."""

    def __init__(self, device, pin, answer, slow):
        self.device, self.pin, self.answer, self.slow = device, pin, answer, slow
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(device.cert, device.key)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.verify_flags |= 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: a pinned certificate is its own authority
        self.session, self.files = None, {}
        self.seen = set()

    def hear(self):
        """Announcements of others are answered by register."""
        listener = multicast(self.device.address)

        def announce():
            for after in (0.1, 0.5, 2):
                time.sleep(after)
                listener.sendto(json.dumps(self.device.announced(announce=True)).encode(), (GROUP, PORT))

        threading.Thread(target=announce, daemon=True).start()
        while True:
            data, (host, _) = listener.recvfrom(4096)
            other = json.loads(data)
            if other["fingerprint"] == self.device.fingerprint:
                continue
            try:
                known, pem = self.device.register(host, other["port"])
                if known["fingerprint"] == other["fingerprint"] and known["fingerprint"] not in self.seen:
                    self.seen.add(known["fingerprint"])
                    self.context.load_verify_locations(cadata=pem)
                    say("found", alias=known["alias"], version=known["version"], fingerprint=known["fingerprint"],
                        host=host, port=other["port"])
            except OSError as error:
                say("unreachable", host=host, error=str(error))

    def serve(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body=b""):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer(200, json.dumps(receiver.device.info()).encode())

            def do_POST(self):
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                length = int(self.headers.get("Content-Length", 0))
                shown = fingerprint(self.connection.getpeercert(binary_form=True))
                match url.path.removeprefix(API):
                    case "register":
                        self.rfile.read(length)
                        self.answer(200, json.dumps(receiver.device.info()).encode())
                    case "prepare-upload":
                        self.answer(*receiver.prepare(json.loads(self.rfile.read(length)), query.get("pin"), shown))
                    case "upload":
                        self.answer(receiver.upload(query, self.rfile, length))
                    case "cancel":
                        say("cancelled", session=query.get("sessionId"))
                        receiver.session = None
                        self.answer(200)
                    case _:
                        self.answer(404)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def server_bind(self):
                socketserver.TCPServer.server_bind(self)  # without asking a resolver for our name
                self.server_name, self.server_port = self.server_address

            def get_request(self):
                connection, address = super().get_request()
                return receiver.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                pass

        Server((self.device.address, self.device.port), Handler).serve_forever()

    def prepare(self, request, pin, shown):
        sender = request["info"]
        say("asked", alias=sender["alias"], files=list(request["files"].values()))
        if sender["fingerprint"] != shown:
            return 403, b""
        if self.pin and pin != self.pin:
            return 401, b""
        time.sleep(self.slow)
        if self.answer:
            return self.answer, b""
        files = list(request["files"].values())
        if len(files) == 1 and files[0].get("preview") is not None:
            say("text", text=files[0]["preview"])
            return 204, b""
        self.session, self.files = os.urandom(8).hex(), request["files"]
        return 200, json.dumps({"sessionId": self.session, "files": {id: id + "-token" for id in self.files}}).encode()

    def upload(self, query, body, length):
        file = self.files.get(query["fileId"])
        if query["sessionId"] != self.session or file is None or query["token"] != query["fileId"] + "-token":
            return 403
        if length != file["size"]:
            return 400
        path = self.device.folder / "in" / file["fileName"]
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, left = hashlib.sha256(), length
        with open(path, "wb") as out:
            while left:
                piece = body.read(min(left, 1 << 20))
                if not piece:
                    say("broken", name=file["fileName"])
                    return 500
                digest.update(piece)
                out.write(piece)
                left -= len(piece)
                if self.slow:
                    time.sleep(0.05)
        if file.get("sha256") not in (None, digest.hexdigest()):
            return 422
        say("file", name=file["fileName"], size=length, sha256=digest.hexdigest())
        return 200


def send(device, arguments):
    host, port = arguments.to.rsplit(":", 1)
    connection, shown = device.connect(host, int(port), anonymous=arguments.anonymous, timeout=600)
    files, paths = {}, {}
    if arguments.text is not None:
        text = arguments.text.encode()
        files["t"] = {"id": "t", "fileName": "text.txt", "size": len(text), "fileType": "text/plain", "preview": arguments.text}
    for number, given in enumerate(arguments.files):
        root = pathlib.Path(given)
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                id = f"f{number}-{len(files)}"
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                if arguments.damage:
                    digest = "0" * 64
                files[id] = {"id": id, "fileName": str(path.relative_to(root.parent)), "size": path.stat().st_size,
                             "fileType": "application/octet-stream", "sha256": digest,
                             "metadata": {"modified": "2020-02-02T02:02:02Z"}}
                paths[id] = path
    request = {"info": device.announced(), "files": files}
    if arguments.pretend:
        request["info"]["fingerprint"] = arguments.pretend
    status, body = device.post(connection, "prepare-upload", request, pin=arguments.pin)
    say("answer", status=status, body=body.decode(errors="replace") if status != 200 else "")
    if status != 200:
        return
    prepared = json.loads(body)

    def upload(id):
        own, _ = device.connect(host, int(port), pin=shown, timeout=600)
        with open(paths[id], "rb") as content:
            status, why = device.post(own, "upload", content, sessionId=prepared["sessionId"], fileId=id,
                                      token=prepared["files"][id])
        say("sent", name=files[id]["fileName"], status=status, why=why.decode(errors="replace"))

    if arguments.cancel:
        first = next(iter(paths))
        threading.Thread(target=lambda: upload(first), daemon=True).start()
        time.sleep(arguments.cancel)
        other, _ = device.connect(host, int(port), pin=shown)
        say("cancel", status=device.post(other, "cancel", b"", sessionId=prepared["sessionId"])[0])
        return
    with concurrent.futures.ThreadPoolExecutor(arguments.parallel) as pool:
        list(pool.map(upload, [id for id in paths if id in prepared["files"]]))


def main():
    parser = argparse.ArgumentParser()
    for name in ("--name", "--address", "--folder"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, default=PORT)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("--pin")
    serve.add_argument("--answer", type=int, default=0)
    serve.add_argument("--slow", type=float, default=0)
    sending = commands.add_parser("send")
    sending.add_argument("to")
    sending.add_argument("files", nargs="*")
    sending.add_argument("--text")
    sending.add_argument("--pin")
    sending.add_argument("--pretend")
    sending.add_argument("--anonymous", action="store_true")
    sending.add_argument("--damage", action="store_true")
    sending.add_argument("--cancel", type=float)
    sending.add_argument("--parallel", type=int, default=2)
    arguments = parser.parse_args()
    pathlib.Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    device = Device(arguments.name, arguments.address, arguments.folder, arguments.port)
    if arguments.command == "send":
        return send(device, arguments)
    receiver = Receiver(device, arguments.pin, arguments.answer, arguments.slow)
    threading.Thread(target=receiver.serve, daemon=True).start()
    say("ready", fingerprint=device.fingerprint)
    receiver.hear()


if __name__ == "__main__":
    sys.exit(main())
