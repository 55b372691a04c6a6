// Draws the PNG icons from public/icon.svg with a headless browser. Run after changing the SVG; the PNGs are kept.
import { readFileSync, writeFileSync } from "node:fs";
import { chromium } from "playwright-core";

const svg = readFileSync("public/icon.svg", "utf8");
const square = svg.replace(' rx="116"', "");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
const draw = async (source, size, inset, name, background) => {
  await page.setViewportSize({ width: size, height: size });
  const data = `data:image/svg+xml;base64,${Buffer.from(source).toString("base64")}`;
  await page.setContent(`<body style="margin:0;background:${background}"><img src="${data}" style="display:block;width:${size - 2 * inset}px;margin:${inset}px"></body>`);
  await page.locator("img").evaluate((image) => image.decode());
  writeFileSync(`public/${name}`, await page.screenshot({ omitBackground: true }));
};
await draw(svg, 192, 0, "icon-192.png", "transparent");
await draw(svg, 512, 0, "icon-512.png", "transparent");
await draw(square, 180, 0, "icon-180.png", "#0c6b66");
await draw(square, 512, 56, "icon-maskable-512.png", "#0c6b66");
await browser.close();
