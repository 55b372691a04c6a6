// A house at a real MQTT broker (mosquitto): things that describe themselves in Home Assistant's discovery convention and
// say what they were told, as devices do.
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const lamp = (modes) => ({ schema: "json", state_topic: "~/s", command_topic: "~/set", brightness: true, supported_color_modes: modes });
const sensor = (device_class, unit_of_measurement, topic, name) => ({ device_class, unit_of_measurement, state_topic: `~/${topic}`, ...(name ? { name } : {}) });
const heating = {
  modes: ["off", "heat", "auto"], mode_state_topic: "~/m", mode_command_topic: "~/m/set", temperature_state_topic: "~/t", temperature_command_topic: "~/t/set",
  current_temperature_topic: "~/c", action_topic: "~/a", min_temp: 5, max_temp: 30, temp_step: 0.5,
};
const robot = { schema: "state", state_topic: "~/s", command_topic: "~/set", supported_features: ["start", "pause", "stop", "return_home", "locate", "battery"], fan_speed_list: ["low", "high"] };
/** Name, room, what it is made of (`[component, configuration]`), and what it says by topic. */
const THINGS = [
  ["Ceiling", "Living room", [["light", lamp(["color_temp"])]], { s: { state: "ON", brightness: 180, color_mode: "color_temp", color_temp: 340 } }],
  ["Shelf strip", "Living room", [["light", lamp(["hs", "color_temp"])]], { s: { state: "ON", brightness: 120, color_mode: "hs", color: { h: 275, s: 80 } } }],
  ["Floor lamp", "Living room", [["light", lamp(["brightness"])]], { s: { state: "OFF", brightness: 90 } }],
  ["Heating", "Living room", [["climate", heating]], { m: "heat", t: "21.5", c: "20.6", a: "heating" }],
  ["Curtains", "Living room", [["cover", { command_topic: "~/set", position_topic: "~/p", set_position_topic: "~/p/set" }]], { p: "60" }],
  ["Air", "Living room", [["sensor", sensor("temperature", "°C", "t", "Temperature")], ["sensor", sensor("humidity", "%", "h", "Humidity")], ["sensor", sensor("carbon_dioxide", "ppm", "co", "CO2")]], { t: "20.9", h: "47", co: "712" }],
  ["Counter", "Kitchen", [["light", lamp(["brightness"])]], { s: { state: "ON", brightness: 255 } }],
  ["Kettle", "Kitchen", [["switch", { state_topic: "~/s", command_topic: "~/set", device_class: "outlet" }], ["sensor", sensor("power", "W", "w", "Power")]], { s: "ON", w: "1843" }],
  ["Under the sink", "Kitchen", [["binary_sensor", { device_class: "moisture", state_topic: "~/s" }], ["sensor", sensor("battery", "%", "b", "Battery")]], { s: "OFF", b: "7" }],
  ["Front door", "Hall", [["lock", { state_topic: "~/s", command_topic: "~/set" }]], { s: "LOCKED" }],
  ["Robbie", "Hall", [["vacuum", robot]], { s: { state: "cleaning", battery_level: 72 } }],
  ["Motion", "Hall", [["binary_sensor", { device_class: "motion", state_topic: "~/s" }]], { s: "ON" }],
  ["Window", "Bedroom", [["binary_sensor", { device_class: "window", state_topic: "~/s" }], ["sensor", sensor("temperature", "°C", "t", "Temperature")]], { s: "ON", t: "18.2" }],
  ["Fan", "Bedroom", [["fan", { state_topic: "~/s", command_topic: "~/set", percentage_state_topic: "~/p", percentage_command_topic: "~/p/set" }]], { s: "OFF", p: "40" }],
  ["Bedside", "Bedroom", [["light", lamp(["color_temp"])]], { s: { state: "ON", brightness: 40, color_mode: "color_temp", color_temp: 440 } }],
];
export const COUNT = THINGS.length;

/** What its sensors said of a day, by hours ago: topic and words. */
const past = (ago) => {
  const hour = (new Date().getHours() + new Date().getMinutes() / 60 + 24 - ago) % 24;
  const near = (at, wide) => Math.exp(-(((((hour - at + 36) % 24) - 12) / wide) ** 2));
  // Towards the end it becomes what is so now.
  const to = (now, then) => now + (then - now) * Math.min(1, ago / 4);
  const shakes = Math.sin(ago * 7.3) + Math.sin(ago * 17.9);
  return [
    ["house/5/t", to(20.9, 19.1 + 2.1 * near(7.5, 2.2) + 2.4 * near(19.5, 4) + 0.07 * shakes).toFixed(1)],
    ["house/5/h", to(47, 44 + 9 * near(7, 1.2) + 5 * near(19, 2) + 0.6 * shakes).toFixed(0)],
    ["house/5/co", to(712, 470 + 260 * near(7.5, 1.5) + 640 * near(20.5, 3) + 9 * shakes).toFixed(0)],
    ["house/12/t", to(18.2, 16.6 + 2.4 * near(15, 4) + 0.06 * shakes).toFixed(1)],
  ];
};

/**
 * Starts the broker at `address`; `null` where there is none. `gone` ends it. `again` lets everything say once more how it is,
 * `said(ago)` lets the sensors say what they said so many hours ago. Nothing of it takes longer than its deadline.
 */
export async function brokerHouse(folder, address) {
  const there = (word) => spawnSync("sh", ["-c", `command -v ${word}`], { timeout: 10_000 }).status === 0;
  // Debian has the broker where not every user looks.
  process.env.PATH += ":/usr/local/sbin:/usr/sbin:/sbin";
  if (!["mosquitto", "mosquitto_pub", "mosquitto_sub"].every(there)) return null;
  const config = join(folder, "mosquitto.conf");
  writeFileSync(config, `listener 1883 ${address}\nallow_anonymous true\nuser root\n`);
  const broker = spawn("mosquitto", ["-c", config], { stdio: "ignore" });
  const say = (topic, what) => spawnSync("mosquitto_pub", ["-h", address, "-r", "-t", topic, "-m", typeof what === "string" ? what : JSON.stringify(what)], { stdio: "ignore", timeout: 5000 }).status === 0;
  let told = null;
  const gone = () => [told, broker].forEach((one) => one?.kill("SIGKILL"));
  const end = Date.now() + 20_000;
  while (!say("house/ready", "yes")) {
    if (Date.now() > end) {
      gone();
      throw new Error(`waited in vain: mosquitto takes something at ${address}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const again = () => {
    for (const [at, [, , , states]] of THINGS.entries()) for (const [topic, what] of Object.entries(states)) say(`house/${at}/${topic}`, what);
  };
  again();
  for (const [at, [name, room, parts]] of THINGS.entries()) {
    for (const [part, [component, made]] of parts.entries()) {
      const config = { name: null, unique_id: `thing-${at}-${part}`, device: { identifiers: [`thing-${at}`], name, suggested_area: room }, ...made };
      say(`homeassistant/${component}/thing-${at}/p${part}/config`, JSON.stringify(config).replaceAll("~/", `house/${at}/`));
    }
  }
  told = spawn("mosquitto_sub", ["-h", address, "-v", "-t", "house/+/set"], { stdio: ["ignore", "pipe", "ignore"] });
  told.stdout.on("data", (lines) => {
    for (const line of String(lines).trim().split("\n")) {
      const [topic, ...words] = line.split(" ");
      say(topic.replace(/set$/, "s"), { LOCK: "LOCKED", UNLOCK: "UNLOCKED" }[words[0]] ?? words.join(" "));
    }
  });
  return { again, said: (ago) => past(ago).forEach(([topic, what]) => say(topic, what)), gone };
}
