"""What really goes wrong: cut links, new addresses, full disks, strangers, crowds."""

import random
import time
import unittest

from crowd import announce, garbage
from home import MIB, Home, digest, make
from net import sh, until


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

    def test_withdrawal_stops_a_running_transfer_at_once(self):
        """Beyond what the sockets held when the consent ended, nothing of the file leaves."""
        self.befriend()
        self.network.shape("50mbit")
        source = make(self.alpha.folder / "film.bin", 64 * MIB, 3)
        sending = self.alpha.popen("send", "beta", source)
        until(lambda: (self.only(self.alpha, "out") or {}).get("bytes_done", 0) > MIB, 30, "bytes move")
        self.alpha.accord("consent", "withdraw", "files/send", "--to", "beta")
        at_once = self.alpha.machine.bytes_sent()
        sending.communicate(timeout=20)
        self.assertEqual(sending.returncode, 1)
        time.sleep(3)
        after = self.alpha.machine.bytes_sent() - at_once
        self.assertLess(after, 2 * MIB, f"{after} bytes left after the withdrawal")
        transfer = self.only(self.alpha, "out")
        self.assertIn(transfer["state"], ("failed", "cancelled"))
        self.assertFalse(self.received("film.bin").exists())
        self.intact()


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
    names = ("alpha", "beta", "crowd")

    def test_garbage_at_every_open_port_does_not_disturb(self):
        self.befriend()
        ports = self.network["beta"].run("sh", "-c", "cat /proc/net/udp /proc/net/udp6 /proc/net/tcp /proc/net/tcp6").stdout
        open_ports = sorted({int(line.split()[1].rsplit(":", 1)[1], 16) for line in ports.splitlines()
                             if ":" in line.split()[0]})
        self.assertGreaterEqual(len(open_ports), 3, "discovery, the link and pairing have ports")
        self.network["crowd"].inside(garbage, self.network.address["beta"], open_ports)
        self.send_small("note.bin", 9)
        self.intact()

    def test_two_hundred_devices_that_announce_at_once_are_listed_and_do_not_crowd_out_a_paired_one(self):
        self.befriend()
        crowd = self.network["crowd"]
        addresses = [f"10.66.0.{index}" for index in range(20, 220)]
        for address in addresses:
            crowd.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")

        def strangers():
            return [device for device in self.beta.seen_unpaired() if any(at.rsplit(":", 1)[0] in addresses for at in device["addresses"])]

        def listed():
            crowd.inside(announce, addresses, 20)  # a burst loses some, as on any network; those who announce repeat it
            return len(found := strangers()) >= 195 and found

        self.alpha.stop()
        seen = until(listed, 30, lambda: f"200 are listed, not {len(strangers())}")
        self.assertLessEqual(len(seen), 200)
        self.alpha.start()
        self.send_small("note.bin", 9, seconds=15)
        self.assertGreaterEqual(len(strangers()), 150, "the crowd was still there")
        until(lambda: not strangers(), 40, "all vanish after their time to live")
        until(lambda: self.beta.sees(self.alpha, trust="paired"), 1, "the paired device stays")

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


if __name__ == "__main__":
    unittest.main()
