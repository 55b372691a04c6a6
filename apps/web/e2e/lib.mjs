// What the browser tests share: the browser, signing in, axe, and answering prompts.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { env } = process;

export const hub = { url: env.ACCORD_URL, token: env.ACCORD_TOKEN };
export const peer = env.ACCORD_PEER_URL ? { url: env.ACCORD_PEER_URL, token: env.ACCORD_PEER_TOKEN } : null;
/** The mock hub plays the other side by itself. */
export const mock = env.ACCORD_MOCK === "1";
export const WAIT = Number(env.ACCORD_TEST_WAIT ?? 30_000);

export function launch() {
  return chromium.launch({
    executablePath: env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  });
}

/** A fresh browser that is signed in nowhere. */
export async function fresh(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, serviceWorkers: "block", acceptDownloads: true, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(WAIT);
  if (env.ACCORD_DIST) await context.route((at) => !at.pathname.startsWith("/api/"), fromFolder);
  return context;
}

/** A signed-in browser on one hub, and what its console complained of. */
export async function open(browser, { url, token }, options = {}) {
  const context = await fresh(browser, options);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => /Content Security Policy|Warning:/.test(message.text()) && complaints.push(message.text()));
  await page.goto(`${url}/#setup=${token}`);
  await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
  return { context, page, complaints, url };
}

/** With ACCORD_DIST: that build of the UI instead of the one in the program, to work on it. */
async function fromFolder(route) {
  const { pathname } = new URL(route.request().url());
  const response = await route.fetch();
  const path = join(env.ACCORD_DIST, pathname === "/" ? "index.html" : pathname);
  await route.fulfill({ status: 200, headers: { "content-security-policy": response.headers()["content-security-policy"] ?? "" }, path });
}

/** A command at one hub's command line; `peer` for the other. Fails as it fails. */
export function accord(side, ...words) {
  const state = side === "peer" ? env.ACCORD_PEER_STATE : env.ACCORD_STATE;
  return spawnSync(env.ACCORD_PROGRAM, ["--state", state, ...words], { encoding: "utf8", timeout: 60_000 });
}
export function told(side, ...words) {
  const { status, stdout, stderr } = accord(side, ...words);
  assert.equal(status, 0, `accord ${words.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}
export const json = (side, ...words) => JSON.parse(told(side, "--json", ...words));

export async function until(what, holds) {
  for (const end = Date.now() + WAIT; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 150))) {
    const found = await holds();
    if (found) return found;
  }
  throw new Error(`waited in vain: ${what}`);
}

export async function go(page, hash) {
  await page.evaluate((to) => void (location.hash = to), hash);
  await page.waitForTimeout(150);
}

/** axe finds nothing, in both themes. */
export async function accessible(page, what) {
  await page.bringToFront();
  for (const theme of ["light", "dark"]) {
    await page.evaluate((wanted) => void (document.documentElement.dataset.theme = wanted), theme);
    await page.waitForTimeout(350);
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const told = violations.map((one) => `${one.id}: ${one.help}\n    ${one.nodes.slice(0, 4).map((node) => `${node.target.join(" ")} ${node.failureSummary?.split("\n")[1] ?? ""}`).join("\n    ")}`);
    assert.deepEqual(told, [], `axe on ${what}, ${theme}`);
  }
  await page.evaluate(() => delete document.documentElement.dataset.theme);
}

/** Answers prompts with `choice` until `done` resolves. */
export async function agreeing(pages, done, choice = "Allow always") {
  let over = false;
  const finished = done.finally(() => void (over = true));
  // Awaited below; a failure must not count as unhandled meanwhile.
  finished.catch(() => undefined);
  while (!over) {
    for (const page of pages) {
      const button = page.getByTestId("prompt").getByRole("button", { name: choice, exact: true });
      if (await button.isVisible().catch(() => false)) await button.click({ timeout: 2000 }).catch(() => undefined);
    }
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 150)), finished.catch(() => undefined)]);
  }
  return finished;
}

/** Decides an entry on the Privacy page. */
export async function decide(page, entry, choice) {
  await go(page, `#/privacy/${encodeURIComponent(entry)}`);
  const card = page.locator(`[data-entry="${entry}"]`);
  await card.getByTestId("consent").last().getByRole("button", { name: choice, exact: true }).click();
  await card.getByTestId("consent").last().getByRole("button", { name: choice, exact: true, pressed: true }).waitFor();
}

export const device = (page, name) => page.getByTestId("device").filter({ hasText: name }).first();

/** Drops files onto a device's card, as the browser does it. */
export async function drop(page, name, files) {
  const data = await page.evaluateHandle((list) => {
    const transfer = new DataTransfer();
    for (const { name, text } of list) transfer.items.add(new File([text], name, { type: "text/plain" }));
    return transfer;
  }, files);
  const target = device(page, name);
  for (const type of ["dragenter", "dragover", "drop"]) await target.dispatchEvent(type, { dataTransfer: data });
}

export const newest = (page, state) => page.locator(`[data-testid=transfer]${state ? `[data-state=${state}]` : ""}`).first();
