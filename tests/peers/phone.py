"""A scripted phone: the KDE Connect app as far as its files are concerned (version 7 of the protocol), with Debian's OpenSSH
as its file server. The server's key is the phone's, its password is new at each request.

As a program: `phone.py NAME FOLDER ADDRESS BROADCAST`; what it hears goes to standard output as lines of JSON, what it is to
say comes on standard input.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid

SSHD = next((place for place in ("/usr/sbin/sshd", shutil.which("sshd") or "") if place and os.path.exists(place)), None)
MISSING = ([] if SSHD else ["sshd"]) + [tool for tool in ("openssl", "mount", "unshare") if not shutil.which(tool)]
PORTS = range(1739, 1765)
INCOMING = ["kdeconnect.ping", "kdeconnect.sftp.request", "kdeconnect.share.request"]
OUTGOING = ["kdeconnect.ping", "kdeconnect.sftp", "kdeconnect.share.request"]


def say(**word):
    print(json.dumps(word), flush=True)


def packet(kind, **body):
    return json.dumps({"id": int(time.time() * 1000), "type": f"kdeconnect.{kind}", "body": body}).encode() + b"\n"


class App:
    """What runs as a program of its own, inside the phone's network."""

    def __init__(self, name, folder, address, broadcast):
        self.name, self.folder, self.address, self.broadcast = name, pathlib.Path(folder), address, broadcast
        self.id = (self.folder / "id").read_text()
        self.link = None

    def identity(self, **more):
        return packet("identity", deviceId=self.id, deviceName=self.name, deviceType="phone", protocolVersion=7,
                      incomingCapabilities=INCOMING, outgoingCapabilities=OUTGOING, **more)

    def run(self):
        listener = socket.create_server((self.address, 1716))
        threading.Thread(target=self.listen, args=(listener,), daemon=True).start()
        say(ready=True)
        for line in sys.stdin:
            word = json.loads(line)
            if word.get("announce"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                    out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    out.bind((self.address, 0))
                    out.sendto(self.identity(tcpPort=1716), (self.broadcast, 1716))
            elif self.link:
                self.link.sendall(packet(word["send"], **word["body"]))

    def listen(self, listener):
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        """Whoever accepts is the client of TLS."""
        line = b""
        while not line.endswith(b"\n"):
            byte = stream.recv(1)
            if not byte:
                return
            line += byte
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.folder / "certificate.pem", self.folder / "key.pem")
        try:
            link = context.wrap_socket(stream)
            self.link = link
            say(linked=json.loads(line)["body"]["deviceName"])
            for heard in link.makefile("rb"):
                say(packet=json.loads(heard))
        except OSError as error:
            say(broke=str(error))
        if self.link is link:
            self.link = None
        say(unlinked=True)


class Phone:
    """The phone as tests hold it: the app, its files, and its file server."""

    def __init__(self, machine, network, name="phone", key="ec"):
        self.machine, self.name = machine, name
        self.address = network.address[machine.name]
        self.broadcast = f"{network.prefix}.255"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-phone-"))
        self.files = self.folder / "storage"
        self.files.mkdir()
        self.process, self.heard, self.server = None, [], None
        self.port, self.passwords = None, 0
        # What becomes of a request: a way in, silence, or words.
        self.answers = self.open
        self.options = []
        self.make_key(key)

    def make_key(self, kind, where=None):
        where = where or self.folder
        id = uuid.uuid4().hex
        (self.folder / "id").exists() or (self.folder / "id").write_text(id)
        kind = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else ["rsa:2048"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "3650", "-keyout", where / "key.pem", "-out",
                        where / "certificate.pem", "-subj", f"/CN={(self.folder / 'id').read_text()}/O=KDE/OU=KDE Connect"],
                       check=True, capture_output=True)
        (where / "key.pem").chmod(0o600)

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = self.machine.popen(sys.executable, __file__, self.name, self.folder, self.address, self.broadcast,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        threading.Thread(target=self._listen, daemon=True).start()
        self.wait(lambda word: word.get("ready"), "the phone is up")
        return self

    def _listen(self):
        for line in self.process.stdout:
            word = json.loads(line)
            self.heard.append(word)
            if word.get("packet", {}).get("type") == "kdeconnect.sftp.request":
                self.answers()
            if word.get("packet", {}).get("type") == "kdeconnect.pair" and word["packet"]["body"].get("pair"):
                self.send("pair", pair=True)

    def wait(self, fits, what, seconds=20, since=0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = next((word for word in self.heard[since:] if fits(word)), None)
            if found:
                return found
            time.sleep(0.05)
        log = (self.folder / "log").read_text(errors="replace")[-1500:]
        raise AssertionError(f"not in {seconds} s: {what}\n{self.heard[-10:]}\n{log}\n{self.server_log()[-1500:]}")

    def tell(self, **word):
        self.process.stdin.write(json.dumps(word) + "\n")
        self.process.stdin.flush()

    def announce(self):
        self.tell(announce=True)

    def send(self, kind, **body):
        self.tell(send=kind, body=body)

    def asked(self):
        return sum(word.get("packet", {}).get("type") == "kdeconnect.sftp.request" for word in self.heard)

    # -- the file server ----------------------------------------------------------------------------

    def open(self, password=None, **more):
        """Opens the file server if it is closed, and says the way in, with a new password."""
        self.passwords += 1
        right = f"password-{self.passwords}-{uuid.uuid4().hex}"
        self.set_password(right)
        if not self.server or self.server.poll() is not None:
            self.serve()
        paths = {"path": str(self.files)}
        self.send("sftp", **{"ip": "203.0.113.9", "port": self.port, "user": "kdeconnect", "password": password or right, **paths, **more})

    def set_password(self, password):
        """The system's files as the server sees them: with one more user, who is root of the namespace that we are in."""
        made = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True)
        users = pathlib.Path("/etc/passwd").read_text()
        if "sshd:" not in users:
            users += "sshd:x:0:0::/run/sshd:/usr/sbin/nologin\n"
        secrets = "".join(f"{line.split(':')[0]}:*:19000:0:99999:7:::\n" for line in users.splitlines())
        write(self.folder / "passwd", users + f"kdeconnect:x:0:0::{self.files}:/bin/sh\n", 0o644)
        write(self.folder / "shadow", secrets + f"kdeconnect:{made.stdout.strip()}:19000:0:99999:7:::\n", 0o600)

    def serve(self, key=None):
        self.port = PORTS[self.passwords % len(PORTS)]
        config = self.folder / "sshd_config"
        lines = [f"Port {self.port}", f"ListenAddress {self.address}", f"HostKey {key or self.folder / 'key.pem'}", "UsePAM no",
                 "PasswordAuthentication yes", "PubkeyAuthentication no", "PermitRootLogin yes", "Subsystem sftp internal-sftp",
                 "StrictModes no", f"PidFile {self.folder}/sshd.pid", *self.options]
        config.write_text("\n".join(lines) + "\n")
        script = (f"mount --bind {self.folder}/passwd /etc/passwd && mount --bind {self.folder}/shadow /etc/shadow && "
                  f"mkdir -p /run/sshd && exec {SSHD} -D -e -f {config}")
        self.server = self.machine.popen("unshare", "--mount", "--propagation", "private", "sh", "-c", script,
                                         stdout=open(self.folder / "sshd.log", "ab"), stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + 10
        while f"port {self.port}" not in self.server_log().rpartition("Server listening")[2]:
            assert self.server.poll() is None and time.monotonic() < end, self.server_log()
            time.sleep(0.05)

    def server_log(self):
        log = self.folder / "sshd.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def sessions(self):
        """The server's processes that hold a connection: all that came of the one that listens."""
        if not self.server:
            return []
        all = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        children = {}
        for line in all.splitlines():
            pid, parent = map(int, line.split())
            children.setdefault(parent, []).append(pid)
        found, todo = [], [self.server.pid]
        while todo:
            below = children.get(todo.pop(), [])
            found += below
            todo += below
        return found

    def signal_server(self, number):
        if self.server and self.server.poll() is None:
            for pid in [*self.sessions(), self.server.pid]:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass

    def stop_server(self):
        self.signal_server(signal.SIGKILL)
        if self.server:
            self.server.wait()
        self.server = None

    def close(self):
        self.stop_server()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def write(path, text, mode):
    """In place: it may be mounted over another."""
    with open(path, "w") as file:
        file.write(text)
    path.chmod(mode)


if __name__ == "__main__":
    App(*sys.argv[1:]).run()
