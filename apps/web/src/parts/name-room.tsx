// Name and room of a device: in a dialog of their own, and where it was just added.
import { useState } from "react";
import { changeDevice } from "../actions";
import type { Device } from "../api/types";
import { visible } from "../format";
import { hub } from "../store";
import { Button, Field } from "../ui/bits";
import { closeDialog, Dialog } from "../ui/overlay";

function useNameAndRoom(device: Device) {
  const [name, setName] = useState(device.name);
  const [room, setRoom] = useState(device.room ?? "");
  const [rooms] = useState(() => [...new Set(hub().devices.flatMap((one) => one.room ?? []))].sort((a, b) => a.localeCompare(b)));
  const before = { name: device.name, room: device.room ?? "" };
  const changed = name.trim() !== before.name || room.trim() !== before.room;
  const save = () => changeDevice(device, { ...(name.trim() !== before.name ? { name: name.trim() } : {}), room: room.trim() }, "Saved.", before);
  return { name, setName, room, setRoom, rooms, changed, save };
}

function Fields({ of, device, first }: { of: ReturnType<typeof useNameAndRoom>; device: Device; first?: boolean }) {
  return (
    <>
      <Field label="Name" {...(first ? { hint: "Your own name for it. Empty: the name the device gives itself." } : {})}>
        {(field, hint) => <input id={field} data-autofocus={first || undefined} aria-describedby={hint} aria-label={first ? undefined : `Name of ${visible(device.name)}`} dir="auto" maxLength={64} autoComplete="off" value={of.name} onChange={(event) => of.setName(event.target.value)} />}
      </Field>
      <Field label="Room">
        {(field) => (
          <>
            <input id={field} list={`${field}-rooms`} aria-label={first ? undefined : `Room of ${visible(device.name)}`} dir="auto" maxLength={64} autoComplete="off" value={of.room} onChange={(event) => of.setRoom(event.target.value)} />
            <datalist id={`${field}-rooms`}>{of.rooms.map((one) => <option key={one} value={one} />)}</datalist>
          </>
        )}
      </Field>
    </>
  );
}

export function RenameDialog({ device }: { device: Device }) {
  const of = useNameAndRoom(device);
  return (
    <Dialog title="Name and room" testid="rename">
      <form className="way" onSubmit={(event) => { event.preventDefault(); closeDialog(); void of.save(); }}>
        <Fields of={of} device={device} first />
        <div className="form-end"><Button onClick={closeDialog}>Cancel</Button><Button type="submit" tone="primary">Save</Button></div>
      </form>
    </Dialog>
  );
}

/** The same at once, where a device was just added. */
export function NameAndRoom({ device }: { device: Device }) {
  const of = useNameAndRoom(device);
  return (
    <form className="name-room" data-testid="name-room" onSubmit={(event) => { event.preventDefault(); void of.save(); }}>
      <Fields of={of} device={device} />
      <Button type="submit" disabled={!of.changed}>Save</Button>
    </form>
  );
}
