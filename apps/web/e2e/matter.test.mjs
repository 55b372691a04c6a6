// A Matter device against a real hub, by the form: its code, what is agreed to in place, added, switched, a wrong code, gone
// without a word, and removed. The device is on matter.js.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, go, hub, launch, open, until } from "./lib.mjs";
import { CODE, ipv6, MatterDevice, WRONG } from "./matter.mjs";

const machine = process.env.ACCORD_MATTER;
const skip = !hub.url ? "no hub: run e2e/run" : machine ? false : "no network of our own, or no matter.js (tests/peers/run --install)";
let browser;
let ours;
let device;
let pictured = 0;
/** With ACCORD_SHOTS: what was seen, to be looked at. */
const shot = async (page, name) => process.env.ACCORD_SHOTS && page.screenshot({ path: `${process.env.ACCORD_SHOTS}/${String(pictured += 1).padStart(2, "0")}-${name}.png`, fullPage: false });

before(async () => {
  if (skip) return;
  device = new MatterDevice(machine);
  await device.on();
  browser = await launch();
  ours = await open(browser, hub);
});
after(async () => {
  device?.gone();
  await browser?.close();
});

const tile = (page) => page.getByTestId("room").getByTestId("tile").first();
const line = (page) => tile(page).locator(".ht-line").innerText();
const form = async (page) => {
  await go(page, "#/home");
  await page.getByRole("button", { name: "Add a device" }).first().click();
  const dialog = page.getByTestId("add");
  await dialog.getByRole("button", { name: /^Matter device/ }).click();
  await dialog.getByTestId("add-form").waitFor();
  return dialog;
};

test("what stands in the way on this machine is told above the form, and is gone once it is mended", { skip }, async () => {
  const { page } = ours;
  ipv6(false);
  try {
    const inTheWay = (await form(page)).getByTestId("in-the-way");
    await inTheWay.getByText("This machine has no IPv6 address (lan0 has none)").waitFor();
    await shot(page, "no-ipv6");
    await accessible(page, "a form with something in the way");
    assert.match(await page.getByTestId("searched").innerText(), /^It is looked for on lan0 \(10\.78\.0\.1\/24\)\.$/);
  } finally {
    ipv6(true);
  }
  // It is asked again by itself.
  await page.waitForFunction(() => document.querySelector("[data-testid=in-the-way]").innerText === "", null, { timeout: 40_000 });
  await page.keyboard.press("Escape");
});

test("a code with a wrong digit is refused at its field, and nothing is looked for meanwhile", { skip }, async () => {
  const { page } = ours;
  const dialog = await form(page);
  await shot(page, "form");
  const code = dialog.getByLabel("Code", { exact: true });
  await code.fill(CODE.replace(/2$/, "3"));
  assert.ok(await dialog.getByRole("button", { name: "Add", exact: true }).isDisabled(), "looking for it is not agreed to yet");
  await dialog.locator("[data-testid=also][data-entry='matter/search']").getByRole("checkbox").check();
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  const trouble = dialog.getByTestId("add-trouble");
  assert.match(await trouble.innerText(), /one of the digits is wrong/i);
  assert.equal(await code.getAttribute("aria-invalid"), "true");
  await shot(page, "wrong-digit");
});

test("a code of another device is said to be wrong, and is removed", { skip }, async () => {
  const { page } = ours;
  const dialog = page.getByTestId("add");
  await dialog.getByLabel("Code", { exact: true }).fill(WRONG);
  await dialog.getByRole("switch", { name: /^Test device/ }).click();
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  const added = dialog.getByTestId("added");
  await added.waitFor();
  await shot(page, "wrong-code-soon");
  await added.getByText("first answer is waited for").waitFor();
  await added.getByText("sealed with the code").waitFor();
  await shot(page, "wrong-code-why");
  await accessible(page, "a wrong code");
  await added.getByRole("button", { name: /^Remove/ }).click();
  await dialog.getByTestId("add-form").waitFor();
  await until("the code is asked for again", () => dialog.getByLabel("Code", { exact: true }).evaluate((box) => box === document.activeElement));
  await shot(page, "wrong-code-removed");
});

test("it is added by its code, named, and in its room", { skip }, async () => {
  const { page } = ours;
  const dialog = page.getByTestId("add");
  await page.keyboard.type(CODE);
  assert.equal(await dialog.getByRole("switch", { name: /^Test device/ }).getAttribute("aria-checked"), "true", "what is no secret is not asked for twice");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  const added = dialog.getByTestId("added");
  await added.waitFor();
  await shot(page, "adding");
  await dialog.locator("[data-testid=added][data-reach=local]").waitFor();
  await shot(page, "added");
  await accessible(page, "a Matter device that was added");
  await added.getByLabel(/^Name of/).fill("Desk lamp");
  await added.getByLabel(/^Room of/).fill("Study");
  await added.getByRole("button", { name: "Save" }).click();
  await added.getByRole("link", { name: "Its page: Desk lamp" }).waitFor();
  await dialog.getByRole("link", { name: "Home", exact: true }).click();
  await page.locator("[data-testid=room][data-room=Study]").getByTestId("tile").filter({ hasText: "Desk lamp" }).waitFor();
  await shot(page, "home");
});

test("it is switched and dimmed, its own word confirms it, and what is done at it is shown", { skip }, async () => {
  const { page } = ours;
  await tile(page).getByRole("switch").click();
  await until("the lamp is on", () => device.became("onOff") === true);
  assert.equal(await page.getByTestId("prompt").count(), 0, "it was agreed to when it was added");
  await until("it says so", async () => /^On/.test(await line(page)) && (await tile(page).locator(".pending-dot").count()) === 0);
  await tile(page).getByRole("slider").focus();
  await page.keyboard.press("End");
  await until("it is as bright as it gets", async () => device.became("currentLevel") === 254 && /100 %/.test(await line(page)) && (await tile(page).locator(".pending-dot").count()) === 0);
  device.there('set lamp {"onOff": {"onOff": false}}');
  await until("it is shown", async () => /^Off/.test(await line(page)));
});

test("one that lost its power is shown as away once something is wanted of it, and comes back by itself", { skip }, async () => {
  const { page } = ours;
  device.off();
  await tile(page).getByRole("switch").click();
  await shot(page, "gone-wanted");
  await until("it is away", async () => /^Not reachable/.test(await line(page)));
  await shot(page, "gone");
  await device.on();
  await until("it is back", async () => /^(On|Off)/.test(await line(page)));
  await shot(page, "back");
});

test("removed here, it is free for others there", { skip }, async () => {
  const { page } = ours;
  const before = device.said.length;
  await tile(page).locator(".ht-text").click();
  await page.getByTestId("thing").getByRole("link", { name: "All of it" }).click();
  await page.getByRole("heading", { level: 1, name: "Desk lamp" }).waitFor();
  await shot(page, "page");
  await page.getByRole("button", { name: /^More/ }).last().click();
  await page.getByRole("menuitem", { name: /^Remove/ }).click();
  await shot(page, "remove");
  await page.getByTestId("confirm-yes").click();
  await until("it waits for being added", () => device.said.slice(before).some((one) => one.waits === true));
  await go(page, "#/home");
  await page.getByText("Nothing of the house is here yet").waitFor();
  await shot(page, "removed");
  assert.deepEqual(ours.complaints, []);
});
