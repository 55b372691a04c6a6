// A lamp of the house against a real hub: found, added, switched, coloured, changed from its own side, and gone. The lamp is
// written from Yeelight's specification, and as strict as lamps are (tests/peers/yeelamp.py).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, go, hub, launch, open, until } from "./lib.mjs";
import { lampOn } from "./lamps.mjs";

const { ACCORD_LAMP: program, ACCORD_LAMP_AT: address } = process.env;
const skip = !hub.url ? "no hub: run e2e/run" : program ? false : "no network of our own for the lamp";
const ID = "0x00000000037073d2";
let browser;
let ours;
let lamp;
let told = [];

async function switchOn() {
  told = [];
  lamp = await lampOn(program, address, ID, "Desk lamp", (line) => told.push(line));
}
const toldTo = (method) => told.filter((one) => one.told === method).map((one) => one.params);

before(async () => {
  if (skip) return;
  await switchOn();
  browser = await launch();
  ours = await open(browser, hub);
});
after(async () => {
  lamp?.kill("SIGKILL");
  await browser?.close();
});

const tile = (page) => page.getByTestId("tile").filter({ hasText: "Desk lamp" }).first();
const line = (page) => tile(page).locator(".ht-line").innerText();

test("a house without things says how it gets some", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/home");
  await page.getByText("Nothing of the house is here yet").waitFor();
  await accessible(page, "an empty house");
});

test("a lamp is looked for once that is agreed to, found, and added", { skip }, async () => {
  const { page } = ours;
  await page.getByRole("button", { name: "Add a device" }).first().click();
  const add = page.getByTestId("add");
  await add.getByRole("button", { name: /^Lamp \(Yeelight\)/ }).click();
  await add.getByTestId("join-allow").click();
  await add.getByRole("button", { name: "Add Desk lamp" }).click();
  const done = page.getByTestId("paired");
  const yes = page.getByTestId("codes-match");
  await yes.waitFor();
  const dialog = page.getByTestId("pairing");
  await dialog.getByText("Add Desk lamp?").waitFor();
  assert.ok(await dialog.locator("[data-entry='control/command']").getByRole("checkbox").isChecked());
  assert.ok(!/clipboard|notification|text/i.test(await dialog.locator("[data-testid=also]").innerText().then((text) => text.replace(/Texts and codes are asked about.*?any\./, ""))), "a lamp gets names of commands and nothing else");
  await accessible(page, "adding a lamp");
  await yes.click();
  await done.waitFor();
  await done.getByRole("button", { name: "Done" }).click();
  await go(page, "#/home");
  await tile(page).waitFor();
  assert.deepEqual(toldTo("set_power"), []);
  await accessible(page, "a house of one lamp");
});

test("it is switched and dimmed, and the lamp's own word confirms it", { skip }, async () => {
  const { page } = ours;
  // What was agreed to when it was added is not asked again.
  await tile(page).getByRole("switch").click();
  await until("the lamp was told", async () => toldTo("set_power").length > 0);
  assert.equal(await page.getByTestId("prompt").count(), 0);
  await until("it says that it is on", async () => /^On · 50 %/.test(await line(page)) && (await tile(page).locator(".pending-dot").count()) === 0);
  await tile(page).getByRole("slider").focus();
  await page.keyboard.press("End");
  await until("it is bright", async () => /100 %/.test(await line(page)) && (await tile(page).locator(".pending-dot").count()) === 0);
  assert.equal(toldTo("set_bright").at(-1)[0], 100);
});

test("a colour is set, and what somebody does at the lamp is shown", { skip }, async () => {
  const { page } = ours;
  await tile(page).locator(".ht-text").click();
  const thing = page.getByTestId("thing");
  await thing.getByRole("button", { name: "Colour", exact: true }).click();
  await thing.getByRole("button", { name: "Blue" }).click();
  await until("the lamp was told", async () => toldTo("set_hsv").some(([hue, saturation]) => hue === 225 && saturation === 95));
  await until("it says so", async () => (await thing.getByText("on its way").count()) === 0 && (await thing.getByRole("slider", { name: "Hue" }).inputValue()) === "225");
  assert.equal(await thing.getByText("not confirmed").count(), 0);
  await accessible(page, "a blue lamp");
  // Its own button.
  lamp.kill("SIGUSR2");
  await until("it is shown", async () => (await thing.getByRole("slider", { name: "Brightness" }).inputValue()) === "77");
  await page.keyboard.press("Escape");
});

test("it gets a room and is a favourite, and all lights of the room go off in one press", { skip }, async () => {
  const { page } = ours;
  await tile(page).locator(".ht-text").click();
  await page.getByTestId("thing").getByRole("button", { name: "Favourite" }).click();
  await page.getByTestId("thing").getByRole("button", { name: "Name and room…" }).click();
  await page.getByTestId("rename").getByLabel("Room").fill("Study");
  await page.getByTestId("rename").getByRole("button", { name: "Save" }).click();
  const room = page.locator("[data-testid=room][data-room=Study]");
  await room.waitFor();
  await page.getByTestId("favourites").waitFor();
  await room.getByTestId("lights-off").click();
  await until("it is off", async () => /^Off/.test(await line(page)) && toldTo("set_power").at(-1)[0] === "off");
  await until("the room says so", async () => /all off/.test(await room.locator(".room-line").innerText()));
});

test("what it said is kept, and drawn", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/settings");
  const kept = page.getByTestId("history-settings");
  await until("something was kept", async () => {
    await page.reload();
    await kept.waitFor();
    return /propert/.test(await kept.innerText());
  });
});

test("a lamp that is gone is shown as such, and why; and comes back by itself", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/home");
  await tile(page).waitFor();
  lamp.kill("SIGKILL");
  await until("it is away", async () => /^Not reachable/.test(await line(page)));
  assert.ok(await tile(page).getByRole("switch").isDisabled());
  await tile(page).locator(".ht-text").click();
  await page.getByTestId("thing").getByText("Why can’t I reach it?").click();
  await page.getByTestId("why").getByRole("button", { name: "Ask again" }).waitFor();
  await accessible(page, "a lamp that is gone");
  await page.keyboard.press("Escape");
  await switchOn();
  await until("it is back", async () => /^(On|Off)/.test(await line(page)));
  assert.deepEqual(ours.complaints, []);
});
