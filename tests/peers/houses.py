"""One house per bridge, with a thing of each kind, and what is asked of every thing in every state: the table of
`docs/guide/home.md`. A house says how its peers are switched on, move, change and refuse; all else is the same for all."""

import collections
import contextlib
import datetime
import json
import time

from jump import Clock
from net import until

KINDS = ("lamp", "plug", "sensor", "climate", "cover", "lock", "vacuum")
# What a bridge calls them.
CALLED = {"lamp": "light"}
STATES = {
    "found": "found",
    "named": "named",
    "read": "read",
    "set": "set and confirmed",
    "changed": "changed from its own side",
    "restarted": "peer restarted",
    "moved": "address changed",
    "refused": "token wrong",
    "gone": "gone for a day",
}
DAY = 86_400
# By kind and state: the peers with which it was tried and held, and those with which it did not.
TRIED, FAILED = collections.defaultdict(set), collections.defaultdict(set)
# What is no number of the table, and why some numbers are smaller than others.
NOT = {("sensor", "set"): "sensor, set: nothing of it is set, and that it refuses is tried"}
WHY = [*NOT.values(), "miIO: there is no lock on Wi-Fi", "Yeelight: there are lamps alone, and no token"]

Setting = collections.namedtuple("Setting", "verb service property shows confirmed")


def write(service, property, data, shows=None):
    shows = data if shows is None else shows
    return Setting({"verb": "write", "property": property, "data": data}, service, property, shows, False)


def act(service, action, property, shows, confirmed=False):
    return Setting({"verb": "act", "action": action, "inputs": {}}, service, property, shows, confirmed)


class Row:
    """One thing. `reads`: what it says at first; `sets`: two settings, of which one is always another than it is; `itself`: what happens to it at its own side
    (whatever its house understands), and what it shows then; `course`: of what there is a history, if that is something else than
    what it says at first; `False` where nothing of it is kept, as of what is neither a number nor yes or no."""

    def __init__(self, kind, name, reads, sets=(), itself=None, course=None):
        self.kind, self.name, self.reads, self.sets, self.itself = kind, name, reads, sets, itself
        self.course = reads[:2] if course is None else course
        self.id = None

    @property
    def owners(self):
        """What the owner calls it."""
        return f"Our {self.kind}"

    def other(self, shown):
        """A setting that makes it something else than it shows."""
        return next(setting for setting in self.sets if setting.shows != shown)


class House:
    """Beside a `unittest.TestCase` that has a hub and peers."""

    PEER = None
    # How long the peers may take to be back, and to be noticed to be away, in seconds.
    BACK, AWAY = 60, 75
    began = 0
    # Whether the hub is restarted while they are gone for a day.
    MEANWHILE = False

    # -- what a house says --------------------------------------------------------------------------

    def rows(self):
        """A thing of each kind that there is."""
        raise NotImplementedError

    def add_all(self):
        """Has all of them added, after they were found."""

    def seen(self, row):
        """The device as it was found."""
        raise NotImplementedError

    def own_side(self, row, what):
        """Something happens to it, and nobody of ours did it."""
        raise NotImplementedError

    def theirs(self, row, setting):
        """Whether the thing itself is as it was set."""
        raise NotImplementedError

    def off(self):
        """All peers are switched off."""
        raise NotImplementedError

    def on(self):
        raise NotImplementedError

    def move(self):
        """All peers get another address, and the owner does what is to be done then, if anything."""
        raise NotImplementedError

    def refuse(self):
        """The peers do not accept what the hub proves itself with any more."""
        raise NotImplementedError

    #: What is said then; nothing where a protocol has no secret.
    SAYS = None

    def heal(self):
        """The owner does what was said."""

    # -- the hub's side -----------------------------------------------------------------------------

    def start_hub(self):
        self.clock = Clock(self.hub.folder)
        self.hub.start(**self.clock.environment)

    def get(self, path):
        status, answer = self.hub.api("GET", path)
        self.assertEqual(status, 200, answer)
        return answer

    def everything(self):
        return self.get("/devices")["devices"]

    def called(self, name):
        return next((one for one in self.everything() if one["name"] == name), None)

    def now_is(self, row):
        return next((one for one in self.everything() if one["id"] == row.id), None)

    def value_of(self, row, service, property):
        """What it says of a property, with its age; a number that has a name as that name."""
        of = next((one for one in (self.now_is(row) or {"services": []})["services"] if one["id"] == service), None)
        value = of and of["values"].get(property)
        if not value:
            return None
        names = dict(next(one for one in of["properties"] if one["id"] == property).get("values", []))
        return {**value, "data": names.get(value["data"], value["data"])}

    def is_so(self, row, service, property, wanted, seconds=15):
        def fits():
            value = self.value_of(row, service, property)
            if value is None or isinstance(wanted, str) or isinstance(wanted, bool):
                return value if value and value["data"] == wanted else None
            return value if abs(value["data"] - wanted) <= 1e-3 * max(1, abs(wanted)) else None
        return until(fits, seconds, lambda: f"{row.kind} shows {service}.{property} {wanted}: {self.value_of(row, service, property)}\n"
                                            f"{self.hub.log()[-1500:]}")

    def is_reached(self, row, reach, seconds):
        # All come and go at the same time: what was waited for one is not waited for again for the next.
        seconds = max(3, seconds - (time.monotonic() - self.began))
        until(lambda: (self.now_is(row) or {}).get("reach") == reach, seconds,
              lambda: f"{row.kind} is {reach}: {self.now_is(row)}\n{self.hub.log()[-2500:]}")

    def command(self, row, setting, confirmed=None):
        body = {"service": setting.service, "instance": 0, "verb": setting.verb,
                "confirmed": setting.confirmed if confirmed is None else confirmed}
        return self.hub.api("POST", f"/devices/{row.id}/call", body)

    def takes(self, row, seconds=15):
        """It is told something else than it is, does that, and says so itself."""
        if not row.sets:
            return
        shown = self.value_of(row, row.sets[0].service, row.sets[0].property)
        setting = row.other(shown and shown["data"])
        until(lambda: self.command(row, setting)[0] == 200, seconds, lambda: f"{row.kind} takes {setting}: {self.command(row, setting)}\n"
                                                                          f"{self.hub.log()[-2500:]}")
        value = self.is_so(row, setting.service, setting.property, setting.shows)
        self.assertIn(value["source"], ("pushed", "polled"), "it is said by the thing, and not believed")
        until(lambda: self.theirs(row, setting), 10, f"the {row.kind} itself is {setting}")

    def whys(self, row):
        return json.dumps(self.hub.api("GET", f"/devices/{row.id}/why")[1])

    # -- the states ---------------------------------------------------------------------------------

    def try_found(self, row):
        seen = until(lambda: self.seen(row), 40, lambda: f"the {row.kind} is found: {[(one['name'], one['kind']) for one in self.everything()]}"
                                                         f"\n{self.hub.log()[-2500:]}")
        self.assertNotEqual(seen["trust"], "own")

    def try_named(self, row):
        self.assertEqual(self.now_is(row)["kind"], CALLED.get(row.kind, row.kind))
        status, answer = self.hub.api("PATCH", f"/devices/{row.id}", {"name": row.owners, "room": "Den"})
        self.assertEqual(status, 200, answer)
        self.is_still_named(row)

    def is_still_named(self, row):
        device = self.now_is(row)
        self.assertEqual((device["name"], device["room"]), (row.owners, "Den"))
        den = next(room for room in self.get("/home/rooms")["rooms"] if room["name"] == "Den")
        self.assertIn(row.id, den["devices"])

    def try_read(self, row):
        value = self.is_so(row, *row.reads)
        self.assertIn(value["source"], ("pushed", "polled", "assumed"))
        self.assertLess(abs(self.age(value["seen"])), self.OLDEST)

    #: Seconds that a value may be old while all is well: some peers say themselves when it was so.
    OLDEST = 300

    def age(self, moment):
        """How old it is by the hub's clock, in seconds."""
        return (self.clock.now() - datetime.datetime.fromisoformat(moment)).total_seconds()

    def try_set(self, row):
        if not row.sets:
            # Whoever wants it all the same is told so, and the thing hears nothing.
            service, property, shown = row.reads
            status, answer = self.command(row, write(service, property, shown))
            self.assertNotEqual(status, 200, answer)
            return
        first = row.sets[0]
        if first.confirmed:
            self.assertEqual(self.command(row, first, confirmed=False)[0], 409, "it is asked about")
        self.takes(row)
        if first.verb["verb"] == "write":
            states = [one["state"] for one in self.now_is(row)["writes"] if one["property"] == first.property]
            self.assertIn("confirmed", states)

    def try_changed(self, row):
        what, service, property, shown = row.itself
        self.assertNotEqual(self.value_of(row, service, property)["data"], shown, "it is something else before")
        self.own_side(row, what)
        value = self.is_so(row, service, property, shown, self.HEARD)
        self.assertIn(value["source"], ("pushed", "polled"))

    #: Seconds after which a change at its own side is known.
    HEARD = 25

    def try_restarted(self, row):
        self.is_reached(row, "local", self.BACK)
        self.is_still_named(row)
        self.takes(row, self.BACK)

    def try_moved(self, row):
        self.is_reached(row, "local", self.BACK)
        self.is_still_named(row)
        self.takes(row, self.BACK)

    def try_refused(self, row):
        self.is_reached(row, "offline", self.AWAY)
        until(lambda: self.SAYS in self.whys(row), 40, lambda: f"it is said why, with `{self.SAYS}`: {self.whys(row)}\n{self.hub.log()[-1500:]}")
        self.is_still_named(row)
        if row.sets:
            self.assertNotEqual(self.command(row, row.sets[0], confirmed=True)[0], 200)

    def healed(self, row):
        self.is_reached(row, "local", self.BACK)
        self.is_still_named(row)
        self.takes(row, self.BACK)

    # -- gone for a day -----------------------------------------------------------------------------

    def leave_for_a_day(self):
        """They go, the hub lives on, and a day later it is as before."""
        self.left = self.clock.now()
        self.goes()
        self.before = {row.kind: self.value_of(row, *(row.course or row.reads[:2])) for row in self.all}
        self.clock.jump(DAY)

    def try_gone(self, row):
        self.is_reached(row, "offline", 10)
        value, before = self.value_of(row, *(row.course or row.reads[:2])), self.before[row.kind]
        # What it said last is there, and as old as it is.
        self.assertEqual((value["data"], value["seen"]), (before["data"], before["seen"]))
        self.assertGreater(self.age(value["seen"]), DAY - 60)
        listed = [line for line in self.says("home", "list").splitlines() if row.owners in line]
        self.assertEqual(len(listed), 1)
        self.assertRegex(listed[0], r"\b(1 d|1d|2[34] h|a day)\b.*\baway\b")
        # Since when it is away.
        away = next(one for one in self.get("/presence")["devices"] if one["device"] == row.id)
        self.assertFalse(away["here"])
        self.assertLess(abs(self.seconds(away["last_seen"], self.left)), self.OLDEST)
        self.assertGreater(self.age(away["last_seen"]), DAY - 60)

    def is_back(self, row):
        """By itself, with a gap of that day in what it said."""
        self.is_reached(row, "local", self.BACK)
        self.is_still_named(row)
        self.takes(row, self.BACK)
        if not row.course:
            self.assertEqual(self.get(f"/home/history/kept?device={row.id}")["kept"], [])
            return
        points = until(lambda: self.points_since(row), 15, lambda: f"what it says is kept again: {self.course_of(row)}")
        # Every stretch that is known ends when it left, or begins when it is back.
        gap = 0
        for point, following in zip(points, points[1:]):
            known_until = point.get("until") or following["time"]
            gap = max(gap, self.seconds(following["time"], known_until))
            self.assertLess(self.seconds(known_until, point["time"]), DAY / 2, f"nothing was known in between: {points}")
        self.assertGreater(gap, DAY - 3600, points)
        hours = self.course_of(row, step=3600)["points"]
        self.assertLessEqual(len(hours), 4, f"no line where nothing was known: {hours}")

    def course_of(self, row, step=0):
        service, property = row.course
        start = (self.left - datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.get(f"/home/history?device={row.id}&service={service}&property={property}&from={start}&step={step}")

    def points_since(self, row):
        points = self.course_of(row)["points"]
        late = [point for point in points if self.age(point["time"]) < DAY / 2]
        return points if late and len(late) < len(points) else None

    def seconds(self, later, earlier):
        of = lambda moment: moment if isinstance(moment, datetime.datetime) else self.clock.now() - datetime.timedelta(seconds=self.age(moment))
        return (of(later) - of(earlier)).total_seconds()

    def says(self, *words):
        return self.hub.accord(*words, env=self.clock.whole).stdout

    def goes(self):
        self.off()
        for row in self.all:
            self.is_reached(row, "offline", self.AWAY)

    # -- all of it ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def cell(self, row, state):
        at = row.kind, state
        with self.subTest(peer=self.PEER, kind=row.kind, state=STATES[state]):
            passed = False
            try:
                yield
                passed = True
            except BaseException as error:
                print(f"{self.PEER}, {row.kind}, {STATES[state]}: {str(error)[:1500]}", flush=True)
                raise
            finally:
                # A state may be tried in several parts.
                (TRIED if passed else FAILED)[at].add(self.PEER)

    def each(self, state, *checks):
        def cells():
            for row in self.all:
                with self.cell(row, state):
                    for check in checks or (getattr(self, f"try_{state}"),):
                        check(row)
        self.timed(STATES[state], cells)

    def timed(self, what, act):
        self.began = time.monotonic()
        act()
        print(f"{self.PEER}, {what}: {time.monotonic() - self.began:.1f} s", flush=True)

    def run_all(self):
        self.all = self.rows()
        self.each("found")
        self.timed("added", self.add_all)
        for state in ("named", "read", "set", "changed"):
            self.each(state)
        self.timed("switched off", self.goes)
        self.timed("and on", self.on)
        self.each("restarted")
        self.timed("moves", self.move)
        self.each("moved")
        self.timed("leaves", self.leave_for_a_day)
        self.each("gone")
        if self.MEANWHILE:
            self.hub.stop()
            self.hub.start(**self.clock.environment)
            self.each("gone")
        self.timed("and is back", self.on)
        self.each("gone", self.is_back)
        if self.SAYS:
            self.refuse()
            self.each("refused")
            if self.heal():
                self.each("refused", self.healed)


def table():
    """The matrix, as it stands in the guide: how many peers each was tried with."""
    lines = ["| | " + " | ".join(STATES.values()) + " |", "|---" * (len(STATES) + 1) + "|"]
    for kind in KINDS:
        cells = []
        for state in STATES:
            at = kind, state
            passed = TRIED[at] - FAILED[at]
            fails = f"fails: {', '.join(sorted(FAILED[at]))}" if FAILED[at] else ""
            count = "–" if at in NOT or not passed else str(len(passed))
            cells.append(" ".join(filter(None, (count, fails))))
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *WHY])
