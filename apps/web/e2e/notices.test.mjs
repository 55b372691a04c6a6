// Notifications, the clipboard and the small things of every day, in the browser, against two real hubs that are paired.
// Wants what `e2e/run` gives; against the mock hub it has nothing to do.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { after, afterEach, before, test } from "node:test";
import { accessible, accord, go, hub, json, launch, mock, open, peer, told, until } from "./lib.mjs";

const skip = hub.url && peer && !mock ? false : "no two hubs: run e2e/run";
const BUS = process.env.ACCORD_PEER_BUS;
const NAME = process.env.ACCORD_PEER_NAME;
const DESK = process.env.ACCORD_NAME;
let browser;
let ours;
let theirs;
let id;

const item = (title) => ours.page.getByTestId("notification").filter({ hasText: title });
const listed = (side) => json(side, "notifications").notifications;
const prompt = (page, choice) => page.getByTestId("prompt").getByRole("button", { name: choice, exact: true });
const device = (side, name) => json(side, "devices").devices.find((one) => one.name === name);

before(async () => {
  if (skip) return;
  for (const side of ["hub", "peer"]) for (const entry of ["link/discovery", "link/pairing", "link/connection"]) told(side, "consent", "grant", entry);
  await until("they see each other", () => device("hub", NAME) && device("peer", DESK));
  const asking = spawn(process.env.ACCORD_PROGRAM, ["--state", process.env.ACCORD_STATE, "pair", NAME, "--accept", "--wait", "60"], { stdio: "ignore" });
  const code = await until("a code is shown", () => json("peer", "pairings").running.find((one) => one.code)?.code);
  told("peer", "pair", "--incoming", "--code", code, "--wait", "60");
  await new Promise((ended) => asking.once("exit", ended));
  await until("both are paired", () => device("hub", NAME)?.trust === "paired" && device("peer", DESK)?.trust === "paired");
  id = device("hub", NAME).id;
  told("peer", "consent", "grant", "notifications/mirror", "--to", DESK);
  browser = await launch();
  ours = await open(browser, hub);
  theirs = await open(browser, peer);
});
after(() => browser?.close());
let pictured = 0;
afterEach(async () => {
  if (!process.env.ACCORD_TEST_PICTURES || skip) return;
  pictured += 1;
  await ours.page.screenshot({ path: `${process.env.ACCORD_TEST_PICTURES}/notices-${pictured}.png` }).catch(() => undefined);
});

test("a device's notification appears at once, its code can be copied, and dismissing it is asked for and holds on both", { skip }, async () => {
  const { page } = ours;
  await page.keyboard.press("g");
  await page.keyboard.press("n");
  await page.getByRole("heading", { level: 1, name: "Notifications" }).waitFor();
  await page.getByText("Nothing to see right now").waitFor();
  told("peer", "notify", DESK, "Tea <b>now</b>", "is ready, code 482913");
  await item("Tea <b>now</b>").waitFor();
  await item("Tea").getByText("482 913").waitFor();
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: hub.url });
  await item("Tea").getByTestId("copy-code").click();
  await page.getByTestId("toast").filter({ hasText: "Code copied." }).waitFor();
  await accessible(page, "notifications");
  await item("Tea").getByRole("button", { name: /^Dismiss/ }).click();
  await page.getByTestId("prompt").waitFor();
  assert.match(await page.getByTestId("prompt").textContent(), /Dismiss “Tea/);
  await accessible(page, "the question before dismissing");
  await page.keyboard.press("Escape");
  await item("Tea").waitFor();
  await item("Tea").getByRole("button", { name: /^Dismiss/ }).click();
  await prompt(page, "Allow always").click();
  await item("Tea").waitFor({ state: "detached" });
  await until("it is gone on the other", () => listed("peer").length === 0);
});

test("what an app asks on one hub is answered in the other's browser, by keyboard alone", { skip: skip || (BUS ? false : "no dbus-daemon") }, async () => {
  const { page } = ours;
  await until("the other takes what apps say", () => json("peer", "notifications").desktop.mode === "serving");
  const watch = spawn("dbus-monitor", ["--address", BUS, "interface='org.freedesktop.Notifications'"], { stdio: ["ignore", "pipe", "ignore"] });
  let heard = "";
  watch.stdout.on("data", (text) => (heard += text));
  const say = (title, ...actions) => {
    const list = `[${actions.map((word) => `'${word}'`).join(",")}]`;
    const done = spawnSync("gdbus", ["call", "--address", BUS, "--dest", "org.freedesktop.Notifications", "--object-path", "/org/freedesktop/Notifications", "--method", "org.freedesktop.Notifications.Notify", "Chat", "0", "", title, "Lunch?", list, "{}", "0"], { encoding: "utf8" });
    assert.equal(done.status, 0, done.stderr);
  };
  await go(page, "#/notifications");
  say("Mira", "inline-reply", "Reply", "yes", "Yes");
  await page.getByRole("button", { name: "Reply to Mira" }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("At noon");
  await accessible(page, "a reply");
  await page.keyboard.press("Enter");
  await until("the prompt, or the app has the reply", async () => {
    if (await prompt(page, "Allow always").isVisible().catch(() => false)) await prompt(page, "Allow always").click().catch(() => undefined);
    return heard.includes("At noon");
  });
  say("Jo", "yes", "Yes");
  await item("Jo").getByRole("button", { name: "Yes: Jo" }).click();
  await until("the app has the answer", () => /ActionInvoked[\s\S]*"yes"/.test(heard));
  watch.kill();
});

test("all are dismissed at once", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/notifications");
  for (const title of ["One", "Two", "Three"]) told("peer", "notify", DESK, title);
  for (const title of ["One", "Two", "Three"]) await item(title).waitFor();
  await page.getByTestId("dismiss-all").click();
  await page.getByText("Nothing to see right now").waitFor();
  await until("they are gone on the other", () => listed("peer").length === 0);
});

test("rules that are set here hold: content is hidden, quiet hours are kept, a pause shows", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/notifications/rules");
  await page.getByRole("switch", { name: "Hide content everywhere" }).click();
  await page.getByRole("switch", { name: "Quiet hours", exact: true }).click();
  await page.getByLabel("Quiet hours, from").fill("23:15");
  await page.locator(`[data-testid=device-rules][data-device="${id}"]`).getByRole("switch", { name: "One-time codes too" }).click();
  await until("the hub has them", () => {
    const rules = json("hub", "notifications", "rules");
    return rules.hide_content && rules.quiet?.from === "23:15" && rules.devices[id]?.codes;
  });
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    await page.setViewportSize({ width, height });
    await accessible(page, `the rules at ${width}`);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wider <= 0, `the rules at ${width} scroll sideways by ${wider} px`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  told("peer", "notify", DESK, "Secret plans", "at midnight");
  await go(page, "#/notifications");
  await page.getByText("Your rules hide what it says.").waitFor();
  assert.equal(await page.getByText("at midnight").count(), 0);
  await page.getByRole("button", { name: /^Show what/ }).click();
  await page.getByText("at midnight").waitFor();
  await page.getByRole("button", { name: "Pause notifications" }).click();
  await page.getByRole("menuitem", { name: "For an hour" }).click();
  await page.getByTestId("paused").getByRole("button", { name: "Go on" }).click();
  await page.getByTestId("paused").waitFor({ state: "detached" });
  assert.equal(json("hub", "notifications", "rules").paused_until, null);
  await go(page, "#/notifications/rules");
  await page.getByRole("switch", { name: "Hide content everywhere" }).click();
  await page.getByRole("switch", { name: "Quiet hours", exact: true }).click();
});

test("a notification is sent from the page, after the owner agreed to it there", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/notifications/rules");
  await page.locator(`[data-testid=device-rules][data-device="${id}"]`).getByRole("button", { name: /^Your agreement.*decide$/ }).click();
  const dialog = page.getByTestId("decide");
  await dialog.getByText("Who receives").waitFor();
  await accessible(page, "a decision on a device's rules");
  await dialog.getByRole("button", { name: "Allow always" }).click();
  await page.getByRole("button", { name: /^Your agreement.*change$/ }).waitFor();
  await page.getByRole("button", { name: "Show on a device" }).click();
  await page.getByLabel("Title").fill("From the browser");
  await page.keyboard.press("Enter");
  await until("the other has it", () => listed("peer").some((one) => one.title === "From the browser"));
});

test("a device rings only after its owner allowed it there and ours agreed here", { skip }, async () => {
  const { page } = ours;
  await go(page, `#/devices/${id}`);
  const ring = page.locator("[data-service=ringer]").getByRole("button", { name: "Ring" });
  await ring.click();
  await page.getByTestId("prompt").waitFor();
  assert.match(await page.getByTestId("prompt").textContent(), /Tell .* to ring/);
  await prompt(page, "Allow always").click();
  await page.getByTestId("toast").filter({ has: page.locator(".icon") }).filter({ hasText: /allow|refus/i }).waitFor();
  await go(theirs.page, `#/devices/${device("peer", DESK).id}`);
  await theirs.page.getByRole("switch", { name: "Ring this machine" }).click();
  await until("it is allowed there", () => device("peer", DESK).remote.ring);
  await ring.click();
  await page.locator("[role=status]", { hasText: "was asked to ring" }).waitFor({ state: "attached" });
  await page.locator("[data-service=ping]").getByLabel("A short text").fill("Dinner");
  await page.keyboard.press("Enter");
  // A text is more than was agreed to, which is asked for in addition.
  await page.getByTestId("prompt").getByText("You agreed to less so far").waitFor();
  await prompt(page, "Allow always").click();
  await page.locator("[role=status]", { hasText: "was told" }).waitFor({ state: "attached" });
  await accessible(page, "a device with the services of a hub");
});

test("without a display the clipboard says so and sends nothing", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/clipboard");
  await page.getByTestId("no-clipboard").getByText("outside a desktop session").waitFor();
  const row = page.locator(`[data-testid=clipboard-device][data-device="${id}"]`);
  assert.ok(await row.getByRole("button", { name: /^Send mine/ }).isDisabled());
  assert.notEqual(accord("hub", "clip", "send", NAME).status, 0);
  // By itself needs an agreement even so.
  await row.getByRole("switch", { name: "Send whatever I copy" }).click();
  await page.getByTestId("prompt").waitFor();
  await prompt(page, "Never").click();
  await page.getByTestId("toast").filter({ hasText: "Not done" }).waitFor();
  assert.equal(await row.getByRole("switch", { name: "Send whatever I copy" }).getAttribute("aria-checked"), "false");
  await page.getByRole("group", { name: "Take what devices copy" }).getByRole("button", { name: "Never" }).click();
  await until("the hub has the rule", () => json("hub", "clip", "list").rules?.receive === "off");
  for (const [width, height] of [[390, 844], [1280, 900]]) {
    await page.setViewportSize({ width, height });
    await accessible(page, `the clipboard at ${width}`);
  }
});

test("a phone with a foreign app is added in words of the hub, and being found can be taken back", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/devices");
  await page.getByRole("button", { name: "Add a device" }).click();
  const dialog = page.getByTestId("add");
  await dialog.getByRole("button", { name: /^Phone with LocalSend/ }).waitFor();
  await accessible(page, "the ways to add a device");
  await dialog.getByRole("button", { name: /^Phone with KDE Connect/ }).click();
  await dialog.getByText("Everyone on the networks you are in").first().waitFor();
  await accessible(page, "what a phone's app makes readable");
  await dialog.getByTestId("join-allow").click();
  await dialog.getByText("Waiting for it to appear").waitFor();
  await dialog.getByRole("button", { name: "iPhone, iPad" }).click();
  await dialog.getByText("App Store").waitFor();
  await accessible(page, "the steps for a phone");
  await dialog.getByRole("button", { name: "Stop being found" }).click();
  await dialog.getByTestId("join-ask").waitFor();
  const consents = json("hub", "consent", "list").consents ?? json("hub", "consent", "list");
  assert.ok(!consents.some((one) => one.entry === "kdeconnect/presence" && one.state === "given"));
  await page.keyboard.press("Escape");
});

test("nothing broke the content security policy, and no script failed", { skip }, () => {
  assert.deepEqual([...ours.complaints, ...theirs.complaints], []);
});
