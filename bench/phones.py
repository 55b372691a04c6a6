"""The phones' own protocols: programs of others between themselves, with Accord at one end, and with Accord at both.

KDE Connect does not say when a file is stored. So all are timed until the whole file lies in the receiver's folder.
"""

import os
import shutil
import subprocess
import sys
import threading
import time

import tools
from tools import RIVALS, ROOT, Tool, hubs, net, total

sys.path.insert(0, str(ROOT / "tests" / "peers"))
import kdeconnectd  # noqa: E402

THEIRS, OURS = "theirs", "Accord"


class Way(Tool):
    """From one end to the other."""

    protocol = ""
    ends = (THEIRS, THEIRS)
    runs_at_most = 3

    def copy(self, source, target):
        shutil.rmtree(self.received, ignore_errors=True)
        self.received.mkdir(parents=True)
        want, got = total(source), self.received / source.name
        began = time.monotonic()
        self.send(source)
        net.until(lambda: total(got) == want, 120, "the whole file is there", pause=0.01)
        took = time.monotonic() - began
        shutil.move(got, target / source.name)
        return took

    def hub(self, machine, *entries, config=""):
        hub = hubs.Hub(machine, machine.name, folder=self.folder)
        if config:
            hub.state.mkdir(parents=True, mode=0o700)
            (hub.state / "config.toml").write_text(config)
        hub.start()
        for entry in entries:
            hub.grant(entry)
        self.hubs.append(hub)
        return hub

    def start_process(self, machine, *words, **more):
        process = machine.popen(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder,
                                start_new_session=True, **more)
        self.daemons.append(process)
        return process

    def prepare(self):
        self.hubs, self.daemon_of = [], {}
        for machine in (self.alpha, self.beta):
            machine.run("ip", "route", "add", "default", "dev", "eth0", check=False)

    def close(self):
        for running in [*getattr(self, "hubs", []), *getattr(self, "daemon_of", {}).values()]:
            running.close()
        super().close()

    @staticmethod
    def seen(hub, **fits):
        """The one device that the hub sees, when it is like this."""
        for device in hub.devices():
            if device["trust"] != "own" and all(device[name] == value for name, value in fits.items()):
                return device
        return None


class KdeConnect(Way):
    """Debian's daemon."""

    name = "kdeconnect"
    protocol = "KDE Connect"
    runs_at_most = 1

    @classmethod
    def missing(cls):
        return f"{', '.join(kdeconnectd.MISSING)} missing" if kdeconnectd.MISSING else None

    @classmethod
    def fits(cls, row):
        return row.key == "big-fast"

    def prepare(self):
        super().prepare()
        for machine, end in zip((self.alpha, self.beta), self.ends):
            if end == THEIRS:
                folder = self.folder / machine.name
                daemon = self.daemon_of[machine.name] = kdeconnectd.Daemon(machine, machine.name, folder).start()
                daemon.notifier()  # without one it waits for a bus that starts one in vain
            else:
                self.hub(machine, "kdeconnect/presence", "files/send", "files/receive")
        {(THEIRS, THEIRS): self.pair_theirs, (OURS, OURS): self.pair_ours}.get(self.ends, self.pair_mixed)()
        receiver = self.daemon_of.get("beta")
        self.received = receiver.downloads() if receiver else self.hubs[-1].inbox_folder()

    def pair_theirs(self):
        alpha, beta = self.daemon_of["alpha"], self.daemon_of["beta"]
        own = {daemon.name: net.until(lambda: daemon.cli("--my-id", check=False), 30, "a daemon") for daemon in (alpha, beta)}
        net.until(lambda: own["beta"] in (alpha.cli("-l", "--id-only", check=False) or ""), 60, "the two see each other")
        alpha.cli("-d", own["beta"], "--pair", check=False)
        beta.agree(own["alpha"])
        net.until(lambda: alpha.trusts(own["beta"]) and alpha.reaches(own["beta"]), 30, "paired")
        time.sleep(2)
        self.send = lambda source: alpha.cli("-d", own["beta"], "--share", source)

    def pair_mixed(self):
        (hub,), (daemon,) = self.hubs, self.daemon_of.values()
        found = net.until(lambda: self.seen(hub, bridge="kdeconnect", reach="local"), 60, "the daemon is found")
        pairing = hub.popen("pair", found["id"], "--accept")
        own = net.until(lambda: daemon.cli("-l", "--id-only", check=False), 20, "the daemon sees us").split()[0]
        daemon.agree(own)
        if pairing.wait(30) != 0:
            raise RuntimeError(f"not paired: {pairing.stderr.read()}")
        net.until(lambda: self.seen(hub, trust="paired", reach="local"), 20, "paired and linked")
        hub.accord("devices", "set", found["id"], "--auto-accept", "true")
        if self.ends[0] == OURS:
            self.send = lambda source: hub.accord("send", "--quiet", found["id"], source, timeout=600)
        else:
            self.send = lambda source: daemon.cli("-d", own, "--share", source)

    def pair_ours(self):
        pair_hubs(self, "kdeconnect")


class LocalSend(Way):
    """The client from PyPI, over HTTPS."""

    name = "localsend"
    protocol = "LocalSend"
    runs_at_most = 1

    @classmethod
    def missing(cls):
        return None if (RIVALS / "localsend-cli").exists() else "localsend-cli is not installed"

    @classmethod
    def fits(cls, row):
        return row.key == "big-fast"

    def env(self, machine):
        home = self.folder / f"{machine.name}-home"
        home.mkdir(exist_ok=True)
        plain = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
        return {**plain, "HOME": str(home)}

    def prepare(self):
        super().prepare()
        self.received = self.folder / "received"
        self.received.mkdir()
        sender, receiver = self.ends
        entries = ("localsend/presence", "localsend/transfer", "files/send", "files/receive")
        if self.ends == (OURS, OURS):
            self.hub(self.alpha, *entries)
            self.hub(self.beta, *entries)
            pair_hubs(self, "localsend")
            self.received = self.hubs[-1].inbox_folder()
            return
        if receiver == THEIRS:
            self.start_process(self.beta, RIVALS / "localsend-cli", "receive", "--output", self.received, "--json",
                               env=self.env(self.beta))
            time.sleep(2)
        else:
            hub = self.hub(self.beta, *entries, config="[localsend]\nunverified = true\n")
            self.received = hub.inbox_folder()
            self.owner = threading.Thread(target=self.say_yes, args=(hub,), daemon=True)
            self.owner.start()
        if sender == THEIRS:
            self.send = lambda source: self.timed(RIVALS / "localsend-cli", "send", self.to, "--json", source,
                                                  env=self.env(self.alpha))
        else:
            hub = self.hub(self.alpha, *entries)
            found = net.until(lambda: self.seen(hub, bridge="localsend"), 30, "the client is found")
            hub.accord("pair", found["id"], "--accept")
            self.send = lambda source: hub.accord("send", "--quiet", found["id"], source, timeout=600)

    def say_yes(self, hub):
        """An owner in front of the screen: what proves nothing is never taken without one."""
        while hub.process.poll() is None:
            try:
                offers = hub.api("GET", "/transfers")[1]["transfers"]
                for offer in offers:
                    if offer["direction"] == "in" and offer["state"] == "offered":
                        hub.api("POST", f"/inbox/{offer['id']}/accept", {"always": False})
            except OSError:
                return
            time.sleep(0.02)


def pair_hubs(way, bridge):
    """Pairs the two hubs as devices of this bridge, and of no other."""
    first, second = way.hubs
    found = net.until(lambda: way.seen(first, bridge=bridge, reach="local"), 60, "the other is found")
    back = net.until(lambda: way.seen(second, bridge=bridge, reach="local"), 60, "we are found")
    if bridge == "localsend":
        first.accord("pair", found["id"], "--accept")
        second.accord("pair", back["id"], "--accept")
    else:
        incoming = second.popen("pair", "--incoming", "--accept")
        first.accord("pair", found["id"], "--accept")
        incoming.wait(60)
    for hub in (first, second):
        net.until(lambda: way.seen(hub, trust="paired", reach="local"), 20, "paired and near")
    second.accord("devices", "set", back["id"], "--auto-accept", "true")
    way.send = lambda source: first.accord("send", "--quiet", found["id"], source, timeout=600)


def mixed(kind, ends):
    words = {(THEIRS, THEIRS): "two of theirs", (OURS, THEIRS): "Accord to theirs", (THEIRS, OURS): "theirs to Accord",
             (OURS, OURS): "two Accord hubs"}
    return type(f"{kind.__name__}{ends}", (kind,), {
        "name": words[ends], "ends": ends, "runs_at_most": 3, "fits": classmethod(lambda cls, row: row.family == cls.protocol)})


ENDS = [(THEIRS, THEIRS), (OURS, THEIRS), (THEIRS, OURS), (OURS, OURS)]
WAYS = {kind.protocol: [mixed(kind, ends) for ends in ENDS] for kind in (KdeConnect, LocalSend)}
RIVALS_TO_ALL = [KdeConnect, LocalSend]
