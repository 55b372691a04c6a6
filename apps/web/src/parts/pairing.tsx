// Pairing: two people compare six digits, or one device uses the other's ticket. A thing of the house is merely added.
import { useEffect, useState } from "react";
import { attempt, pair } from "../actions";
import { id, post } from "../api/client";
import type { Pairing, StartPairing } from "../api/types";
import { hub, readAll, readPairings, set, upsert, useHub } from "../store";
import { announce, closeDialog, Dialog } from "../ui/overlay";
import { Button, Field, Name, useCountdown } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { kindName, roughly } from "../format";
import { Also, offeredFirst } from "./also";
import { NameAndRoom } from "./naming";
import { isAdding } from "./wording";

/** A longer code (a fingerprint) is a line of text, as the bridge groups it. */
const MOST_TILES = 10;
const spoken = (code: string) => code.split("").join(" ");

async function answer(pairing: Pairing, yes: boolean, agrees: string[], code?: string) {
  await attempt(async () => {
    const path = `/pairings/${id(pairing.id)}/${yes ? "confirm" : "reject"}`;
    const now = await post<Pairing | undefined>(path, yes ? { ...(code ? { code } : {}), agrees } : {});
    // Where that ended it, no event tells of it.
    if (now?.id === pairing.id) set({ pairings: upsert(hub().pairings, now) });
    if (now?.state === "done") await readPairings();
  });
}

export function PairingSteps({ pairing, onDone, again }: { pairing: Pairing; onDone: () => void; again?: StartPairing | undefined }) {
  const left = useCountdown(pairing.deadline);
  const [typing, setTyping] = useState(false);
  const [typed, setTyped] = useState("");
  const device = useHub((state) => state.devices.find((one) => one.id === pairing.device) ?? state.devices.find((one) => one.faces.some((face) => face.id === pairing.device)));
  const name = pairing.name ?? device?.name ?? "the other device";
  const thing = isAdding(pairing);
  // As offered, until the owner says otherwise.
  const [also, setAlso] = useState<string[] | null>(null);
  const agrees = also ?? offeredFirst(pairing.offers);
  const compared = pairing.code !== null && pairing.code.length <= MOST_TILES;
  useEffect(() => {
    if (pairing.state === "done") announce(thing ? `${name} was added.` : `Paired with ${name}.`);
    if (pairing.state === "failed") announce(`${thing ? "It was not added" : "Pairing failed"}. ${pairing.error ?? ""}`);
    if (pairing.state === "compare" && pairing.code) announce(compared ? `The code is ${spoken(pairing.code)}. Do the codes match?` : thing ? `Add ${name}?` : `Let ${name} in?`);
  }, [pairing.state, pairing.code, pairing.error, name, compared, thing]);

  if (pairing.state === "connecting") {
    return (
      <div className="pairing">
        <div className="code waiting" aria-hidden="true"><span>–</span><span>–</span><span>–</span><i /><span>–</span><span>–</span><span>–</span></div>
        <p className="center">Reaching <Name>{name}</Name>…</p>
        <div className="center"><Button onClick={async () => { await answer(pairing, false, []); onDone(); }}>Cancel</Button></div>
      </div>
    );
  }
  if (pairing.state === "failed") {
    return (
      <div className="pairing center">
        <span className="big-icon bad"><Icon name="warning" /></span>
        <p className="strong">{thing ? "Not added" : "Not paired"}</p>
        <p dir="auto">{pairing.error ?? (thing ? "Adding it ended." : "The pairing ended.")}</p>
        <div className="pair-buttons">
          {again && <Button icon="retry" onClick={() => { closeDialog(); return pair(again); }}>Try again</Button>}
          <Button onClick={onDone}>Close</Button>
        </div>
      </div>
    );
  }
  if (pairing.state === "done") {
    return (
      <div className="pairing center" data-testid="paired">
        <span className="big-icon good"><Icon name="check" /></span>
        <p className="strong">{thing ? <><Name>{name}</Name> was added</> : <>Paired with <Name>{name}</Name></>}</p>
        <p className="hint">{thing ? "It stays added over restarts and new addresses. You can remove it at any time." : "They stay paired over restarts and new addresses. You can unpair at any time."}</p>
        {thing && device && <NameAndRoom key={device.id} device={device} />}
        <Button autoFocus onClick={onDone}>Done</Button>
      </div>
    );
  }
  return (
    <div className="pairing">
      {pairing.kind && (
        <p className="pairing-with"><span className="kind small"><KindIcon kind={pairing.kind} /></span><Name>{name}</Name><span className="hint">{kindName[pairing.kind]}</span></p>
      )}
      {pairing.code && !compared && <p className="long-code" role="img" aria-label={`Code ${spoken(pairing.code)}`} data-testid="code" data-code={pairing.code}>{pairing.code}</p>}
      {pairing.code && compared && (
        <div className={`code ${pairing.code.length > 6 ? "many" : ""}`} role="img" aria-label={`Code ${spoken(pairing.code)}`} data-testid="code" data-code={pairing.code}>
          {[...pairing.code].map((digit, at) => [at === pairing.code!.length / 2 && <i key="gap" />, <span key={at}>{digit}</span>])}
        </div>
      )}
      {pairing.state === "waiting" ? (
        <p className="center" role="status"><span className="spinner" aria-hidden="true" /> You agreed. Waiting for <Name>{name}</Name>…</p>
      ) : (
        <>
          <p className="question">{compared ? "Do the codes match?" : thing ? <>Add <Name>{name}</Name>?</> : <>Let <Name>{name}</Name> in?</>}</p>
          {compared && <p className="hint center">Both screens must show the same code. If they differ, someone else may be in between.</p>}
          {pairing.code && !compared && <p className="hint center">This is the fingerprint that it is held to from now on. If the device shows one, compare them.</p>}
          <Also offers={pairing.offers} chosen={agrees} onChange={setAlso} />
          {typing ? (
            <form
              className="type-code"
              onSubmit={(event) => {
                event.preventDefault();
                void answer(pairing, true, agrees, typed.replace(/\s/g, ""));
              }}
            >
              <Field label="The code on the other screen">
                {(field) => (
                  <input id={field} inputMode={pairing.code?.length === 6 ? "numeric" : "text"} autoComplete="off" maxLength={16} pattern="[0-9A-Za-z ]{6,16}" required value={typed} onChange={(event) => setTyped(event.target.value)} />
                )}
              </Field>
              <Button type="submit">Compare</Button>
            </form>
          ) : (
            <div className="pair-buttons">
              <Button onClick={() => answer(pairing, false, [])} testid="codes-differ">{compared ? "No, they differ" : "No"}</Button>
              <Button onClick={() => answer(pairing, true, agrees)} testid="codes-match">{compared ? "Yes, they match" : thing ? "Yes, add it" : "Yes, let it in"}</Button>
            </div>
          )}
          {compared && (
            <button className="link center" onClick={() => setTyping(!typing)}>{typing ? "Compare by eye instead" : "Type the other screen’s code instead"}</button>
          )}
        </>
      )}
      {pairing.shares.length > 0 && (
        <p className="hint center">{thing ? "Once added" : "Once paired"}, <Name>{name}</Name> learns this machine’s {pairing.shares.map((field) => field.label).join(", ")}.</p>
      )}
      <p className="hint center tabular">{left > 0 ? `Ends by itself in ${roughly(left)}` : "Ending…"}</p>
    </div>
  );
}

export function PairingDialog({ pairing: wanted, again }: { pairing: string; again?: StartPairing | undefined }) {
  const pairing = useHub((state) => state.pairings.find((one) => one.id === wanted));
  const done = () => {
    closeDialog();
    void readAll().catch(() => undefined);
  };
  const cancel = () => {
    if (pairing && (pairing.state === "connecting" || pairing.state === "compare" || pairing.state === "waiting")) void answer(pairing, false, []);
    done();
  };
  return (
    <Dialog title={pairing && isAdding(pairing) ? "Add a device" : "Pair"} onClose={cancel} testid="pairing">
      {pairing ? <PairingSteps pairing={pairing} onDone={done} again={again} /> : <p>This has ended.</p>}
    </Dialog>
  );
}
