"""Clocks that jump while the hub runs. Only the time of day jumps, as when a person or NTP sets it."""

import time
import unittest

from home import MIB, Home, digest, make
from jump import FAKETIME, Clock
from net import until

DAY, HOUR = 86_400, 3600


class ClockTest(Home):
    def setUp(self):
        super().setUp()
        self.clock = Clock(self.alpha.folder)
        self.jump = self.clock.jump
        self.befriend(**self.clock.environment)

    def now(self):
        """Alpha's own idea of the time: that of its newest record."""
        return self.alpha.ledger()[0]["time"]

    def test_a_clock_that_jumps_by_days_while_the_hub_runs_breaks_nothing(self):
        self.send_small("one.bin", 12)
        for name, seconds in (("back", -DAY), ("forward", 3 * DAY), ("home", 0)):
            before = self.now()
            self.jump(seconds)
            self.send_small(f"{name}.bin", seconds)
            self.assertNotEqual(before[:10], self.now()[:10], "the clock did not jump")
        self.intact()

    def test_a_clock_that_jumps_back_between_two_runs_breaks_nothing(self):
        self.alpha.stop()
        self.alpha.start(LD_PRELOAD=FAKETIME, FAKETIME="-1d")
        self.send_small("two.bin", 13)
        self.intact()

    def test_a_consent_until_a_date_ends_when_the_clock_jumps_over_it_and_does_not_come_back(self):
        self.network.shape("50mbit")
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + HOUR))
        self.alpha.grant("files/send", "beta", "--until", end)
        source = make(self.alpha.folder / "film.bin", 64 * MIB, 3)
        sending = self.alpha.popen("send", "beta", source)
        until(lambda: (self.only(self.alpha, "out") or {}).get("bytes_done", 0) > MIB, 30, "bytes move")
        self.jump(2 * HOUR)
        sending.communicate(timeout=30)
        self.assertEqual(sending.returncode, 1, "the transfer went on past the end of its consent")
        self.assertFalse(self.received("film.bin").exists())
        self.jump(0)
        time.sleep(1)
        small = make(self.alpha.folder / "small.bin", 10, 4)
        self.assertEqual(self.alpha.accord("send", "beta", small, check=False).returncode, 1)
        self.assertFalse(self.received("small.bin").exists())
        states = {consent["state"] for consent in self.alpha.json("consent", "list")["consents"]
                  if consent["entry"] == "files/send"}
        self.assertEqual(states, {"expired"})
        self.intact()


if __name__ == "__main__":
    unittest.main()
