// Casting in the web UI: the mini-player on every page, and the dialog to begin it, against the mock hub.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, go, hub, launch, mock, open, until } from "./lib.mjs";

const skip = hub.url && mock ? false : "no mock hub: run e2e/run";
let browser;
let ours;

before(async () => {
  if (skip) return;
  browser = await launch();
  ours = await open(browser, hub);
});
after(async () => browser?.close());

const mini = (page) => page.getByTestId("mini-player");
const choose = async (page, id) => page.getByRole("combobox", { name: "Which cast" }).selectOption(id);
/** What the hub has of a cast. */
const said = (page, id) => page.evaluate(async (wanted) => (await (await fetch("/api/v1/casts")).json()).casts.find((one) => one.id === wanted), id);

test("what is cast is shown at the bottom of every page, in words of evidence", { skip }, async () => {
  const { page } = ours;
  await mini(page).waitFor();
  for (const hash of ["#/devices", "#/transfers", "#/privacy", "#/settings", "#/devices/upnp-lounge"]) {
    await go(page, hash);
    await choose(page, "1");
    assert.match(await mini(page).textContent(), /The Long Way Home.*Plays · Lounge TV · 2 of 4/);
  }
  await choose(page, "2");
  assert.match(await page.getByTestId("cast-line").textContent(), /Shown · Bedroom TV · 2 of 3/);
  await choose(page, "1");
  await accessible(page, "the mini-player");
});

test("it is held, wound, made louder and passed over with the keyboard", { skip }, async () => {
  const { page } = ours;
  await page.getByTestId("cast-toggle").focus();
  await page.keyboard.press("Enter");
  await page.getByTestId("cast-line").getByText(/On hold/).waitFor();
  await page.keyboard.press("Enter");
  await page.getByTestId("cast-line").getByText(/Plays/).waitFor();
  const place = page.getByRole("slider", { name: /^Position, The Long Way Home/ });
  assert.match(await place.getAttribute("aria-valuetext"), /^\d+:\d\d of 1:30:00$/);
  await place.focus();
  await page.keyboard.press("End");
  await until("it was wound", async () => (await said(page, "1")).position >= 5400);
  const volume = page.getByRole("slider", { name: "Volume of Lounge TV" });
  await volume.focus();
  await page.keyboard.press("ArrowRight");
  await until("it is louder", async () => (await said(page, "1")).volume === 36);
  await mini(page).getByRole("button", { name: /^Next/ }).click();
  await page.getByTestId("cast-line").getByText(/3 of 4/).waitFor();
  await mini(page).getByRole("button", { name: /^Previous/ }).click();
  await page.getByTestId("cast-line").getByText(/2 of 4/).waitFor();
});

test("its queue, captions and sounds are behind one button, and what was tried", { skip }, async () => {
  const { page } = ours;
  await page.getByTestId("cast-more").click();
  const dialog = page.getByTestId("casting");
  await dialog.getByText("Not shown: its content is no film, sound or picture that is known here").waitFor();
  await dialog.getByLabel("Captions").selectOption({ label: "Deutsch, SubRip" });
  await until("captions", async () => (await said(page, "1")).captions?.track === 0);
  await dialog.getByLabel("Sound").selectOption({ label: "Deutsch, AAC" });
  await until("the sound", async () => (await said(page, "1")).sound === 1);
  await dialog.getByText("How it goes").click();
  await dialog.getByText("If that fails: picture and sound converted").waitFor();
  await accessible(page, "all about a cast");
  await dialog.getByRole("button", { name: "Show Extras.mp4" }).click();
  await until("another one", async () => (await said(page, "1")).at === 3);
  await page.keyboard.press("Escape");
});

test("it is handed over to another device", { skip }, async () => {
  const { page } = ours;
  await mini(page).getByRole("button", { name: /^Hand over/ }).click();
  await accessible(page, "where to hand it over");
  await page.getByRole("menuitem", { name: "Kitchen speaker" }).click();
  await page.getByTestId("cast-line").getByText(/Kitchen speaker/).waitFor();
});

test("files are dropped and addresses given on the device's page", { skip }, async () => {
  const { page } = ours;
  await go(page, "#/devices/upnp-bedroom");
  await page.getByTestId("cast-button").click();
  const dialog = page.getByTestId("cast");
  await accessible(page, "the dialog to cast");
  const name = dialog.getByLabel("Address or path");
  await name.fill("not an address");
  assert.ok(await dialog.getByRole("button", { name: "Cast it" }).isDisabled());
  await name.fill("https://example.org/film.mp4");
  await dialog.getByText("is told the whole address").waitFor();
  await dialog.getByRole("switch", { name: /Show what it is called/ }).click();
  await dialog.getByRole("button", { name: "Cast it" }).click();
  await until("it is cast", () => page.evaluate(async () => (await (await fetch("/api/v1/casts")).json()).casts.some((one) => one.name === "film.mp4" && one.real_title)));

  await page.getByTestId("cast-button").click();
  const data = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["x"], "holiday.mp4", { type: "video/mp4" }));
    return transfer;
  });
  for (const type of ["dragenter", "dragover", "drop"]) await dialog.getByTestId("drop-upnp-bedroom").dispatchEvent(type, { dataTransfer: data });
  await until("the upload is cast", () => page.evaluate(async () => (await (await fetch("/api/v1/casts")).json()).casts.some((one) => one.name === "what was uploaded")));
});

test("on a phone it stays above the navigation and nothing scrolls sideways; stopping ends it", { skip }, async () => {
  const { page, context } = await open(browser, hub, { viewport: { width: 390, height: 844 }, hasTouch: true });
  await mini(page).waitFor();
  await accessible(page, "the mini-player on a phone");
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wider <= 0, `wider by ${wider} px`);
  const [bar, nav] = [await mini(page).boundingBox(), await page.getByRole("navigation", { name: "Main" }).boundingBox()];
  assert.ok(bar.y + bar.height <= nav.y + 1, "above the navigation");
  for (let left = 8; left > 0 && (await mini(page).isVisible()); left -= 1) {
    await page.getByTestId("cast-stop").click();
    await page.waitForTimeout(200);
  }
  await mini(page).waitFor({ state: "detached" });
  await context.close();
  assert.deepEqual(ours.complaints, []);
});
