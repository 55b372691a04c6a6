// Writes what every device that zigbee2mqtt knows exposes, as zigbee2mqtt says it in bridge/devices: one JSON object a line.
// Usage: node exposes.mjs FOLDER, in whose node_modules zigbee-herdsman-converters is. Makes FOLDER/exposes.jsonl.
import { createRequire } from "node:module";
import { createWriteStream, renameSync } from "node:fs";
import { join, resolve } from "node:path";

const folder = resolve(process.argv[2]);
const need = createRequire(join(folder, "package.json"));
const converters = need("zigbee-herdsman-converters");
const loaded = need("zigbee-herdsman-converters/devices/index");
const definitions = converters.definitions ?? loaded.default ?? loaded.definitions ?? loaded;
const out = createWriteStream(join(folder, "exposes.part"));
let count = 0;
for (const known of definitions) {
  const { model, vendor, description, exposes } = converters.prepareDefinition(known);
  const made = typeof exposes === "function" ? exposes({ isDummyDevice: true }, {}) : exposes;
  out.write(JSON.stringify({ model, vendor, description, exposes: made }) + "\n");
  count += 1;
}
out.end(() => {
  renameSync(join(folder, "exposes.part"), join(folder, "exposes.jsonl"));
  console.log(`${count} devices`);
});
