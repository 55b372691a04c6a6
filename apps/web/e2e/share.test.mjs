// Sharing by link: the owner in the web UI, the visitors in browsers of their own that know nothing of Accord.
import assert from "node:assert/strict";
import { readFileSync, rmSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { accessible, agreeing, go, hub, json, launch, mock, open, until } from "./lib.mjs";

const skip = hub.url && !mock ? false : "no hub: run e2e/run";
const folder = mkdtempSync(join(tmpdir(), "accord-e2e-"));
const files = ["photo 1.bin", "Grüße \u2714.txt"].map((name, at) => {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(at ? 5 : 700_000, at ? "hello" : "a"));
  return path;
});
let browser;
let ours;

before(async () => {
  if (skip) return;
  browser = await launch();
  ours = await open(browser, hub);
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A browser of somebody else, and what its console complained of. */
async function visitor(options = {}) {
  const context = await browser.newContext({ acceptDownloads: true, viewport: { width: 390, height: 844 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => complaints.push(message.text()));
  return { context, page, complaints };
}

async function axe(page, what) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `${what}, ${colorScheme}`);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wider <= 0, `${what} scrolls sideways by ${wider} px`);
  }
}

async function fetched(page, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name }).click()]);
  return { name: download.suggestedFilename(), content: readFileSync(await download.path()) };
}

let url;

test("the owner shares files by link, with consent asked in context", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/transfers");
  await page.getByTestId("share-by-link").click();
  await page.getByTestId("share").waitFor();
  await accessible(page, "the dialog for sharing by link");
  await page.getByTestId("share-files").setInputFiles(files);
  await agreeing([page], page.getByTestId("shared").waitFor());
  url = await page.getByTestId("share-url").textContent();
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/[a-z2-9]{12}\/$/);
  await page.getByRole("img", { name: "The address as a QR code" }).waitFor();
  await accessible(page, "the open link");
  await page.keyboard.press("Escape");
  await page.getByTestId("share-card").waitFor();
});

test("a visitor on a phone waits, is let in, and fetches what is shared", { skip }, async () => {
  const { page, complaints, context } = await visitor();
  await page.goto(url);
  await page.getByRole("heading", { name: "Desk shares 2 things" }).waitFor();
  assert.ok(!(await page.content()).includes("photo"));
  await axe(page, "the way in");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByRole("heading", { name: "Waiting for Desk" }).waitFor();
  // It loads itself anew every other second, but not while axe looks at it: an answer without content leaves it as it is.
  await page.route(page.url(), (route) => route.fulfill({ status: 204 }));
  await axe(page, "the waiting page");
  await page.unrouteAll();
  await page.reload();
  const row = ours.page.getByTestId("visitor").first();
  await row.getByTestId("let-in").waitFor();
  assert.match(await row.textContent(), /127\.0\.0\.1.*(Chrome|Mozilla)/);
  await accessible(ours.page, "a visitor that waits");
  await row.getByTestId("let-in").click();
  await page.getByRole("heading", { name: "From Desk" }).waitFor();
  await axe(page, "the files");
  await page.emulateMedia({ colorScheme: null });
  const photo = await fetched(page, /photo 1/);
  assert.deepEqual([photo.name, photo.content.equals(readFileSync(files[0]))], ["photo 1.bin", true]);
  const odd = await fetched(page, /Grüße/);
  assert.deepEqual([odd.name, odd.content.toString()], ["Grüße \u2714.txt", "hello"]);
  const all = await fetched(page, "Everything as one ZIP");
  assert.deepEqual([all.name, all.content.subarray(0, 2).toString()], ["Desk.zip", "PK"]);
  await page.reload();
  await page.getByRole("link", { name: /photo 1/ }).waitFor();
  await until("the owner sees what was fetched", async () => /4 files/.test(await row.textContent()));
  assert.deepEqual(complaints, []);
  await context.close();
});

test("another browser is asked about anew, and declined", { skip }, async () => {
  const { page, context } = await visitor();
  await page.goto(url);
  await page.getByRole("button", { name: "Show" }).click();
  await ours.page.getByTestId("decline-visitor").click();
  await page.getByRole("heading", { name: "The person who shares did not let you in" }).waitFor();
  await axe(page, "the refusal");
  assert.ok(!(await page.content()).includes("photo"));
  await context.close();
});

test("a wrong PIN is told, the right one lets in, and stopping ends it", { skip }, async () => {
  const { page } = ours;
  await page.getByTestId("stop-share").click();
  await page.getByTestId("share-card").waitFor({ state: "detached" });
  await page.getByTestId("share-by-link").click();
  const dialog = page.getByTestId("share");
  await dialog.getByRole("button", { name: "By PIN" }).click();
  await dialog.getByLabel("PIN").fill("4711");
  await dialog.getByRole("button", { name: "Text" }).click();
  await dialog.getByRole("textbox", { name: "Text" }).fill("line one\n<b>line two</b>");
  await dialog.getByRole("button", { name: "Open the link" }).click();
  assert.equal(await page.getByTestId("share-pin").textContent(), "4711");
  const at = await page.getByTestId("share-url").textContent();
  const guest = await visitor();
  await guest.page.goto(at);
  await guest.page.getByLabel("PIN").fill("1234");
  await guest.page.getByRole("button", { name: "Show" }).click();
  await guest.page.getByRole("alert").getByText("That PIN is wrong.").waitFor();
  await axe(guest.page, "a wrong PIN");
  await guest.page.getByLabel("PIN").fill("4711");
  await guest.page.getByRole("button", { name: "Show" }).click();
  await guest.page.getByText("<b>line two</b>").waitFor();
  await page.getByTestId("shared").getByRole("button", { name: "Stop sharing" }).click();
  await page.getByTestId("share-card").waitFor({ state: "detached" });
  await assert.rejects(guest.page.reload(), /ERR_CONNECTION|net::/);
  await guest.context.close();
  const entries = json("hub", "ledger", "list").records.map((record) => `${record.entry} ${record.kind}`);
  assert.ok(entries.includes("share/visitor sent") && !entries.includes("share/visitor error"), entries.join(", "));
  assert.deepEqual(ours.complaints, []);
});
