// "Why can't I reach it?": asked when it is opened, and again on request.
import { useState } from "react";
import { CallFailed, get, id } from "../api/client";
import type { Device, DeviceWhy } from "../api/types";
import { visible } from "../format";
import { Button } from "../ui/bits";
import { Icon } from "../ui/icons";

type Asked = { state: "not" } | { state: "asking" } | { state: "answered"; why: DeviceWhy } | { state: "failed"; message: string };

export function Why({ device }: { device: Device }) {
  const [asked, setAsked] = useState<Asked>({ state: "not" });
  const ask = async () => {
    setAsked({ state: "asking" });
    try {
      setAsked({ state: "answered", why: await get<DeviceWhy>(`/devices/${id(device.id)}/why`) });
    } catch (error) {
      setAsked({ state: "failed", message: error instanceof CallFailed ? error.message : "The question came to nothing." });
    }
  };
  return (
    <details className="fold why" data-testid="why" onToggle={(event) => { if (event.currentTarget.open && asked.state === "not") void ask(); }}>
      <summary><Icon name="right" />Why can’t I reach it?</summary>
      <div className="card stack" aria-live="polite">
        {(asked.state === "asking" || asked.state === "not") && <p className="hint">Looking, and asking it once where it was last…</p>}
        {asked.state === "failed" && <p>{visible(asked.message)}</p>}
        {asked.state === "answered" && <Found why={asked.why} />}
        {(asked.state === "answered" || asked.state === "failed") && <div><Button icon="retry" onClick={ask}>Ask again</Button></div>}
      </div>
    </details>
  );
}

function Found({ why }: { why: DeviceWhy }) {
  if (why.reached) return <p>It answers now, by {why.app}.</p>;
  if (why.obstacles.length === 0) return <p>It is not reached by {why.app}, and nothing here says why. Wake it, and open {why.app} on it.</p>;
  return (
    <ul className="plain">
      {why.obstacles.map((one) => (
        <li key={one.code + one.says}>
          <p>{one.weight === "hinders" && "Perhaps: "}<bdi>{visible(one.says)}</bdi></p>
          <p className="hint"><bdi>{visible(one.remedy)}</bdi></p>
        </li>
      ))}
    </ul>
  );
}
