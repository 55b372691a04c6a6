// On a broker's page: which devices of this house are shown there, and what whoever reads there may do with them.
import { useEffect, useState } from "react";
import { attempt, consenting } from "../actions";
import { del, get, id as encoded, put } from "../api/client";
import type { Device, Shown, ShownDevice, ShownPlace } from "../api/types";
import { plural, visible } from "../format";
import { to } from "../router";
import { signedOut } from "../store";
import { Button, Field, Name } from "../ui/bits";
import { confirm, toast } from "../ui/overlay";

type May = "none" | "see" | "control" | "open";
const mayOf = ({ shown }: ShownDevice): May => (!shown ? "none" : shown.opens ? "open" : shown.control ? "control" : "see");

export const showsDevices = (device: Device) => device.services.some((one) => one.id === "showcase");

export function ShownThere({ device }: { device: Device }) {
  const [place, setPlace] = useState<ShownPlace | null>(null);
  const read = () => get<Shown>("/home/shown").then(({ places }) => setPlace(places.find((one) => one.device === device.id) ?? null), signedOut);
  useEffect(() => void read(), [device]);
  if (!place) return null;
  const choose = (one: ShownDevice, may: May) => attempt(async () => {
    if (may === "open") {
      const yes = await confirm({ title: `Let others open ${one.name}?`, body: <p>Whoever may write on this broker can open, unlock and disarm <Name>{one.name}</Name>, and nobody is asked. Every time is written to the ledger.</p>, yes: "Allow it" });
      if (!yes) return;
    }
    const path = `/home/shown/${encoded(place.device)}/${encoded(one.device)}`;
    if (may === "none") {
      await del(path);
      toast(`${one.name} is not shown there any more.`);
    } else {
      await consenting(() => put(path, { control: may !== "see", opens: may === "open" }));
      toast(`${one.name} is shown there.`);
    }
    await read();
  });
  const shown = place.devices.filter((one) => one.shown);
  const others = place.devices.filter((one) => !one.shown);
  return (
    <section className="card facts" aria-labelledby="shown-there" data-testid="shown-there">
      <h2 id="shown-there" className="card-title">Your devices, shown there</h2>
      <p className="hint">
        For Home Assistant and whoever else reads on this broker. It keeps what it is told until you take it back, and gives it to every client that may listen.
        {shown.length > 0 && <> {plural(place.now, "device")} there now{place.refused > 0 && <>, {plural(place.refused, "wish", "wishes")} from there not fulfilled</>}.</>}
      </p>
      {shown.length > 0 && !place.agreed && <p className="difference"><span>Nothing of it is shown: you have not agreed to that, or took it back under <a href={to("privacy")}>Privacy</a>.</span></p>}
      {shown.length > 0 && place.agreed && place.problem && <p className="difference"><span>Nothing of it is shown now: {visible(place.problem)}.</span></p>}
      {place.left_out > 0 && <p className="hint">There is no room there for {plural(place.left_out, "more device", "more devices")}.</p>}
      {shown.map((one) => <Chosen key={one.device} one={one} choose={choose} />)}
      {others.length > 0 && <Another others={others} choose={choose} />}
    </section>
  );
}

type Choose = (one: ShownDevice, may: May) => Promise<unknown>;

// What is chosen counts when the button is pressed: who goes through the list with the keyboard has allowed nothing.
function Chosen({ one, choose }: { one: ShownDevice; choose: Choose }) {
  const [may, setMay] = useState<May>(mayOf(one));
  useEffect(() => setMay(mayOf(one)), [one]);
  const changed = may !== mayOf(one);
  return (
    <div className="field">
      <Field label={visible(one.name)}>
        {(field) => (
          <select id={field} value={may} onChange={(event) => setMay(event.target.value as May)}>
            <option value="see">Others see what it says</option>
            <option value="control">Others may control it</option>
            {(one.secures || one.shown?.opens) && <option value="open">Others may control and open it</option>}
            <option value="none">Not shown</option>
          </select>
        )}
      </Field>
      {changed && <Button tone="plain" onClick={() => choose(one, may)} label={`Change it for ${visible(one.name)}`}>Change it</Button>}
      {!changed && one.more && <Button tone="plain" onClick={() => choose(one, may)} label={`Show what was added to ${visible(one.name)}`}>Show what was added since</Button>}
    </div>
  );
}

function Another({ others, choose }: { others: ShownDevice[]; choose: Choose }) {
  const [wanted, setWanted] = useState("");
  const one = others.find(({ device }) => device === wanted);
  return (
    <div className="field">
      <Field label="Show a device">
        {(field) => (
          <select id={field} value={one ? wanted : ""} onChange={(event) => setWanted(event.target.value)}>
            <option value="">Choose…</option>
            {others.map((other) => <option key={other.device} value={other.device}>{other.name}</option>)}
          </select>
        )}
      </Field>
      <Button tone="plain" disabled={!one} onClick={() => one && choose(one, "see")}>Show it there</Button>
    </div>
  );
}
