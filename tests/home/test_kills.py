"""Hubs that are killed at any moment: nothing corrupt, nothing lost, nothing forged, and it goes on where it was."""

import contextlib
import os
import random
import sqlite3
import time
import unittest

from home import MIB, Home, digest, make
from net import until

KILLS = int(os.environ.get("ACCORD_KILLS", "100"))
KILLS_PER_FILE = 4
SIZE = 2 * MIB


def leaves(hub):
    """What the ledger of a hub that does not run has on disk: the hash of every record, in order."""
    with contextlib.closing(sqlite3.connect(f"file:{hub.state / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        return [bytes(row[0]) for row in ledger.execute("SELECT hash FROM record ORDER BY seq")]


def closings(records):
    """By intent: the records that close it. A `sent` that goes on closes nothing."""
    closed = {record["seq"]: [] for record in records if record["kind"] == "intent"}
    for record in records:
        if record["kind"] in ("sent", "error") and not record.get("goes_on"):
            closed[record["refers"]].append(record)
    return closed


class KillTest(Home):
    def kill(self, victim):
        """Kills a hub and starts it again. What was on disk is still there, and whatever was under way is closed."""
        victim.kill()
        before = leaves(victim)
        victim.start()
        records = victim.records()
        self.assertEqual([bytes.fromhex(record["hash"]) for record in records[:len(before)]], before,
                         "records were lost or changed")
        for intent, closed in closings(records).items():
            if intent < len(before):
                self.assertEqual(len(closed), 1, f"{victim.name}: intent {intent} is closed {len(closed)} times")
        victim.accord("ledger", "verify")
        return len(before)

    def test_hubs_killed_at_random_lose_nothing_and_resume(self):
        self.befriend()
        self.network.shape("20mbit")
        dice = random.Random(11)
        rounds = max(1, KILLS // KILLS_PER_FILE)
        killed_in_transfer = 0
        for round_ in range(rounds):
            name = f"film-{round_}.bin"
            source = make(self.alpha.folder / name, SIZE, 100 + round_)
            start = len(self.alpha.records())
            self.alpha.accord("send", "beta", source, "--detach")
            for _ in range(KILLS_PER_FILE):
                time.sleep(dice.uniform(0, 0.35))
                killed_in_transfer += self.only(self.alpha, "out")["state"] != "done"
                self.kill(dice.choice([self.alpha, self.beta]))
            until(lambda: (self.only(self.alpha, "out") or {}).get("state") == "done", 60,
                  f"{name} is done: {self.only(self.alpha, 'out')}")
            self.assertEqual(digest(source), digest(self.received(name)))
            self.adds_up(start, name)
        self.assertGreater(killed_in_transfer, rounds, "the kills came when all was over")
        names = sorted(path.name for path in self.beta.inbox_folder().iterdir() if not path.name.startswith("."))
        self.assertEqual(names, sorted(f"film-{index}.bin" for index in range(rounds)))
        received = [record for record in self.beta.records() if record["kind"] == "received"]
        self.assertEqual([record["bytes"] for record in received], [SIZE] * rounds, "one record for each file")
        self.intact()

    def adds_up(self, start, name):
        """The sender's records since `start` account for every byte of the file, or say that a kill hides how many."""
        records = self.alpha.records()
        sends = [record for intent, closed in closings(records).items() for record in closed
                 if intent >= start and records[intent]["entry"] == "files/send"]
        unknown = [record for record in sends if ((record["details"] or {}).get("message") or "").startswith("interrupted")]
        if not unknown:
            self.assertGreaterEqual(sum(record.get("bytes", 0) for record in sends), SIZE, f"{name}: {sends}")

    def test_resume_goes_on_where_it_was(self):
        self.befriend()
        self.network.shape("100mbit")
        source = make(self.alpha.folder / "film.bin", 40 * MIB, 5)
        self.alpha.accord("send", "beta", source, "--detach")
        until(lambda: (self.only(self.beta, "in") or {}).get("bytes_done", 0) > 16 * MIB, 30, "16 MiB are there")
        self.beta.kill()
        before = self.alpha.machine.bytes_sent()
        self.beta.start()
        self.finished()
        sent = self.alpha.machine.bytes_sent() - before
        self.assertEqual(digest(source), digest(self.received("film.bin")))
        self.assertGreater(sent, 4 * MIB, "the rest was sent")
        self.assertLess(sent, 32 * MIB, "the whole file was sent again")


if __name__ == "__main__":
    unittest.main()
