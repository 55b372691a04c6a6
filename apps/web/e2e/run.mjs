// Starts two hubs on this machine, in folders of their own and anew for each file of tests, and runs the browser tests
// against them. Usage: node e2e/run.mjs PATH-TO-ACCORD | --mock   [arguments for node --test…]
// ACCORD_E2E=notices runs that file alone.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { lampNetwork } from "./lamps.mjs";
import { matterNetwork } from "./matter.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const [program, ...more] = process.argv.slice(2);
if (!program) {
  console.error("Usage: node e2e/run.mjs PATH-TO-ACCORD | --mock");
  process.exit(2);
}
const home = mkdtempSync(join(tmpdir(), "accord-e2e-home-"));
const running = new Set();

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** Keeps a program for the end of what it was started for, whose list `own` is. */
function begun(child, own) {
  running.add(child);
  own.push(() => {
    running.delete(child);
    child.kill("SIGKILL");
  });
}

/** A session bus of its own, on which nothing is started by itself; `null` where there is no dbus-daemon. */
async function bus(own) {
  const config = join(home, "bus.conf");
  writeFileSync(config, `<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth><policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`);
  const child = spawn("dbus-daemon", [`--config-file=${config}`, "--nofork", "--print-address"], { stdio: ["ignore", "pipe", "ignore"] });
  begun(child, own);
  return new Promise((resolve) => {
    child.once("error", () => resolve(null));
    child.stdout.once("data", (line) => resolve(String(line).trim()));
  });
}

// Whatever desktop this runs in stays out of it.
const { DBUS_SESSION_BUS_ADDRESS: _bus, DISPLAY: _display, WAYLAND_DISPLAY: _wayland, ...bare } = process.env;

async function start(own, folder, name, kind, more = {}, lan = false) {
  const state = join(home, folder);
  const http = `127.0.0.1:${await freePort()}`;
  const log = openSync(join(home, `${folder}.log`), "a");
  const child = spawn(program, ["--state", state, "up", "--http", http, "--name", name, "--kind", kind, "--no-open", ...(lan ? [] : ["--loopback"])], { stdio: ["ignore", log, log], env: { ...bare, ...more } });
  begun(child, own);
  for (let tries = 0; tries < 300; tries += 1) {
    if (child.exitCode !== null) break;
    const asked = spawnSync(program, ["--state", state, "open", "--print"], { encoding: "utf8" });
    const link = /(http\S+?)\/?#setup=(\S+)/.exec(asked.stdout ?? "");
    if (link) return { url: link[1], token: link[2], pid: child.pid, state };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  console.error(readFileSync(join(home, `${folder}.log`), "utf8").slice(-4000));
  throw new Error(`the hub “${name}” did not come up`);
}

async function startMock(own, more = {}) {
  const port = await freePort();
  const child = spawn(process.execPath, [join(here, "../dev/mock.mjs"), String(port)], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, MOCK_QUIET: "1", ...more } });
  begun(child, own);
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { url: `http://127.0.0.1:${port}`, token: "demo-token", pid: child.pid };
}

/** What is played by the mock: what is cast to (real renderers have tests of their own, tests/peers/test_cast.py), and a
 * house in which everything is. */
const PLAYED = { cast: { MOCK_CAST: "two" }, home: { MOCK_HOUSE: "1" } };

async function run(file, own) {
  const env = { ...bare };
  if (program === "--mock" || PLAYED[file]) {
    const hub = await startMock(own, PLAYED[file] ?? {});
    Object.assign(env, { ACCORD_URL: hub.url, ACCORD_TOKEN: hub.token, ACCORD_PID: String(hub.pid), ACCORD_MOCK: "1" });
  } else {
    const house = file === "lamp" ? lampNetwork(1) : file === "matter" ? matterNetwork() : null;
    if (house) {
      Object.assign(env, file === "lamp" ? { ACCORD_LAMP: house.program, ACCORD_LAMP_AT: house.addresses[0] } : { ACCORD_MATTER: house.machine });
      own.push(house.gone);
    }
    // Other hubs may run on this machine: names of our own.
    const name = `Kitchen tablet ${process.pid}`;
    const desk = file !== "notices" ? "Desk" : `Desk ${process.pid}`;
    const address = file !== "notices" ? null : await bus(own);
    const peer = await start(own, `${file}-peer`, name, "tablet", address ? { DBUS_SESSION_BUS_ADDRESS: address } : {});
    const hub = await start(own, `${file}-hub`, desk, "computer", {}, house !== null);
    Object.assign(env, { ACCORD_PEER_NAME: name, ACCORD_NAME: desk, ACCORD_PROGRAM: program, ACCORD_STATE: hub.state, ACCORD_PEER_STATE: peer.state, ...(address ? { ACCORD_PEER_BUS: address } : {}) });
    Object.assign(env, { ACCORD_URL: hub.url, ACCORD_TOKEN: hub.token, ACCORD_PID: String(hub.pid), ACCORD_PEER_URL: peer.url, ACCORD_PEER_TOKEN: peer.token });
  }
  const code = await new Promise((resolve) => {
    const tests = spawn(process.execPath, ["--test", "--test-concurrency=1", ...more, join(here, `${file}.test.mjs`)], { stdio: ["ignore", "pipe", "pipe"], env });
    let said = "";
    for (const stream of [tests.stdout, tests.stderr]) stream.setEncoding("utf8").on("data", (text) => { said += text; });
    tests.on("close", (status) => {
      console.log(`-- ${file}\n${said}`);
      resolve(status ?? 1);
    });
  });
  if (code !== 0 && program !== "--mock" && !PLAYED[file]) {
    for (const side of ["hub", "peer"]) console.error(`--- ${side}.log\n${readFileSync(join(home, `${file}-${side}.log`), "utf8").slice(-3000)}`);
  }
  return code;
}

let code = 0;

/** One after the other. */
async function all(files) {
  for (const file of files) {
    const own = [];
    try {
      code = (await run(file, own)) || code;
    } finally {
      for (const end of own) end();
    }
  }
}

try {
  const files = process.env.ACCORD_E2E?.split(",") ?? ["ui", "notices", "share", "cast", "home", "lamp", "matter"];
  // Hubs would find those of another file; what is played by the mock is tried beside them.
  await Promise.all([all(files.filter((file) => !PLAYED[file])), all(files.filter((file) => PLAYED[file]))]);
} catch (error) {
  code = 1;
  console.error(String(error));
} finally {
  for (const child of running) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(code);
