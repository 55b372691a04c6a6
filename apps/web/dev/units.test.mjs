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
before(async () => {
  globalThis.location ??= { hash: "" };
  vite = await createServer({ server: { middlewareMode: true, hmr: false, ws: false }, appType: "custom", logLevel: "error" });
  format = await vite.ssrLoadModule("/src/format.ts");
  ({ unlike } = await vite.ssrLoadModule("/src/actions.ts"));
  ({ safeLink } = await vite.ssrLoadModule("/src/parts/notice.tsx"));
  casts = await vite.ssrLoadModule("/src/parts/cast.tsx");
  ({ tokenIn } = await vite.ssrLoadModule("/src/pages/signin.tsx"));
});
after(() => vite?.close());

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
