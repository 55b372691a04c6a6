"""Two paired hubs with something to send: what the tests of failures have in common."""

import hashlib
import pathlib
import random
import unittest

from hub import Hub, pair
from net import Network, until

MIB = 1 << 20


def make(path, size, seed):
    """A file that no two seeds share."""
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Home(unittest.TestCase):
    """Two paired hubs that may share files, the second accepting what the first sends."""

    names = ("alpha", "beta")

    def setUp(self):
        self.network = self.wires()
        self.hubs = {name: Hub(self.network[name], name) for name in ("alpha", "beta")}
        self.alpha, self.beta = self.hubs["alpha"], self.hubs["beta"]

    def wires(self):
        return Network(*self.names)

    def tearDown(self):
        for hub in self.hubs.values():
            hub.close()
        self.network.close()

    def befriend(self, **environment):
        """`environment` is for alpha alone."""
        self.alpha.start(**environment)
        self.beta.start()
        for hub in (self.alpha, self.beta):
            hub.grant("link/discovery")
        pair(self.alpha, self.beta)
        self.alpha.grant("files/send", self.beta.name)
        self.beta.grant("files/receive", self.alpha.name)
        self.beta.accord("devices", "set", self.beta.sees(self.alpha)["id"], "--auto-accept", "true")

    def only(self, hub, direction):
        chosen = [transfer for transfer in hub.transfers() if transfer["direction"] == direction]
        return chosen[0] if chosen else None

    def finished(self, seconds=90):
        def look():
            transfer = self.only(self.alpha, "out")
            if transfer and transfer["state"] in ("failed", "refused", "cancelled"):
                raise AssertionError(f"transfer ended: {transfer}")
            return transfer and transfer["state"] == "done" and transfer
        return until(look, seconds, f"the transfer is done: {self.only(self.alpha, 'out')}")

    def received(self, name):
        return self.beta.inbox_folder() / name

    def send_small(self, name, seed=2, seconds=90):
        source = make(self.alpha.folder / name, 1000, seed)
        self.alpha.accord("send", "beta", source, timeout=seconds)
        self.assertEqual(digest(source), digest(self.received(name)))

    def intact(self):
        for hub in (self.alpha, self.beta):
            hub.accord("ledger", "verify")
