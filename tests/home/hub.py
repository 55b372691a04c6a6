"""A real hub on one machine, driven as a person would: through the command line."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from net import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ACCORD = os.environ.get("ACCORD", str(TARGET / "debug" / "accord"))

class Hub:
    def __init__(self, machine, name, kind="computer", folder=None, http="127.0.0.1:0"):
        self.machine, self.name, self.kind, self.http = machine, name, kind, http
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="accord-home-"))
        self.state = self.folder / name
        self.process = None

    # -- running ------------------------------------------------------------------------------------

    def start(self):
        log = open(self.folder / f"{self.name}.log", "ab")
        words = [ACCORD, "--state", self.state, "up", "--http", self.http, "--name", self.name, "--kind", self.kind,
                 "--no-open"]
        self.process = self.machine.popen(*words, stdout=log, stderr=log, start_new_session=True)
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

    # -- what people do -----------------------------------------------------------------------------

    def grant(self, entry, to=None, *more):
        self.accord("consent", "grant", entry, *(["--to", to] if to else []), *more)

    def refuse(self, entry, to=None):
        self.accord("consent", "refuse", entry, *(["--to", to] if to else []))

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
