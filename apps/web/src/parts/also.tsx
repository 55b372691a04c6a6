// What can be agreed to in the same step as adding a device: shown with what it shares, decided here and nowhere else.
import { useId } from "react";
import type { Offer } from "../api/types";
import { sentence, visible } from "../format";
import { Icon } from "../ui/icons";

/** What is chosen at first: what the question itself says; not what makes this machine be seen by others. */
export const offeredFirst = (offers: Offer[]) => offers.filter((one) => !one.needed).map((one) => one.entry);
/** Whether something is missing without which nothing comes of it. */
export const lacks = (offers: Offer[], chosen: string[]) => offers.some((one) => one.needed && !chosen.includes(one.entry));

export function Also({ offers, chosen, onChange }: { offers: Offer[]; chosen: string[]; onChange: (chosen: string[]) => void }) {
  return offers.length === 0 ? null : <div className="also">{offers.map((one) => <One key={one.entry} offer={one} on={chosen.includes(one.entry)} onChange={(on) => onChange(on ? [...chosen, one.entry] : chosen.filter((entry) => entry !== one.entry))} />)}</div>;
}

function One({ offer, on, onChange }: { offer: Offer; on: boolean; onChange: (on: boolean) => void }) {
  const hint = useId();
  return (
    <div className="difference plain-words" data-testid="also" data-entry={offer.entry}>
      <Icon name={offer.needed ? "radar" : "run"} />
      <div>
        <label className="field-choice"><input type="checkbox" checked={on} aria-describedby={hint} onChange={(event) => onChange(event.target.checked)} /><strong>{visible(offer.title)}</strong>{offer.needed && <span className="optional">needed</span>}</label>
        <p className="hint" id={hint} dir="auto">{sentence(visible(offer.says))} Shares: {offer.fields.map((field) => field.label).join(", ") || "nothing personal"}. You can take it back at any time.</p>
      </div>
    </div>
  );
}
