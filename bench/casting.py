"""Casting: from the command to the first byte that the receiver fetches, and to its position moving, beside other senders;
and how a large file is served, beside nginx.

Receivers are Debian's `gmediarender` for DLNA and the receiver of tests/peers for Google Cast, in a network namespace of
their own. When the first byte is fetched is read from the wire for all senders alike; whether the position moves is asked
of the receiver itself, fifty times a second. Senders that are programs for one command are timed from their start; Accord's
hub runs, as it always does, and its command is timed in the same way.

    bench/casting.py [--runs N] [--gib N] [--json FILE]
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import wave

from tools import RIVALS, ROOT, hubs, net

sys.path[:0] = [str(ROOT / "tests" / "peers")]
import wire  # noqa: E402

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "accord/peers"))
NODE = ROOT / "scripts" / "node"
MIB, GIB = 1 << 20, 1 << 30
LOOK = 0.02
WITHIN = 30
WEB = 8085


class Watch:
    """Notes when the machine got the first byte of what it fetched since `begin`."""

    def __init__(self, machine):
        self.machine, self.running = machine, True
        self.begin()
        ready = threading.Event()
        self.thread = threading.Thread(target=machine.inside, args=(self.run, ready), daemon=True)
        self.thread.start()
        assert ready.wait(10)

    def begin(self):
        self.asked, self.first = set(), None

    def run(self, ready):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as frames:
            frames.bind(("eth0", 0))
            frames.settimeout(0.2)
            ready.set()
            while self.running:
                try:
                    frame, now = frames.recv(65536), time.monotonic()
                except TimeoutError:
                    continue
                if self.first is None and (packet := wire.parse(frame)) and packet.protocol == "tcp" and packet.payload:
                    if packet.payload.startswith(b"GET ") and packet.port != 49494:
                        self.asked.add((packet.to, packet.port, packet.source_port))
                    elif (packet.source, packet.source_port, packet.port) in self.asked:
                        self.first = now

    def close(self):
        self.running = False
        self.thread.join(5)


class Receiver:
    """What plays. `place()` is its own word for where it is, in seconds; None while it does not play."""

    def __init__(self, network, folder):
        self.machine, self.address = network["tv"], network.address["tv"]
        self.folder, self.running = folder, []

    def start(self, *words, **more):
        with open(self.folder / "receiver.log", "ab") as log:
            process = self.machine.popen(*words, stdout=log, stderr=log, start_new_session=True, **more)
        self.running.append(process)
        return process

    def ask(self, port, method, path, body=None, headers=()):
        def there():
            connection = http.client.HTTPConnection(self.host, port, timeout=5)
            connection.request(method, path, body, dict(headers))
            return connection.getresponse().read().decode(errors="replace")
        try:
            return self.machine.inside(there)
        except (OSError, http.client.HTTPException):
            return ""

    def close(self):
        for process in self.running:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


class Dlna(Receiver):
    family, name, port = "DLNA", "Bench TV", 49494
    entry = "upnp/search"

    @staticmethod
    def missing():
        return None if shutil.which("gmediarender") else "gmediarender is not installed"

    def on(self):
        self.host = self.address
        self.start("gmediarender", "-f", self.name, "-u", "0a1b2c3d-1111-2222-3333-000000000001", "--interface-name", "eth0",
                   "--port", self.port, "--gstout-audiopipe=fakesink sync=true", "--gstout-videopipe=fakesink sync=true")
        self.location = f"http://{self.address}:{self.port}/description.xml"
        net.until(lambda: "MediaRenderer" in self.ask(self.port, "GET", "/description.xml"), 15, "gmediarender runs")

    def soap(self, action, what):
        kind = "urn:schemas-upnp-org:service:AVTransport:1"
        body = (f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:{action} xmlns:u="{kind}">'
                f"<InstanceID>0</InstanceID></u:{action}></s:Body></s:Envelope>")
        headers = {"Content-Type": 'text/xml; charset="utf-8"', "SOAPACTION": f'"{kind}#{action}"'}
        found = re.search(f"<{what}>(.*?)</{what}>", self.ask(self.port, "POST", "/upnp/control/rendertransport1", body, headers))
        return found[1] if found else ""

    def place(self):
        if self.soap("GetTransportInfo", "CurrentTransportState") != "PLAYING":
            return None
        hours, minutes, seconds = (self.soap("GetPositionInfo", "RelTime") or "0:0:0").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

    def stop(self):
        self.soap("Stop", "x")
        net.until(lambda: self.soap("GetTransportInfo", "CurrentTransportState") in ("STOPPED", "NO_MEDIA_PRESENT"), 10, "it stops")

    def url(self):
        return self.soap("GetMediaInfo", "CurrentURI")


class Cast(Receiver):
    family, name, port, witness = "Google Cast", "Bench Stick", 8009, 8081
    entry = "googlecast/search"

    @staticmethod
    def missing():
        peers = ROOT / "tests" / "peers"
        if not (peers / "castreceiver.js").exists() or not (PEERS / "cast/node_modules/castv2").exists():
            return "the receiver is missing: tests/peers/run --install"
        return None

    def on(self):
        self.host = "127.0.0.1"
        peers = ROOT / "tests" / "peers"
        net.sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench", "-keyout",
               self.folder / "key.pem", "-out", self.folder / "cert.pem")
        self.start(NODE, peers / "castreceiver.js", self.folder, self.port, self.witness,
                   env={**os.environ, "NODE_PATH": str(PEERS / "cast/node_modules")})
        net.until(self.state, 20, "the receiver runs")
        word = f"Bench-1,{self.port},id=00112233445566778899aabbccddeeff,fn={self.name},md=Chromecast,ca=463365,ve=05,st=0"
        self.start(PEERS / "py/bin/python", peers / "castannounce.py", self.address, word)

    def state(self):
        text = self.ask(self.witness, "GET", "/")
        return json.loads(text) if text else None

    def place(self):
        media = (self.state() or {}).get("media") or {}
        return media.get("at")

    def stop(self):
        pass


class Sender:
    """One way to cast `file` to the receiver."""

    # Its program runs as long as it casts.
    lasts = False

    def __init__(self, bench, receiver):
        self.bench, self.receiver = bench, receiver
        self.machine = bench.network["alpha"]

    @classmethod
    def missing(cls):
        return None

    def prepare(self):
        pass

    def stop(self):
        self.receiver.stop()


class Accord(Sender):
    name = "accord"

    def prepare(self):
        hub = self.bench.hub
        found = net.until(lambda: next((one for one in hub.devices() if one["name"] == self.receiver.name), None), 30, "it is found")
        if found["trust"] != "paired":
            hub.accord("pair", found["id"], "--accept", timeout=60)
        bridge = self.receiver.entry.split("/")[0]
        needed = [entry["key"] for entry in hub.json("statement", "show")["entries"]
                  if entry["key"].startswith(("casting/", f"{bridge}/")) and entry["key"] != self.receiver.entry]
        for entry in needed:
            hub.accord("consent", "grant", entry, "--to", found["id"], check=False)

    def words(self, file):
        return [hubs.ACCORD, "--state", self.bench.hub.state, "cast", self.receiver.name, file]

    def stop(self):
        self.bench.hub.accord("casts", "stop", check=False)
        super().stop()


class UpnpClient(Sender):
    """async-upnp-client's program says two words; nginx serves the file."""

    name = "upnp-client + nginx"

    @classmethod
    def missing(cls):
        return None if (RIVALS / "upnp-client").exists() else "async-upnp-client is not installed"

    def prepare(self):
        self.bench.nginx()

    def words(self, file):
        call, place = RIVALS / "upnp-client", f"http://{self.bench.network.address['alpha']}:{WEB}/{file.name}"
        return ["sh", "-c", f"'{call}' call-action {self.receiver.location} AVT/SetAVTransportURI InstanceID=0 CurrentURI={place} "
                            f"CurrentURIMetaData= && '{call}' call-action {self.receiver.location} AVT/Play InstanceID=0 Speed=1"]


class Catt(Sender):
    name = "catt"

    @classmethod
    def missing(cls):
        return None if (PEERS / "py/bin/catt").exists() else "catt is not installed: tests/peers/run --install"

    def words(self, file):
        return [PEERS / "py/bin/catt", "-d", self.receiver.name, "cast", file]

    def stop(self):
        self.machine.run(PEERS / "py/bin/catt", "-d", self.receiver.name, "stop", check=False, timeout=20)


class Vlc(Sender):
    """VLC plays to a Cast device that is named by its address, and serves what it made of the file itself. It runs until it is
    ended, and never as root."""

    name, lasts = "VLC", True

    @classmethod
    def missing(cls):
        return None if shutil.which("cvlc") else "vlc-bin and vlc-plugin-base are not installed"

    def prepare(self):
        for path in (self.bench.folder.parent, self.bench.folder, self.bench.media):
            path.chmod(path.stat().st_mode | 0o055)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="vlc-", dir=self.bench.folder))
        self.home.chmod(0o777)

    def words(self, file):
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
        return [*other, "env", f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.home}", "cvlc", "-I", "dummy", "--no-sout-chromecast-video",
                "--sout", f"#chromecast{{ip={self.receiver.address},port={self.receiver.port}}}", "--demux-filter=demux_chromecast",
                "--play-and-exit", file]


FAMILIES = [(Dlna, [Accord, UpnpClient]), (Cast, [Accord, Catt, Vlc])]


class Bench:
    def __init__(self, scratch, runs, gib):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="casting-", dir=scratch))
        self.media = self.folder / "media"
        self.media.mkdir()
        self.runs, self.gib, self.absent, self.web = runs, gib, {}, None

    def measure(self):
        try:
            with net.Network("alpha", "tv") as self.network:
                for machine in self.network.machines.values():
                    machine.run("ip", "route", "add", "default", "dev", "eth0")
                self.hub = hubs.Hub(self.network["alpha"], "alpha", folder=self.folder).start()
                try:
                    self.hub.grant("control/command")
                    return {"begin": self.begins(), "serve": self.serves(), "gib": self.gib, "absent": self.absent}
                finally:
                    self.hub.close()
                    if self.web:
                        os.killpg(self.web.pid, signal.SIGKILL)
                        self.web.wait()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def is_missing(self, name, why):
        if why:
            print(f"  {name}: cannot run here: {why}", flush=True)
            self.absent[name] = why
        return bool(why)

    # -- how long until it plays --------------------------------------------------------------------

    def begins(self):
        """By family and sender: milliseconds from the command to the first byte, and to the position moving."""
        song, found = self.media / "song.wav", {}
        with wave.open(str(song), "wb") as out:
            out.setnchannels(2), out.setsampwidth(2), out.setframerate(44100)
            out.writeframes(bytes(4 * 44100 * 60))
        for kind, senders in FAMILIES:
            print(f"\nCasting to a {kind.family} receiver", flush=True)
            if self.is_missing(f"{kind.family} receiver", kind.missing()):
                continue
            receiver, watch = kind(self.network, self.folder), Watch(self.network["tv"])
            try:
                receiver.on()
                self.hub.grant(receiver.entry)
                ready = []
                for each in senders:
                    if not self.is_missing(f"{kind.family}: {each.name}", each.missing()):
                        sender = each(self, receiver)
                        sender.prepare()
                        ready.append(sender)
                found[kind.family] = self.turns(ready, watch, song)
            except Exception as error:  # one family that fails leaves the other
                self.is_missing(kind.family, (str(error).splitlines() or [repr(error)])[0][:160])
            finally:
                watch.close()
                receiver.close()
                self.hub.accord("consent", "withdraw", receiver.entry, check=False)
        return found

    def turns(self, senders, watch, song):
        took = {sender.name: ([], []) for sender in senders}
        for _ in range(self.runs):
            for sender in senders:
                first, moves = self.once(sender, watch, song)
                took[sender.name][0].append(first)
                took[sender.name][1].append(moves)
        found = {}
        for name, (first, moves) in took.items():
            found[name] = {"first_byte_ms": round(statistics.median(first)), "moving_ms": round(statistics.median(moves)),
                           "first_byte_all": [round(one) for one in first], "moving_all": [round(one) for one in moves]}
            print(f"  {name:<22}first byte {found[name]['first_byte_ms']:6} ms   moving {found[name]['moving_ms']:6} ms", flush=True)
        return found

    def once(self, sender, watch, song):
        watch.begin()
        began = time.monotonic()
        command = sender.machine.popen(*sender.words(song), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                       start_new_session=True)
        try:
            moves = None
            while moves is None:
                now = time.monotonic()
                if now - began > WITHIN:
                    os.killpg(command.pid, signal.SIGKILL)
                    raise RuntimeError(f"{sender.name} did not make it play: {command.stdout.read()[-300:]}")
                place = sender.receiver.place() if watch.first else None
                moves = time.monotonic() if place and 0 < place < WITHIN else None
                time.sleep(LOOK)
        finally:
            if command.poll() is None:
                try:
                    if sender.lasts:
                        os.killpg(command.pid, signal.SIGTERM)
                    command.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(command.pid, signal.SIGKILL)
                    command.wait()
            command.stdout.close()
            sender.stop()
        return (watch.first - began) * 1000, (moves - began) * 1000

    # -- how it is served ---------------------------------------------------------------------------

    def nginx(self):
        """nginx serves the folder; started once."""
        if self.web:
            return
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(program):
            raise RuntimeError("nginx is not installed")
        conf = self.folder / "nginx.conf"
        conf.write_text(f"daemon off; master_process off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log;\n"
                        "events {{}}\nhttp {{ access_log off; sendfile on; client_body_temp_path {0}; proxy_temp_path {0}; "
                        "fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\nserver {{ listen {1}:{2}; root {3}; }} }}\n"
                        .format(self.folder / "nginx-temp", self.network.address["alpha"], WEB, self.media))
        for path in (self.folder, self.media):
            path.chmod(0o755)
        self.web = self.network["alpha"].popen(program, "-c", conf, "-e", self.folder / "nginx.log", stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL, start_new_session=True)
        net.until((self.folder / "nginx.pid").exists, 10, "nginx runs")

    def serves(self):
        """One large file, fetched at the receiver's address: MiB a second, and memory of who serves."""
        print(f"\nServing one file of {self.gib} GiB", flush=True)
        if self.is_missing("serving", Dlna.missing() or (None if shutil.which("curl") else "curl is not installed")):
            return {}
        film, size = self.media / "large.wav", min(self.gib * GIB, (1 << 32) - 1024)
        # A sound of nothing; what is not written takes no room.
        with open(film, "wb") as out:
            out.write(b"RIFF" + struct.pack("<I", size - 8) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 44100, 176400, 4, 16)
                      + b"data" + struct.pack("<I", size - 44))
            out.truncate(size)
        found, receiver = {}, Dlna(self.network, self.folder)
        try:
            receiver.on()
            self.hub.grant(receiver.entry)
            sender = Accord(self, receiver)
            sender.prepare()
            before = memory(self.hub.process.pid)
            self.hub.accord("cast", receiver.name, film, timeout=60)
            found["accord"] = self.fetches(receiver.url(), size, self.hub.process.pid, before)
            sender.stop()
            self.nginx()
            before = memory(self.web.pid)
            found["nginx"] = self.fetches(f"http://{self.network.address['alpha']}:{WEB}/{film.name}", size, self.web.pid, before)
        except Exception as error:
            self.is_missing("serving", (str(error).splitlines() or [repr(error)])[0][:160])
        finally:
            receiver.close()
        for name, figure in found.items():
            print(f"  {name:<10}{figure['mib_per_s']:8} MiB/s   {figure['rss_before_mib']:6} MiB before, {figure['rss_most_mib']} MiB at most",
                  flush=True)
        return found

    def fetches(self, url, size, pid, before):
        speeds, most, running = [], [before], threading.Event()

        def look():
            while not running.wait(0.05):
                most.append(memory(pid))
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            for _ in range(self.runs):
                done = self.network["tv"].run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{time_total}", url,
                                              timeout=600)
                code, got, took = done.stdout.split()
                if code != "200" or int(float(got)) != size:
                    raise RuntimeError(f"{code}, {got} of {size} bytes from {url.split('/')[2]}")
                speeds.append(size / MIB / float(took))
        finally:
            running.set()
            looking.join()
        return {"mib_per_s": round(statistics.median(speeds)), "all": [round(one) for one in speeds],
                "rss_before_mib": round(before / MIB, 1), "rss_most_mib": round(max(most) / MIB, 1)}


def memory(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(scratch, runs=3, gib=4):
    return Bench(scratch, runs, gib).measure()


def table(found):
    """The README's lines."""
    lines = []
    for family, senders in found["begin"].items():
        lines += ["", f"| Casting to a {family} receiver | first byte fetched | position moves |", "|---|---:|---:|"]
        lines += [f"| {name} | {one['first_byte_ms']} ms | {one['moving_ms']} ms |" for name, one in senders.items()]
    if found["serve"]:
        lines += ["", f"| Serving one file of {found['gib']} GiB to a receiver | MiB/s | memory before | memory at most |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {one['mib_per_s']} | {one['rss_before_mib']} MiB | {one['rss_most_mib']} MiB |"
                  for name, one in found["serve"].items()]
    if found["absent"]:
        lines += ["", "Could not run: " + "; ".join(f"{name} ({why})" for name, why in found["absent"].items()) + "."]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="accord-bench-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as scratch:
        found = measure(scratch, options.runs, options.gib)
    print("\n".join(table(found)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
