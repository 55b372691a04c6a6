// A device that was found, and wants something before it is added: a token, or that its owner signs in at its own page.
import { useEffect, useState } from "react";
import { attempt, consenting, pair, wantedToPair } from "../actions";
import { get, post, SLOW_MS } from "../api/client";
import type { Added as AddedThere, AddForm, Device, SigningIn } from "../api/types";
import { visible, words } from "../format";
import { hub, know, set, signedOut, useHub } from "../store";
import { Button, Name, Words } from "../ui/bits";
import { Icon } from "../ui/icons";
import { announce, closeDialog, Dialog } from "../ui/overlay";
import { Added, Asked, SignsIn } from "./add-form";
import { Also, offeredFirst } from "./also";
import { describe } from "./device-bits";

/** Where it says that it is. */
const addressOf = (device: Device): string | undefined => {
  const said = device.services.flatMap((one) => (one.id === "more" ? [one.values?.["address"]?.data] : [])).find((one) => typeof one === "string");
  return said as string | undefined;
};

export function NeedsDialog({ device: id }: { device: string }) {
  const device = useHub((state) => state.devices.find((one) => one.id === id));
  const [inputs, setInputs] = useState<Record<string, string>>({});
  const [form, setForm] = useState<AddForm | null>(null);
  const [also, setAlso] = useState<string[]>([]);
  const [open, setOpen] = useState<{ page: string; id: string } | null>(null);
  const [added, setAdded] = useState<string[] | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const bridge = device?.bridge;
  // Where its bridge lets its owner sign in, that is offered here as well.
  useEffect(() => {
    if (!bridge) return;
    get<{ forms: AddForm[] }>("/forms").then(({ forms }) => {
      const one = forms.find((other) => other.bridge === bridge && other.sign_in) ?? null;
      setForm(one);
      setAlso(offeredFirst(one?.offers ?? []));
    }, (error) => void signedOut(error));
  }, [bridge]);
  if (added) return <Dialog title="Add a device" testid="needs"><Added ids={added} here /></Dialog>;
  if (open) {
    const done = (devices: SigningIn["devices"]) => {
      set({ devices: devices.reduce(know, hub().devices) });
      setAdded(devices.map((one) => one.id));
      announce(devices.map((one) => `${one.name} was added.`).join(" "));
    };
    return <Dialog title={<>Add <Name>{device?.name ?? "it"}</Name></>} testid="needs"><SignsIn open={open} onDone={done} onFail={(why) => { setOpen(null); setTrouble(why); }} /></Dialog>;
  }
  if (!device) return <Dialog title="It is gone" testid="needs"><p>The device was not seen for a while. Switch it on, and look again.</p></Dialog>;
  const wanted = wantedToPair(device);
  const address = addressOf(device);
  const signIn = () => attempt(async () => {
    setTrouble(null);
    const there = await consenting(() => post<AddedThere>("/add", { bridge: form!.bridge, way: form!.way, inputs: { address }, sign_in: true, agrees: also }, SLOW_MS));
    if (there.open && there.signing_in) setOpen({ page: there.open, id: there.signing_in });
  });
  return (
    <Dialog title={<>Add <Name>{device.name}</Name></>} testid="needs">
      <form className="way add-form" onSubmit={(event) => {
        event.preventDefault();
        const given = Object.fromEntries(wanted.flatMap(({ id: name }) => (inputs[name]?.trim() ? [[name, inputs[name]!.trim()]] : [])));
        closeDialog();
        void pair({ device: device.id, inputs: given });
      }}>
        <p className="hint" dir="auto">{describe(device)}</p>
        {wanted.map((one) => <Asked key={one.id} of={{ id: one.id, label: words(one.id), hint: HELP[one.id] ?? "", kind: "text", secret: one.id !== "address" && one.id !== "name", required: true }} value={inputs[one.id] ?? ""} onChange={(text) => setInputs({ ...inputs, [one.id]: text })} />)}
        {trouble && <p className="difference" role="alert"><Icon name="warning" /><span><Words>{trouble}</Words></span></p>}
        {form?.sign_in && address && (
          <>
            <p className="hint">Or sign in at its own page, <bdi>{visible(address)}</bdi>. Anybody in your network can announce an address: compare it with the one that you know.</p>
            <Also offers={form.offers.filter((one) => !one.needed)} chosen={also} onChange={setAlso} />
          </>
        )}
        <div className="form-end"><Button onClick={closeDialog}>Cancel</Button>{form?.sign_in && address && <Button onClick={signIn} testid="sign-in">{visible(form.sign_in)}</Button>}<Button type="submit" tone="primary" disabled={!wanted.every((one) => inputs[one.id]?.trim())}>Add</Button></div>
      </form>
    </Dialog>
  );
}
const HELP: Record<string, string> = { token: "32 letters and digits that belong to this device. It is kept sealed on this machine, and sent nowhere.", pin: "As the device shows it.", password: "As you set it on the device." };
