// Takes the README's pictures in a real browser, from a demo home of real hubs.
// Usage: node apps/web/e2e/pictures.mjs [OUT_DIR]   ACCORD_BIN names the program when it is elsewhere.
// ONLY=house takes those of a house alone, and ONLY=demo the others: scripts/as-root-of-a-network gives the house the network
// of its own that it needs. Every step has a deadline, and says what it waited for.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { agreeing, decide, device, go, launch, open, until } from "./lib.mjs";
import { brokerHouse, COUNT } from "./house.mjs";
import { lampNetwork } from "./lamps.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const wait = (ms) => new Promise((over) => setTimeout(over, ms));
const program = process.env.ACCORD_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release/accord");
const out = resolve(process.argv[2] ?? join(root, "docs/pictures"));
mkdirSync(out, { recursive: true });
const home = mkdtempSync(join(tmpdir(), "accord-pictures-"));
/** Where Debian has it: with it the hub lives through a day in a minute. */
const faked = ["x86_64", "aarch64"].map((one) => `/usr/lib/${one}-linux-gnu/faketime/libfaketimeMT.so.1`).find((one) => existsSync(one));
const DAY = 23.5;
const everything = process.env.ONLY !== "house";
let doing = "";
let deadline;
/** What is begun, and how long it has: whatever hangs, this ends. */
function step(what, seconds = 120) {
  doing = what;
  clearTimeout(deadline);
  console.error(`${new Date().toTimeString().slice(0, 8)} ${what}`);
  deadline = setTimeout(() => {
    console.error(`waited ${seconds} s in vain: ${what}`);
    for (const end of ends) end();
    process.exit(1);
  }, seconds * 1000);
}
/** What ends what was started, at the end or when it took too long. */
const ends = [() => rmSync(home, { recursive: true, force: true, maxRetries: 5 })];
const begun = (child) => {
  ends.unshift(() => child.kill("SIGKILL"));
  return child;
};

let browser;
try {
  step("Chromium starts", 60);
  browser = await launch();
  if (everything) await theDemo();
  if (process.env.ONLY !== "demo") await house();
  console.log(`Pictures are in ${out}`);
} catch (error) {
  throw new Error(`it failed while ${doing}`, { cause: error });
} finally {
  clearTimeout(deadline);
  await Promise.race([browser?.close(), new Promise((over) => setTimeout(over, 5000))]);
  for (const end of ends) end();
}
process.exit(0);

/** The demo home: pairing, sending, casting, privacy. */
async function theDemo() {
  step("the demo home comes up", 130);
  const demo = begun(spawn(program, ["--state", join(home, "demo"), "demo", "--no-open"], { stdio: ["ignore", "pipe", "inherit"] }));
  const link = await new Promise((found, failed) => {
    let text = "";
    demo.stdout.on("data", (chunk) => {
      text += chunk;
      const hit = /This machine\s+(http\S+?)\/?#setup=(\S+)/.exec(text);
      if (hit) found({ url: hit[1], token: hit[2] });
    });
    demo.once("exit", () => failed(new Error("the demo home ended")));
    setTimeout(() => failed(new Error("the demo home did not come up")), 120_000).unref();
  });
  const { page } = await open(browser, link, { viewport: { width: 1200, height: 800 }, deviceScaleFactor: 2, colorScheme: "light" });
  const shoot = (name, theme) => taken(page, name, theme);
  step("devices are paired");
  await page.getByTestId("ask-discovery").waitFor();
  await page.getByTestId("ask-discovery").getByRole("button", { name: "Look for devices" }).click();
  for (const entry of ["link/pairing", "link/connection", "files/receive"]) await decide(page, entry, "Always");
  await go(page, "#/devices");
  for (const name of ["Mira", "Kitchen tablet", "Work laptop"]) {
    await device(page, name).getByTestId("pair-button").click();
    await agreeing([page], page.getByTestId("pairing").locator("[data-code]").waitFor());
    if (name === "Mira") await shoot("pairing");
    await page.getByTestId("codes-match").click();
    await agreeing([page], page.getByTestId("paired").waitFor());
    await page.getByTestId("paired").getByRole("button", { name: "Done" }).click();
  }
  step("a file is sent", 180);
  const file = join(home, "Summer plans.pdf");
  writeFileSync(file, Buffer.alloc(3 << 20, "Accord "));
  await device(page, "Mira").getByTestId("send-button").click();
  await page.getByTestId("file-input").setInputFiles(file);
  await page.getByTestId("prompt").waitFor();
  await shoot("prompt");
  await page.getByTestId("prompt").getByRole("button", { name: "Allow always", exact: true }).click();
  await page.getByTestId("offer").first().waitFor({ timeout: 60_000 }).catch(() => undefined);
  await shoot("devices");
  if (await page.getByTestId("accept").first().isVisible()) await page.getByTestId("accept").first().click();
  await go(page, "#/transfers");
  await page.locator("[data-testid=transfer][data-state=done]").first().waitFor({ timeout: 60_000 });
  await shoot("transfers");
  await casting(page, shoot);
  step("the ledger is looked at");
  await go(page, "#/privacy/files%2Fsend");
  await shoot("privacy");
  await go(page, "#/privacy/ledger");
  await page.getByTestId("verify").click();
  await page.getByTestId("verdict").waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  await shoot("ledger-phone-dark", "dark");
}

async function taken(page, name, theme = "light") {
  await page.evaluate((wanted) => void (document.documentElement.dataset.theme = wanted), theme);
  await page.evaluate(() => scrollTo(0, 0));
  await page.waitForTimeout(600);
  await page.screenshot({ path: join(out, `${name}.png`) });
}

/** A house at a broker, in a network of its own. */
async function house() {
  step("the broker comes up", 60);
  const network = lampNetwork(1);
  if (!network) return console.log("No pictures of the house: they need a network of their own (scripts/as-root-of-a-network).");
  ends.unshift(network.gone);
  const broker = await brokerHouse(home, network.addresses[0]);
  if (broker) ends.unshift(broker.gone);
  if (!broker || !faked) return console.log("No pictures of the house: they need mosquitto, its clients, and faketime.");
  step("the house's hub comes up");
  const state = join(home, "house");
  const accord = (...words) => execFileSync(program, ["--state", state, ...words], { encoding: "utf8", timeout: 60_000, stdio: ["ignore", "pipe", "pipe"] });
  const clock = join(home, "clock");
  const jump = (hours) => {
    writeFileSync(`${clock}.new`, `-${Math.round(hours * 3600)}s\n`);
    renameSync(`${clock}.new`, clock);
  };
  jump(DAY);
  const env = { LD_PRELOAD: faked, FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" };
  begun(spawn(program, ["--state", state, "up", "--http", "127.0.0.1:8461", "--name", "Ada’s desk", "--no-open"], { stdio: "ignore", env: { ...process.env, ...env } }));
  const signIn = () => until("the house's hub gives a link", () => {
    const asked = spawnSync(program, ["--state", state, "open", "--print"], { encoding: "utf8", timeout: 10_000 });
    const hit = /(http\S+?)\/?#setup=(\S+)/.exec(asked.stdout ?? "");
    return hit && { url: hit[1], token: hit[2] };
  });
  const link = await signIn();
  step("the broker is added");
  broker.said(DAY);
  accord("add", "mqtt", `address=${network.addresses[0]}`, "--control");
  const known = () => JSON.parse(accord("--json", "devices")).devices.filter((one) => one.bridge === "mqtt");
  await until("the house is known", () => known().length > COUNT);
  for (const name of ["Front door", "Robbie", "Bedside"]) accord("devices", "set", known().find((one) => one.name === name).id, "--favourite", "true");
  step("a day goes by", 600);
  for (let ago = DAY; ago > 0; ago -= 1 / 4) {
    jump(ago);
    broker.said(ago);
    await wait(40);
  }
  jump(0);
  broker.again();
  step("the house is looked at", 240);
  const { page } = await open(browser, link, { viewport: { width: 1200, height: 900 }, deviceScaleFactor: 2, colorScheme: "light" });
  const rooms = ["Living room", "Kitchen", "Hall", "Bedroom"];
  await page.evaluate((order) => fetch("/api/v1/home/order", { method: "PUT", headers: { "x-accord": "1", "content-type": "application/json" }, body: JSON.stringify(order) }), { rooms, devices: [] });
  await page.reload();
  await go(page, "#/home");
  await page.getByTestId("favourites").getByTestId("tile").nth(2).waitFor();
  await wait(1500);
  await taken(page, "home");
  step("a lamp is looked at");
  await page.getByRole("combobox", { name: "Room" }).selectOption("Living room");
  await page.getByTestId("room").getByRole("button", { name: /^Shelf/ }).click();
  await page.getByTestId("thing").waitFor();
  await taken(page, "home-lamp-dark", "dark");
  await page.keyboard.press("Escape");
  step("a history is looked at");
  await page.setViewportSize({ width: 1200, height: 1060 });
  await page.getByTestId("room").getByRole("button", { name: /^Air/ }).click();
  const history = page.getByTestId("thing").getByText("History", { exact: true }).first();
  await history.click();
  await page.getByTestId("thing").locator(".chart").first().waitFor();
  await taken(page, "home-history");
  await page.keyboard.press("Escape");
  await page.setViewportSize({ width: 1000, height: 800 });
  await page.getByRole("combobox", { name: "Room" }).selectOption("*");
  step("what can be added is looked at");
  await page.getByRole("button", { name: "Add a device" }).first().click();
  await page.getByTestId("way-group").first().waitFor();
  await page.getByTestId("way-group").getByRole("button", { name: /^MQTT broker/ }).waitFor();
  await taken(page, "home-add");
  step("the house is looked at on a phone");
  const { page: phone } = await open(browser, await signIn(), { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  await go(phone, "#/home");
  await phone.getByTestId("favourites").getByTestId("tile").nth(2).waitFor();
  await taken(phone, "home-phone-dark", "dark");
}

/** A film on a screen that is another tab of this browser, and the player that controls it. */
async function casting(page, shoot) {
  const film = join(home, "Holiday.mp4");
  const words = "-v error -f lavfi -i mandelbrot=s=1280x720:r=25 -f lavfi -i sine=330 -t 60 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -movflags +faststart";
  step("a film is made", 600);
  execFileSync("ffmpeg", [...words.split(" "), film], { timeout: 590_000 });
  step("the film is cast", 180);
  const state = join(home, "demo", readdirSync(join(home, "demo")).find((name) => name.startsWith("this")));
  const accord = (...words) => execFileSync(program, ["--state", state, ...words], { encoding: "utf8", timeout: 60_000 });
  for (const entry of ["browser/receiver", "casting/serve", "casting/command", "control/command"]) accord("consent", "grant", entry);
  const { urls } = JSON.parse(accord("--json", "tv", "open"));
  const screen = await page.context().newPage();
  await screen.setViewportSize({ width: 1280, height: 720 });
  await screen.goto(urls[0]);
  await screen.getByText(/^\d{3}\s?\d{3}$/).first().waitFor();
  const code = (await screen.getByText(/^\d{3}\s?\d{3}$/).first().textContent()).replace(/\D/g, "");
  accord("tv", "add", code);
  await screen.mouse.click(640, 360);
  const added = () => JSON.parse(accord("--json", "devices")).devices.find((one) => one.bridge === "browser" && one.trust === "paired");
  for (let looks = 0; looks < 40 && !added(); looks += 1) await page.waitForTimeout(250);
  const there = added();
  accord("cast", there.id, film);
  await page.getByTestId("mini-player").waitFor();
  await go(page, "#/devices");
  await page.waitForTimeout(3000);
  await shoot("cast");
  await screen.screenshot({ path: join(out, "cast-screen.jpg"), type: "jpeg", quality: 70, scale: "css" });
  accord("casts", "stop");
  await screen.close();
}
