// The services of the mock hub's devices, as core/model/src/catalogue.rs describes them, and what they do when called.
import { actHome } from "./mock-home.mjs";

const at = (secondsAgo = 0) => new Date(Date.now() - secondsAgo * 1000).toISOString();
const property = (id, format, more = {}) => ({ id, format, read: true, write: false, notify: true, role: "primary", ...more });
const action = (id, effect = "safe", inputs = []) => ({ id, inputs, outputs: [], effect });
const service = (id, properties = [], actions = [], values = {}, more = {}) => ({ id, instance: 0, properties, actions, events: [], values, ...more });
const value = (data, age = 20, fresh = 600, source = "pushed") => ({ data, seen: at(age), source, fresh_for_s: fresh });
const percent = (id) => property(id, "int", { unit: "percent", range: { min: 0, max: 100, step: 1 }, write: true });

export const files = () => service("files", [], [action("send", "safe", [property("name", "text")])]);
export const storageService = () => service("storage", [], [action("list", "safe", [property("path", "text"), property("from", "int")]), action("fetch", "safe", [property("path", "text"), property("transfer", "text")])]);
export const battery = (level, charging, age) => service("battery", [property("percent", "int", { unit: "percent" }), property("charging", "bool")], [], { percent: value(level, age), charging: value(charging, age) });
export const information = (os) => service("information", [property("software", "text", { role: "diagnostic" }), property("os", "text", { role: "diagnostic" })], [], { software: value("accord 0.1.0", 40, 86400), os: value(os, 40, 86400) });
export const clipboard = () => service("clipboard", [], [action("set", "safe", [property("content", "text")])]);
export const ringer = () => service("ringer", [], [action("ring", "physical")]);
export const screenLock = () => service("screen-lock", [property("locked", "bool")], [action("lock")], { locked: value(false, 100) });
export const volume = (instance, label, level) => service("volume", [percent("level"), property("muted", "bool", { write: true })], [], { level: value(level), muted: value(false) }, { instance, label });
export const command = (instance, label) => service("command", [], [action("run", "security")], {}, { instance, label });
export const pinnedFiles = () => service("files", [property("pin", "text", { read: false, write: true, notify: false, role: "config" })], [action("send", "safe", [property("name", "text")])]);
export const ping = () => service("ping", [], [action("ping", "safe", [property("text", "text")])]);
export const signal = (bars, network) => service("signal", [property("network", "text"), property("bars", "int", { range: { min: 0, max: 4, step: 1 } })], [], { network: value(network), bars: value(bars) });
export const notifications = () => service("notifications", [], [
  action("show", "safe", ["id", "app", "title", "body"].map((id) => property(id, "text"))), action("dismiss", "safe", [property("id", "text")]), action("reply", "physical", [property("id", "text"), property("text", "text")]), action("act", "physical", [property("id", "text"), property("action", "text")]),
]);
export const player = (instance, label, title, artist, position, length, playing, age = 3) => service("media", [
  property("playing", "bool"), property("title", "text"), property("artist", "text"), property("position", "float", { unit: "second", write: true }), property("length", "float", { unit: "second" }), percent("volume"),
], ["play", "pause", "next", "previous"].map((id) => action(id, "physical")), {
  playing: value(playing, age), title: value(title, age), position: value(position, age), volume: value(35, 12, 600, age > 600 ? "assumed" : "pushed"), ...(artist ? { artist: value(artist, age) } : {}), ...(length ? { length: value(length, age) } : {}),
}, label ? { instance, label } : { instance });
export const lamp = () => service("light", [property("on", "bool", { write: true }), percent("level"), property("color-temperature", "int", { unit: "kelvin", range: { min: 1700, max: 6500, step: 100 }, write: true })], [action("toggle", "physical")], { on: value(true), level: value(70), "color-temperature": value(2700, 5000) });
/** A service that no card knows. */
export const aquarium = () => service("aquarium", [
  property("temperature", "float", { unit: "celsius" }), property("mode", "enum", { values: [[0, "day"], [1, "night"]], write: true }), property("fish", "int"), property("note", "text", { write: true }), property("firmware", "text", { role: "diagnostic" }),
], [action("feed", "physical", [property("portions", "int", { range: { min: 1, max: 5, step: 1 } })]), action("drain", "destructive")], { temperature: value(24.456, 30), mode: value(0), firmware: value("1.4.2", 7000, 86400), note: value("Do not feed on Sundays") });

/** What a device answers to a call; changes its values. */
export function answerCall(device, { service: id, instance, verb }) {
  const found = device.services.find((one) => one.id === id && one.instance === instance);
  if (!found) return [404, { error: "not-found", message: "The device does not offer this.", prompt: null }];
  const set = (name, data) => void (found.values = { ...found.values, [name]: value(data, 0) });
  if (verb.verb === "read") return [200, Object.fromEntries(Object.entries(found.values).map(([name, one]) => [name, one.data]))];
  if (verb.verb === "write" && verb.property !== "color-temperature" && verb.property !== "pin") set(verb.property, verb.data);
  actHome(device, found, verb, set);
  if ((verb.action === "play" || verb.action === "pause") && found.values.position) {
    const { position, playing } = found.values;
    if (playing.data) set("position", position.data + (Date.now() - Date.parse(position.seen)) / 1000);
    else set("position", position.data);
    set("playing", verb.action === "play");
  }
  if (verb.action === "lock") set("locked", true);
  return [200, {}];
}
