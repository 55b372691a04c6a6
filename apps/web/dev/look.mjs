// Takes pictures of every page and state from the mock hub, in both themes and widths, to look at them; says
// what axe finds in each, and what is wider than the window (at 320 px too).
// Usage: node dev/look.mjs OUT_DIR [NAME…]   WIDTHS=1280 and SCHEMES=light take fewer.
import { spawn } from "node:child_process";
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [out = "/tmp/accord-look", ...only] = process.argv.slice(2);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const list = (name, or) => (process.env[name] ?? or).split(",");
mkdirSync(out, { recursive: true });
let port = 8433;
const start = (env) => new Promise((resolve) => {
  port += 1;
  const child = spawn(process.execPath, ["dev/mock.mjs", String(port)], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.once("data", () => resolve(child));
});
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
const button = (page, name) => page.getByRole("button", { name });
const open = async (page, hash) => {
  await page.evaluate((to) => void (location.hash = to), hash);
  await page.waitForTimeout(200);
};
const lever = (page, name, body = {}) => page.evaluate(([path, data]) => fetch(`/api/v1/mock/${path}`, { method: "POST", headers: { "x-accord": "1", "content-type": "application/json" }, body: JSON.stringify(data) }), [name, body]);
const hard = { MOCK_HARD: "1" };
const empty = { MOCK_EMPTY: "1", MOCK_QUIET: "1" };
/** Name: [what to do, the mock's environment]. */
const shots = {
  devices: [async () => {}],
  casting: [(page) => open(page, "#/devices/upnp-lounge"), { MOCK_QUIET: "1", MOCK_CAST: "film" }],
  casts: [async () => {}, { MOCK_QUIET: "1", MOCK_CAST: "two" }],
  caststuck: [(page) => open(page, "#/transfers"), { MOCK_QUIET: "1", MOCK_CAST: "stuck" }],
  castmore: [async (page) => { await page.getByTestId("cast-more").click(); }, { MOCK_QUIET: "1", MOCK_CAST: "film" }],
  castdialog: [async (page) => { await open(page, "#/devices/upnp-lounge"); await page.getByTestId("cast-button").click(); }, { MOCK_QUIET: "1", MOCK_CAST: "film" }],
  casthand: [async (page) => { await page.getByRole("button", { name: /^Hand over/ }).click(); }, { MOCK_QUIET: "1", MOCK_CAST: "film" }],
  first: [async (page) => { await page.getByTestId("ask-discovery").waitFor(); }, { ...empty, MOCK_DISCOVERY: "undecided" }],
  alone: [async () => {}, empty],
  longnames: [async () => {}, hard],
  device: [(page) => open(page, "#/devices/link-phone"), { MOCK_QUIET: "1" }],
  reply: [async (page) => { await open(page, "#/notifications"); await button(page, "Reply to Noa").click(); }, { MOCK_QUIET: "1" }],
  notifications: [(page) => open(page, "#/notifications"), { MOCK_QUIET: "1" }],
  longnotifications: [(page) => open(page, "#/notifications"), { ...hard, MOCK_QUIET: "1" }],
  nonotifications: [(page) => open(page, "#/notifications"), empty],
  brokennotifications: [async (page) => { await lever(page, "broken"); await page.reload(); await open(page, "#/notifications"); await page.getByRole("alert").waitFor(); }, { MOCK_QUIET: "1" }],
  dismissprompt: [async (page) => { await open(page, "#/notifications"); await button(page, "Dismiss Noa").click(); await page.getByTestId("prompt").waitFor(); }, { MOCK_QUIET: "1" }],
  rules: [(page) => open(page, "#/notifications/rules"), { MOCK_QUIET: "1" }],
  longrules: [(page) => open(page, "#/notifications/rules"), { ...hard, MOCK_QUIET: "1" }],
  norules: [(page) => open(page, "#/notifications/rules"), empty],
  decide: [async (page) => { await open(page, "#/notifications/rules"); await button(page, "Your agreement, Mira’s phone: decide").click(); await page.getByTestId("decide").locator("dl").waitFor(); }, { MOCK_QUIET: "1" }],
  notify: [async (page) => { await open(page, "#/notifications"); await button(page, "Show on a device").click(); }, { MOCK_QUIET: "1" }],
  clipboard: [async (page) => { await open(page, "#/clipboard"); await page.getByTestId("look").click(); }, { MOCK_QUIET: "1" }],
  noclipboard: [async (page) => { await lever(page, "no-clipboard"); await open(page, "#/clipboard"); }, empty],
  longclipboard: [(page) => open(page, "#/clipboard"), { ...hard, MOCK_QUIET: "1" }],
  home: [(page) => open(page, "#/home"), { MOCK_QUIET: "1", MOCK_HOUSE: "1" }],
  homeempty: [(page) => open(page, "#/home"), empty],
  homelong: [(page) => open(page, "#/home"), { ...hard, MOCK_QUIET: "1", MOCK_HOUSE: "1" }],
  homesearch: [async (page) => { await open(page, "#/home"); await page.getByRole("searchbox").fill("bedroom"); }, { MOCK_QUIET: "1", MOCK_HOUSE: "1" }],
  ...Object.fromEntries([["strip", "Shelf strip"], ["heating", "Heating"], ["frontdoor", "Front door"], ["robot", "Robbie"], ["curtain", "Curtains"], ["climateair", "Air"], ["alarm", "Alarm"], ["washer", "Washing machine"], ["bedside", "Bedside"]].map(([name, title]) => [`thing-${name}`, [async (page) => {
    await open(page, "#/home");
    await page.getByTestId("tile").filter({ hasText: title }).first().locator(".ht-text").click();
    await page.getByTestId("thing").waitFor();
    const history = page.getByTestId("thing").getByText("History", { exact: true }).first();
    if (await history.isVisible()) { await history.click(); await page.getByTestId("thing").locator(".chart").first().waitFor(); }
    await page.waitForTimeout(200);
  }, { MOCK_QUIET: "1", MOCK_HOUSE: "1" }]])),
  housedevice: [(page) => open(page, "#/devices/house-washer"), { MOCK_QUIET: "1", MOCK_HOUSE: "1" }],
  airdevice: [async (page) => { await open(page, "#/devices/house-air"); await page.getByText("History", { exact: true }).first().click(); await page.locator(".chart").first().waitFor(); }, { MOCK_QUIET: "1", MOCK_HOUSE: "1" }],
  addform: [async (page) => { await button(page, "Add a device").first().click(); await button(page, "Home Assistant").click(); await page.getByLabel("Address").waitFor(); }, { MOCK_QUIET: "1", MOCK_HOUSE: "1" }],
  lamp: [(page) => open(page, "#/devices/example-lamp"), { MOCK_QUIET: "1" }],
  unconfirmed: [async (page) => { await open(page, "#/devices/example-lamp"); await page.getByRole("slider", { name: "Color temperature" }).press("End"); await page.waitForTimeout(5600); }, { MOCK_QUIET: "1" }],
  drain: [async (page) => { await open(page, "#/devices/example-lamp"); await button(page, "Drain").click(); }, { MOCK_QUIET: "1" }],
  tv: [(page) => open(page, "#/devices/link-tv"), { MOCK_QUIET: "1" }],
  tablet: [(page) => open(page, "#/devices/link-tablet"), { MOCK_QUIET: "1" }],
  own: [(page) => open(page, "#/devices/own-1"), { MOCK_QUIET: "1" }],
  nodevice: [(page) => open(page, "#/devices/nobody"), { MOCK_QUIET: "1" }],
  longdevice: [(page) => open(page, "#/devices/link-phone"), hard],
  transfers: [(page) => open(page, "#/transfers")],
  notransfers: [(page) => open(page, "#/transfers"), empty],
  longtransfers: [(page) => open(page, "#/transfers"), hard],
  privacy: [async (page) => { await open(page, "#/privacy"); await page.locator("[data-entry='files/send'] button").first().click(); }],
  decisions: [(page) => open(page, "#/privacy/decisions")],
  nodecisions: [(page) => open(page, "#/privacy/decisions"), empty],
  ledger: [async (page) => { await open(page, "#/privacy/ledger"); await page.getByTestId("verify").click(); await page.getByTestId("verdict").waitFor(); }],
  noledger: [(page) => open(page, "#/privacy/ledger"), empty],
  damaged: [async (page) => { await lever(page, "verify"); await open(page, "#/privacy/ledger"); await page.getByTestId("verify").click(); await page.getByTestId("verdict").waitFor(); }],
  nofit: [async (page) => { await open(page, "#/privacy/ledger"); await page.getByRole("searchbox").fill("nothing like it"); await page.waitForTimeout(500); }],
  unreadable: [async (page) => { await lever(page, "broken"); await open(page, "#/privacy/ledger"); await page.getByRole("alert").waitFor(); }],
  record: [async (page) => { await open(page, "#/privacy/ledger"); await page.getByTestId("record").nth(3).click(); await page.waitForTimeout(300); }],
  settings: [(page) => open(page, "#/settings")],
  prompt: [(page) => lever(page, "prompt")],
  lapsed: [(page) => lever(page, "lapsed")],
  longprompt: [(page) => lever(page, "prompt", { to: "device:link-phone", entry: "link/pairing", because: "Pair with Мирин телефон aus dem Arbeitszimmer im zweiten Stock Donaudampfschifffahrtsgesellschaft" }), { ...hard, MOCK_QUIET: "1" }],
  pairing: [async (page) => { await lever(page, "pairing"); await page.waitForTimeout(900); }],
  add: [async (page) => { await button(page, "Add a device").click(); await button(page, "Computer with Accord").click(); await button(page, "Make a ticket").click(); await page.locator(".qr").waitFor(); }],
  address: [async (page) => { await button(page, "Add a device").click(); await button(page, "Computer with Accord").click(); await button(page, "By address").click(); }],
  ways: [async (page) => { await button(page, "Add a device").click(); await button(page, "Phone with LocalSend").waitFor(); }],
  joinask: [async (page) => { await button(page, "Add a device").click(); await button(page, "Phone with KDE Connect").click(); await page.getByTestId("join-ask").waitFor(); }],
  joinsteps: [async (page) => { await button(page, "Add a device").click(); await button(page, "Phone with KDE Connect").click(); await page.getByTestId("join-allow").click(); await button(page.getByTestId("add"), "Pair with Jo’s Pixel").waitFor(); }, { MOCK_QUIET: "1", MOCK_TURN_UP: "300" }],
  joincode: [async (page) => { await button(page, "Add a device").click(); await button(page, "Phone with KDE Connect").click(); await page.getByTestId("join-allow").click(); await button(page.getByTestId("add"), "Pair with Jo’s Pixel").click(); await page.getByTestId("prompt").getByRole("button", { name: "Allow always" }).click(); await page.getByTestId("code").waitFor(); }, { MOCK_QUIET: "1", MOCK_TURN_UP: "300" }],
  fingerprint: [async (page) => { await button(page, "Add a device").click(); await button(page, "Phone with LocalSend").click(); await page.getByTestId("join-allow").click(); await button(page.getByTestId("add"), "Pair with Brave Mango").click(); await page.getByTestId("prompt").getByRole("button", { name: "Allow always" }).click(); await page.getByTestId("code").waitFor(); }, { MOCK_QUIET: "1", MOCK_TURN_UP: "300" }],
  pin: [async (page) => { await button(page, "Add a device").click(); await button(page, "Phone with LocalSend").click(); await page.getByTestId("join-allow").click(); await button(page.getByTestId("add"), "Pair with Brave Mango").click(); await page.getByTestId("prompt").getByRole("button", { name: "Allow always" }).click(); await page.getByTestId("codes-match").click(); await page.getByTestId("paired").getByRole("button", { name: "Done" }).click(); await open(page, "#/devices/localsend-1"); await page.getByText("It asks for a PIN").click(); }, { MOCK_QUIET: "1", MOCK_TURN_UP: "300" }],
  send: [async (page) => { await page.getByTestId("send-button").first().click(); }],
  sendtext: [async (page) => { await page.getByTestId("send-button").first().click(); await page.getByRole("button", { name: "Text", exact: true }).click(); }],
  menu: [async (page) => { await button(page, "More for Mira’s phone").click(); }],
  confirm: [async (page) => { await button(page, "More for Work laptop").click(); await page.getByRole("menuitem", { name: "Unpair…" }).click(); }],
  toast: [async (page) => { await button(page, "More for Work laptop").click(); await page.getByRole("menuitemcheckbox", { name: "Accept without asking" }).click(); }],
  gone: [async (page, mock) => { mock.kill(); await page.getByTestId("gone").waitFor(); }],
  help: [(page) => page.keyboard.press("?")],
  signin: null,
};
const FULL = /^(home|housed|airdev|devices|notif|nonotif|rules|norules|clipboard|noclip|pin|first|alone|long|device|lamp|tv|own|tablet|privacy|decisions|settings|transfers|ledger)/;

async function judge(page, name) {
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  const cut = () => page.evaluate(() => [...document.querySelectorAll("button, a, input, .card, .dialog *")].filter((one) => { const box = one.getBoundingClientRect(); return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1) && !one.closest(".tabs, .kinds, .skip, .hidden-visually"); }).slice(0, 3).map((one) => one.className || one.tagName));
  for (const width of page.viewportSize().width < 500 ? [390, 320] : [page.viewportSize().width]) {
    await page.setViewportSize({ width, height: page.viewportSize().height });
    await page.waitForTimeout(60);
    const [by, out] = [await wide(), await cut()];
    if (by > 0 || out.length) console.log(`${name}: ${by} px too wide at ${width}; outside: ${out.join(", ")}`);
  }
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const one of violations) console.log(`${name}: axe ${one.id}: ${one.help}\n    ${one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.failureSummary?.split("\n")[1] ?? ""}`).join("\n    ")}`);
}

for (const [name, shot] of Object.entries(shots)) {
  if (only.length && !only.includes(name)) continue;
  const [act, env] = shot ?? [];
  for (const width of list("WIDTHS", "1280,390").map(Number)) {
    for (const scheme of list("SCHEMES", "light,dark")) {
      const mock = await start({ MOCK_DISCOVERY: "on", ...env });
      const phone = width < 500;
      const context = await browser.newContext({ viewport: { width, height: phone ? 844 : 900 }, isMobile: phone, hasTouch: phone, colorScheme: scheme, reducedMotion: "reduce", serviceWorkers: "block" });
      const page = await context.newPage();
      page.setDefaultTimeout(5000);
      const at = `${name}-${width}-${scheme}`;
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && !/ERR_|401|409|500|Service Worker/.test(message.text()) && console.log(at, message.text()));
      page.on("pageerror", (error) => console.log(at, error.message));
      await page.goto(`http://127.0.0.1:${port}/${act ? "#setup=demo-token" : ""}`);
      try {
        await page.getByRole("heading", { level: 1 }).first().waitFor();
        if (act) {
          await page.locator(".own").waitFor();
          await act(page, mock);
        }
        await page.waitForTimeout(400);
        await page.screenshot({ path: `${out}/${at}.png`, fullPage: FULL.test(name) });
        await judge(page, at);
      } catch (error) {
        console.log(at, String(error).slice(0, 400));
        await page.screenshot({ path: `${out}/${at}-failed.png` });
      }
      await context.close();
      mock.kill();
      await new Promise((resolve) => (mock.exitCode !== null || mock.signalCode !== null ? resolve() : mock.once("exit", resolve)));
    }
  }
}
await browser.close();
