// A Matter device on matter.js, which is not ours, on a machine of its own: the script of tests/peers, in a network joined to
// this one.
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const PROGRAM = join(root, "tests/peers/matterdevice.mjs");
const peers = process.env.ACCORD_PEERS ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "accord/peers");
const MODULES = join(peers, "matter/node_modules");
/** Of the passcode 20202021 and the discriminator 3840, and of another passcode and the same discriminator. */
export const [CODE, WRONG] = ["34970112332", "34970212338"];

const run = (...words) => spawnSync(words[0], words.slice(1), { stdio: "ignore", timeout: 10_000 }).status === 0;

/** Two machines on one wire, of which this is the first; `null` where this process may not make them, where there is more than
 * the loopback, and where matter.js is not installed. */
export function matterNetwork() {
  const alone = spawnSync("ip", ["-o", "link"], { encoding: "utf8", timeout: 10_000 }).stdout?.trim().split("\n").length === 1;
  if (!alone || !existsSync(join(MODULES, "@matter/main"))) return null;
  const holder = spawn("unshare", ["--net", "--", "sleep", "infinity"], { stdio: "ignore" });
  const there = ["nsenter", "--target", String(holder.pid), "--net", "--"];
  const gone = () => {
    run("ip", "link", "del", "lan0");
    holder.kill("SIGKILL");
  };
  // It is a moment until it has its network: as long as it has ours, the wire's other end would stay here.
  const own = spawnSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" }).stdout;
  const its = () => spawnSync("readlink", [`/proc/${holder.pid}/ns/net`], { encoding: "utf8" }).stdout;
  for (const end = Date.now() + 5000; its() === own && Date.now() < end;) run("sleep", "0.05");
  const made = run("ip", "link", "set", "lo", "up")
    && run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", String(holder.pid))
    && run("ip", "address", "add", "10.78.0.1/24", "dev", "lan0") && run("ip", "link", "set", "lan0", "up") && run("ip", "route", "add", "default", "dev", "lan0")
    && run(...there, "ip", "link", "set", "lo", "up") && run(...there, "ip", "address", "add", "10.78.0.2/24", "dev", "eth0")
    && run(...there, "ip", "link", "set", "eth0", "up") && run(...there, "ip", "route", "add", "default", "dev", "eth0");
  if (made) return { machine: String(holder.pid), gone };
  gone();
  return null;
}

/** Whether this machine has IPv6 on that wire. */
export function ipv6(on) {
  writeFileSync("/proc/sys/net/ipv6/conf/lan0/disable_ipv6", on ? "0" : "1");
}

/** A device of that machine, that keeps what it is over `on` and `off`. `said` is what it told, in order. */
export class MatterDevice {
  said = [];
  #folder = mkdtempSync(join(tmpdir(), "accord-matter-"));
  #process = null;
  #machine;

  constructor(machine) {
    this.#machine = machine;
    symlinkSync(MODULES, join(this.#folder, "node_modules"));
    copyFileSync(PROGRAM, join(this.#folder, "matterdevice.mjs"));
  }

  async on(env = {}) {
    const words = ["--target", this.#machine, "--net", "--", process.execPath, join(this.#folder, "matterdevice.mjs"), join(this.#folder, "storage"), "lamp"];
    const device = spawn("nsenter", words, { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, ...env } });
    this.#process = device;
    let rest = "";
    await new Promise((ready, failed) => {
      const late = setTimeout(() => failed(new Error("the Matter device is not on within 30 s")), 30_000);
      device.once("error", failed);
      device.once("exit", (code) => failed(new Error(`the Matter device ended: ${code}`)));
      device.stdout.on("data", (chunk) => {
        rest += chunk;
        for (let at = rest.indexOf("\n"); at >= 0; at = rest.indexOf("\n")) {
          const line = rest.slice(0, at);
          rest = rest.slice(at + 1);
          if (!line.startsWith("{")) continue;
          const said = JSON.parse(line);
          this.said.push(said);
          if (said.ready) {
            clearTimeout(late);
            ready();
          }
        }
      });
    });
  }

  /** Without a word, as when it loses power. */
  off() {
    this.#process?.kill("SIGKILL");
    this.#process = null;
  }

  /** Does something at the device itself. */
  there(line) {
    this.#process.stdin.write(`${line}\n`);
  }

  /** What became of one of its attributes. */
  became(name) {
    return this.said.filter((one) => one.endpoint === "lamp" && one.name === name).at(-1)?.value;
  }

  gone() {
    this.off();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
