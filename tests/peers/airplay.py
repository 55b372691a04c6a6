"""A loudspeaker on one machine: Debian's shairport-sync with avahi and a bus of its own, whose output is a file; and the
bridge by itself, spoken to in JSON lines."""

import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from hub import TARGET
from net import until

NEEDED = ["shairport-sync", "avahi-daemon", "dbus-daemon", "unshare", "nsenter"]
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
MISSING = [tool for tool in NEEDED if not shutil.which(tool, path=PATH)]
LAB = pathlib.Path(os.environ.get("ACCORD_AIRPLAY_LAB", TARGET / "debug" / "examples" / "airplay-lab"))
PORT = 5000

BUS = """<busconfig><type>session</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
</policy></busconfig>"""
AVAHI = "[server]\nhost-name=speaker\nuse-ipv6=no\nallow-interfaces=eth0\n[publish]\npublish-workstation=no\n"
# /run is this loudspeaker's own.
BED = """mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/avahi-daemon
dbus-daemon --config-file={bus} --nofork --nopidfile >&2 &
for i in $(seq 100); do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.05; done
avahi-daemon -f {avahi} --no-drop-root --no-chroot --no-rlimits >&2 &
for i in $(seq 100); do [ -S /run/avahi-daemon/socket ] && break; sleep 0.05; done
echo up
exec sleep infinity"""


class Speaker:
    """The machine's loudspeaker; `on()` and `off()` as often as one likes."""

    def __init__(self, machine, folder, name="Kitchen Speaker"):
        self.machine, self.name = machine, name
        self.folder = pathlib.Path(folder)
        self.process, self.runs = None, 0
        (self.folder / "bus.conf").write_text(BUS)
        (self.folder / "avahi.conf").write_text(AVAHI)
        self.words = [word for word in machine.enter if word != "--"]
        script = BED.format(bus=self.folder / "bus.conf", avahi=self.folder / "avahi.conf")
        with open(self.folder / "bed.log", "ab") as log:
            self.bed = machine.popen("unshare", "--mount", "sh", "-c", script, stdout=subprocess.PIPE, stderr=log, text=True,
                                     start_new_session=True, env={**os.environ, "PATH": PATH})
        if not any(line == "up\n" for line in iter(self.bed.stdout.readline, "")):
            self.close()
            raise AssertionError("the loudspeaker's machine does not run: " + (self.folder / "bed.log").read_text())

    def on(self, *words, interrupt=False, port=PORT):
        self.runs += 1
        self.out, self.log = self.folder / f"out-{self.runs}.pcm", self.folder / f"speaker-{self.runs}.log"
        conf = self.folder / "shairport.conf"
        conf.write_text(f'general = {{ name = "{self.name}"; port = {port}; output_backend = "stdout"; interpolation = "basic"; }};\n'
                        f'sessioncontrol = {{ allow_session_interruption = "{"yes" if interrupt else "no"}"; }};\n')
        enter = ["nsenter", "--target", str(self.bed.pid), "--mount", "--net", "--"]
        with open(self.out, "wb") as out, open(self.log, "wb") as log:
            self.process = subprocess.Popen([*enter, "shairport-sync", "-u", "-v", "-c", conf, *words], stdout=out, stderr=log,
                                            env={**os.environ, "PATH": PATH})
        until(lambda: self.machine.inside(self.listens, port), 15, f"the loudspeaker runs:\n{self.log.read_text()}")
        return self

    def listens(self, port=PORT):
        try:
            socket.create_connection(("127.0.0.1", port), 2).close()
            return True
        except OSError:
            return False

    def off(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(10)

    def heard(self):
        """What it played, without the silence before the first sample that is none."""
        return self.out.read_bytes()

    def close(self):
        self.off()
        os.killpg(self.bed.pid, signal.SIGKILL)
        self.bed.wait()


class Lab:
    """The bridge by itself."""

    def __init__(self, machine, folder):
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "lab.log"
        with open(self.log, "ab") as log:
            self.process = machine.popen(LAB, self.folder / "lab", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                         text=True, bufsize=1, env={**os.environ, "RUST_BACKTRACE": "1"})
        self.values, self.device, self.number = {}, None, 0
        self.words = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.hear(lambda word: word.get("ready"), 20)

    def read(self):
        for line in self.process.stdout:
            word = json.loads(line)
            if word.get("type") == "values":
                for name, value in word["values"].items():
                    self.values[name] = value["data"]
            if word.get("type") in ("seen", "gone"):
                self.device = word.get("device")
            self.words.put(word)
        self.words.put({})

    def say(self, word):
        self.process.stdin.write(json.dumps(word) + "\n")

    def hear(self, fits, seconds=15):
        """The first word that fits; those before it are gone."""
        end = time.monotonic() + seconds
        passed = []
        while (left := end - time.monotonic()) > 0:
            try:
                word = self.words.get(timeout=left)
            except queue.Empty:
                break
            if fits(word):
                return word
            passed.append(word)
        raise AssertionError(f"not said within {seconds} s; instead {passed[-8:]}\n{self.log.read_text()[-2000:]}")

    def call(self, service, verb, seconds=15):
        self.number += 1
        number = self.number
        self.say({"type": "call", "call": number, "device": self.device["id"], "target": {"service": service}, "verb": verb})
        return self.hear(lambda word: word.get("type") == "reply" and word["call"] == number, seconds)["outcome"]

    def act(self, action, service="media"):
        outcome = self.call(service, {"verb": "act", "action": action, "inputs": {}})
        assert "Ok" in outcome, outcome
        return outcome

    def volume(self, percent):
        outcome = self.call("media", {"verb": "write", "property": "volume", "data": percent})
        assert "Ok" in outcome, outcome

    def find(self, name, seconds=20):
        self.say({"grant": ["airplay/search", "network:lan"]})
        fits = lambda word: word.get("type") == "seen" and word["device"]["name"] == name
        return self.hear(fits, seconds)["device"]

    def add(self, name):
        found = self.find(name)
        self.act("request", "pairing")
        for entry in ("airplay/control", "airplay/sound"):
            self.say({"grant": [entry, f"device:{found['id']}"]})
        return found

    def play(self, file):
        self.say({"play": {"device": self.device["id"], "file": str(file)}})
        word = self.hear(lambda word: word.get("type") in ("stream-ready", "stream-failed"), 20)
        return word.get("error", {}).get("message")

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Fake:
    """Something that announces itself as a receiver and answers as `answer(request)` says, if at all."""

    def __init__(self, machine, address, name, answer=None, txt=(), port=5100, kind="_raop._tcp", digits="0A1B2C3D4E5F"):
        self.machine, self.asked, self.running = machine, [], True
        instance = f"{digits}@{name}" if kind == "_raop._tcp" else name
        self.packet = announcement(kind, instance, port, address, list(txt))
        self.address, self.port, self.answer = address, port, answer
        ready = threading.Event()
        threading.Thread(target=machine.inside, args=(self.run, ready), daemon=True).start()
        assert ready.wait(10), "the fake runs"

    def run(self, ready):
        listener = socket.create_server((self.address, self.port))
        listener.settimeout(0.2)
        air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        air.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        air.bind((self.address, 5353))
        air.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        air.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.address))
        ready.set()
        with listener, air:
            told = 0
            while self.running:
                if time.monotonic() - told > 1:
                    told = time.monotonic()
                    air.sendto(self.packet, ("224.0.0.251", 5353))
                try:
                    peer, _ = listener.accept()
                except TimeoutError:
                    continue
                peer.settimeout(10)
                with peer:
                    self.speak(peer)

    def speak(self, peer):
        buffer = b""
        try:
            while self.running:
                while b"\r\n\r\n" in buffer:
                    head, buffer = buffer.split(b"\r\n\r\n", 1)
                    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
                    length = int(fields.get("Content-Length", 0))
                    while len(buffer) < length:
                        buffer += peer.recv(4096)
                    buffer = buffer[length:]
                    method = head.split(b" ")[0].decode()
                    self.asked.append(method)
                    said = self.answer(method, fields["CSeq"])
                    if said is None:
                        return
                    peer.sendall(said)
                more = peer.recv(4096)
                if not more:
                    return
                buffer += more
        except OSError:
            pass

    def close(self):
        self.running = False


def answer(number, status=200, more="", body=b""):
    return f"RTSP/1.0 {status} X\r\nCSeq: {number}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def good(method, number):
    ports = "Session: 1\r\nTransport: RTP/AVP/UDP;server_port=6001;control_port=6002;timing_port=6003\r\n"
    return answer(number, more=ports if method == "SETUP" else "")


def announcement(kind, instance, port, address, txt):
    """An unasked answer of mDNS (RFC 6762): PTR, SRV, TXT and A of one instance."""
    def label(*words):
        return b"".join(bytes([len(word)]) + word for word in (word.encode() for word in words)) + b"\0"
    service, own, host = label(*kind.split("."), "local"), label(instance, *kind.split("."), "local"), label("fake", "local")

    def record(name, number, data, flush=True):
        return name + struct.pack("!HHIH", number, 0x8001 if flush else 1, 120, len(data)) + data
    pairs = b"".join(bytes([len(pair)]) + pair.encode() for pair in txt) or b"\0"
    records = [record(service, 12, own, flush=False), record(own, 33, struct.pack("!HHH", 0, 0, port) + host), record(own, 16, pairs),
               record(host, 1, socket.inet_aton(address))]
    return struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)
