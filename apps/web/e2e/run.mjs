// Starts two hubs on this machine, in folders of their own, and runs the browser tests against them.
// Usage: node e2e/run.mjs PATH-TO-ACCORD | --mock   [arguments for node --test…]
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [program, ...more] = process.argv.slice(2);
if (!program) {
  console.error("Usage: node e2e/run.mjs PATH-TO-ACCORD | --mock");
  process.exit(2);
}
const home = mkdtempSync(join(tmpdir(), "accord-e2e-home-"));
const running = [];

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

async function start(folder, name, kind) {
  const state = join(home, folder);
  const http = `127.0.0.1:${await freePort()}`;
  const log = openSync(join(home, `${folder}.log`), "a");
  const child = spawn(program, ["--state", state, "up", "--http", http, "--name", name, "--kind", kind, "--no-open", "--loopback"], { stdio: ["ignore", log, log] });
  running.push(child);
  for (let tries = 0; tries < 300; tries += 1) {
    if (child.exitCode !== null) break;
    const asked = spawnSync(program, ["--state", state, "open", "--print"], { encoding: "utf8" });
    const link = /(http\S+?)\/?#setup=(\S+)/.exec(asked.stdout ?? "");
    if (link) return { url: link[1], token: link[2], pid: child.pid };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  console.error(readFileSync(join(home, `${folder}.log`), "utf8").slice(-4000));
  throw new Error(`the hub “${name}” did not come up`);
}

async function startMock() {
  const port = await freePort();
  const child = spawn(process.execPath, [join(here, "../dev/mock.mjs"), String(port)], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, MOCK_QUIET: "1" } });
  running.push(child);
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { url: `http://127.0.0.1:${port}`, token: "demo-token", pid: child.pid };
}

let code = 1;
try {
  const env = { ...process.env };
  if (program === "--mock") {
    const hub = await startMock();
    Object.assign(env, { ACCORD_URL: hub.url, ACCORD_TOKEN: hub.token, ACCORD_PID: String(hub.pid), ACCORD_MOCK: "1" });
  } else {
    // Other hubs may run on this machine: a name of our own.
    const name = `Kitchen tablet ${process.pid}`;
    const peer = await start("peer", name, "tablet");
    const hub = await start("hub", "Desk", "computer");
    env.ACCORD_PEER_NAME = name;
    Object.assign(env, { ACCORD_URL: hub.url, ACCORD_TOKEN: hub.token, ACCORD_PID: String(hub.pid), ACCORD_PEER_URL: peer.url, ACCORD_PEER_TOKEN: peer.token });
  }
  code = await new Promise((resolve) => {
    const tests = spawn(process.execPath, ["--test", "--test-concurrency=1", ...more, join(here, "ui.test.mjs")], { stdio: "inherit", env });
    tests.on("exit", (status) => resolve(status ?? 1));
  });
  if (code !== 0 && program !== "--mock") {
    for (const folder of ["hub", "peer"]) console.error(`--- ${folder}.log\n${readFileSync(join(home, `${folder}.log`), "utf8").slice(-3000)}`);
  }
} catch (error) {
  console.error(String(error));
} finally {
  for (const child of running) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(code);
