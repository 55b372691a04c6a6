// Matter devices on matter.js, which is not ours.
// Usage: matterdevice.mjs FOLDER lamp|house|all|KIND,KIND… [PASSCODE DISCRIMINATOR [PORT]]
// A lamp; a bridge with some or all kinds behind it; or devices of their own, of which each has the next port and a discriminator
// that is smaller by 256.
// What is written to its input is done there: `set ENDPOINT {"onOff": {"onOff": true}}`, `leave DEVICE`, `stop`. What becomes of its endpoints is
// told in lines of JSON.
import { createInterface } from "node:readline";
import { FabricManager } from "@matter/main/protocol";
import { Environment, Logger, LogLevel, Endpoint, ServerNode, VendorId } from "@matter/main";

const [folder, what, passcode = "20202021", discriminator = "3840", port = "5540"] = process.argv.slice(2);
Environment.default.vars.set("storage.path", folder);
Logger.level = process.env.MATTER_LOG ? LogLevel(process.env.MATTER_LOG) : LogLevel.WARN;
const tell = (said) => console.log(JSON.stringify(said));

const { DimmableLightDevice } = await import("@matter/main/devices/dimmable-light");
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

// What each kind of thing is, and what it is when it is switched on for the first time.
const makers = {
  lamp: async () => ["Lamp", DimmableLightDevice],
  ceiling: async () => {
    const { ColorTemperatureLightDevice } = await import("@matter/main/devices/color-temperature-light");
    return ["Ceiling", ColorTemperatureLightDevice, {
      colorControl: { colorTempPhysicalMinMireds: 153, colorTempPhysicalMaxMireds: 454, colorTemperatureMireds: 250, colorMode: 2, enhancedColorMode: 2, startUpColorTemperatureMireds: null, coupleColorTempToLevelMinMireds: 153 },
    }];
  },
  plug: async () => {
    const { OnOffPlugInUnitDevice } = await import("@matter/main/devices/on-off-plug-in-unit");
    return ["Plug", OnOffPlugInUnitDevice];
  },
  weather: async () => {
    const { TemperatureSensorDevice } = await import("@matter/main/devices/temperature-sensor");
    return ["Weather", TemperatureSensorDevice, { temperatureMeasurement: { measuredValue: 2150 } }];
  },
  door: async () => {
    const { ContactSensorDevice } = await import("@matter/main/devices/contact-sensor");
    return ["Door", ContactSensorDevice, { booleanState: { stateValue: true } }];
  },
  heating: async () => {
    const { ThermostatDevice } = await import("@matter/main/devices/thermostat");
    const { ThermostatServer } = await import("@matter/main/behaviors/thermostat");
    return ["Heating", ThermostatDevice, {
      thermostat: { localTemperature: 1950, systemMode: 4, controlSequenceOfOperation: 2, occupiedHeatingSetpoint: 2000 },
    }, [ThermostatServer.with("Heating")]];
  },
  blind: async () => {
    const { WindowCoveringDevice } = await import("@matter/main/devices/window-covering");
    const { WindowCoveringServer } = await import("@matter/main/behaviors/window-covering");
    return ["Blind", WindowCoveringDevice, {
      windowCovering: { type: 0, endProductType: 0, configStatus: { operational: true, liftPositionAware: true }, currentPositionLiftPercent100ths: 10000 },
    }, [WindowCoveringServer.with("Lift", "PositionAwareLift")]];
  },
  lock: async () => {
    const { DoorLockDevice } = await import("@matter/main/devices/door-lock");
    return ["Front Door", DoorLockDevice, {
      doorLock: { lockType: 0, actuatorEnabled: true, lockState: 1, operatingMode: 0, wrongCodeEntryLimit: 5, userCodeTemporaryDisableTime: 5, supportedOperatingModes: { normal: false, vacation: true, privacy: true, noRemoteLockUnlock: false, passage: true, alwaysSet: 2047 } },
    }];
  },
  robot: async () => {
    const { RoboticVacuumCleanerDevice } = await import("@matter/main/devices/robotic-vacuum-cleaner");
    const { RvcRunModeServer } = await import("@matter/main/behaviors/rvc-run-mode");
    const { RvcOperationalStateServer } = await import("@matter/main/behaviors/rvc-operational-state");
    const done = { commandResponseState: { errorStateId: 0 } };
    class State extends RvcOperationalStateServer {
      pause() {
        // Only what it does can be paused: it says so in its answer, and the interaction is a success.
        if (this.state.operationalState !== 1) return { commandResponseState: { errorStateId: 3 } };
        this.state.operationalState = 2;
        return done;
      }
      resume() {
        this.state.operationalState = 1;
        return done;
      }
      goHome() {
        this.state.operationalState = 66;
        return done;
      }
    }
    class Run extends RvcRunModeServer {
      changeToMode(request) {
        const answer = super.changeToMode(request);
        this.agent.get(State).state.operationalState = request.newMode === 1 ? 1 : 0;
        return answer;
      }
    }
    const { PowerSourceServer } = await import("@matter/main/behaviors/power-source");
    const mode = (label, number, value) => ({ label, mode: number, modeTags: [{ value }] });
    return ["Robot", RoboticVacuumCleanerDevice, {
      rvcRunMode: { supportedModes: [mode("Idle", 0, 16384), mode("Clean", 1, 16385)], currentMode: 0 },
      rvcOperationalState: { operationalStateList: [0, 1, 2, 3, 64, 65, 66].map((operationalStateId) => ({ operationalStateId })), operationalState: 66, operationalError: { errorStateId: 0 }, phaseList: null, currentPhase: null },
      powerSource: { status: 1, order: 0, description: "Battery", batChargeLevel: 0, batReplacementNeeded: false, batReplaceability: 1, batPercentRemaining: 174, endpointList: [] },
    }, [Run, State, PowerSourceServer.with("Battery")]];
  },
};
const HOUSE = ["ceiling", "plug", "weather", "door"];
const ALL = [...HOUSE, "heating", "blind", "lock", "robot"];

// What is a device of its own: of one kind, or a bridge that has the others behind it.
const nodeOf = async (id, name, deviceType, discriminator, port, unique) => ServerNode.create({
  id,
  network: { port },
  commissioning: { passcode: Number(passcode), discriminator },
  productDescription: { name: name === "Lab Lamp" || name === "Lab Bridge" ? "Lab" : name, deviceType },
  basicInformation: { vendorName: "Lab", vendorId: VendorId(0xfff1), productId: 0x8000, serialNumber: `47${unique + 10}`, uniqueId: `lab-${unique}`, productName: name, nodeLabel: "" },
});
const nodes = {};
if (what === "lamp") {
  nodes.lab = await nodeOf("lab", "Lab Lamp", DimmableLightDevice.deviceType, Number(discriminator), Number(port), 1);
  const lamp = new Endpoint(DimmableLightDevice, { id: "lamp" });
  await nodes.lab.add(lamp);
  watch("lamp", lamp);
} else if (what === "house" || what === "all") {
  const { AggregatorEndpoint } = await import("@matter/main/endpoints/aggregator");
  const { BridgedDeviceBasicInformationServer } = await import("@matter/main/behaviors/bridged-device-basic-information");
  nodes.lab = await nodeOf("lab", "Lab Bridge", DimmableLightDevice.deviceType, Number(discriminator), Number(port), 1);
  const aggregator = new Endpoint(AggregatorEndpoint, { id: "aggregator" });
  await nodes.lab.add(aggregator);
  for (const id of what === "all" ? ALL : HOUSE) {
    const [name, type, state = {}, behaviors = []] = await makers[id]();
    const endpoint = new Endpoint(type.with(BridgedDeviceBasicInformationServer, ...behaviors), {
      id,
      bridgedDeviceBasicInformation: { nodeLabel: name, productName: name, serialNumber: id, uniqueId: `unique-${id}`, reachable: true },
      ...state,
    });
    await aggregator.add(endpoint);
    watch(id, endpoint);
  }
} else {
  // Several devices, each with a fabric, a code and a port of its own.
  for (const [place, id] of what.split(",").entries()) {
    const [name, type, state = {}, behaviors = []] = await makers[id]();
    nodes[id] = await nodeOf(id, name, type.deviceType, Number(discriminator) - 256 * place, Number(port) + place, place + 1);
    const endpoint = new Endpoint(type.with(...behaviors), { id, ...state });
    await nodes[id].add(endpoint);
    watch(id, endpoint);
  }
}

for (const [id, node] of Object.entries(nodes)) {
  // How many have a place in it, also before that is final.
  node.events.operationalCredentials.fabrics$Changed.on((fabrics) => {
    tell({ node: id, fabrics: fabrics.length });
    // Time to be gone for whoever adds it, before that is final.
    const stall = Number(process.env.MATTER_STALL ?? 0);
    if (fabrics.length > 0 && stall > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stall);
  });
  node.lifecycle.commissioned.on(() => tell({ node: id, final: true }));
  // It waits for being added, at the start or because the last one who had it removed it.
  node.lifecycle.online.on(() => tell({ node: id, waits: !node.lifecycle.isCommissioned }));
  await node.start();
  tell({ node: id, code: node.state.commissioning.pairingCodes.qrPairingCode });
}
tell({ ready: true });
createInterface({ input: process.stdin }).on("line", async (line) => {
  const [verb, id, ...rest] = line.split(" ");
  try {
    if (verb === "set") await endpoints[id].set(JSON.parse(rest.join(" ")));
    // Whoever controls it is removed at the device itself.
    if (verb === "leave") for (const fabric of [...nodes[id].env.get(FabricManager)]) await fabric.leave();
    if (verb === "stop") {
      await Promise.all(Object.values(nodes).map((node) => node.close()));
      process.exit(0);
    }
    tell({ done: line });
  } catch (error) {
    tell({ failed: line, why: String(error) });
  }
});
