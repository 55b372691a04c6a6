// Matter devices on matter.js, which is not ours. Usage: matterdevice.mjs FOLDER lamp|house [PASSCODE DISCRIMINATOR [PORT]]
// What is written to its input is done there: `set ENDPOINT {"onOff": {"onOff": true}}`, `stop`. What becomes of its endpoints is
// told in lines of JSON.
import { createInterface } from "node:readline";
import { Environment, Logger, LogLevel, Endpoint, ServerNode, VendorId } from "@matter/main";

const [folder, what, passcode = "20202021", discriminator = "3840", port = "5540"] = process.argv.slice(2);
Environment.default.vars.set("storage.path", folder);
Logger.level = LogLevel.WARN;
const tell = (said) => console.log(JSON.stringify(said));

const { DimmableLightDevice } = await import("@matter/main/devices/dimmable-light");
const basic = { vendorName: "Lab", vendorId: VendorId(0xfff1), productId: 0x8000, serialNumber: "4711", uniqueId: "lab-1" };
const node = await ServerNode.create({
  id: "lab",
  network: { port: Number(port) },
  commissioning: { passcode: Number(passcode), discriminator: Number(discriminator) },
  productDescription: { name: "Lab", deviceType: DimmableLightDevice.deviceType },
  basicInformation: { ...basic, productName: what === "lamp" ? "Lab Lamp" : "Lab Bridge", nodeLabel: "" },
});

const endpoints = {};
const watch = (id, endpoint) => {
  endpoints[id] = endpoint;
  for (const behavior of Object.keys(endpoint.behaviors.supported)) {
    const events = endpoint.events[behavior] ?? {};
    for (const name of Object.keys(endpoint.state[behavior] ?? {})) {
      events[`${name}$Changed`]?.on?.((value) =>
        tell({ endpoint: id, behavior, name, value: typeof value === "bigint" ? Number(value) : value }));
    }
  }
};

if (what === "lamp") {
  const lamp = new Endpoint(DimmableLightDevice, { id: "lamp" });
  await node.add(lamp);
  watch("lamp", lamp);
} else {
  const { AggregatorEndpoint } = await import("@matter/main/endpoints/aggregator");
  const { BridgedDeviceBasicInformationServer } = await import("@matter/main/behaviors/bridged-device-basic-information");
  const { ColorTemperatureLightDevice } = await import("@matter/main/devices/color-temperature-light");
  const { OnOffPlugInUnitDevice } = await import("@matter/main/devices/on-off-plug-in-unit");
  const { TemperatureSensorDevice } = await import("@matter/main/devices/temperature-sensor");
  const { ContactSensorDevice } = await import("@matter/main/devices/contact-sensor");
  const aggregator = new Endpoint(AggregatorEndpoint, { id: "aggregator" });
  await node.add(aggregator);
  const behind = async (type, id, name, state = {}) => {
    const endpoint = new Endpoint(type.with(BridgedDeviceBasicInformationServer), {
      id,
      bridgedDeviceBasicInformation: { nodeLabel: name, productName: name, serialNumber: id, uniqueId: `unique-${id}`, reachable: true },
      ...state,
    });
    await aggregator.add(endpoint);
    watch(id, endpoint);
  };
  await behind(ColorTemperatureLightDevice, "ceiling", "Ceiling", {
    colorControl: { colorTempPhysicalMinMireds: 153, colorTempPhysicalMaxMireds: 454, colorTemperatureMireds: 250, colorMode: 2, enhancedColorMode: 2, startUpColorTemperatureMireds: null, coupleColorTempToLevelMinMireds: 153 },
  });
  await behind(OnOffPlugInUnitDevice, "plug", "Plug");
  await behind(TemperatureSensorDevice, "weather", "Weather", { temperatureMeasurement: { measuredValue: 2150 } });
  await behind(ContactSensorDevice, "door", "Door", { booleanState: { stateValue: true } });
}

await node.start();
tell({ ready: true, commissioned: node.lifecycle.isCommissioned });
createInterface({ input: process.stdin }).on("line", async (line) => {
  const [verb, id, ...rest] = line.split(" ");
  try {
    if (verb === "set") await endpoints[id].set(JSON.parse(rest.join(" ")));
    if (verb === "stop") {
      await node.close();
      process.exit(0);
    }
    tell({ done: line });
  } catch (error) {
    tell({ failed: line, why: String(error) });
  }
});
