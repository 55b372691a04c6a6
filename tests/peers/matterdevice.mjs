// Matter devices on matter.js, which is not ours. Usage: matterdevice.mjs FOLDER lamp|house|all [PASSCODE DISCRIMINATOR [PORT]]
// What is written to its input is done there: `set ENDPOINT {"onOff": {"onOff": true}}`, `stop`. What becomes of its endpoints is
// told in lines of JSON.
import { createInterface } from "node:readline";
import { Environment, Logger, LogLevel, Endpoint, ServerNode, VendorId } from "@matter/main";

const [folder, what, passcode = "20202021", discriminator = "3840", port = "5540"] = process.argv.slice(2);
Environment.default.vars.set("storage.path", folder);
Logger.level = process.env.MATTER_LOG ? LogLevel(process.env.MATTER_LOG) : LogLevel.WARN;
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
  const behind = async (type, id, name, state = {}, behaviors = []) => {
    const endpoint = new Endpoint(type.with(BridgedDeviceBasicInformationServer, ...behaviors), {
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
  if (what === "all") {
    const { ThermostatDevice } = await import("@matter/main/devices/thermostat");
    const { ThermostatServer } = await import("@matter/main/behaviors/thermostat");
    await behind(ThermostatDevice, "heating", "Heating", {
      thermostat: { localTemperature: 1950, systemMode: 4, controlSequenceOfOperation: 2, occupiedHeatingSetpoint: 2000 },
    }, [ThermostatServer.with("Heating")]);
    const { WindowCoveringDevice } = await import("@matter/main/devices/window-covering");
    const { WindowCoveringServer } = await import("@matter/main/behaviors/window-covering");
    await behind(WindowCoveringDevice, "blind", "Blind", {
      windowCovering: { type: 0, endProductType: 0, configStatus: { operational: true, liftPositionAware: true }, currentPositionLiftPercent100ths: 10000 },
    }, [WindowCoveringServer.with("Lift", "PositionAwareLift")]);
    const { DoorLockDevice } = await import("@matter/main/devices/door-lock");
    await behind(DoorLockDevice, "lock", "Front Door", {
      doorLock: { lockType: 0, actuatorEnabled: true, lockState: 1, operatingMode: 0, wrongCodeEntryLimit: 5, userCodeTemporaryDisableTime: 5, supportedOperatingModes: { normal: false, vacation: true, privacy: true, noRemoteLockUnlock: false, passage: true, alwaysSet: 2047 } },
    });
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
    const mode = (label, number, value) => ({ label, mode: number, modeTags: [{ value }] });
    await behind(RoboticVacuumCleanerDevice, "robot", "Robot", {
      rvcRunMode: { supportedModes: [mode("Idle", 0, 16384), mode("Clean", 1, 16385)], currentMode: 0 },
      rvcOperationalState: { operationalStateList: [0, 1, 2, 3, 64, 65, 66].map((operationalStateId) => ({ operationalStateId })), operationalState: 66, operationalError: { errorStateId: 0 }, phaseList: null, currentPhase: null },
    }, [Run, State]);
  }
}

// How many have a place in it, also before that is final.
node.events.operationalCredentials.fabrics$Changed.on((fabrics) => {
  tell({ fabrics: fabrics.length });
  // Time to be gone for whoever adds it, before that is final.
  const stall = Number(process.env.MATTER_STALL ?? 0);
  if (fabrics.length > 0 && stall > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stall);
});
node.lifecycle.commissioned.on(() => tell({ final: true }));
// It waits for being added, at the start or because the last one who had it removed it.
node.lifecycle.online.on(() => tell({ waits: !node.lifecycle.isCommissioned }));
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
