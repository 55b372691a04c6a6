// All lights off, and on again as they were.
import { attempt, consenting } from "../actions";
import { CallFailed, callService } from "../api/client";
import type { Data, Device, Service } from "../api/types";
import { plural } from "../format";
import { hub, signedOut } from "../store";
import { announce, toast } from "../ui/overlay";
import type { Tile } from "./house";
import { number, obeys, writable } from "./model";
import { keyOf, want } from "./wanted";

const AT_ONCE = 6;
/** How long a lamp that came on may take to say how bright it is. */
const SAYS_MS = 1_500;

interface Lamp { device: Device; service: Service; level: number | undefined }
/** `over`: the owner did not agree, or is not signed in any more. */
type Failed = { names: string[]; first: Error | null; over: boolean };
const none = (): Failed => ({ names: [], first: null, over: false });

const tell = ({ device, service }: Lamp, property: string, data: Data, near: number, failed: Failed) =>
  want(keyOf(device.id, service, property), data, near, async () => {
    try {
      await consenting(() => callService(device, service, { verb: "write", property, data }));
      return true;
    } catch (error) {
      if (!signedOut(error)) failed.first ??= error as Error;
      failed.over ||= signedOut(error) || (error instanceof CallFailed && error.code === "undecided");
      failed.names.push(device.name);
      return false;
    }
  });

/** One alone, which may ask for what is to be agreed to; then a few at a time. `false`: without that nothing more was told. */
async function each(lamps: Lamp[], failed: Failed, run: (lamp: Lamp) => Promise<unknown>): Promise<boolean> {
  const [first, ...others] = lamps;
  if (!first) return false;
  await run(first);
  if (failed.over) return false;
  const queue = others.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const lamp of queue) await run(lamp);
  }));
  return true;
}

const named = (names: string[]) => `${names.slice(0, 3).join(", ")}${names.length > 3 ? "…" : ""}`;

/** Switches lights off; what was told to go off can be had back as it was. */
export async function lightsOff(tiles: Tile[], where: string) {
  const lamps = tiles.filter(({ device, service }) => obeys(device) && device.reach !== "offline" && service && writable(service, "on"))
    .map(({ device, service }): Lamp => ({ device, service: service!, level: number(service!, "level") }));
  const failed = none();
  const off: Lamp[] = [];
  const done = await each(lamps, failed, async (lamp) => {
    if (await tell(lamp, "on", false, 0, failed)) off.push(lamp);
  });
  if (!done) {
    if (failed.first && lamps[0]) toast(`${lamps[0].device.name}: ${failed.first.message}`, { tone: "bad" });
    return;
  }
  const undo = off.length > 0 ? { undo: () => void lightsBack(off) } : {};
  if (failed.names.length > 0) toast(`${failed.names.length} of ${plural(lamps.length, "light")} did not take it: ${named(failed.names)}.`, { tone: "bad", ...undo });
  else toast(`${plural(lamps.length, "light")} in ${where} told to go off.`, undo);
}

/** On again, and as bright as before where a lamp comes on otherwise. */
async function lightsBack(lamps: Lamp[]) {
  const failed = none();
  await attempt(async () => {
    await each(lamps, failed, (lamp) => tell(lamp, "on", true, 0, failed));
    await new Promise((resolve) => setTimeout(resolve, SAYS_MS));
    for (const lamp of lamps.filter((one) => !failed.names.includes(one.device.name))) {
      const now = hub().devices.find((one) => one.id === lamp.device.id)?.services.find((one) => one.id === lamp.service.id && one.instance === lamp.service.instance);
      if (now && isOtherwise(lamp.level, now)) await tell(lamp, "level", lamp.level!, writable(now, "level")!.range!.step / 2, failed);
    }
  });
  if (failed.names.length > 0) toast(`${failed.names.length} of ${plural(lamps.length, "light")} did not come on again: ${named(failed.names)}.`, { tone: "bad" });
  else announce(`${plural(lamps.length, "light")} as before.`);
}

/** Whether a lamp shines otherwise than it did, and can be told to shine as before. */
export function isOtherwise(level: number | undefined, now: Service): boolean {
  const of = writable(now, "level");
  const is = number(now, "level");
  return level !== undefined && level > 0 && of?.range !== undefined && is !== undefined && Math.abs(is - level) > Math.max(of.range.step, 1);
}
