// Takes the README's pictures in a real browser, from a demo home of real hubs.
// Usage: node apps/web/e2e/pictures.mjs [OUT_DIR]   ACCORD_BIN names the program when it is elsewhere.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { agreeing, decide, device, go, launch, open } from "./lib.mjs";
import { brokerHouse, COUNT } from "./house.mjs";
import { lampNetwork } from "./lamps.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = process.env.ACCORD_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release/accord");
const out = resolve(process.argv[2] ?? join(root, "docs/pictures"));
mkdirSync(out, { recursive: true });
const home = mkdtempSync(join(tmpdir(), "accord-pictures-"));
// ONLY=house takes those of the house alone.
const everything = process.env.ONLY !== "house";
const demo = everything ? spawn(program, ["--state", join(home, "demo"), "demo", "--no-open"], { stdio: ["ignore", "pipe", "inherit"] }) : null;
let browser;
try {
  browser = await launch();
  if (demo) await theDemo();
  await house();
  console.log(`Pictures are in ${out}`);
} finally {
  await browser?.close();
  demo?.kill("SIGTERM");
  if (demo) await new Promise((ended) => (demo.exitCode !== null ? ended() : demo.once("exit", ended)));
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}

/** The demo home: pairing, sending, casting, privacy. */
async function theDemo() {
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

/** A house at a broker, in a network of its own: for that, run this with `unshare -rn sh -c "ip link set lo up && …"`. */
async function house() {
  const network = lampNetwork(1);
  const broker = network && (await brokerHouse(home, network.addresses[0]));
  if (!broker) return console.log("No pictures of the house: they need mosquitto, and a network of their own.");
  const state = join(home, "house");
  const accord = (...words) => execFileSync(program, ["--state", state, ...words], { encoding: "utf8", timeout: 60_000, stdio: ["ignore", "pipe", "pipe"] });
  const own = spawn(program, ["--state", state, "up", "--http", "127.0.0.1:8461", "--name", "Ada’s desk", "--no-open"], { stdio: "ignore" });
  try {
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    let link = null;
    for (let looks = 0; looks < 100 && !link; looks += 1) {
      await wait(200);
      try {
        link = /(http\S+?)\/?#setup=(\S+)/.exec(accord("open", "--print"));
      } catch { /* It is not up yet. */ }
    }
    const { page } = await open(browser, { url: link[1], token: link[2] }, { viewport: { width: 1200, height: 1000 }, deviceScaleFactor: 2, colorScheme: "light" });
    await go(page, "#/home");
    await page.getByRole("button", { name: "Add a device" }).first().click();
    await page.getByTestId("add").getByRole("button", { name: /^MQTT broker/ }).click();
    await page.getByTestId("add-form").getByLabel("Address").fill(network.addresses[0]);
    await page.getByTestId("add-form").getByRole("button", { name: "Add", exact: true }).click();
    await agreeing([page], page.getByTestId("added").waitFor());
    await page.keyboard.press("Escape");
    const known = () => JSON.parse(accord("--json", "devices")).devices.filter((one) => one.bridge === "mqtt");
    for (let looks = 0; looks < 60 && known().length <= COUNT; looks += 1) await wait(500);
    for (const name of ["Ceiling", "Heating", "Front door"]) accord("devices", "set", known().find((one) => one.name === name).id, "--favourite", "true");
    await page.getByTestId("favourites").getByTestId("tile").nth(2).waitFor();
    await page.waitForTimeout(1500);
    await taken(page, "home");
    await page.getByRole("searchbox").fill("shelf");
    await page.getByTestId("room").getByRole("button", { name: /^Shelf/ }).click();
    await page.getByTestId("thing").waitFor();
    await taken(page, "home-lamp-dark", "dark");
    await page.keyboard.press("Escape");
    await page.getByRole("searchbox").fill("");
    await page.setViewportSize({ width: 390, height: 844 });
    await taken(page, "home-phone-dark", "dark");
  } finally {
    own.kill("SIGKILL");
    broker.gone();
    network.gone();
  }
}

/** A film on a screen that is another tab of this browser, and the player that controls it. */
async function casting(page, shoot) {
  const film = join(home, "Holiday.mp4");
  const words = "-v error -f lavfi -i mandelbrot=s=1280x720:r=25 -f lavfi -i sine=330 -t 60 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -movflags +faststart";
  execFileSync("ffmpeg", [...words.split(" "), film]);
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
