// The mock hub's house: devices of every service of the house (core/model/src/catalogue/home.rs), what they do when told,
// a history of what they measured, and the forms by which more are added.
const at = (secondsAgo = 0) => new Date(Date.now() - secondsAgo * 1000).toISOString();
const value = (data, age = 20, fresh = 900, source = "pushed") => ({ data, seen: at(age), source, fresh_for_s: fresh });
const property = (id, format, more = {}) => ({ id, format, read: true, write: false, notify: true, role: "primary", ...more });
const w = (id, format, more = {}) => property(id, format, { write: true, ...more });
const percent = (id, write = true) => property(id, "int", { unit: "percent", range: { min: 0, max: 100, step: 1 }, write });
const choose = (id, names, write = true) => property(id, "enum", { values: names.map((name, n) => [n, name]), write });
const action = (id, effect = "physical", inputs = []) => ({ id, inputs, outputs: [], effect });
const service = (id, properties, actions, values, more = {}) => ({ id, instance: 0, properties, actions, events: [], values, ...more });

export const light = (on, level, { kelvin, hue, saturation, effects, age } = {}) => service("light", [
  w("on", "bool"), ...(level === undefined ? [] : [percent("level")]),
  ...(kelvin ? [w("color-temperature", "int", { unit: "kelvin", range: { min: 1700, max: 6500, step: 1 } })] : []),
  ...(hue === undefined ? [] : [w("hue", "int", { unit: "degree", range: { min: 0, max: 359, step: 1 } }), percent("saturation"), choose("color-mode", ["temperature", "color"], false)]),
  ...(effects ? [choose("effect", effects)] : []),
], [action("toggle")], {
  on: value(on, age), ...(level === undefined ? {} : { level: value(level, age) }), ...(kelvin ? { "color-temperature": value(kelvin, age) } : {}),
  ...(hue === undefined ? {} : { hue: value(hue, age), saturation: value(saturation, age), "color-mode": value(1, age) }), ...(effects ? { effect: value(0, age) } : {}),
});
const onOff = (on, more = {}) => service("on-off", [w("on", "bool")], [action("toggle")], { on: value(on, 140) }, more);
const sensor = (id, data, { name = id, age = 40, fresh = 900, ...more } = {}) => service(id, [property(name, typeof data === "boolean" ? "bool" : "float", more)], [], { [name]: value(data, age, fresh) });
const temperature = (data, more) => sensor("temperature", data, { unit: "celsius", ...more });
const humidity = (data, more) => sensor("humidity", data, { unit: "percent", ...more });
const battery = (data, age) => service("battery", [property("percent", "int", { unit: "percent" })], [], { percent: value(data, age, 90000) });
const electricity = (watts, kwh) => service("electricity", [property("power", "float", { unit: "watt" }), property("energy", "float", { unit: "kilowatt-hour" }), property("voltage", "float", { unit: "volt" })], [], { power: value(watts, 9), energy: value(kwh, 300), voltage: value(231.4, 9) });
const climate = (now, target, mode, running) => service("climate", [
  property("temperature", "float", { unit: "celsius" }), w("target", "float", { unit: "celsius", range: { min: 7, max: 30, step: 0.5 } }), w("target-low", "float", { unit: "celsius", range: { min: 7, max: 30, step: 0.5 } }), w("target-high", "float", { unit: "celsius", range: { min: 7, max: 30, step: 0.5 } }),
  choose("mode", ["off", "heat", "cool", "heat-cool"]), choose("running", ["idle", "heating", "cooling"], false), property("humidity", "float", { unit: "percent" }), choose("preset", ["none", "eco", "away"]),
], [], { temperature: value(now, 50), target: value(target), "target-low": value(19), "target-high": value(24), mode: value(mode), running: value(running, 50), humidity: value(46, 50), preset: value(0) });
const cover = (position, state = position > 0 ? 0 : 2, security) => service("cover", [percent("position"), choose("state", ["open", "opening", "closed", "closing"], false)], [action("open", security ? "security" : "physical"), action("stop", "safe"), action("close")], { position: value(position, 800), state: value(state, 800) });
const lock = (locked) => service("door-lock", [property("locked", "bool"), choose("state", ["locked", "unlocked", "jammed"], false)], [action("lock"), action("unlock", "security")], { locked: value(locked, 4000, 90000), state: value(locked ? 0 : 1, 4000, 90000) });
const vacuum = (state, error) => service("vacuum", [choose("state", ["docked", "idle", "cleaning", "paused", "returning", "error"], false), choose("fan-speed", ["silent", "standard", "strong", "max"]), property("error", "text")], ["start", "pause", "stop", "dock", "locate"].map((id) => action(id)), { state: value(state, 30), "fan-speed": value(1), ...(error ? { error: value(error, 30) } : {}) });
const media = (title, playing) => service("media", [property("playing", "bool"), property("title", "text"), percent("volume")], ["play", "pause", "next", "previous"].map((id) => action(id)), { playing: value(playing), title: value(title), volume: value(35) });
const more = () => service("more", [
  ...["program", "door", "remaining-minutes", "spin", "temperature-of-water", "load", "detergent", "rinse", "steam", "delay"].map((id, n) => property(id, n % 3 ? "int" : "text")),
  w("child-lock", "bool", { role: "config" }), choose("language", ["german", "english", "ukrainian"]), w("volume-of-beeps", "int", { role: "config", range: { min: 0, max: 10, step: 1 } }),
  ...Array.from({ length: 14 }, (_, n) => property(`counter-${n + 1}`, "int", { role: "diagnostic" })),
], [action("start-program", "physical", [property("program", "int")]), action("reset-filter", "destructive")], {
  ...Object.fromEntries(["program", "door", "remaining-minutes", "spin", "temperature-of-water", "load", "detergent", "rinse", "steam", "delay"].map((id, n) => [id, value(n % 3 ? n * 7 : "Cotton 40")])), "child-lock": value(false), language: value(1), "volume-of-beeps": value(3),
  ...Object.fromEntries(Array.from({ length: 14 }, (_, n) => [`counter-${n + 1}`, value(n * 113)])),
});

/** Weather as Home Assistant tells it, and one value that somebody made there. */
const weather = () => service("more", [property("condition", "text"), property("temperature", "float", { unit: "celsius" }), property("humidity", "float", { unit: "percent" }), property("wind-speed", "float", { unit: "metre-per-second" }), property("pressure", "float", { unit: "pascal" })], [], { condition: value("partlycloudy", 300), temperature: value(14.6, 300), humidity: value(72, 300), "wind-speed": value(4.2, 300), pressure: value(101_320, 300) });
const helper = (of, data) => service("more", [of], [], { value: value(data, 60) });
const codedAlarm = () => service("alarm", [choose("state", ["disarmed", "armed-home", "armed-away", "triggered"], false)], ["arm-home", "arm-away", "arm-night", "disarm"].map((id) => action(id, id === "disarm" ? "security" : "physical", [property("code", "text")])), { state: value(1, 500) });

/** A device that is here through Home Assistant and in another way. */
const joined = (id, bridge) => ["homeassistant", bridge].map((one, n) => ({ id: n ? `${bridge}-${id}` : `house-${id}`, name: id, bridge: one, speaks: n ? "MQTT" : "Home Assistant", trust: "paired", reach: "local", addresses: [], heard: at(40) }));

export function houseOf(device) {
  const one = (id, name, kind, room, services, extra = {}) => device(`house-${id}`, name, kind, "paired", { bridge: "homeassistant", room, addresses: [], services, ...extra });
  return [
    one("ceiling", "Ceiling", "light", "Living room", [light(true, 70, { kelvin: 2900 })], { favourite: true, maker: "Yeelight" }),
    one("strip", "Shelf strip", "light", "Living room", [light(true, 45, { kelvin: 3500, hue: 275, saturation: 80, effects: ["none", "sunrise", "candle", "party"] })]),
    one("floor", "Floor lamp", "light", "Living room", [light(false, 30, { kelvin: 2700 })]),
    one("thermostat", "Heating", "climate", "Living room", [climate(20.6, 21.5, 1, 1)], { favourite: true }),
    one("curtain", "Curtains", "cover", "Living room", [cover(60)]),
    one("air", "Air", "sensor", "Living room", [temperature(20.9), humidity(47), service("air-quality", [property("carbon-dioxide", "int", { unit: "parts-per-million" }), property("pm2-5", "int", { unit: "microgram-per-cubic-metre" })], [], { "carbon-dioxide": value(712), "pm2-5": value(6) }), battery(81)]),
    one("tv", "Television", "tv", "Living room", [media("The Long Way Home", true)]),
    one("counter", "Counter lights", "light", "Kitchen", [light(true, 100)]),
    one("kettle", "Kettle", "plug", "Kitchen", [onOff(true), electricity(1843.2, 212.4)]),
    one("fridge", "Fridge", "sensor", "Kitchen", [temperature(5.4, { age: 9000 }), service("contact", [property("open", "bool")], [], { open: value(false, 700) })], { faces: joined("fridge", "mqtt") }),
    one("leak", "Under the sink", "sensor", "Kitchen", [service("water-leak", [property("detected", "bool")], [], { detected: value(false, 1200, 90000) }), battery(7)]),
    one("washer", "Washing machine", "appliance", "Kitchen", [onOff(true), more()]),
    one("bed", "Bedside", "light", "Bedroom", [light(false, 20, { kelvin: 2200 })], { reach: "offline", last_seen: at(86400) }),
    one("blind", "Blind", "cover", "Bedroom", [cover(0)]),
    one("bedair", "Window", "sensor", "Bedroom", [temperature(18.2), humidity(55), service("contact", [property("open", "bool")], [], { open: value(true, 300) })]),
    one("humid", "Humidifier", "air", "Bedroom", [service("humidifier", [w("on", "bool"), property("humidity", "float", { unit: "percent" }), percent("target"), choose("mode", ["auto", "silent", "high"])], [], { on: value(true), humidity: value(44), target: value(50), mode: value(0) })]),
    one("fan", "Fan", "fan", "Bedroom", [service("fan", [w("on", "bool"), percent("percent"), w("oscillating", "bool")], [action("toggle")], { on: value(false), percent: value(40), oscillating: value(false) })]),
    one("door", "Front door", "lock", "Hall", [lock(true), battery(64, 4000)], { favourite: true }),
    one("garage", "Garage door", "cover", "Hall", [cover(0, 2, true)]),
    one("robot", "Robbie", "vacuum", "Hall", [vacuum(2), battery(72), service("picture", [], [], {}, { label: "Map" })]),
    one("gate", "Garden gate", "camera", "Hall", [service("picture", [property("recording", "bool"), property("streaming", "bool")], [], { recording: value(false, 60), streaming: value(false, 60) })]),
    one("motion", "Motion", "sensor", "Hall", [service("occupancy", [property("occupied", "bool")], [], { occupied: value(true, 15) }), sensor("illuminance", 140, { unit: "lux" })]),
    one("alarm", "Alarm", "alarm", "Hall", [service("alarm", [choose("state", ["disarmed", "armed-home", "armed-away", "triggered"], false)], [action("arm-home"), action("arm-away"), action("disarm", "security", [property("code", "text")])], { state: value(0, 500) })]),
    one("gangs", "Wall switch", "switch", "Hall", [onOff(true, { label: "Stairs" }), onOff(false, { instance: 1, label: "Porch" })]),
    one("scene", "Evening", "other", null, [service("press", [], [action("press")], {})]),
    one("button", "Round button", "button", null, [service("button", [], [], {}, { events: [{ id: "pressed", arguments: [property("kind", "text")] }] }), battery(90)]),
    device("ha-new", "Attic house", "hub", "seen", { bridge: "homeassistant", services: [service("pairing", [property("paired", "bool")], [action("request", "safe", [property("token", "text", { sensitive: "key" })])], {}), service("more", [property("address", "text")], [], { address: value("http://192.168.1.77:8123") })] }),
    ...(process.env.MOCK_MORE === "1" ? [
      device("house-server", "Lab House", "hub", "paired", { bridge: "homeassistant", reach: "offline", addresses: [], services: [] }),
      one("weather", "Weather", "sensor", null, [weather()]), one("gas", "Gas meter", "sensor", "Kitchen", [helper(property("value", "float", { unit: "cubic-metre" }), 1843.7)]),
      one("tariff", "Tariff", "other", "Kitchen", [helper(choose("value", ["day", "night"]), 0)]), one("wished", "Night temperature", "other", "Bedroom", [helper(w("value", "float", { unit: "celsius", range: { min: 12, max: 22, step: 0.5 } }), 16.5)]),
      one("note", "Note", "other", null, [helper(w("value", "text"), "Feed the cat")]), one("guest", "Guest mode", "other", "Hall", [helper(w("value", "bool"), true)]),
      one("ecobee", "Ecobee", "climate", "Living room", [climate(22.1, 21, 3, 0)]), one("player", "Bedroom player", "speaker", "Bedroom", [service("on-off", [w("on", "bool")], [], { on: value(true) }), media("Says", true)]),
      one("coded", "House alarm", "alarm", "Hall", [codedAlarm()]), one("tilt", "Pergola roof", "cover", "Garden", [service("cover", [percent("tilt"), choose("state", ["open", "closed"], false)], [], { tilt: value(30), state: value(0) })]),
      one("out", "Thermometer", "sensor", "Garden", [temperature(8.2), humidity(81)]),
      one("siren", "Siren", "other", "Hall", [service("siren", [w("on", "bool")], [], { on: value(true, 400) })], { reach: "offline", via: "house-server" }),
      one("back", "Kitchen door", "lock", "Kitchen", [lock(false)], { reach: "offline", via: "house-server" }), one("dehum", "Dehumidifier in the cellar of the house", "air", "Hall", [service("humidifier", [w("on", "bool"), percent("target")], [], { on: value(false, 90, 30, "assumed"), target: value(40, 90, 30, "assumed") })]),
    ] : []),
    device("miio-new", "Mi Smart Plug", "plug", "seen", { bridge: "miio", maker: "Xiaomi", model: "chuangmi.plug.m3", services: [service("pairing", [property("paired", "bool")], [action("request", "safe", [property("token", "text", { sensitive: "key" })])], {})] }),
  ];
}

/** A house that is far too big, to see whether the page stays quick. */
export function bigHouse(device, count) {
  return Array.from({ length: count }, (_, n) => device(`big-${n}`, `Thing ${n}`, ["light", "plug", "sensor", "cover"][n % 4], "paired", {
    bridge: "mqtt", room: n % 10 === 9 ? null : `Room ${n % 18}`, addresses: [],
    services: n % 4 === 0 ? [light(n % 8 === 0, n % 100, { kelvin: 2700 })] : n % 4 === 1 ? [onOff(n % 3 === 0), electricity(n % 90, n)] : n % 4 === 2 ? [temperature(15 + (n % 100) / 10), humidity(40 + (n % 20)), battery(n % 100)] : [cover(n % 100)],
  }));
}

const settings = { on: true, all_days: 10, five_minutes_days: 180, hours_days: 3650, megabytes: 512, off: [] };
const field = (id, label, hint, more = {}) => ({ id, label, hint, kind: "text", required: true, secret: false, ...more });
export const CONTROL = { entry: "control/command", title: "Control it from here", says: "It gets the commands that you give: their names, numbers and switches. Texts and codes are asked about when there are any.", fields: [{ code: "command.name", label: "names of commands", required: true, sensitive: false }], needed: false };
const SEARCH = { entry: "matter/search", title: "Looking for Matter devices", says: "Everyone on the networks you are in can read: that somebody at this machine's address looks for Matter devices.", fields: [{ code: "net.ip", label: "IP address", required: true, sensitive: false }], needed: true };
const FORMS = [
  { bridge: "homeassistant", way: "token", what: "Home Assistant", how: "By address", kind: "hub", offers: [CONTROL], again: [{ id: "house-server", name: "Our house", reach: "local" }], steps: ["Open Home Assistant, then your profile, then Security.", "Make a long-lived access token named Accord, and copy it."], fields: [field("address", "Address", "As in the browser: http://homeassistant.local:8123"), field("token", "Token", "The long-lived access token. It is kept sealed on this machine.", { secret: true })], sign_in: "Sign in with Home Assistant" },
  { bridge: "mqtt", way: "broker", what: "MQTT broker, zigbee2mqtt", how: "By address", kind: "hub", offers: [CONTROL], again: [], sign_in: null, steps: [], fields: [field("address", "Address", "Host and port: 192.168.1.5:1883"), field("user", "User", "If the broker asks for one.", { required: false }), field("password", "Password", "If the broker asks for one.", { required: false, secret: true }), field("tls", "Encrypted", "The broker speaks TLS.", { kind: "switch", required: false })] },
  { bridge: "matter", way: "code", what: "Matter device", how: "By its code", kind: "other", offers: [SEARCH, CONTROL], again: [], sign_in: null, steps: ["It must be in your network already, by cable or in its Wi-Fi."], fields: [field("code", "Code", "11 or 21 digits, or the text of the QR code: MT:…", { secret: true }), field("name", "Name", "Until it says its own", { required: false })] },
  { bridge: "miio", way: "file", what: "Tokens from a file", how: "From a file with tokens", kind: "vacuum", offers: [CONTROL], again: [], sign_in: null, steps: ["Export the tokens with the tool that you used."], fields: [field("tokens", "Tokens", "JSON, as the tool wrote it.", { kind: "file", secret: true })] },
];

/** Signing in with a device's own page, while it lasts. */
let signing = null;

const order = { rooms: [], devices: [] };

/** The house's part of the API. */
export function answerHome(hub, tell, device, method, path, query, body) {
  const [first, second, third] = path;
  if (first === "forms") return [200, { forms: FORMS }];
  if (first === "add" && second === "sign-in" && method === "DELETE") {
    if (signing?.id === third) signing = null;
    return [204];
  }
  if (first === "add" && second === "sign-in") {
    // The browser comes back after a moment.
    if (signing?.id !== third) return [200, { state: "none", devices: [] }];
    const waits = signing.until === null || Date.now() < signing.until;
    return [200, waits ? { state: "waits", devices: [] } : { state: "done", devices: [signing.made] }];
  }
  if (first === "add") {
    hub.added = body;
    if (body.bridge === "matter" && !/^[0-9]{11}$|^MT:/.test(body.inputs.code ?? "")) return [400, { error: "bad-request", message: "bad input: a code has 11 or 21 digits; its last is wrong here", prompt: null }];
    if (!/^[\w.:/-]+$/.test(body.inputs.address ?? "x")) return [400, { error: "bad-input", message: "This is no address. It looks like 192.168.1.5:1883.", prompt: null }];
    if (body.inputs.token === "wrong") return [409, { error: "conflict", message: "Home Assistant refused the token: it was deleted there, or is another home’s.", prompt: null }];
    const nobody = body.inputs.address?.includes("192.168.1.99");
    if (nobody && !body.away) return [409, { error: "not-reached", message: "Nothing was added. Nobody in this network has 192.168.1.99. Turn its machine on.", prompt: null }];
    const away = body.bridge === "matter" || nobody;
    const made = device(`added-${Date.now()}`, away ? body.inputs.name || "Matter device" : "Home Assistant", away ? "other" : "hub", "paired", { bridge: body.bridge, services: [], reach: away ? "offline" : "local" });
    hub.devices.push(made);
    tell("device", made);
    if (body.sign_in) {
      // Nobody comes back from one of them.
      signing = { made, id: `${Date.now()}`, until: body.inputs.address.includes("nobody") ? null : Date.now() + 1500 };
      return [200, { devices: [made], open: `${body.inputs.address}/auth/authorize?state=0`, signing_in: signing.id }];
    }
    const name = /[\w-]+\.local/.exec(body.inputs.address ?? "")?.[0];
    return [200, { devices: [made], ...(name && { looked_up: { name, address: "192.168.1.5" } }) }];
  }
  if (first === "why" && second) {
    // One of its networks has no IPv6, which only Matter needs.
    const lacks = { code: "no-ipv6", weight: "hinders", says: "wlan0 of this machine has no IPv6 address. Matter devices there may be heard, and most are not reached, for they take IPv6 only.", remedy: "Turn IPv6 on for wlan0: a link-local address (fe80::…) is enough. On Linux, `/proc/sys/net/ipv6/conf/wlan0/disable_ipv6` says 0 then.", agree: null };
    const searched = [{ interface: "eth0", networks: ["192.168.1.2/24", "fe80::1/64"], heard: true }, { interface: "wlan0", networks: ["192.168.7.2/24"], heard: false }];
    return [200, { bridge: second, app: second, obstacles: second === "matter" ? [lacks] : [], searched: second === "mqtt" ? [] : searched }];
  }
  if (first === "devices" && third === "why") {
    const one = hub.devices.find((other) => other.id === second);
    // Added all the same: nobody has that address.
    if (one?.id.startsWith("added-") && one.bridge !== "matter") {
      const nobody = { code: "asleep", weight: "blocks", says: "Nobody in this network has 192.168.1.99.", remedy: "Turn its machine on.", agree: null };
      return [200, { device: one.id, name: one.name, bridge: one.bridge, app: "Home Assistant", reached: one.reach !== "offline", obstacles: one.reach === "offline" ? [nobody] : [], facts: [] }];
    }
    if (one?.bridge !== "matter") return null;
    const says = "You have not agreed to `matter/search`, so nothing is sent.";
    const given = hub.consents.some((consent) => consent.entry === "matter/search" && consent.state === "given");
    const missing = { code: "consent-missing", weight: "blocks", says, remedy: "Agree with `accord consent grant matter/search`.", agree: { entry: "matter/search", title: "Looking for Matter devices", to: "any" } };
    const asleep = { code: "not-announced", weight: "blocks", says: "Nobody announces it.", remedy: "Open it to others: `commissioning`.", agree: null };
    return [200, { device: one.id, name: one.name, bridge: "matter", app: "Matter", reached: false, obstacles: [given ? asleep : missing], facts: [] }];
  }
  if (first !== "home") return null;
  if (second === "history" && third === "settings") {
    // As the hub: a device is left out under the ids of all its faces.
    const faces = (id) => hub.devices.find((one) => one.id === id)?.faces.map((face) => face.id) ?? [id];
    if (method === "PUT") Object.assign(settings, body, { off: [...new Set(body.off.flatMap((id) => [id, ...faces(id)]))] });
    return [200, { settings, bytes: 48_300_000, kept: 37, since: at(86400 * 40), shortened: false }];
  }
  if (second === "history" && third === "kept") return [200, { kept: [{}, {}] }];
  if (second === "history" && method === "DELETE") return [204];
  if (second === "history") {
    const [from, to, step] = [Date.parse(query.get("from")), Date.parse(query.get("to")), Number(query.get("step"))];
    const name = query.get("property");
    const kind = ["open", "occupied", "detected", "on", "locked"].includes(name) ? "switch" : name === "energy" ? "meter" : "level";
    const now = hub.devices.find((one) => one.id === query.get("device"))?.services.find((one) => one.id === query.get("service"))?.values[name]?.data ?? 20;
    const points = [];
    for (let time = from; time < to; time += step * 1000) {
      const day = ((time / 86_400_000) % 1) * 2 * Math.PI;
      if (Math.floor(time / (86_400_000 / 5)) % 9 === 4) continue;
      const wave = Math.sin(day - 2) * 0.08 + Math.sin(day * 5.3) * 0.02;
      const mean = kind === "switch" ? Number(Math.sin(day * 7) > 0.6) : now * (1 + wave);
      points.push({ time: new Date(time).toISOString(), min: kind === "switch" ? mean : mean * 0.99, mean, max: kind === "switch" ? mean : mean * 1.012, ...(kind === "meter" ? { grown: Math.abs(wave) * 3 } : {}) });
    }
    return [200, { device: query.get("device"), service: query.get("service"), instance: 0, property: name, kind, unit: null, from: query.get("from"), to: query.get("to"), step_s: step, points, total: kind === "meter" ? 12.4 : null }];
  }
  if (second === "order") {
    if (method === "PUT") { Object.assign(order, body); tell("home-order", order); }
    return [200, order];
  }
  if (second === "rooms" && third === "put") {
    for (const one of hub.devices) if (body.devices.includes(one.id)) { one.room = body.room || null; tell("device", one); }
    return [200, {}];
  }
  if (second === "rooms" && third === "rename") {
    for (const one of hub.devices) if (one.room?.toLowerCase() === body.from.toLowerCase()) { one.room = body.to; tell("device", one); }
    return [200, {}];
  }
  return null;
}

/** Words and verbs of a thing of the house: what it says afterwards. */
export function actHome(device, found, verb, set) {
  const name = (id) => found.properties.find((one) => one.id === id)?.values ?? [];
  const state = (to) => set("state", name("state").find(([, word]) => word === to)?.[0] ?? 0);
  if (verb.verb !== "act") return;
  const { action: id } = verb;
  if (found.id === "cover" && id !== "stop") { set("position", id === "open" ? 100 : 0); state(id === "open" ? "open" : "closed"); }
  if (found.id === "door-lock") { set("locked", id === "lock"); state(id === "lock" ? "locked" : "unlocked"); }
  if (found.id === "vacuum") state({ start: "cleaning", pause: "paused", stop: "idle", dock: "returning" }[id] ?? "idle");
  if (found.id === "alarm") state({ "arm-home": "armed-home", "arm-away": "armed-away" }[id] ?? "disarmed");
}
