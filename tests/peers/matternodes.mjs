// Writes what a node of every device type of matter.js tells: {"attributes": {"endpoint/cluster/attribute": "tlv:hexadecimal"}}, a
// file each, as matter.js encodes it; nothing is sent. What a type wants to be told of itself is below.
// Usage: node matternodes.mjs FOLDER, in whose node_modules @matter/main is. Makes FOLDER/nodes/*.json.
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const folder = resolve(process.argv[2]);
const need = createRequire(join(folder, "package.json"));
const load = (name) => need(name);
const { Endpoint, Environment, Logger, LogLevel, ServerNode } = load("@matter/main");
const { AggregatorEndpoint } = load("@matter/main/endpoints/aggregator");
const { ClusterModel } = load("@matter/model");
const { TlvOfModel } = load("@matter/types");
const storage = mkdtempSync(join(tmpdir(), "matternodes-"));
Environment.default.vars.set("storage.path", storage);
Logger.level = LogLevel.FATAL;

/** A behaviour with features: its class, in the words of its file. */
const server = (file, ...features) => {
  const all = load(`@matter/main/behaviors/${file}`);
  const one = all[Object.keys(all).find((name) => name.endsWith("Server"))];
  return features.length > 0 ? one.with(...features) : one;
};
const modes = (...all) => all.map(([label, mode, value]) => ({ label, mode, modeTags: [{ value }] }));
const states = (...ids) => ids.map((operationalStateId) => ({ operationalStateId }));
const runs = { operationalStateList: states(0, 1, 2, 3), operationalState: 1, operationalError: { errorStateId: 0 }, phaseList: null, currentPhase: null };
const white = { colorMode: 2, colorTemperatureMireds: 250, colorTempPhysicalMinMireds: 153, colorTempPhysicalMaxMireds: 454, coupleColorTempToLevelMinMireds: 153, startUpColorTemperatureMireds: null };
const measured = (measuredValue, measurementUnit) => ({ measuredValue, measurementUnit, measurementMedium: 0, minMeasuredValue: null, maxMeasuredValue: null });
const concentration = (what) => server(`${what}-concentration-measurement`, "NumericMeasurement");

/** By device type: behaviours, and state. */
const wants = {
  "air-purifier": () => [[], { fanControl: { fanModeSequence: 0 } }],
  "air-quality-sensor": () => [
    ["carbon-dioxide", "pm25", "total-volatile-organic-compounds"].map(concentration),
    { airQuality: { airQuality: 1 }, carbonDioxideConcentrationMeasurement: measured(612.5, 0), pm25ConcentrationMeasurement: measured(8.1, 4), totalVolatileOrganicCompoundsConcentrationMeasurement: measured(120, 1) },
  ],
  "basic-video-player": () => [[], { mediaPlayback: { currentState: 0 } }],
  "casting-video-player": () => [[], { mediaPlayback: { currentState: 0 } }],
  closure: () => [
    [server("closure-control", "Positioning", "Ventilation")],
    { closureControl: { mainState: 0, overallCurrentState: { position: 2, secureState: false }, overallTargetState: { position: 1 }, currentErrorList: [] } },
  ],
  "color-temperature-light": () => [[], { colorControl: white }],
  dishwasher: () => [[], { operationalState: runs }],
  "door-lock": () => [
    [server("door-lock", "PinCredential", "CredentialOverTheAirAccess", "User", "DoorPositionSensor", "Unbolting")],
    { doorLock: { lockType: 0, actuatorEnabled: true, lockState: 1, operatingMode: 0, supportedOperatingModes: { normal: false, vacation: true, privacy: true, noRemoteLockUnlock: false, passage: true, alwaysSet: 2047 }, requirePinForRemoteOperation: true, wrongCodeEntryLimit: 5, userCodeTemporaryDisableTime: 5, doorState: 1, minPinCodeLength: 4, maxPinCodeLength: 8, numberOfTotalUsersSupported: 10, numberOfPinUsersSupported: 10, numberOfCredentialsSupportedPerUser: 5, credentialRulesSupport: { single: true } } },
  ],
  "energy-evse": () => [[], {
    energyEvse: { state: 0, supplyState: 1, faultState: 0, circuitCapacity: 32000, minimumChargeCurrent: 6000, maximumChargeCurrent: 16000, chargingEnabledUntil: null },
    energyEvseMode: { supportedModes: modes(["Manual", 1, 16384], ["Solar", 2, 16386]), currentMode: 1 },
  }],
  "extended-color-light": () => [[server("color-control", "HueSaturation", "Xy", "ColorTemperature", "EnhancedHue")], { colorControl: white }],
  "extractor-hood": () => [[], { fanControl: { fanModeSequence: 0 } }],
  fan: () => [
    [server("fan-control", "MultiSpeed", "Auto", "Rocking", "Wind", "AirflowDirection")],
    { fanControl: { airflowDirection: 0, fanModeSequence: 2, speedMax: 10, rockSupport: { rockLeftRight: true }, windSupport: { naturalWind: true } } },
  ],
  "generic-switch": () => [
    [server("switch", "MomentarySwitch", "MomentarySwitchRelease", "MomentarySwitchLongPress", "MomentarySwitchMultiPress")],
    { switch: { numberOfPositions: 2, multiPressMax: 3 } },
  ],
  "laundry-dryer": () => [[], { operationalState: runs }],
  "laundry-washer": () => [[], { operationalState: runs }],
  "mode-select": () => [[], { modeSelect: { description: "Scent", supportedModes: [{ label: "Rose", mode: 0, semanticTags: [] }, { label: "Pine", mode: 4, semanticTags: [] }], currentMode: 0 } }],
  "occupancy-sensor": () => [
    [server("occupancy-sensing", "PassiveInfrared")],
    { occupancySensing: { occupancy: { occupied: true }, occupancySensorType: 0, occupancySensorTypeBitmap: { pir: true } } },
  ],
  "robotic-vacuum-cleaner": () => [
    ["rvc-run-mode", "rvc-operational-state", "rvc-clean-mode"].map((file) => server(file)),
    {
      rvcRunMode: { supportedModes: modes(["Idle", 0, 16384], ["Clean", 1, 16385]), currentMode: 0 },
      rvcCleanMode: { supportedModes: modes(["Vacuum", 1, 16385], ["Mop", 2, 16386]), currentMode: 1 },
      rvcOperationalState: { ...runs, operationalStateList: states(0, 1, 2, 3, 64, 65, 66), operationalState: 66 },
    },
  ],
  "room-air-conditioner": () => [[server("thermostat", "Cooling")], { thermostat: { systemMode: 3, controlSequenceOfOperation: 0 } }],
  "smoke-co-alarm": () => [[server("smoke-co-alarm", "SmokeAlarm", "CoAlarm")], {}],
  thermostat: () => [
    [server("thermostat", "Heating", "Cooling", "AutoMode")],
    { thermostat: { localTemperature: 2150, systemMode: 1, controlSequenceOfOperation: 4, minSetpointDeadBand: 25, occupiedHeatingSetpoint: 2000, occupiedCoolingSetpoint: 2600 } },
  ],
  "water-heater": () => [[server("thermostat", "Heating")], {
    waterHeaterManagement: { boostState: 0, heaterTypes: { immersionElement1: true }, heatDemand: {} },
    waterHeaterMode: { supportedModes: modes(["Off", 0, 16384], ["Manual", 1, 16385]), currentMode: 1 },
    thermostat: { systemMode: 4, controlSequenceOfOperation: 2, localTemperature: 5500 },
  }],
  "water-valve": () => [[server("valve-configuration-and-control", "Level")], {}],
  "window-covering": () => [
    [server("window-covering", "Lift", "Tilt", "PositionAwareLift", "PositionAwareTilt")],
    { windowCovering: { type: 8, endProductType: 5, configStatus: { operational: true, liftPositionAware: true, tiltPositionAware: true }, currentPositionLiftPercent100ths: 2500, currentPositionTiltPercent100ths: 10000 } },
  ],
};

const device = (type) => {
  const all = load(`@matter/main/devices/${type}`);
  return all[Object.keys(all).find((name) => name.endsWith("Device"))];
};

const serve = (type, deviceType) => ServerNode.create({
  id: type,
  network: { port: 0 },
  commissioning: { passcode: 20202021, discriminator: 3840 },
  productDescription: { name: type.slice(0, 32), deviceType },
  basicInformation: { vendorName: "Lab", vendorId: 0xfff1, productId: 0x8000, productName: `Lab ${type}`.slice(0, 32), serialNumber: "s1", uniqueId: "u1" },
});

const encoded = (endpoints) => {
  const attributes = {};
  for (const endpoint of endpoints) {
    for (const behavior of Object.values(endpoint.behaviors.supported)) {
      const cluster = behavior.schema;
      if (!(cluster instanceof ClusterModel) || cluster.id === undefined) continue;
      const state = endpoint.stateOf(behavior);
      for (const attribute of cluster.attributes) {
        const value = state[attribute.propertyName];
        if (value === undefined) continue;
        const tlv = TlvOfModel(attribute).encode(value);
        attributes[`${endpoint.number}/${cluster.id}/${attribute.id}`] = `tlv:${Buffer.from(tlv).toString("hex")}`;
      }
    }
  }
  return attributes;
};

const part = join(folder, "nodes.part");
rmSync(part, { recursive: true, force: true });
mkdirSync(part);
const write = (name, endpoints) => writeFileSync(join(part, `${name}.json`), JSON.stringify({ attributes: encoded(endpoints) }));
const types = readdirSync(dirname(need.resolve("@matter/node/devices/fan"))).filter((file) => /^[a-z-]+\.js$/.test(file));
const left = [];
let count = 0;
for (const type of types.map((file) => file.slice(0, -3)).filter((type) => type !== "index")) {
  const kind = device(type);
  try {
    const [behaviors, state] = wants[type]?.() ?? [[], {}];
    const node = await serve(type, kind.deviceType);
    const endpoint = new Endpoint(behaviors.length > 0 ? kind.with(...behaviors) : kind, { id: "it", ...state });
    await node.add(endpoint);
    write(type, [node, endpoint]);
    count += 1;
    await node.close();
  } catch {
    left.push(type);
  }
}
const bridge = await serve("bridge", AggregatorEndpoint.deviceType);
const all = new Endpoint(AggregatorEndpoint, { id: "all" });
await bridge.add(all);
const endpoints = [bridge, all];
const bridged = server("bridged-device-basic-information");
for (const [at, type] of ["dimmable-light", "on-off-plug-in-unit", "temperature-sensor", "contact-sensor", "on-off-light"].entries()) {
  const known = { nodeLabel: `Bridged ${type}`, productName: type, vendorName: "Other", uniqueId: `u-${at}`, reachable: at !== 3 };
  const endpoint = new Endpoint(device(type).with(bridged), { id: type, bridgedDeviceBasicInformation: known });
  await all.add(endpoint);
  endpoints.push(endpoint);
}
write("bridge", endpoints);
rmSync(join(folder, "nodes"), { recursive: true, force: true });
renameSync(part, join(folder, "nodes"));
rmSync(storage, { recursive: true, force: true });
console.log(`${count + 1} nodes; not made: ${left.join(", ") || "none"}`);
process.exit(0);
