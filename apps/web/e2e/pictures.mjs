// Takes the README's pictures in a real browser, from a demo home of real hubs.
// Usage: node apps/web/e2e/pictures.mjs [OUT_DIR]   ACCORD_BIN names the program when it is elsewhere.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { agreeing, decide, device, go, launch, open } from "./lib.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = process.env.ACCORD_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release/accord");
const out = resolve(process.argv[2] ?? join(root, "docs/pictures"));
mkdirSync(out, { recursive: true });
const home = mkdtempSync(join(tmpdir(), "accord-pictures-"));
const demo = spawn(program, ["--state", join(home, "demo"), "demo", "--no-open"], { stdio: ["ignore", "pipe", "inherit"] });
let browser;
try {
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
  browser = await launch();
  const { page } = await open(browser, link, { viewport: { width: 1200, height: 800 }, deviceScaleFactor: 2, colorScheme: "light" });
  const shoot = async (name, theme = "light") => {
    await page.evaluate((wanted) => void (document.documentElement.dataset.theme = wanted), theme);
    await page.evaluate(() => scrollTo(0, 0));
    await page.waitForTimeout(600);
    await page.screenshot({ path: join(out, `${name}.png`) });
  };
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
  await go(page, "#/privacy/files%2Fsend");
  await shoot("privacy");
  await go(page, "#/privacy/ledger");
  await page.getByTestId("verify").click();
  await page.getByTestId("verdict").waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  await shoot("ledger-phone-dark", "dark");
  console.log(`Pictures are in ${out}`);
} finally {
  await browser?.close();
  demo.kill("SIGTERM");
  await new Promise((ended) => (demo.exitCode !== null ? ended() : demo.once("exit", ended)));
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}
