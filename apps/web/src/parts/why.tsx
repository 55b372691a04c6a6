// "Why can't I reach it?": asked when it is opened, and again on request.
import { useEffect, useRef, useState } from "react";
import { decideEntry } from "../actions";
import { CallFailed, get, id } from "../api/client";
import type { AddWhy, Device, DeviceWhy, Searched, WhyAgree } from "../api/types";
import { visible } from "../format";
import { readEntries, useHub } from "../store";
import { Button, Words } from "../ui/bits";
import { Icon } from "../ui/icons";
import { Notice } from "./notice";

type Asked = { state: "not" } | { state: "asking" } | { state: "answered"; why: DeviceWhy } | { state: "failed"; message: string };

/** How often it is asked by itself, and how many times at most. */
const [AGAIN_MS, TIMES] = [15_000, 20];

/** `open`: it is asked as soon as this is shown, and now and then again: what was so a moment ago may be over. */
export function Why({ device, open = false }: { device: Device; open?: boolean }) {
  const [asked, setAsked] = useState<Asked>({ state: "not" });
  const ask = async (quietly = false) => {
    if (!quietly) setAsked({ state: "asking" });
    try {
      setAsked({ state: "answered", why: await get<DeviceWhy>(`/devices/${id(device.id)}/why`) });
    } catch (error) {
      setAsked({ state: "failed", message: error instanceof CallFailed ? error.message : "The question came to nothing." });
    }
  };
  const again = useRef(ask);
  useEffect(() => void (again.current = ask));
  useEffect(() => {
    if (!open) return undefined;
    let left = TIMES;
    const timer = setInterval(() => {
      if (document.hidden) return;
      left -= 1;
      void again.current(true);
      if (left === 0) clearInterval(timer);
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [open]);
  return (
    <details className="fold why" data-testid="why" open={open || undefined} onToggle={(event) => { if (event.currentTarget.open && asked.state === "not") void ask(); }}>
      <summary><Icon name="right" />Why can’t I reach it?</summary>
      <div className="card stack" aria-live="polite">
        {(asked.state === "asking" || asked.state === "not") && <p className="hint">Looking, and asking it once where it was last…</p>}
        {asked.state === "failed" && <p><Words>{asked.message}</Words></p>}
        {asked.state === "answered" && <Found why={asked.why} again={() => ask()} />}
        {(asked.state === "answered" || asked.state === "failed") && <div><Button icon="retry" onClick={() => ask()}>Ask again</Button></div>}
      </div>
    </details>
  );
}

function Found({ why, again }: { why: DeviceWhy; again: () => unknown }) {
  if (why.reached) return <p>It answers now, by {why.app}.</p>;
  if (why.obstacles.length === 0) return <p>It is not reached by {why.app}, and nothing here says why. Wake it, and open {why.app} on it.</p>;
  return (
    <ul className="plain">
      {why.obstacles.map((one) => (
        <li key={one.code + one.says}>
          <p>{one.weight === "hinders" && "Perhaps: "}{one.agree ? <>{visible(one.says.split("`")[0]!.trim())} “{visible(one.agree.title)}”.</> : <Words>{one.says}</Words>}</p>
          {one.agree ? <Allow agree={one.agree} then={again} /> : <p className="hint"><Words>{one.remedy}</Words></p>}
        </li>
      ))}
    </ul>
  );
}

/** What is missing is agreed to right here, with all that it shares before the owner's eyes. */
function Allow({ agree, then }: { agree: WhyAgree; then: () => unknown }) {
  const entry = useHub((hub) => hub.entries?.entries.find((one) => one.key === agree.entry));
  useEffect(() => void readEntries(), []);
  if (!entry) return null;
  const allow = async () => {
    await decideEntry({ entry: entry.key, ...(agree.to === "any" ? {} : { to: agree.to }), choice: "always" }, `${entry.title}: agreed.`);
    await then();
  };
  return (
    <div className="stack" data-testid="why-allow">
      <Notice entry={entry} chosen={null} short />
      <div><Button onClick={allow} label={`Allow: ${entry.title}`}>Allow</Button></div>
    </div>
  );
}

/** Where devices are looked for: the networks that tell something. Link-local ones are the same everywhere. */
export function searchedIn(all: Searched[]): string {
  const nets = (one: Searched) => {
    const telling = one.networks.filter((net) => !/^(fe80:|169\.254\.)/.test(net));
    return (telling.length > 0 ? telling : one.networks).slice(0, 4).join(", ");
  };
  return all.map((one) => `${visible(one.interface)} (${nets(one)})${one.heard === false ? ", where nobody else is heard" : ""}`).join("; ");
}

/** Before something is added: what stands in the way on this machine, and where it is looked for. Nothing else is shown, and nothing is sent. */
export function InTheWay({ bridge }: { bridge: string }) {
  const [known, setKnown] = useState<AddWhy | null>(null);
  useEffect(() => {
    let over = false;
    // That it is not known keeps nobody from adding.
    const ask = () => document.hidden || void get<AddWhy>(`/why/${id(bridge)}`).then((why) => over || setKnown(why), () => undefined);
    ask();
    const timer = setInterval(ask, AGAIN_MS);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [bridge]);
  return (
    <div className="in-the-way">
      <div role="status" data-testid="in-the-way">
        {known && known.obstacles.length > 0 && (
          <div className="difference plain-words">
            <Icon name="warning" />
            <ul className="plain">
              {known.obstacles.map((one) => (
                <li key={one.code + one.says}>
                  <p><Words>{one.says}</Words></p>
                  <p className="hint"><Words>{one.remedy}</Words></p>
                </li>
              ))}
            </ul>
          </div>
        )}
      </div>
      {known && known.searched.length > 0 && <p className="hint" data-testid="searched">It is looked for on {searchedIn(known.searched)}.</p>}
    </div>
  );
}
