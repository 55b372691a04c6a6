// What is measured: the number, its age, and what it was before.
import { useState } from "react";
import { words } from "../format";
import { to } from "../router";
import { useHub } from "../store";
import { Segments } from "../ui/bits";
import { Chart } from "../ui/chart";
import { Icon } from "../ui/icons";
import { Age, type CardProps, PropertyRow } from "./control";
import { type Span, SPANS, useHistory } from "./history";
import { type Reading, readingsOf } from "./house";
import { isStale } from "./model";

const YES: Record<string, [string, string]> = { contact: ["Open", "Closed"], occupancy: ["Occupied", "Nobody"] };

export function Sensor(props: CardProps) {
  const { device, service } = props;
  const readings = readingsOf(service);
  const [chosen, setChosen] = useState<string | null>(null);
  const [open, setOpen] = useState(false);
  const main = readings.find((one) => one.property === chosen) ?? readings[0];
  const value = main && service.values?.[main.property];
  const now = Date.now();
  const rest = service.properties.filter((one) => !readings.some((other) => other.property === one.id));
  if (!main || !value) return <><p className="hint">It has not said anything yet.</p>{rest.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</>;
  return (
    <>
      <p className={`big tabular reading ${main.loud ? "loud" : ""} ${isStale(value, now) ? "old" : ""}`}>{main.text}<small> {main.unit}</small></p>
      <Age value={value} />
      {readings.length > 1 && (
        <div className="readings" role="group" aria-label="What is shown">
          {readings.map((one) => <button key={one.property} type="button" className="reading-button" aria-pressed={one === main} onClick={() => setChosen(one.property)}><span className="hint">{words(one.property)}</span><span className="tabular">{one.text} {one.unit}</span></button>)}
        </div>
      )}
      <details className="fold small" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary><Icon name="right" />History</summary>
        {open && <Past key={main.property} {...props} reading={main} />}
      </details>
      {rest.length > 0 && <details className="fold small"><summary><Icon name="right" />Details</summary>{rest.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</details>}
      {device.reach === "offline" && <p className="hint">It is not reachable: this is what it said last.</p>}
    </>
  );
}

export function Past({ device, service, reading }: CardProps & { reading: Reading }) {
  const [span, setSpan] = useState<Span>("day");
  const asked = useHistory(device, service, reading.property, span);
  const live = useHub((hub) => hub.live);
  return (
    <div className="stack past" aria-busy={asked.state === "asking"}>
      <Segments label="How far back" value={span} options={SPANS} onChange={setSpan} />
      {asked.state === "asking" && <div className="chart-wait" role="status"><span className="hidden-visually">Reading…</span></div>}
      {asked.state === "none" && <p className="hint">{live ? asked.why : "The hub does not answer."} What is kept, and how long, is under <a href={to("settings")}>Settings</a>.</p>}
      {asked.state === "there" && <Chart history={asked.history} label={reading.label} unit={reading.unit} {...(YES[service.id] ? { words: YES[service.id]! } : {})} />}
    </div>
  );
}
