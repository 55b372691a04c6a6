"""What really goes wrong: cut links, killed hubs, full disks, clocks, strangers, crowds."""

import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import time
import unittest

from hub import Hub, pair
from net import Network, sh, until

# The long run (a hundred kills) is for before a release: ACCORD_KILLS=100 tests/home/run test_failures
KILLS = int(os.environ.get("ACCORD_KILLS", "8"))
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
        self.network = Network(*self.names)
        self.hubs = {name: Hub(self.network[name], name) for name in self.names}
        self.alpha, self.beta = self.hubs["alpha"], self.hubs["beta"]

    def tearDown(self):
        for hub in self.hubs.values():
            hub.close()
        self.network.close()

    def befriend(self):
        for hub in (self.alpha, self.beta):
            hub.start()
            hub.grant("link/discovery")
        pair(self.alpha, self.beta)
        self.alpha.grant("files/send", "beta")
        self.beta.grant("files/receive", "alpha")
        self.beta.accord("devices", "set", self.beta.sees(self.alpha)["id"], "--auto-accept", "true")

    def only(self, hub, direction):
        chosen = [transfer for transfer in hub.transfers() if transfer["direction"] == direction]
        return chosen[0] if chosen else None

    def finished(self, hub=None, seconds=90):
        def look():
            transfer = self.only(hub or self.alpha, "out" if hub in (None, self.alpha) else "in")
            if transfer and transfer["state"] in ("failed", "refused", "cancelled"):
                raise AssertionError(f"transfer ended: {transfer}")
            return transfer and transfer["state"] == "done" and transfer
        return until(look, seconds, "the transfer is done")

    def received(self, name):
        return self.beta.inbox_folder() / name

    def intact(self, *hubs):
        for hub in hubs or (self.alpha, self.beta):
            hub.accord("ledger", "verify")


class LinkTest(Home):
    def test_a_transfer_survives_a_link_that_is_cut_again_and_again(self):
        self.befriend()
        self.network.shape("200mbit")
        source = make(self.alpha.folder / "film.bin", 96 * MIB, 1)
        self.alpha.accord("send", "beta", source, "--detach")
        dice = random.Random(7)
        for _ in range(3):
            time.sleep(dice.uniform(0.3, 1.2))
            self.network["alpha"].link("eth0", "down")
            time.sleep(dice.uniform(0.5, 3))
            self.network["alpha"].link("eth0", "up")
        self.finished(seconds=120)
        self.assertEqual(digest(source), digest(self.received("film.bin")))
        self.intact()

    def test_paired_devices_meet_again_at_a_new_address(self):
        self.befriend()
        self.network["beta"].run("ip", "addr", "flush", "dev", "eth0")
        self.network["beta"].run("ip", "addr", "add", "10.66.0.77/24", "dev", "eth0")
        source = make(self.alpha.folder / "note.txt", 1000, 2)
        self.alpha.accord("send", "beta", source, timeout=90)
        self.assertEqual(digest(source), digest(self.received("note.txt")))

    def test_withdrawal_stops_a_running_transfer_at_once(self):
        self.befriend()
        self.network.shape("50mbit")
        source = make(self.alpha.folder / "film.bin", 64 * MIB, 3)
        sending = self.alpha.popen("send", "beta", source)
        until(lambda: (self.only(self.alpha, "out") or {}).get("bytes_done", 0) > MIB, 30, "bytes move")
        self.alpha.accord("consent", "withdraw", "files/send", "--to", "beta")
        sending.communicate(timeout=20)
        self.assertEqual(sending.returncode, 1)
        transfer = self.only(self.alpha, "out")
        self.assertIn(transfer["state"], ("failed", "cancelled"))
        self.assertFalse(self.received("film.bin").exists())
        self.intact()


class KillTest(Home):
    def test_hubs_killed_at_random_lose_nothing_and_resume(self):
        self.befriend()
        self.network.shape("400mbit")
        dice = random.Random(11)
        for round_ in range(max(1, KILLS // 4)):
            name = f"film-{round_}.bin"
            source = make(self.alpha.folder / name, 48 * MIB, 100 + round_)
            self.alpha.accord("send", "beta", source, "--detach")
            for _ in range(4):
                time.sleep(dice.uniform(0.05, 0.6))
                victim = dice.choice([self.alpha, self.beta])
                victim.kill()
                victim.start()
            until(lambda: all(transfer["state"] == "done" for transfer in self.alpha.transfers()), 120,
                  f"{name} is done: {self.alpha.transfers()[:1]}")
            self.assertEqual(digest(source), digest(self.received(name)))
        self.assertEqual(sorted(path.name for path in self.beta.inbox_folder().iterdir() if not path.name.startswith(".")),
                         sorted(f"film-{index}.bin" for index in range(max(1, KILLS // 4))))
        self.intact()

    def test_resume_goes_on_where_it_was(self):
        self.befriend()
        self.network.shape("100mbit")
        source = make(self.alpha.folder / "film.bin", 40 * MIB, 5)
        self.alpha.accord("send", "beta", source, "--detach")
        until(lambda: (self.only(self.beta, "in") or {}).get("bytes_done", 0) > 16 * MIB, 30, "16 MiB are there")
        self.beta.kill()
        before = int(self.network["alpha"].run("cat", "/sys/class/net/eth0/statistics/tx_bytes").stdout)
        self.beta.start()
        self.finished()
        sent = int(self.network["alpha"].run("cat", "/sys/class/net/eth0/statistics/tx_bytes").stdout) - before
        self.assertEqual(digest(source), digest(self.received("film.bin")))
        self.assertLess(sent, 36 * MIB, "the whole file was sent again")


class DiskTest(Home):
    def test_a_full_disk_is_said_clearly_and_the_rest_goes_on(self):
        small = self.beta.folder / "small"
        small.mkdir()
        sh("mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", small)
        self.addCleanup(sh, "umount", "-l", small, check=False)
        self.befriend()
        self.beta.accord("settings", "set", "inbox", small)
        source = make(self.alpha.folder / "film.bin", 128 * MIB, 6)
        done = self.alpha.accord("send", "beta", source, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.lower(), "space|full|room")
        self.alpha.accord("send", "beta", make(self.alpha.folder / "small.bin", 1000, 8))
        self.assertTrue((small / "small.bin").exists())
        self.assertFalse((small / "film.bin").exists())


class StrangerTest(Home):
    def test_garbage_and_crowds_do_not_disturb(self):
        """Random bytes at every open port, and two hundred strangers announcing at once."""
        self.befriend()
        crowd = pathlib.Path(__file__).with_name("crowd.py")
        ports = self.network["beta"].run("sh", "-c", "cat /proc/net/udp /proc/net/udp6 /proc/net/tcp /proc/net/tcp6").stdout
        open_ports = sorted({int(line.split()[1].rsplit(":", 1)[1], 16) for line in ports.splitlines()
                             if ":" in line.split()[0]})
        self.network["alpha"].run("python3", crowd, self.network.address["beta"], *open_ports, timeout=60)
        source = make(self.alpha.folder / "note.txt", 100_000, 9)
        self.alpha.accord("send", "beta", source, timeout=60)
        self.assertEqual(digest(source), digest(self.received("note.txt")))
        self.assertLess(len(self.beta.devices()), 5000)
        self.intact()

    def test_two_that_pair_with_each_other_at_once_end_up_paired(self):
        for hub in (self.alpha, self.beta):
            hub.start()
            hub.grant("link/discovery")
            hub.grant("link/pairing")
        seen = [until(hub.open_for_pairing, 20, f"{hub.name} sees the other") for hub in (self.alpha, self.beta)]
        both = [hub.popen("pair", device["id"], "--accept") for hub, device in zip((self.alpha, self.beta), seen)]
        for process in both:
            process.communicate(timeout=90)
        for hub, other in ((self.alpha, self.beta), (self.beta, self.alpha)):
            until(lambda: hub.sees(other, trust="paired"), 30, f"{hub.name} is paired")


class ClockTest(Home):
    @unittest.skipUnless(pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1").exists(), "needs faketime")
    def test_a_clock_that_jumps_back_a_day_breaks_nothing(self):
        self.befriend()
        self.alpha.accord("send", "beta", make(self.alpha.folder / "one.txt", 10, 12))
        self.alpha.stop()
        os.environ["LD_PRELOAD"], os.environ["FAKETIME"] = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "-1d"
        try:
            self.alpha.start()
        finally:
            del os.environ["LD_PRELOAD"], os.environ["FAKETIME"]
        self.alpha.accord("send", "beta", make(self.alpha.folder / "two.txt", 10, 13), timeout=60)
        self.assertTrue(self.received("two.txt").exists())
        self.intact()


if __name__ == "__main__":
    unittest.main()
