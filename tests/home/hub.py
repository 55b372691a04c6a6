"""A real hub on one machine, driven as a person would: through the command line."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from net import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ACCORD = os.environ.get("ACCORD", str(TARGET / "debug" / "accord"))



class Hub:
    def __init__(self, machine, name, kind="computer", folder=None, web="127.0.0.1:0"):
        self.machine, self.name, self.kind, self.web = machine, name, kind, web
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="accord-home-"))
        self.state = self.folder / name
        self.process = None

    # -- running ------------------------------------------------------------------------------------

    def start(self, **environment):
        words = [ACCORD, "--state", self.state, "up", "--http", self.web, "--name", self.name, "--kind", self.kind,
                 "--no-open"]
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = self.machine.popen(*words, stdout=log, stderr=log, start_new_session=True,
                                              env={**os.environ, **environment})
        until(lambda: self.alive() and self.try_json("status"), 20, f"{self.name} answers")
        return self

    def alive(self):
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log()[-3000:]}"
        return True

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end within 20 s of SIGTERM")

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    # -- the command line ---------------------------------------------------------------------------

    def accord(self, *words, check=True, timeout=120, **more):
        done = self.machine.run(ACCORD, "--state", self.state, *words, check=False, timeout=timeout, **more)
        if check and done.returncode != 0:
            raise AssertionError(f"{self.name}: accord {' '.join(map(str, words))} → {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}\n--- log\n{self.log()[-2000:]}")
        return done

    def popen(self, *words, **more):
        return self.machine.popen(ACCORD, "--state", self.state, *words, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, **more)

    def json(self, *words, **more):
        return json.loads(self.accord(*words, "--json", **more).stdout)

    def try_json(self, *words):
        done = self.accord(*words, "--json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def api(self, method, path, body=None):
        """Asks the hub over its Unix socket, as a script would: (status, answer)."""
        body = json.dumps(body).encode() if body is not None else b""
        head = (f"{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hub:
            hub.settimeout(60)
            hub.connect(str(self.state / "hub.sock"))
            hub.sendall(head.encode() + body)
            answer = http.client.HTTPResponse(hub, method=method)
            answer.begin()
            text = answer.read()
        # A table that is exported is text.
        is_json = "json" in answer.getheader("content-type", "")
        return answer.status, (json.loads(text) if is_json else text.decode()) if text else None

    # -- what people do -----------------------------------------------------------------------------

    def grant(self, entry, to=None, *more):
        self.accord("consent", "grant", entry, *(["--to", to] if to else []), *more)

    def refuse(self, entry, to=None):
        self.accord("consent", "refuse", entry, *(["--to", to] if to else []))

    def refuse_everything(self):
        """A no to every entry, and to every recipient that was decided on by itself."""
        for entry in self.json("statement", "show")["entries"]:
            self.refuse(entry["key"])
        for consent in self.json("consent", "list")["consents"]:
            if consent["to"] != "any" and consent["state"] != "refused":
                self.refuse(consent["entry"], consent["to"])

    def devices(self):
        return self.json("devices")["devices"]

    def sees(self, other, trust=None, reach=None):
        for device in self.devices():
            if device["name"] == other.name and device["trust"] != "own":
                if (trust is None or device["trust"] == trust) and (reach is None or device["reach"] == reach):
                    return device
        return None

    def seen_unpaired(self):
        return [device for device in self.devices() if device["trust"] == "seen"]

    def open_for_pairing(self):
        seen = [device for device in self.seen_unpaired() if not all(at.endswith(":0") for at in device["addresses"])]
        return seen[0] if seen else None

    def transfers(self):
        return self.json("transfers")["transfers"]

    def ledger(self):
        return self.json("ledger", "list")["records"]

    def records(self):
        """Every record of the ledger, oldest first, with all that is in it."""
        return [json.loads(line)["record"] for line in self.accord("ledger", "export").stdout.splitlines()]

    def inbox_folder(self):
        return pathlib.Path(self.json("inbox")["folder"])


def pair(first, second, address=None):
    """Pairs two hubs by code: one asks, the other confirms; both see the same six digits."""
    for hub in (first, second):
        hub.grant("link/pairing")
    target = address or until(first.open_for_pairing, 20, f"{first.name} sees someone to pair with")["id"]
    incoming = second.popen("pair", "--incoming", "--accept")
    first.accord("pair", target, "--accept", timeout=90)
    out, err = incoming.communicate(timeout=90)
    assert incoming.returncode == 0, f"{second.name}: {out}{err}"
    until(lambda: first.sees(second, trust="paired"), 10, "the first shows the second as paired")
    until(lambda: second.sees(first, trust="paired"), 10, "the second shows the first as paired")
