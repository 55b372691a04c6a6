"""A clock that jumps for one program: libfaketime, told by a file. Only the time of day jumps, as when a person or NTP sets it."""

import datetime
import glob
import os
import pathlib

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


class Clock:
    def __init__(self, folder):
        assert FAKETIME, "install faketime (scripts/need net does)"
        self.file, self.seconds = pathlib.Path(folder, "clock"), 0
        self.jump(0)

    def jump(self, seconds):
        """Sets it this far from the true time, at once and whole."""
        self.seconds = seconds
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}s\n")
        fresh.rename(self.file)

    @property
    def environment(self):
        """What a program has to be started with to go by it."""
        return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    @property
    def whole(self):
        """The same for a program that is given all of its environment."""
        return {**os.environ, **self.environment}

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.seconds)
