// The UI's small pure parts. Loaded through Vite, which knows TypeScript.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createServer } from "vite";

let vite;
let format;
let unlike;
let safeLink;
let tokenIn;
let casts;
let add;
let wording;
let contentOf;
before(async () => {
  globalThis.location ??= { hash: "" };
  vite = await createServer({ server: { middlewareMode: true, hmr: false, ws: false }, appType: "custom", logLevel: "error" });
  format = await vite.ssrLoadModule("/src/format.ts");
  ({ unlike } = await vite.ssrLoadModule("/src/actions.ts"));
  ({ safeLink } = await vite.ssrLoadModule("/src/parts/notice.tsx"));
  add = await vite.ssrLoadModule("/src/parts/add.tsx");
  ({ contentOf } = await vite.ssrLoadModule("/src/parts/add-form.tsx"));
  wording = await vite.ssrLoadModule("/src/parts/wording.ts");
  casts = await vite.ssrLoadModule("/src/parts/cast.tsx");
  ({ tokenIn } = await vite.ssrLoadModule("/src/pages/signin.tsx"));
});
after(() => vite?.close());

test("a file is given as its text, and one that is none as its bytes", async () => {
  assert.equal(await contentOf(new Blob(["[1] \u00e4"])), "[1] \u00e4");
  for (const bytes of [[...Buffer.from("SQLite format 3"), 0], [0xff, 0xfe], Array.from({ length: 30000 }, (_, at) => at % 256)]) {
    const [kind, data] = (await contentOf(new Blob([new Uint8Array(bytes)]))).split(",");
    assert.equal(kind, "data:application/octet-stream;base64");
    assert.deepEqual([...Buffer.from(data, "base64")], bytes);
  }
});

test("sizes and times read as people say them", () => {
  assert.equal(format.bytes(0), "0 B");
  assert.equal(format.bytes(1023), "1023 B");
  assert.equal(format.bytes(1024), "1.00 KiB");
  assert.equal(format.bytes(6.2e9), "5.77 GiB");
  assert.equal(format.duration(61), "1 min 1 s");
  assert.equal(format.duration(7260), "2 h 1 min");
  assert.equal(format.roughly(179), "3 min");
  assert.equal(format.roughly(42), "42 s");
  assert.equal(format.clock(3725), "1:02:05");
  assert.equal(format.span("PT2H"), "2 hours");
  assert.equal(format.span("P1M"), "1 month");
  assert.equal(format.span("PT1M"), "1 minute");
  assert.equal(format.span("until-deleted"), "until it is deleted");
  assert.equal(format.span("as long as it takes"), "as long as it takes");
  assert.equal(format.sentence("sent by multicast"), "Sent by multicast.");
});

test("characters that hide or reorder are made visible, letters of any script stay", () => {
  assert.equal(format.visible("holiday\u202egpj.exe"), "holiday\ufffdgpj.exe");
  assert.equal(format.visible("a\u0000b\u200bc"), "a\ufffdb\ufffdc");
  assert.equal(format.visible("تذكرة הטלפון 日本 👩‍👩‍👧"), "تذكرة הטלפון 日本 👩‍👩‍👧");
});

test("files that share a path are kept apart", () => {
  const file = {};
  const paths = unlike(["a.txt", "/a.txt", "a.txt", "d.x/noending", "d.x/noending", ".hidden", ".hidden"].map((path) => ({ path, file })));
  assert.deepEqual(paths.map((one) => one.path), ["a.txt", "a (2).txt", "a (3).txt", "d.x/noending", "d.x/noending (2)", ".hidden", ".hidden (2)"]);
});

test("only web addresses become links", () => {
  assert.equal(safeLink("https://example.org/a"), "https://example.org/a");
  for (const bad of ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", " javascript:alert(1)", "nothing"]) {
    assert.equal(safeLink(bad), undefined, bad);
  }
});

test("a pasted link and a bare token sign in alike", () => {
  assert.equal(tokenIn(" abc-DEF_123 "), "abc-DEF_123");
  assert.equal(tokenIn("http://127.0.0.1:8420/#setup=abc-DEF_123"), "abc-DEF_123");
});

test("services of one kind share a card only where that is meant, files first, unknown ones last", async () => {
  const { grouped } = await vite.ssrLoadModule("/src/services/model.ts");
  const service = (id, instance = 0) => ({ id, instance, properties: [], actions: [], events: [] });
  const groups = grouped([service("aquarium"), service("light", 1), service("light"), service("media", 1), service("files"), service("media")]);
  assert.deepEqual(groups.map((group) => group.map((one) => `${one.id}${one.instance}`)), [["files0"], ["media1", "media0"], ["light1"], ["light0"], ["aquarium0"]]);
});

test("an old battery level is no news on a small card", async () => {
  const { glance } = await vite.ssrLoadModule("/src/services/model.ts");
  const value = (data) => ({ data, seen: "2026-01-01T00:00:00Z", source: "pushed", fresh_for_s: 60 });
  const battery = { id: "battery", instance: 0, properties: [], actions: [], events: [], values: { percent: value(82), charging: value(true) } };
  const seen = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(glance(battery, seen + 1000), "82 %, charging");
  assert.equal(glance(battery, seen + 61_000), "Battery");
  const warm = { id: "temperature", instance: 0, properties: [{ id: "temperature", format: "float", unit: "celsius" }], actions: [], events: [], values: { temperature: value(20.94) } };
  assert.equal(glance(warm, seen + 1000), "20.9 °C");
  assert.equal(glance(warm, seen + 61_000), "Temperature");
});

test("what was decided for a device counts before what was decided for all, as at the gate", async () => {
  const { decided } = await vite.ssrLoadModule("/src/parts/decide.tsx");
  const device = { id: "phone" };
  const consent = (to, state, day) => ({ to, state, decided: `2026-01-0${day}T00:00:00Z` });
  const of = (...consents) => decided({ entries: [{ key: "a/b", consents }] }, "a/b", device)?.state;
  assert.equal(of(), undefined);
  assert.equal(of(consent("any", "given", 2), consent("device:phone", "refused", 1)), "refused");
  assert.equal(of(consent("device:phone", "given", 1), consent("device:phone", "withdrawn", 2)), "withdrawn");
  assert.equal(of(consent("any", "given", 1), consent("device:phone", "withdrawn", 2)), "withdrawn");
  assert.equal(of(consent("any", "given", 1)), "given");
  assert.equal(of(consent("device:other", "given", 1)), undefined);
});

test("a one-time code is grouped as people read it out", async () => {
  const { spaced } = await vite.ssrLoadModule("/src/parts/notification.tsx");
  assert.deepEqual(["482913", "12345678", "1234", "AB12CD"].map(spaced), ["482 913", "1234 5678", "1234", "AB12CD"]);
});

test("a cast is told by evidence, and its place is counted on only while it moves", () => {
  const cast = { step: "moving", seen: true, over: null, held: false, trouble: null, tries: [], position: 100, position_seen: "2026-01-01T00:00:00Z", length: 104 };
  const at = (seconds) => Date.parse(cast.position_seen) + seconds * 1000;
  assert.equal(casts.castLine(cast), "Plays");
  assert.equal(casts.castLine({ ...cast, step: "commanded" }), "Told; nothing was fetched yet");
  assert.equal(casts.castLine({ ...cast, step: "fetched", seen: false }), "Fetches it; nothing moves yet");
  assert.equal(casts.castLine({ ...cast, trouble: "it says that it plays, and stands still" }), "It says that it plays, and stands still");
  assert.equal(casts.castLine({ ...cast, step: "over", over: "the device is away" }), "Over: the device is away");
  assert.equal(casts.castPlace(cast, at(2)), 102);
  assert.equal(casts.castPlace(cast, at(60)), 104, "not beyond the end");
  assert.equal(casts.castPlace({ ...cast, length: null }, at(600)), 115, "not for ever on an old word");
  assert.equal(casts.castPlace({ ...cast, held: true }, at(9)), 100);
  assert.equal(casts.castPlace({ ...cast, position: null }, at(9)), null);
  const tries = [{ how: "as it is", failed: "its position never moved" }, { how: "packed anew", failed: null }];
  assert.equal(casts.castWay({ ...cast, tries }), "Tried as it is: its position never moved. Now packed anew.");
});

const value = (data, more = {}) => ({ data, seen: new Date().toISOString(), source: "pushed", fresh_for_s: 600, ...more });
const service = (id, values = {}, more = {}) => ({ id, instance: 0, properties: Object.keys(values).map((name) => ({ id: name, format: typeof values[name].data === "boolean" ? "bool" : "int", read: true, write: true, notify: true, role: "primary" })), actions: [], events: [], values, ...more });
const thing = (id, kind, services, more = {}) => ({ id, name: id, kind, trust: "paired", reach: "local", room: null, favourite: false, writes: [], faces: [], services, ...more });

test("a device becomes tiles by what can be controlled, and what it measures stands beside", async () => {
  const { tilesOf, ofTheHouse } = await vite.ssrLoadModule("/src/services/house.ts");
  const plug = thing("plug", "plug", [service("electricity", { power: value(12) }), service("on-off", { on: value(true) }), service("information")]);
  assert.deepEqual(tilesOf(plug).map((tile) => [tile.service.id, tile.beside.map((one) => one.id)]), [["on-off", ["electricity"]]]);
  assert.equal(tilesOf(plug), tilesOf(plug), "the same tiles as long as the device is the same");
  const gangs = thing("gangs", "switch", [0, 1, 2, 3, 4, 5].map((instance) => service("on-off", { on: value(true) }, { instance, label: `Gang ${instance}` })));
  assert.deepEqual(tilesOf(gangs).map((tile) => tile.part), ["Gang 0", "Gang 1", "Gang 2", "Gang 3"]);
  assert.equal(tilesOf(gangs)[0].more, 2);
  const sensor = thing("sensor", "sensor", [service("battery", { percent: value(80) }), service("humidity", { humidity: value(40) }), service("temperature", { temperature: value(20) })]);
  assert.deepEqual(tilesOf(sensor).map((tile) => [tile.service.id, tile.beside.length]), [["temperature", 2]]);
  assert.equal(tilesOf(thing("camera", "camera", [])).length, 1, "what no card fits is here all the same");
  assert.ok(!ofTheHouse(thing("phone", "phone", [service("battery", { percent: value(3) })])));
  assert.ok(ofTheHouse(thing("odd", "other", [service("light", { on: value(true) })])));
});

test("a picture is a camera's first tile, beside what another thing is controlled by, and the tile of what has nothing else", async () => {
  const { tilesOf, ofTheHouse, categoryOf, stateLine, isLit } = await vite.ssrLoadModule("/src/services/house.ts");
  const picture = (values = {}, more = {}) => service("picture", values, more);
  const tiles = (kind, ...services) => tilesOf(thing("gate", kind, services)).map((tile) => [tile.service.id, tile.beside.map((one) => one.id)]);
  assert.deepEqual(tiles("camera", service("on-off", { on: value(true) }), picture(), service("battery", { percent: value(9) })), [["picture", ["battery"]], ["on-off", []]]);
  assert.deepEqual(tiles("vacuum", service("vacuum"), picture()), [["vacuum", ["picture"]]]);
  assert.deepEqual(tiles("other", picture(), picture({}, { instance: 1 })), [["picture", []], ["picture", []]]);
  const [recording] = tilesOf(thing("gate", "camera", [picture({ recording: value(true), streaming: value(false) })]));
  assert.deepEqual([stateLine(recording), isLit(recording), categoryOf(recording)], ["Recording", true, "doors"]);
  const alone = thing("last visitor", "other", [picture()]);
  assert.ok(ofTheHouse(alone));
  assert.equal(stateLine(tilesOf(alone)[0]), "Has a picture");
});

test("a player is one tile with its switch, however many there are, and another switch is a tile", async () => {
  const { tilesOf, stateLine, isLit } = await vite.ssrLoadModule("/src/services/house.ts");
  const player = (on, playing) => thing("tv", "tv", [service("on-off", { on: value(on) }), service("media", { playing: value(playing) })]);
  const [tile, ...others] = tilesOf(player(true, true));
  assert.deepEqual([tile.service.id, tile.power.id, tile.part, tile.beside.map((one) => one.id), others.length], ["media", "on-off", null, ["on-off"], 0]);
  assert.deepEqual([stateLine(tile), isLit(tile), stateLine(tilesOf(player(false, true))[0]), isLit(tilesOf(player(false, true))[0])], ["Playing", true, "Off", false]);
  const strip = thing("strip", "plug", [service("on-off", { on: value(true) }), service("on-off", { on: value(true) }, { instance: 1 }), service("media", { playing: value(false) })]);
  assert.equal(tilesOf(strip).length, 3);
});

test("what no standard service names has a tile, is found, and says what it is", async () => {
  const { tilesOf, ofTheHouse, fits, categoryOf, stateLine, readingsOf, barOf } = await vite.ssrLoadModule("/src/services/house.ts");
  const { weatherOf } = await vite.ssrLoadModule("/src/services/more.ts");
  const property = (id, format, more = {}) => ({ id, format, read: true, write: false, notify: true, role: "primary", ...more });
  const made = (kind, properties, values) => thing("Helper", kind, [{ id: "more", instance: 0, properties, actions: [], events: [], values }, service("pairing")], { bridge: "homeassistant" });
  const sky = made("sensor", [property("condition", "text"), property("temperature", "float", { unit: "celsius" }), property("wind-speed-mph", "float")], { condition: value("partlycloudy"), temperature: value(21.6) });
  const [weather] = tilesOf(sky);
  assert.deepEqual([weather.service.id, categoryOf(weather), stateLine(weather), readingsOf(weather.service)[0].text, weatherOf(weather.service).rest.map(({ id }) => id)], ["more", "climate", "Partly cloudy", "21.6", ["wind-speed-mph"]]);
  const number = made("other", [property("value", "float", { unit: "celsius", write: true, range: { min: 5, max: 25, step: 0.5 } })], { value: value(16.5) });
  assert.ok(ofTheHouse(number));
  assert.deepEqual([stateLine(tilesOf(number)[0]), barOf(number.services[0]).of.id], ["16.5 °C", "value"]);
  const volume = made("other", [property("volume-of-beeps", "int")], { "volume-of-beeps": value(3) });
  assert.ok(fits(tilesOf(volume)[0], ["volume"]));
  assert.ok(!ofTheHouse(made("other", [property("update-available", "bool", { role: "diagnostic" })], {})), "what only has details");
  assert.ok(!ofTheHouse(made("hub", [property("entities", "int")], {})), "a server");
  assert.ok(ofTheHouse(thing("added", "other", [service("pairing")], { bridge: "matter" })), "added, and not answering yet");
  assert.ok(!ofTheHouse(thing("desk", "other", [], { bridge: "link" })));
});

test("heating goes by half degrees where it knows tenths, and by its own steps where it knows none", async () => {
  const { pressed } = await vite.ssrLoadModule("/src/services/house.ts");
  const press = (now, by, step, min = 7, max = 30) => pressed(now, by, { min, max, step });
  assert.deepEqual([press(21.3, 1, 0.1), press(21.3, -1, 0.1), press(21.5, 1, 0.1), press(21.5, -1, 0.5), press(20, 1, 1), press(20, 1, 0.25), press(30, 1, 0.1), press(7.2, -1, 0.1)], [21.5, 21, 22, 21, 21, 20.5, 30, 7]);
  assert.equal(press(20, 1, 5 / 9), 20.56, "a whole degree of Fahrenheit");
});

test("the owner's order comes before names, and what is chosen moves together", async () => {
  const { layOut } = await vite.ssrLoadModule("/src/services/house.ts");
  const { stepped, placed, putBefore } = await vite.ssrLoadModule("/src/services/order.ts");
  const lamp = (id, room) => thing(id, "light", [service("light", { on: value(true) })], { room });
  const all = [lamp("a", "Hall"), lamp("b", "Hall"), lamp("c", "Hall"), lamp("d", "Attic"), lamp("e", null)];
  const order = { rooms: ["hall"], devices: ["c"] };
  const named = (layout) => layout.rooms.map(({ name, tiles }) => [name, tiles.map(({ device }) => device.id).join("")]);
  const first = layOut(all, null, order);
  assert.deepEqual(named(first), [["Hall", "cab"], ["Attic", "d"], [null, "e"]]);
  assert.deepEqual(named(layOut(all, first, { rooms: [], devices: [] })), [["Attic", "d"], ["Hall", "abc"], [null, "e"]], "another order lays it out anew");
  const chosen = (...ids) => (one) => ids.includes(one);
  assert.equal(stepped([..."abcde"], chosen("c", "d"), -1).join(""), "acdbe");
  assert.equal(stepped([..."abcde"], chosen("a", "b"), -1).join(""), "abcde", "nothing passes the end");
  assert.equal(stepped([..."abcde"], chosen("b", "d"), 1).join(""), "acbed");
  assert.deepEqual(placed(["x", "b", "a"], ["a", "b"]), ["x", "a", "b"]);
  assert.equal(putBefore([..."abcd"], ["d", "x"], "b").join(""), "adxbc");
  assert.equal(putBefore([..."abcd"], ["a"], null).join(""), "bcda");
});

test("a lamp that comes on as it was is told nothing more", async () => {
  const { isOtherwise } = await vite.ssrLoadModule("/src/services/lights.ts");
  const lamp = (level) => service("light", { on: value(true), level: value(level) }, { properties: [{ id: "level", format: "int", write: true, range: { min: 0, max: 100, step: 1 } }] });
  assert.deepEqual([isOtherwise(40, lamp(40)), isOtherwise(40, lamp(100)), isOtherwise(undefined, lamp(100)), isOtherwise(40, service("on-off", { on: value(true) }))], [false, true, false, false]);
});

test("rooms are in the order of their names, those without one last, and a word of one device renews one tile", async () => {
  const { layOut } = await vite.ssrLoadModule("/src/services/house.ts");
  const lamp = (id, room, on) => thing(id, "light", [service("light", { on: value(on) })], { room });
  const before = layOut([lamp("a", "Room 10", true), lamp("b", "Room 2", true), lamp("c", null, true), lamp("d", "Room 2", true), { ...lamp("x", "Room 2", true), trust: "seen" }], null);
  assert.deepEqual(before.rooms.map(({ name, tiles }) => [name, tiles.map((tile) => tile.device.id)]), [["Room 2", ["b", "d"]], ["Room 10", ["a"]], [null, ["c"]]]);
  const devices = before.all.map(({ device }) => device);
  const after = layOut(devices.map((one) => (one.id === "d" ? lamp("d", "Room 2", false) : one)), before);
  assert.equal(after.rooms[1], before.rooms[1]);
  assert.notEqual(after.rooms[0], before.rooms[0]);
  assert.equal(after.rooms[0].tiles[0], before.rooms[0].tiles[0]);
  assert.equal(after.rooms[0].tiles[1].service.values.on.data, false);
  const moved = layOut(devices.map((one) => (one.id === "d" ? lamp("d", "Attic", true) : one)), after);
  assert.deepEqual(moved.rooms.map(({ name }) => name), ["Attic", "Room 2", "Room 10", null]);
});

test("a room's temperature is the mean of fresh words alone, and only lamps that are reached count as on", async () => {
  const { layOut } = await vite.ssrLoadModule("/src/services/house.ts");
  const { summaryOf, spanOf } = await vite.ssrLoadModule("/src/services/summary.ts");
  const old = { seen: "2026-01-01T00:00:00Z" };
  const { all } = layOut([
    thing("s1", "sensor", [service("temperature", { temperature: value(20) })]), thing("s2", "sensor", [service("temperature", { temperature: value(22) })]),
    thing("s3", "sensor", [service("temperature", { temperature: value(99, old) })]), thing("s4", "sensor", [service("temperature", { temperature: value(50) })], { reach: "offline" }),
    thing("l1", "light", [service("light", { on: value(true) })]), thing("l2", "light", [service("light", { on: value(false) })]), thing("l3", "light", [service("light", { on: value(true) })], { reach: "offline" }),
  ], null);
  const of = summaryOf(all, Date.now());
  assert.deepEqual([of.temperature.mean, of.temperature.old, spanOf("temperature", of.temperature)], [21, false, "21.0"]);
  assert.deepEqual(of.on.map(({ device }) => device.id), ["l1"]);
  assert.equal(of.lights, 3);
});

test("a fridge is no room, a garden is not indoors, and a mean of what is far apart is not said", async () => {
  const { layOut } = await vite.ssrLoadModule("/src/services/house.ts");
  const { summaryOf, spanOf } = await vite.ssrLoadModule("/src/services/summary.ts");
  const warm = (id, room, degrees, more = {}, kind = "sensor") => thing(id, kind, [service("temperature", { temperature: value(degrees, more) })], { room });
  const of = (all, house) => {
    const { temperature } = summaryOf(layOut(all, null).all, Date.now(), house);
    return temperature && `${temperature.old ? "was " : ""}${spanOf("temperature", temperature)}`;
  };
  const house = [warm("Air", "Living room", 22.4), warm("Fridge", "Kitchen", 5), warm("Küche Wassertank", "Kitchen", 60), warm("Thermometer", "Garden", 15.6), warm("Außenfühler", null, 15.2), warm("Cooker", "Kitchen", 80, {}, "appliance")];
  assert.equal(of(house, true), "22.4");
  assert.equal(of([warm("Thermometer", "Garden", 15.6)], false), "15.6", "a garden says of itself how warm it is");
  assert.equal(of([warm("Thermometer", "Garden", 15.6)], true), null);
  assert.equal(of([warm("Attic sensor", "Attic", 31), warm("Air", "Hall", 21)], true), "21.0 to 31.0");
  const old = { seen: "2026-01-01T00:00:00Z" };
  assert.equal(of([warm("Air", "Hall", 19, old)], true), "was 19.0", "what was said last, and that it was");
  assert.equal(of([warm("Air", "Hall", 19, old), warm("Air 2", "Hall", 21)], true), "21.0");
  assert.equal(of([warm("Gardenia’s room", "Gardenia", 20)], true), "20.0", "whole words");
});

test("what a server kept away is told once, by its name", async () => {
  const { awayOf } = await vite.ssrLoadModule("/src/services/summary.ts");
  const away = (id, via = null) => thing(id, "light", [service("light", { on: value(true) })], { reach: "offline", via });
  const server = thing("Lab House", "hub", [], { reach: "offline" });
  const house = [away("a", "Lab House"), away("b", "Lab House"), away("c"), away("d", "Broker"), thing("e", "light", [])];
  const told = awayOf(house, [...house, server, thing("Broker", "hub", [])]).map((one) => [one.server?.name ?? null, one.devices.map(({ id }) => id)]);
  assert.deepEqual(told, [["Lab House", ["a", "b"]], [null, ["c", "d"]]]);
});

test("what is dangerous comes first, also when it was said long ago, and is then told as past", async () => {
  const { alertsOf } = await vite.ssrLoadModule("/src/services/summary.ts");
  const alerts = alertsOf([
    thing("Door", "lock", [service("door-lock", { locked: value(false) }), service("battery", { percent: value(4) })]), thing("Full", "sensor", [service("battery", { percent: value(90) })]),
    thing("Sink", "sensor", [service("water-leak", { detected: value(true, { seen: "2026-01-01T00:00:00Z" }) })]),
    thing("Bath", "sensor", [service("water-leak", { detected: value(true) })]), thing("Attic", "lock", [service("door-lock", { locked: value(false) })], { reach: "offline" }),
  ], Date.now());
  assert.deepEqual(alerts.map(({ device, text, old }) => `${device.name} ${text}${old ? " (old)" : ""}`),
    ["Bath reports water", "Sink reported water (old)", "Door is unlocked", "Door has a low battery", "Attic was unlocked (old)"]);
});

test("what was asked for is shown until the device says it, and said to be unconfirmed when it does not", async (context) => {
  const { want, heard, keyOf, same } = await vite.ssrLoadModule("/src/services/wanted.ts");
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const lamp = (level, writes = []) => thing("w", "light", [service("light", { level: value(level) })], { writes });
  const key = keyOf("w", { id: "light", instance: 0 }, "level");
  const seen = [];
  const states = await vite.ssrLoadModule("/src/services/wanted.ts").then(({ wantedNow }) => () => wantedNow(key));
  seen.push(await want(key, 40, 0.5, async () => true));
  assert.deepEqual(states(), { data: 40, near: 0.5, late: false });
  heard(lamp(12));
  assert.equal(states().data, 40, "on its way there");
  heard(lamp(39.7));
  assert.equal(states(), undefined, "the device's own scale is close enough");
  await want(key, 70, 0.5, async () => true);
  context.mock.timers.tick(5_001);
  assert.equal(states().late, true);
  heard(lamp(70));
  assert.equal(states(), undefined);
  assert.equal(await want(key, 10, 0.5, async () => false), false);
  assert.equal(states(), undefined, "taken back at once when the device refused");
  heard(lamp(12, [{ service: "light", instance: 0, property: "level", state: "pending" }]));
  assert.deepEqual(states(), { data: undefined, near: 0, late: false }, "asked by somebody else");
  heard(lamp(12, [{ service: "light", instance: 0, property: "level", state: "confirmed" }]));
  assert.equal(states(), undefined);
  assert.ok(same([1], [1]) && !same(1, "1") && !same(undefined, 0));
});

test("of what is asked of one property in a row the last is done last, and what it overtook is not asked", async () => {
  const { want, keyOf } = await vite.ssrLoadModule("/src/services/wanted.ts");
  const key = keyOf("row", { id: "light", instance: 0 }, "level");
  const asked = [];
  const open = [];
  const ask = (level) => want(key, level, 0.5, () => new Promise((over) => { asked.push(level); open.push(over); }));
  const all = [31, 32, 33].map(ask);
  assert.deepEqual(asked, [31], "one at a time");
  open[0](true);
  assert.equal(await all[0], true);
  assert.equal(await all[1], true, "overtaken");
  await new Promise((over) => setTimeout(over));
  assert.deepEqual(asked, [31, 33]);
  open[1](false);
  assert.equal(await all[2], false);
  const again = ask(34);
  open[2](true);
  assert.equal(await again, true);
  assert.deepEqual(asked, [31, 33, 34]);
});

test("what a device says changed is put into what is known of it, and nothing else of it", async () => {
  const { withValues } = await vite.ssrLoadModule("/src/store.ts");
  const before = thing("v", "light", [service("light", { on: value(false), level: value(10) }), service("light", { on: value(false) }, { instance: 1 })], { writes: [{ service: "light", instance: 0, property: "on", state: "pending" }, { service: "light", instance: 1, property: "on", state: "pending" }] });
  const after = withValues(before, { device: "v", service: "light", instance: 0, values: { on: value(true) }, writes: [{ service: "light", instance: 0, property: "on", state: "confirmed" }] });
  assert.equal(after.services[0].values.on.data, true);
  assert.equal(after.services[0].values.level.data, 10);
  assert.equal(after.services[1], before.services[1]);
  assert.deepEqual(after.writes.map(({ instance, state }) => [instance, state]), [[1, "pending"], [0, "confirmed"]]);
  assert.equal(before.services[0].values.on.data, false);
});

test("a device that speaks while the list is read stays in it, with its newest word and all else that the list says", async (context) => {
  const { connect, hub, set } = await vite.ssrLoadModule("/src/store.ts");
  const lamp = (id, level, more = {}) => thing(id, "light", [service("light", { on: value(false), level: value(level) }), service("battery", { percent: value(9) })], more);
  const before = [globalThis.EventSource, globalThis.fetch];
  context.after(() => void ([globalThis.EventSource, globalThis.fetch] = before));
  let stream;
  globalThis.EventSource = class { heard = {}; constructor() { stream = this; } addEventListener(name, handle) { this.heard[name] = handle; } close() {} };
  const say = (name, data) => stream.heard[name]({ data: JSON.stringify(data) });
  const said = (device, level) => say("values", { device, service: "light", instance: 0, values: { level: value(level) }, writes: [] });
  const asked = {};
  globalThis.fetch = (path) => new Promise((answer) => (asked[path.replace("/api/v1/", "")] = (body) => answer({ ok: true, status: 200, text: async () => JSON.stringify(body) })));
  set({ devices: [lamp("known", 1), lamp("gone", 1)] });
  connect();
  say("hello", { discovery: "on" });
  for (const level of [20, 30]) said("new", level);
  said("known", 40);
  said("gone", 50);
  say("device", lamp("whole", 60));
  said("whole", 70);
  say("device-gone", { id: "left" });
  const empty = { running: [], paired: [], transfers: [], shares: [], casts: [], received: [], offers: [], folder: "", prompts: [], rooms: [], devices: [] };
  for (const list of ["status", "pairings", "transfers", "shares", "casts", "inbox", "prompts", "settings", "home/order"]) asked[list](empty);
  asked.devices({ devices: [lamp("new", 2, { room: "Hall" }), lamp("known", 3, { room: "Hall" }), lamp("whole", 4), lamp("left", 5)] });
  for (let tries = 0; hub().phase !== "ready" && tries < 100; tries += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  const now = Object.fromEntries(hub().devices.map((one) => [one.id, [one.services[0].values.level.data, one.room]]));
  assert.deepEqual(now, { whole: [70, null], new: [30, "Hall"], known: [40, "Hall"] });
  said("new", 80);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(hub().devices.find((one) => one.id === "new").services[0].values.level.data, 80);
  assert.equal(hub().devices.find((one) => one.id === "new").services[1].values.percent.data, 9);
});

test("a room that is written in several ways is one", async () => {
  const { layOut } = await vite.ssrLoadModule("/src/services/house.ts");
  const lamp = (id, room) => thing(id, "light", [service("light", { on: value(true) })], { room });
  const rooms = (...all) => layOut(all, null).rooms.map(({ name, tiles }) => [name, tiles.map(({ device }) => device.id)]);
  const all = [lamp("a", "kitchen"), lamp("b", "Kitchen "), lamp("c", "KÜCHE"), lamp("d", "Küche"), lamp("e", null)];
  assert.deepEqual(rooms(...all), [["Kitchen", ["a", "b"]], ["KÜCHE", ["c", "d"]], [null, ["e"]]]);
  assert.deepEqual(rooms(...all.toReversed()), rooms(...all), "whichever of them is told of first");
});

test("a device is kept again under all the ids under which it was left out", async () => {
  const { isLeftOut, keptAgain } = await vite.ssrLoadModule("/src/services/history.ts");
  const lamp = thing("one", "light", [], { faces: [{ id: "one" }, { id: "two" }] });
  assert.deepEqual(keptAgain(lamp, ["two", "other", "one"]), ["other"]);
  assert.deepEqual([["one", "two"], ["one"], []].map((off) => isLeftOut(lamp, off)), [true, false, false]);
  assert.ok(isLeftOut(thing("bare", "light", []), ["bare"]), "one that has no faces to tell of");
});

test("a graph has round lines that hold everything, and a gap where nothing was kept", async () => {
  const { ticks, runs } = await vite.ssrLoadModule("/src/ui/chart.tsx");
  for (const [low, high] of [[18.2, 23.4], [0, 0], [-12, 3], [0, 1843.2], [1e-3, 2e-3], [5, 5], [-1e6, 1e6]]) {
    const lines = ticks(low, high);
    assert.ok(lines[0] <= low && lines.at(-1) >= high && lines.length >= 2 && lines.length <= 6, `${low} to ${high}: ${lines}`);
  }
  const point = (minute) => ({ time: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(), min: 1, mean: 1, max: 1 });
  assert.deepEqual(runs([0, 5, 10, 60, 65].map(point), 300).map((run) => run.length), [3, 2]);
  assert.deepEqual(runs([0, 60].map(point), null).map((run) => run.length), [2]);
});

test("the time below a graph is told at round hours, days and months", async () => {
  const { moments } = await vite.ssrLoadModule("/src/ui/chart.tsx");
  const to = new Date(2026, 10, 26, 10, 55, 12).getTime();
  const of = (days, most) => moments(to - days * 86_400_000, to, most).map((one) => new Date(one));
  for (const [days, most] of [[0.25, 6], [1, 6], [1, 3], [7, 8], [30, 8], [30, 3], [365, 8], [3650, 6]]) {
    const all = of(days, most);
    assert.ok(all.length >= 2 && all.length <= most + 1, `${days} days in ${most}: ${all.length}`);
    assert.ok(all.every((one) => one.getMinutes() === 0 && one.getTime() <= to && one.getTime() >= to - days * 86_400_000));
    if (days > 1) assert.ok(all.every((one) => one.getHours() === 0));
  }
  assert.deepEqual(of(1, 6).map((one) => one.getHours()), [12, 16, 20, 0, 4, 8]);
  assert.ok(of(365, 8).every((one) => one.getDate() === 1));
});

test("colours and warmth look like what they say", async () => {
  const { hsColor, kelvinColor } = await vite.ssrLoadModule("/src/services/house.ts");
  assert.equal(hsColor(0, 100), "hsl(0 100% 50%)");
  assert.equal(hsColor(200, 0), "hsl(200 100% 100%)");
  const [warm, cold] = [2200, 9000].map((kelvin) => kelvinColor(kelvin).match(/\d+/g).map(Number));
  assert.ok(warm[0] === 255 && warm[2] < 120, `${warm}`);
  assert.ok(cold[2] === 255 && cold[0] < 240, `${cold}`);
});

test("what can be added is one entry for each thing, in groups, the house first where the owner is at home", () => {
  const join = (key, what, kind, systems) => ({ key, join: { what, kind, page: false, systems: systems.map((name) => ({ name, steps: [] })) } });
  const form = (bridge, how, kind, what = how) => ({ bridge, way: how, what, how, kind, steps: [], fields: [], offers: [], again: [], sign_in: null });
  const joins = [join("kdeconnect/presence", "Phone with KDE Connect", "phone", ["Android", "iPhone"]), join("miio/search", "Wi-Fi device", "vacuum", ["Lamp"]), join("googlecast/search", "Television", "tv", ["Television"])];
  const all = add.addables(joins, [form("miio", "By token", "vacuum"), form("miio", "From a file", "vacuum"), form("mqtt", "By address", "hub", "MQTT broker")]);
  assert.deepEqual(all.map(({ bridge, forms }) => [bridge, forms.length]), [["kdeconnect", 0], ["miio", 2], ["googlecast", 0], ["mqtt", 1]]);
  const groups = (home, wanted = "") => add.grouped(all, home, wanted).map(({ group, of }) => `${group}: ${of.map((one) => one.title).join(", ")}`);
  assert.deepEqual(groups(true), ["house: Wi-Fi device, MQTT broker", "screens: Television", "people: Phone with KDE Connect"]);
  assert.equal(groups(false)[0], "people: Phone with KDE Connect");
  assert.deepEqual(groups(true, "IPHONE phone"), ["people: Phone with KDE Connect"]);
  assert.deepEqual(groups(true, "nothing such"), []);
});

test("words go by kind of device, and a refusal is told at its field", () => {
  assert.equal(wording.addLabel({ kind: "light", bridge: "yeelight", name: "Desk lamp" }), "Add Desk lamp");
  assert.equal(wording.addLabel({ kind: "phone", bridge: "kdeconnect", name: "Jo" }), "Pair with Jo");
  assert.equal(wording.removeWord({ kind: "tv", bridge: "link" }), "Unpair", "a hub is paired with, whatever it is");
  const fields = [{ id: "address", label: "Address" }, { id: "token", label: "Access token" }, { id: "certificate", label: "Key" }];
  assert.equal(wording.fieldOf("“Access token” is missing.", fields), "token");
  assert.equal(wording.fieldOf("The address is one of your own network, like 192.168.1.20.", fields), "address");
  assert.equal(wording.fieldOf("A token is 32 hexadecimal digits.", fields), "token");
  assert.equal(wording.fieldOf("Keystrokes are not wanted.", fields), null);
  assert.equal(wording.unquoted("run `accord up`"), "run “accord up”");
});
