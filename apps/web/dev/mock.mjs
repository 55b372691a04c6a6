// A hub that is not one: answers the API with made-up, live-changing data, so that the UI can be worked on
// and looked at without one. For development only; it never ships.
// Usage: node dev/mock.mjs [PORT]   serves dist/ and the API; sign in with the token `demo-token`.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { answerCall, aquarium, battery, clipboard, command, files, information, lamp, notifications, ping, pinnedFiles, player, ringer, screenLock, signal, storageService, volume } from "./mock-services.mjs";
import { makeNotices, noticeEntries } from "./mock-notices.mjs";
import { pictureOf } from "./mock-pictures.mjs";
import * as storage from "./mock-storage.mjs";
import { answerHome, bigHouse, CONTROL, houseOf } from "./mock-home.mjs";
import { answerCasts, castables, makeCasts } from "./mock-casts.mjs";

const PORT = Number(process.argv[2] ?? 8421);
const DIST = new URL("../dist/", import.meta.url).pathname;
const TOKEN = "demo-token";
const QUIET = process.env.MOCK_QUIET === "1";
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; " +
  "worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".webmanifest": "application/manifest+json" };

// MOCK_QUIET=1: nothing runs; MOCK_EMPTY=1: a first start, no device; MOCK_HARD=1: names that are too long.
const EMPTY = process.env.MOCK_EMPTY === "1";
const HARD = process.env.MOCK_HARD === "1";
const started = Date.now();
const at = (secondsAgo = 0) => new Date(Date.now() - secondsAgo * 1000).toISOString();
const soon = (seconds) => at(-seconds);
let count = 0;
const next = (prefix) => `${prefix}-${++count}`;
const hex = (seed, length = 64) => {
  let x = seed * 2654435761 + 12345;
  let out = "";
  while (out.length < length) {
    x = (x * 1103515245 + 12345) % 2147483648;
    out += Math.floor(x).toString(16).padStart(8, "0");
  }
  return out.slice(0, length);
};

const device = (id, name, kind, trust, more = {}) => ({
  id, name, kind, maker: null, model: null, room: null, favourite: false, trust, reach: "local", icon: null, addresses: ["192.168.1.24:4433"], path: null,
  bridge: "link", via: null, first_seen: at(86400 * 40), last_seen: at(5), auto_accept: false, remote: { media: false, ring: false, commands: false, input: false }, asks: { media: true, ring: true, commands: true, input: true }, input_now: false, input_last: null, writes: [], services: [files(), information("Debian 13")], faces: [], maybe: [], recognised: null, ...more,
});
const face = (id, speaks, bridge, trust, address) => ({ id, name: "Bedroom TV", bridge, speaks, trust, reach: "local", addresses: [address], heard: at(40) });

const hub = {
  settings: { name: "Ada’s desk", kind: "computer", inbox: "/home/ada/Accord", notify: true, alarms: true, relay: null },
  devices: [
    device("own-1", "Ada’s desk", "computer", "own", { maker: "Framework", model: "Desktop", services: [files(), information("Debian 13")] }),
    device("link-phone", "Mira’s phone", "phone", "paired", { maker: "Fairphone", model: "5", favourite: true, path: { carrier: "quic", address: "192.168.1.31:51820", relayed: false, rtt_ms: 3.2 }, services: [files(), storageService(), battery(82, true), notifications(), clipboard(), ringer(), ping(), signal(3, "5G"), screenLock(), player(0, "Podcasts", "Episode 214: Why lamps talk", "The Long Way Home", 1240, 3120, true), player(1, "Music", "Says", "Nils Frahm", 61, 498, false), volume(0, "Media", 60), volume(1, "Calls", 35), command(1, "Lights out"), command(2, "Back up the photos"), information("Android 16")] }),
    device("link-laptop", "Work laptop", "laptop", "paired", { maker: "Lenovo", model: "ThinkPad X13", room: "Study", auto_accept: true, path: { carrier: "tls", address: "[fe80::9c1:2aff:fe31:1]:4433", relayed: false, rtt_ms: 0.6 }, services: [files(), battery(12, false, 2400), notifications(), clipboard(), information("Fedora 43")] }),
    device("link-tv", "Living room TV", "tv", "paired", { maker: "Philips", model: "55OLED808", room: "Living room", reach: "offline", last_seen: at(5400), addresses: [], services: [files(), notifications(), player(0, null, "Nils Frahm – Says", null, 10, 0, true, 4000)] }),
    device("link-tablet", "Kitchen tablet", "tablet", "seen", { services: [files()], addresses: ["192.168.1.44:4433", "[fd00::44]:4433"] }),
    device("link-rtl", "הטלפון של נועה", "phone", "seen", { services: [files()] }),
    device("example-lamp", "Hall lamp", "light", "paired", { maker: "Example", bridge: "example", services: [lamp(), aquarium()] }),
    device("upnp-tv", "Bedroom TV", "tv", "paired", {
      bridge: "upnp", maker: "Sony", model: "KD-65XD7505", services: [player(0, "Bedroom TV", null, null, 0, 0, false)], maybe: ["link-tablet"],
      faces: [face("upnp-tv", "UPnP", "upnp", "paired", "192.168.1.60"), face("cast-tv", "Google Cast", "googlecast", "seen", "192.168.1.60")],
      recognised: { maker: { value: "Sony", source: "UPnP description" }, model: { value: "KD-65XD7505", source: "UPnP description" }, kind: { value: "tv", source: "UPnP description" }, screen: { value: "65 inches", source: "UPnP description" }, picture: null },
    }),
    device("link-bad", "Neighbour’s box", "other", "blocked", { services: [] }),
  ],
  paired: [
    ["link-phone", "Mira’s phone", "phone", 82], ["link-laptop", "Work laptop", "laptop", 12], ["link-tv", "Living room TV", "tv", 300],
  ].map(([id, name, kind, days], n) => ({ device: id, name, kind, since: at(86400 * days), until: null, fingerprint: hex(n + 7, 16).replace(/(.{4})/g, "$1 ").trim(), witness_of: { size: 812 + n, root: hex(n), signed: at(600) }, witnessed_by: n === 2 ? null : { size: 401, root: hex(n + 20), signed: at(900) } })),
  pairings: [], transfers: [], shares: [], prompts: [], uploads: new Map(), ledger: [], consents: [], sessions: [],
  discovery: process.env.MOCK_DISCOVERY ?? "undecided",
};

// MOCK_HOUSE=1: a house; MOCK_HOUSE=2000: so many things.
const house = Number(process.env.MOCK_HOUSE ?? 0);
if (house === 1) hub.devices.push(...houseOf(device));
else if (house > 1) hub.devices.push(...bigHouse(device, house));
// MOCK_BUSY=500: so many of them say something new each second.
const busy = Number(process.env.MOCK_BUSY ?? 0);
if (busy) setInterval(() => {
  for (let n = 0; n < busy / 20; n += 1) {
    const one = hub.devices[Math.floor(Math.random() * hub.devices.length)];
    const found = one.services.find((service) => service.values?.temperature || service.values?.level || service.values?.power);
    const [name, old] = Object.entries(found?.values ?? {}).find(([, each]) => typeof each.data === "number") ?? [];
    if (!name) continue;
    const values = { [name]: { ...old, data: Math.max(0, old.data + (Math.random() < 0.5 ? 1 : -1)), seen: at() } };
    Object.assign(found.values, values);
    tell("values", { device: one.id, service: found.id, instance: found.instance, values, writes: [] });
  }
}, 50);
if (process.env.MOCK_CAST) hub.devices.push(...castables(device));
makeCasts(hub, tell);
if (EMPTY) {
  hub.devices = hub.devices.slice(0, 1);
  hub.paired = [];
}
if (HARD) {
  const long = "Мирин телефон aus dem Arbeitszimmer im zweiten Stock (alt, bitte nicht verwenden) Donaudampfschifffahrtsgesellschaft";
  for (const [n, one] of hub.devices.entries()) if (n !== 2) Object.assign(one, { name: `${long} ${n}`.slice(0, 120), room: "Room with a name that nobody would ever use", maker: "Manufacturer of Things Incorporated" });
  hub.settings.name = hub.devices[0].name;
  for (const pair of hub.paired) pair.name = hub.devices.find((one) => one.id === pair.device).name;
}

const field = (code, label, required = true, sensitive = false) => ({ code, label, required, sensitive });
const base = { means: "Accord link, part of Accord", method: "Taken from this device by Accord itself.", hosts: [], storage: "On the receiving device.", retention: "As long as the devices are paired.", rules_url: null, data: "", join: null };
const entries = [
  { ...base, key: "link/discovery", title: "Discovering devices", recipient: "local-network", recipient_name: "Everyone on this network", fields: [field("device.id.resettable", "resettable device ID"), field("net.ip", "IP address"), field("device.name", "device name", false), field("device.type", "device type", false)], purpose: "So that your devices find each other, with name and kind.", scenario: "While Accord runs on a network, and when that network asks.", transport: "lan", storage: "In the memory of devices that listen.", retention: "75 minutes after the last announcement." },
  { ...base, key: "link/pairing", title: "Pairing with a device", recipient: "local-network", recipient_name: "The device you pair with", fields: [field("key.public", "public keys"), field("device.name", "device name"), field("device.type", "device type")], purpose: "To agree on keys, and to show you which device it is.", scenario: "When you start or answer a pairing.", transport: "lan" },
  { ...base, key: "link/connection", title: "Being connected", recipient: "paired-device", recipient_name: "Your paired devices", fields: [field("net.ip", "IP address"), field("device.name", "device name"), field("device.abilities", "what the device can do"), field("ledger.head", "head of the ledger (size and hash)", false)], purpose: "To reach each other, to know what the other can do, and to witness each other’s ledgers.", scenario: "While a paired device is in reach.", transport: "lan" },
  { ...base, key: "link/relay", title: "Reaching devices through your relay", recipient: "relay", recipient_name: "Your own relay", fields: [field("net.ip", "IP address"), field("device.id", "device ID")], purpose: "To reach your devices from elsewhere.", scenario: "When no direct path exists.", transport: "relay", hosts: ["relay.example:443"], rules_url: "https://relay.example/rules" },
  { ...base, key: "files/send", title: "Sending files, text and links", recipient: "paired-device", recipient_name: "Your paired devices", fields: [field("file.name", "file names", true, true), field("file.content", "file content", true, true), field("file.time", "modification times", false)], purpose: "To give the other device what you chose to send.", scenario: "When you send something.", transport: "lan", storage: "In the inbox folder of the receiving device.", retention: "Until its owner deletes it." },
  { ...base, key: "files/receive", title: "Answering a sender", recipient: "paired-device", recipient_name: "Your paired devices", fields: [field("transfer.progress", "what was received and how much of it")], purpose: "So that the sender knows whether you accepted, and where to resume.", scenario: "When a paired device sends you something.", transport: "lan" },
  { ...base, key: "browse/look", title: "Looking at the files on another device", recipient: "paired-device", recipient_name: "The device you look into", fields: [field("file.name", "file names", true, true)], purpose: "Showing you what lies on the device, and bringing a file here that you choose.", scenario: "When you open the device’s files or fetch one of them.", transport: "lan", storage: "Not kept there.", retention: "While it is used." },
  ...noticeEntries(base, field),
].map((entry, n) => ({ ...entry, fingerprint: hex(n + 50), consents: [], lately: [] }));
const entryOf = (key) => entries.find((entry) => entry.key === key);
const nameOf = (to) => (to === "any" ? "Anyone it names" : to === "network:lan" ? "This network" : (hub.devices.find((one) => `device:${one.id}` === to)?.name ?? to));

// Events
const listeners = new Set();
function tell(event, data) {
  for (const response of listeners) response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
function status() {
  return {
    version: "0.1.0", name: hub.settings.name, kind: hub.settings.kind, device: "own-1", state_dir: "/home/ada/.local/share/accord", http: `http://127.0.0.1:${PORT}`,
    discovery: hub.discovery, uptime_s: Math.floor((Date.now() - started) / 1000) + 7260, ledger: head(), prompts: hub.prompts.length,
    offers: hub.transfers.filter((one) => one.direction === "in" && one.state === "offered").length,
    off: hub.discovery === "on" ? [] : [{ entry: "link/discovery", title: "Discovering devices", effect: "Other devices are not found by themselves.", turn_on: "accord consent grant link/discovery" }, { entry: "link/pairing", title: "Pairing with a device", effect: "Devices nearby cannot ask to be paired with this one.", turn_on: "accord consent grant link/pairing" }, { entry: "link/relay", title: "Reaching devices through your relay", effect: "Devices are reached only where a direct path exists.", turn_on: "accord consent grant link/relay" }],
    first_run: hub.consents.length === 0,
  };
}
const head = () => ({ size: hub.ledger.length, root: hex(hub.ledger.length), signed: at(340) });
function record(kind, more = {}) {
  const seq = hub.ledger.length;
  const made = { seq, time: at(), kind, entry: null, recipient: null, recipient_name: null, fields: [], address: null, bytes: null, wire_bytes: null, digest: null, refers: null, scenario: null, message: null, details: [], hash: hex(seq + 900), ...more };
  hub.ledger.push(made);
  tell("ledger", made);
  return made;
}
function decide({ entry: key, to = "any", choice, until = null, fields = null }) {
  const entry = entryOf(key);
  const full = to.includes(":") || to === "any" ? to : `device:${to}`;
  for (const one of hub.consents) if (one.entry === key && one.to === full && one.state === "given") Object.assign(one, { state: "withdrawn", withdrawn: at() });
  const consent = { id: next("c"), entry: key, entry_title: entry.title, to: full, to_name: full === "any" ? entry.recipient_name : nameOf(full), choice, state: choice === "never" ? "refused" : "given", fields: fields ?? entry.fields.map((one) => one.code), decided: at(), until, withdrawn: null, difference: null };
  hub.consents.unshift(consent);
  record("decision", { entry: key, recipient: full, recipient_name: consent.to_name, fields: consent.fields, message: `${choice}` });
  if (key === "link/discovery") hub.discovery = choice === "never" ? "off" : "on";
  for (const prompt of hub.prompts.filter((one) => one.entry.key === key && (full === "any" || one.to === full))) {
    hub.prompts = hub.prompts.filter((one) => one !== prompt);
    tell("prompt-gone", { id: prompt.id });
  }
  tell("consent", consent);
  if (choice !== "never") turnUp(key);
  return consent;
}
const isGiven = (key, to) => hub.consents.find((one) => one.entry === key && (one.to === to || one.to === "any") && (one.state === "given" || one.state === "refused"));
function entryView(entry) {
  return { ...entry, consents: hub.consents.filter((one) => one.entry === entry.key), lately: hub.ledger.filter((one) => one.entry === entry.key && one.kind !== "decision").slice(-6).reverse() };
}
function needs(key, to, because) {
  const found = isGiven(key, to);
  if (found?.state === "given") return null;
  if (found) {
    record("refused", { entry: key, recipient: to, recipient_name: nameOf(to), message: "The owner refused." });
    return [409, { error: "refused", message: `You refused “${entryOf(key).title}” for ${nameOf(to)}. Change it under Privacy.`, prompt: null }];
  }
  let prompt = hub.prompts.find((one) => one.entry.key === key && one.to === to);
  if (!prompt) {
    prompt = { id: next("p"), entry: entryView(entryOf(key)), to, to_name: nameOf(to), because, difference: null, fields: key === "control/command" ? ["command.name"] : null, adds: false, asked: at() };
    hub.prompts.unshift(prompt);
    tell("prompt", prompt);
  }
  return [409, { error: "consent-needed", message: "Needs your consent.", prompt }];
}

const notices = makeNotices({ at, tell, needs, devices: () => hub.devices, empty: EMPTY, hard: HARD });

/** Once this machine can be found, phones of those apps turn up. */
function turnUp(key) {
  const found = { "kdeconnect/presence": ["kdeconnect-1", "Jo’s Pixel"], "localsend/presence": ["localsend-1", "Brave Mango"] }[key];
  if (!found || hub.devices.some((one) => one.id === found[0])) return;
  setTimeout(() => {
    const one = device(found[0], found[1], "phone", "seen", { bridge: key.split("/")[0], addresses: [], first_seen: at(), last_seen: at(), services: [key.startsWith("kde") ? files() : pinnedFiles(), { id: "pairing", instance: 0, properties: [], actions: [], events: [], values: {} }] });
    hub.devices.push(one);
    tell("device", one);
  }, Number(process.env.MOCK_TURN_UP ?? 1500));
}

// Transfers
const transfer = (more) => ({ id: next("t"), direction: "out", device: "link-phone", device_name: "Mira’s phone", kind: "files", state: "offered", items: [], files_total: 1, files_done: 0, bytes_total: 0, bytes_done: 0, rate: null, remaining_s: null, carrier: null, created: at(), finished: null, text: null, saved_to: null, message: null, skipped: [], deadline: null, ...more });
function change(one, more) {
  Object.assign(one, more);
  if (!hub.transfers.includes(one)) hub.transfers.unshift(one);
  tell("transfer", one);
}
function run(one, speed = 40e6) {
  change(one, { state: "running", carrier: one.device === "link-laptop" ? "tls" : "quic" });
  const timer = setInterval(() => {
    if (one.state !== "running") return clearInterval(timer);
    const bytes_done = Math.min(one.bytes_total, one.bytes_done + speed * 0.4 * (0.8 + Math.random() * 0.4));
    const left = one.bytes_total - bytes_done;
    change(one, { bytes_done: Math.round(bytes_done), rate: speed, remaining_s: Math.round(left / speed), files_done: Math.floor((bytes_done / Math.max(1, one.bytes_total)) * one.files_total) });
    if (left <= 0) {
      clearInterval(timer);
      change(one, { state: "done", finished: at(), rate: null, remaining_s: null, files_done: one.files_total, saved_to: one.direction === "in" ? `${hub.settings.inbox}/${one.items[0]?.name ?? ""}` : null });
      record(one.direction === "out" ? "sent" : "received", { entry: one.direction === "out" ? "files/send" : "files/receive", recipient: `device:${one.device}`, recipient_name: one.device_name, fields: ["file.name", "file.content"], bytes: one.bytes_total, wire_bytes: Math.round(one.bytes_total * 1.02), address: "192.168.1.31:51820", digest: hex(one.bytes_total, 64), details: one.items.map((item) => item.name) });
    }
  }, 400);
}

// The past
function past() {
  hub.ledger.push();
  record("statement", { time: at(86400 * 3), message: "Accord 0.1.0, version 1", fields: [] });
  for (const [key, to] of [["link/connection", "any"], ["files/send", "device:link-phone"], ["files/receive", "any"]]) {
    record("notice-shown", { entry: key, message: "web, en", time: at(86000 * 2) });
    decide({ entry: key, to, choice: "always" });
  }
  decide({ entry: "link/relay", choice: "never" });
  const old = decide({ entry: "files/send", to: "device:link-tv", choice: "always" });
  Object.assign(old, { state: "lapsed", difference: "It would now also share modification times.", decided: at(86400 * 20) });
  if (hub.discovery === "on") decide({ entry: "link/discovery", choice: "always" });
  for (let n = 0; n < 120; n++) {
    const to = ["link-phone", "link-laptop"][n % 2];
    const intent = record("intent", { entry: "link/connection", recipient: `device:${to}`, recipient_name: nameOf(`device:${to}`), fields: ["device.name", "net.ip"], time: at(80000 - n * 600), scenario: "connect" });
    record("sent", { entry: "link/connection", recipient: `device:${to}`, recipient_name: nameOf(`device:${to}`), fields: ["device.name", "net.ip"], bytes: 412 + n, wire_bytes: 700 + n, refers: intent.seq, time: at(79999 - n * 600), address: "192.168.1.31:51820", digest: hex(n) });
    if (n % 40 === 0) record("checkpoint", { time: at(79990 - n * 600), message: "Signed" });
    if (n % 50 === 7) record("refused", { entry: "link/relay", recipient: "host:relay.example:443", recipient_name: "relay.example", fields: ["net.ip"], message: "You refused this entry.", time: at(79980 - n * 600) });
  }
  change(transfer({ state: "done", finished: at(3600), created: at(3700), direction: "in", device: "link-phone", items: [{ name: "IMG_2041.jpg", size: 4_200_113, folder: false }], bytes_total: 4_200_113, bytes_done: 4_200_113, files_done: 1, saved_to: "/home/ada/Accord/IMG_2041.jpg" }), {});
  change(transfer({ state: "done", finished: at(4000), created: at(4001), direction: "in", kind: "url", text: "https://example.org/a/very/long/address?with=parts", items: [] }), {});
  change(transfer({ state: "done", finished: at(5000), created: at(5001), direction: "in", kind: "text", text: "The door code is 4711#.\nSee you at eight!", items: [] }), {});
  change(transfer({ state: "refused", finished: at(8000), created: at(8020), device: "link-laptop", device_name: "Work laptop", items: [{ name: "Tax 2025", size: null, folder: true }], files_total: 31, bytes_total: 88e6, message: "Work laptop’s owner said no." }), {});
  change(transfer({ state: "failed", finished: at(9000), created: at(9300), device: "link-tv", device_name: "Living room TV", items: [{ name: "holiday‮gpj.exe", size: 2.1e9, folder: false }], bytes_total: 2.1e9, bytes_done: 1.2e9, message: "Living room TV has no space left. Free some there, then retry.", skipped: ["sockets/app.sock: not a file", "link-to-root: points outside the folder"] }), {});
  hub.transfers.sort((a, b) => b.created.localeCompare(a.created));
}
if (!EMPTY) past();
if (!QUIET) {
  const big = transfer({ device: "link-laptop", device_name: "Work laptop", items: [{ name: "Pictures 2026", size: null, folder: true }], files_total: 1840, bytes_total: 6.2e9, bytes_done: 1.1e9 });
  change(big, {});
  run(big, 112e6);
  change(transfer({ state: "paused", device: "link-tv", device_name: nameOf("device:link-tv"), items: [{ name: "Film.mkv", size: 4.4e9, folder: false }], bytes_total: 4.4e9, bytes_done: 3.1e9 }), {});
  offer();
}
if (HARD) for (const one of hub.transfers) Object.assign(one, { device_name: nameOf(`device:${one.device}`), items: one.items.map((item) => ({ ...item, name: `${"a-file-name-without-a-space_".repeat(6)}${item.name}` })), saved_to: one.saved_to && `/home/ada/Accord/${"deep/".repeat(30)}${one.items[0]?.name}` });
function offer() {
  change(transfer({ direction: "in", state: "offered", items: [{ name: "Concert.mp4", size: 48e6, folder: false }, { name: "Tickets", size: null, folder: true }, { name: "تذكرة.pdf", size: 120e3, folder: false }], files_total: 14, bytes_total: 61e6, deadline: soon(180) }), {});
}
setInterval(() => {
  const phone = hub.devices.find((one) => one.id === "link-phone");
  if (phone?.path) {
    phone.path = { ...phone.path, rtt_ms: 2 + Math.random() * 3 };
    phone.last_seen = at();
    tell("device", phone);
  }
}, 4000);

// Pairing
function startPairing(how, direction = "out") {
  const id = how.device ?? "link-tablet";
  const one = hub.devices.find((other) => other.id === id);
  const pairing = { id: next("pair"), direction, method: how.ticket ? "ticket" : "code", state: "connecting", device: id, name: one?.name ?? null, kind: one?.kind ?? null, code: null, shares: entryOf("link/connection").fields, offers: one?.bridge === "miio" ? [CONTROL] : [], error: null, deadline: soon(120) };
  const tellIt = (more) => {
    Object.assign(pairing, more);
    tell("pairing", pairing);
  };
  hub.pairings.unshift(pairing);
  tell("pairing", pairing);
  setTimeout(() => pairing.state === "connecting" && tellIt({ state: "compare", code: how.ticket ? null : ({ kdeconnect: "D7CA75FB", localsend: "5f1c 9a02 77be 41d0 c3e8 0b6d 92fa 1e44" }[one?.bridge] ?? "402817") }), 700);
  return pairing;
}
function confirm(pairing, yes, code) {
  const wrong = code && code !== pairing.code;
  Object.assign(pairing, yes && !wrong ? { state: "waiting" } : { state: "failed", error: wrong ? "The codes differ. Someone may be in between; try again on a network you trust." : "You said that the codes differ. Nothing was shared." });
  tell("pairing", pairing);
  if (pairing.state !== "waiting") return;
  setTimeout(() => {
    Object.assign(pairing, { state: "done" });
    tell("pairing", pairing);
    const one = hub.devices.find((other) => other.id === pairing.device);
    if (one) {
      Object.assign(one, { trust: "paired", path: { carrier: "quic", address: one.addresses[0], relayed: false, rtt_ms: 2.1 } });
      hub.paired.push({ device: one.id, name: one.name, kind: one.kind, since: at(), until: null, fingerprint: "91c2 77aa 0b3e 51d9", witness_of: null, witnessed_by: null });
      tell("device", one);
    }
  }, 900);
}
const qr = () => {
  let path = "";
  for (let y = 0; y < 29; y++) for (let x = 0; x < 29; x++) {
    const corner = (cx, cy) => x >= cx && x < cx + 7 && y >= cy && y < cy + 7;
    const ring = (cx, cy) => { const dx = Math.abs(x - cx - 3), dy = Math.abs(y - cy - 3), d = Math.max(dx, dy); return d === 3 || d <= 1; };
    const on = corner(0, 0) ? ring(0, 0) : corner(22, 0) ? ring(22, 0) : corner(0, 22) ? ring(0, 22) : ((x * 7 + y * 13 + x * y) % 5) < 2;
    if (on) path += `M${x} ${y}h1v1h-1z`;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 33 33"><path fill="#fff" d="M-2-2h33v33h-33z"/><path d="${path}"/></svg>`;
};

// HTTP
const find = (list, id) => list.find((one) => one.id === id || one.device === id);
const missing = (what = "There is no such thing.") => [404, { error: "not-found", message: what, prompt: null }];

async function api(method, path, query, body, raw) {
  const [first, second, third, fourth] = path;
  const route = `${method} ${first}`;
  if (hub.broken && ["ledger", "entries"].includes(first)) return [500, { error: "internal", message: "The database is locked by another program. Close it, then try again.", prompt: null }];
  if (route === "GET status") return [200, status()];
  const ofHouse = answerHome(hub, tell, device, method, path, query, body);
  if (ofHouse) return ofHouse;
  if (first === "devices" && third === "files") {
    const one = find(hub.devices, second);
    if (!one) return missing();
    if (one.reach === "offline") return [502, { error: "unreachable", message: `${one.name} cannot be reached.`, prompt: null }];
    const refused = needs("browse/look", `device:${one.id}`, `${fourth ? "Fetch a file from" : "Look at the files on"} ${one.name}`);
    if (refused) return refused;
    if (!fourth) return storage.list(query.get("path") ?? "");
    const item = storage.find(body.path);
    if (!item) return [409, { error: "conflict", message: "the device reports: there is no such file or folder on it", prompt: null }];
    const made = transfer({ direction: "in", device: one.id, device_name: one.name, items: [{ name: item.name, size: item.size, folder: false }], bytes_total: item.size ?? 0 });
    run(made, Math.max(200, (item.size ?? 0) / 3));
    return [200, made];
  }
  if (route === "GET devices") return [200, { devices: hub.devices }];
  if (route === "POST devices" && !second) return [502, { error: "unreachable", message: `Nobody answers at ${body.address}. Is Accord running there?`, prompt: null }];
  if (route === "POST devices" && third === "call") {
    const one = find(hub.devices, second);
    if (!one) return missing();
    if (one.reach === "offline") return [502, { error: "unreachable", message: `${one.name} cannot be reached.`, prompt: null }];
    const [code, answer] = answerCall(one, body);
    // Devices say later what became of it; the lamp's colour never does.
    setTimeout(() => tell("device", one), 300);
    return [code, answer];
  }
  if (first === "notifications" || first === "clipboard") return hub.broken ? [500, { error: "internal", message: "The rules were not kept: the disk is full.", prompt: null }] : notices.answer(method, path, body);
  if (route === "GET commands") return [200, { commands: [{ name: "Lights out", argv: ["hue", "off", "--all"] }] }];
  if (route === "POST devices" && third === "split") {
    const whole = hub.devices.find((one) => one.faces.some((face) => face.id === second));
    const off = whole?.faces.find((face) => face.id === second);
    if (!off || whole.faces.length < 2) return [409, { error: "conflict", message: "There is nothing to split.", prompt: null }];
    whole.faces = whole.faces.filter((face) => face !== off);
    const alone = device(off.id, off.name, whole.kind, off.trust, { bridge: off.bridge, faces: [off], services: [] });
    hub.devices.push(alone);
    return [200, alone];
  }
  if (route === "POST devices" && second === "join") {
    const [one, other] = [find(hub.devices, body.device), find(hub.devices, body.with)];
    one.faces.push(...other.faces);
    hub.devices = hub.devices.filter((known) => known !== other);
    return [200, one];
  }
  if (route === "PATCH devices") {
    const one = find(hub.devices, second);
    if (!one) return missing();
    const { blocked, remote_media: media, remote_ring: ring, remote_commands: commands, ...rest } = body;
    const remote = Object.entries({ media, ring, commands }).filter(([, on]) => on !== undefined);
    Object.assign(one, rest, { remote: { ...one.remote, ...Object.fromEntries(remote) } });
    if (rest.name === "") one.name = "Device";
    if (blocked !== undefined) one.trust = blocked ? "blocked" : hub.paired.some((pair) => pair.device === one.id) ? "paired" : "seen";
    tell("device", one);
    return [200, one];
  }
  if (first === "pairings") {
    if (method === "GET" && !second) return [200, { paired: hub.paired, running: hub.pairings }];
    if (method === "POST" && !second) return needs("link/pairing", body.device ? `device:${body.device}` : "network:lan", `Pair with ${body.device ? nameOf(`device:${body.device}`) : "a device"}`) ?? [200, startPairing(body)];
    if (method === "POST" && second === "ticket") {
      const pairing = { id: next("pair"), direction: "in", method: "ticket", state: "connecting", device: null, name: null, kind: null, code: null, shares: [], offers: [], error: null, deadline: soon(300) };
      hub.pairings.unshift(pairing);
      return [200, { pairing: pairing.id, ticket: `accord:pair/1?n=8f3a1c&k=${hex(4, 52)}&s=${hex(9, 32)}&a=192.168.1.20:4433`, qr_svg: qr(), expires: soon(300) }];
    }
    if (method === "DELETE" && second === "paired") {
      hub.paired = hub.paired.filter((one) => one.device !== third);
      const one = find(hub.devices, third);
      if (one) { Object.assign(one, { trust: "seen", path: null }); tell("device", one); }
      return [204];
    }
    const pairing = find(hub.pairings, second);
    if (!pairing) return missing();
    if (third === "confirm" || third === "reject") confirm(pairing, third === "confirm", body.code);
    for (const entry of body.agrees ?? []) decide({ entry, to: `device:${pairing.device}`, choice: "always", fields: ["command.name"] });
    return [200, pairing];
  }
  if (first === "casts") return answerCasts(hub, tell, method, second, body) ?? missing();
  if (first === "shares") {
    const one = second && find(hub.shares, second);
    if (method === "GET" && !second) return [200, { shares: hub.shares }];
    if (method === "POST" && !second) {
      const items = body.text ? [{ name: "text.txt", size: body.text.length, text: true }] : [{ name: "photo.jpg", size: 2_400_000, text: false }];
      const pin = body.admission === "pin" ? body.pin ?? "471108" : null;
      const share = {
        id: `s${Date.now()}`, urls: [`http://192.168.1.20:8421/${pin ? "" : "kf3mq8wz2abc/"}`], admission: body.admission ?? "ask", pin, opened: at(), until: at(-(body.seconds ?? 3600)),
        items, items_total: items.length, bytes_total: items[0].size, skipped: [],
        visitors: [{ id: 1, address: "192.168.1.34", agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X)", state: pin || body.admission === "everyone" ? "in" : "waiting", since: at(), files_done: 0, bytes: 0, fetching: null }],
      };
      hub.shares.unshift(share);
      tell("share", share);
      return [200, share];
    }
    if (!one) return missing();
    if (third === "code") return [200, { url: one.urls[0], qr_svg: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#fff"/><path d="M1 1h3v3H1zM5 1h3v3H5zM1 5h3v3H1z"/></svg>' }];
    if (third === "visitors") {
      one.visitors[0].state = body.let_in ? "in" : "declined";
      tell("share", one);
      return [200, one];
    }
    if (method === "DELETE") {
      hub.shares = hub.shares.filter((other) => other !== one);
      tell("share-gone", { id: one.id });
      return [204];
    }
    return [200, one];
  }
  if (first === "transfers") {
    if (method === "GET") return [200, { transfers: hub.transfers }];
    if (method === "POST" && !second) {
      const to = find(hub.devices, body.device);
      const upload = hub.uploads.get(body.upload);
      const refused = needs("files/send", `device:${to.id}`, `Send ${upload ? `${upload.length} ${upload.length === 1 ? "file" : "files"}` : body.url ? "a link" : "a text"} to ${to.name}`);
      if (refused) return refused;
      const items = upload ? upload.slice(0, 8).map((one) => ({ name: one.path, size: one.size, folder: false })) : [];
      const one = transfer({ device: to.id, device_name: to.name, kind: upload ? "files" : body.url ? "url" : "text", text: body.text ?? body.url ?? null, items, files_total: items.length ? upload.length : 0, bytes_total: upload?.reduce((sum, each) => sum + each.size, 0) ?? 20 });
      change(one, {});
      setTimeout(() => one.state === "offered" && run(one, Math.max(200, one.bytes_total / 6)), 1200);
      return [200, one];
    }
    const one = find(hub.transfers, second);
    if (!one) return missing();
    if (third === "cancel") change(one, { state: "cancelled", finished: at(), message: "You cancelled it." });
    if (third === "retry") run(Object.assign(one, { message: null, finished: null }));
    if (method === "DELETE") {
      hub.transfers = hub.transfers.filter((other) => other !== one);
      tell("transfer-gone", { id: one.id });
      return [204];
    }
    return [200, one];
  }
  if (first === "uploads") {
    if (method === "POST") {
      const id = next("u");
      hub.uploads.set(id, []);
      return [200, { id }];
    }
    if (method === "PUT") {
      hub.uploads.get(second)?.push({ path: query.get("path"), size: raw });
      return [200, { path: query.get("path"), bytes: raw }];
    }
    hub.uploads.delete(second);
    return [204];
  }
  if (first === "inbox") {
    const offers = hub.transfers.filter((one) => one.direction === "in" && one.state === "offered");
    if (method === "GET") return [200, { folder: hub.settings.inbox, offers, received: hub.transfers.filter((one) => one.direction === "in" && one.state === "done") }];
    const one = find(offers, second);
    if (!one) return missing("The offer is gone.");
    if (third === "refuse") change(one, { state: "refused", finished: at() });
    else run(one, 15e6);
    return [200, one];
  }
  if (route === "GET entries") return [200, { statement: { title: "What Accord shares", version: "1", publisher: "The Accord project" }, entries: entries.map(entryView) }];
  if (route === "GET statement") return [200, { title: "What Accord shares" }];
  if (first === "consents") {
    if (second === "receipts") return [200, { "@context": "https://w3id.org/dpv" }];
    if (method === "GET") return [200, { consents: hub.consents }];
    if (method === "POST") return [200, decide(body)];
    const one = find(hub.consents, second);
    if (!one) return missing();
    Object.assign(one, { state: "withdrawn", withdrawn: at() });
    record("decision", { entry: one.entry, recipient: one.to, recipient_name: one.to_name, message: "withdrawn" });
    if (one.entry === "link/discovery") hub.discovery = "undecided";
    if (one.entry === "files/send") for (const running of hub.transfers.filter((other) => other.direction === "out" && other.state === "running")) change(running, { state: "failed", finished: at(), message: "Stopped: you withdrew your consent to files/send." });
    tell("consent", one);
    return [200, one];
  }
  if (first === "prompts") {
    if (method === "GET") return [200, { prompts: hub.prompts }];
    const one = find(hub.prompts, second);
    if (!one) return missing();
    const { surface, ...answer } = body;
    return [200, decide({ entry: one.entry.key, to: one.to, ...answer })];
  }
  if (first === "ledger") {
    if (second === "verify" && hub.damaged) return [200, { ok: false, records: hub.ledger.length, checkpoints: 3, witnesses: 1, root: head().root, problems: ["record 117: its hash does not fit the tree that was signed on 24 November", "Work laptop holds another head for 250 records"] }];
    if (second === "verify") return [200, { ok: true, records: hub.ledger.length, checkpoints: 3, witnesses: 2, root: head().root, problems: [] }];
    if (second === "export") return [200, hub.ledger];
    if (second) return hub.ledger[second] ? [200, hub.ledger[second]] : missing("There is no such record.");
    const words = (query.get("search") ?? "").toLowerCase();
    const fits = (one) => (!query.get("kind") || one.kind === query.get("kind")) && (!query.get("entry") || one.entry === query.get("entry")) && (!words || JSON.stringify(one).toLowerCase().includes(words)) && (!query.get("before") || one.seq < Number(query.get("before")));
    const all = hub.ledger.filter(fits).reverse();
    const records = all.slice(0, Number(query.get("limit") ?? 50));
    return [200, { head: head(), records, next: all.length > records.length ? records.at(-1).seq : null }];
  }
  if (first === "settings") {
    if (method === "PUT") {
      hub.settings = body;
      const own = hub.devices[0];
      Object.assign(own, { name: body.name, kind: body.kind });
      tell("device", own);
      tell("settings", body);
    }
    return [200, hub.settings];
  }
  if (first === "sessions") return [200, { sessions: [{ id: "s1", agent: "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", created: at(86400), last_used: at(1), current: true }, { id: "s2", agent: "Mozilla/5.0 (iPhone) Safari/604.1", created: at(864000), last_used: at(7200), current: false }] }];
  // Levers for looking at the UI; the real hub has none of these.
  if (first === "mock") {
    if (second === "offer") offer();
    if (second === "pairing") startPairing({ device: "link-tablet" }, "in");
    if (second === "lapsed") {
      const given = hub.consents.find((one) => one.entry === "files/send" && one.state === "lapsed");
      needs("files/send", given.to, `Send 1 file to ${given.to_name}`);
      hub.prompts[0].difference = given.difference;
      tell("prompt", hub.prompts[0]);
    }
    if (second === "notification") notices.post(body);
    if (second === "no-clipboard") notices.noTool();
    if (second === "broken") hub.broken = true;
    if (second === "verify") hub.damaged = true;
    if (second === "prompt") needs(body.entry ?? "files/send", body.to ?? "device:link-laptop", body.because ?? "Send 3 files to Work laptop");
    if (second === "gone") for (const response of listeners) response.destroy();
    return [204];
  }
  return missing(`${method} /${path.join("/")}${fourth ?? ""} is not known.`);
}

createServer(async (request, response) => {
  const url = new URL(request.url, "http://hub");
  const send = (code, body, type = "application/json", more = {}) => {
    response.writeHead(code, { "content-type": type, "content-security-policy": CSP, "cache-control": "no-store", "x-content-type-options": "nosniff", ...more });
    response.end(body);
  };
  if (!url.pathname.startsWith("/api/v1/")) {
    const name = normalize(url.pathname).replace(/^\/+/, "") || "index.html";
    try {
      return send(200, await readFile(join(DIST, name)), TYPES[extname(name)] ?? "application/octet-stream");
    } catch {
      return send(404, "There is no such file.", "text/plain");
    }
  }
  const path = url.pathname.slice(8).split("/").map(decodeURIComponent);
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (path[0] !== "uploads") chunks.push(chunk);
  }
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {};
  if (request.method !== "GET" && request.headers["x-accord"] !== "1") return send(403, JSON.stringify({ error: "forbidden", message: "X-Accord is missing.", prompt: null }));
  if (path[0] === "session") {
    if (request.method === "DELETE") return send(204, undefined, undefined, { "set-cookie": "accord-mock=; Path=/; Max-Age=0" });
    if (body.token !== TOKEN) return send(401, JSON.stringify({ error: "sign-in", message: "this setup link is not valid any more; run `accord open` for a new one", prompt: null }));
    return send(204, undefined, undefined, { "set-cookie": "accord-mock=1; Path=/; HttpOnly; SameSite=Strict" });
  }
  if (!/accord-mock=1/.test(request.headers.cookie ?? "")) return send(401, JSON.stringify({ error: "sign-in", message: "Sign in first.", prompt: null }));
  if (path[0] === "events") {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(`event: hello\ndata: ${JSON.stringify(status())}\n\n`);
    listeners.add(response);
    return response.on("close", () => listeners.delete(response));
  }
  if (request.method === "GET" && path[0] === "devices" && path[2] === "picture") {
    const one = hub.devices.find((device) => device.id === path[1]);
    const picture = one && one.reach !== "offline" ? pictureOf(one) : null;
    if (picture) return send(200, picture, "image/png");
    return send(502, JSON.stringify({ error: "unreachable", message: `${one?.name ?? "It"} cannot be reached.`, prompt: null }));
  }
  const [code, answer] = await api(request.method, path, url.searchParams, body, size);
  send(code, answer === undefined ? undefined : JSON.stringify(answer));
}).listen(PORT, "127.0.0.1", () => console.log(`Mock hub: http://127.0.0.1:${PORT}/#setup=${TOKEN}`));
