// A network of its own with places for lamps, in which the stand-in for Yeelight lamps (tests/peers/yeelamp.py) is found and
// spoken to as lamps are.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), "../../../tests/peers/yeelamp.py");
const ip = (...words) => spawnSync("ip", words, { stdio: "ignore", timeout: 10_000 }).status === 0;

/** Only where this process may make a network, and where there is none but the loopback: otherwise `null`. */
export function lampNetwork(places) {
  const alone = spawnSync("ip", ["-o", "link"], { encoding: "utf8" }).stdout?.trim().split("\n").length === 1;
  if (!existsSync(PROGRAM) || !alone || !ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")) return null;
  const addresses = Array.from({ length: places }, (_, at) => `10.77.0.${at + 2}`);
  // A machine speaks to addresses of its own over its loopback, which is off in a network that was just made.
  const made = ip("link", "set", "lo", "up") && ["10.77.0.1", ...addresses].every((address) => ip("address", "add", `${address}/24`, "dev", "lan0"))
    && ip("link", "set", "lan1", "up") && ip("link", "set", "lan0", "up", "multicast", "on") && ip("route", "add", "default", "dev", "lan0");
  if (!made) return null;
  return { program: PROGRAM, addresses, gone: () => ip("link", "del", "lan0") };
}

/** Switches a lamp on; `told` hears what it is told. */
export async function lampOn(program, address, id, name, told = () => undefined, ...more) {
  const lamp = spawn("python3", ["-u", program, address, id, "--name", name, ...more], { stdio: ["ignore", "pipe", "inherit"] });
  let rest = "";
  await new Promise((ready, failed) => {
    lamp.once("exit", (code) => failed(new Error(`the lamp ended: ${code}`)));
    lamp.once("error", failed);
    lamp.stdout.on("data", (chunk) => {
      rest += chunk;
      for (let at = rest.indexOf("\n"); at >= 0; at = rest.indexOf("\n")) {
        const line = JSON.parse(rest.slice(0, at));
        rest = rest.slice(at + 1);
        if (line.ready) ready();
        if (line.told) told(line);
      }
    });
  });
  return lamp;
}
