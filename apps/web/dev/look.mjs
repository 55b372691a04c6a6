// Takes pictures of every page from the mock hub, in both themes and widths, to look at them.
// Usage: node dev/look.mjs OUT_DIR [NAME…]
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

const [out = "/tmp/accord-look", ...only] = process.argv.slice(2);
const PORT = 8433;
mkdirSync(out, { recursive: true });
const start = (env) => new Promise((resolve) => {
  const child = spawn(process.execPath, ["dev/mock.mjs", String(PORT)], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.once("data", () => resolve(child));
});
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
const button = (page, name) => page.getByRole("button", { name });
const open = (page, hash) => page.evaluate((to) => void (location.hash = to), hash);
const lever = (page, name, body = {}) => page.evaluate(([path, data]) => fetch(`/api/v1/mock/${path}`, { method: "POST", headers: { "x-accord": "1", "content-type": "application/json" }, body: JSON.stringify(data) }), [name, body]);
const shots = {
  devices: async () => {},
  first: async (page) => { await page.waitForTimeout(300); },
  device: (page) => open(page, "#/devices/link-phone"),
  tv: (page) => open(page, "#/devices/link-tv"),
  transfers: (page) => open(page, "#/transfers"),
  privacy: async (page) => { await open(page, "#/privacy"); await page.locator("[data-entry='files/send'] button").first().click(); },
  decisions: (page) => open(page, "#/privacy/decisions"),
  ledger: async (page) => { await open(page, "#/privacy/ledger"); await page.getByTestId("verify").click(); await page.waitForTimeout(400); },
  record: async (page) => { await open(page, "#/privacy/ledger"); await page.getByTestId("record").nth(3).click(); await page.waitForTimeout(300); },
  settings: (page) => open(page, "#/settings"),
  prompt: async (page) => { await lever(page, "prompt"); },
  pairing: async (page) => { await lever(page, "pairing"); await page.waitForTimeout(900); },
  add: async (page) => { await button(page, "Add a device").click(); await button(page, "Make a ticket").click(); await page.locator(".qr").waitFor(); },
  send: async (page) => { await page.getByTestId("send-button").first().click(); },
  menu: async (page) => { await button(page, "More for Mira’s phone").click(); },
  confirm: async (page) => { await button(page, "More for Work laptop").click(); await page.getByRole("menuitem", { name: "Unpair…" }).click(); },
  toast: async (page) => { await button(page, "More for Work laptop").click(); await page.getByRole("menuitemcheckbox", { name: "Accept without asking" }).click(); },
  gone: async (page, mock) => { mock.kill(); await page.getByTestId("gone").waitFor(); },
  help: (page) => page.keyboard.press("?"),
  signin: null,
};
for (const [name, act] of Object.entries(shots)) {
  if (only.length && !only.includes(name)) continue;
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    for (const scheme of ["light", "dark"]) {
      const mock = await start({ MOCK_DISCOVERY: name === "first" ? "undecided" : "on", MOCK_QUIET: name === "first" ? "1" : "" });
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, deviceScaleFactor: 1, serviceWorkers: "block" });
      const page = await context.newPage();
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && !/ERR_|401|409|Service Worker/.test(message.text()) && console.log(name, message.text()));
      page.on("pageerror", (error) => console.log(name, error.message));
      await page.goto(`http://127.0.0.1:${PORT}/${act ? "#setup=demo-token" : ""}`);
      try {
        await page.getByRole("heading", { level: 1 }).first().waitFor();
        if (act) {
          await page.getByTestId("device").first().waitFor();
          await act(page, mock);
        }
        await page.waitForTimeout(500);
        const full = ["devices", "first", "device", "privacy", "settings", "transfers", "ledger"].includes(name);
        await page.screenshot({ path: `${out}/${name}-${width}-${scheme}.png`, fullPage: full });
      } catch (error) {
        console.log(name, width, scheme, String(error).slice(0, 400));
        await page.screenshot({ path: `${out}/${name}-${width}-${scheme}-failed.png` });
      }
      await context.close();
      mock.kill();
      await new Promise((resolve) => (mock.exitCode !== null || mock.signalCode !== null ? resolve() : mock.once("exit", resolve)));
    }
  }
}
await browser.close();
