// The ways in which one device is here, and what may be one with it. What is agreed to is agreed to for one face.
import { joinDevices, pair, splitDevice } from "../actions";
import type { Device } from "../api/types";
import { useHub } from "../store";
import { Ago, Button, Name } from "../ui/bits";
import { confirm } from "../ui/overlay";

const trusted = { own: "this machine", paired: "added", seen: "not added", blocked: "blocked" };

async function askSplit(device: Device, face: Device["faces"][number]) {
  const yes = await confirm({
    title: `Is ${face.speaks} another device?`,
    body: <p>It is shown as a device of its own, and does not come back to <Name>{device.name}</Name> by itself. What you agreed to stays as it is.</p>,
    yes: "Split off",
  });
  if (yes) await splitDevice(face.id);
}

async function askJoin(device: Device, other: Device) {
  const yes = await confirm({
    title: `Are ${device.name} and ${other.name} one device?`,
    body: <p>They are shown as one, and whichever can do something better does it. What you agreed to for one of them is not agreed to for the other. Neither proves that it is the same: be sure that both are yours.</p>,
    yes: "Join",
  });
  if (yes) await joinDevices(device.id, other.id);
}

export function Faces({ device }: { device: Device }) {
  const devices = useHub((hub) => hub.devices);
  const maybe = devices.filter((other) => device.maybe.includes(other.id));
  if (device.faces.length < 2 && maybe.length === 0) return null;
  return (
    <section className="card facts" aria-labelledby="faces" data-testid="faces">
      <h2 id="faces" className="card-title">{device.faces.length > 1 ? "One device, several ways" : "The same device?"}</h2>
      {device.faces.length > 1 && (
        <ul className="plain">
          {device.faces.map((face) => (
            <li key={face.id} className="row" data-testid="face">
              <div className="row-text">
                <div className="row-label"><Name>{face.speaks}</Name></div>
                <div className="hint">
                  {[trusted[face.trust], face.reach === "offline" ? "away" : "here"].join(", ")}
                  {face.addresses[0] && <> · <code>{face.addresses[0]}</code></>}
                  {face.heard && <> · heard <Ago time={face.heard} /></>}
                </div>
              </div>
              {face.trust === "seen" && <Button label={`Add ${face.speaks}`} onClick={() => pair({ device: face.id })}>Add</Button>}
              <Button label={`Split off ${face.speaks}`} onClick={() => askSplit(device, face)}>Split…</Button>
            </li>
          ))}
        </ul>
      )}
      {maybe.map((other) => (
        <div key={other.id} className="row">
          <div className="row-text">
            <div className="row-label"><Name>{other.name}</Name> <span className="hint">{other.faces.map((face) => face.speaks).join(", ")}</span></div>
            <div className="hint">May be the same device.</div>
          </div>
          <Button label={`Join with ${other.name}`} onClick={() => askJoin(device, other)}>Join…</Button>
        </div>
      ))}
    </section>
  );
}
