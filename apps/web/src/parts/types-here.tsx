// A device that uses this computer's pointer and keys is seen at once, and stopped with one press.
import { changeDevice } from "../actions";
import type { Device } from "../api/types";
import { Button, Name } from "../ui/bits";
import { Icon } from "../ui/icons";

export function TypesHere({ device }: { device: Device }) {
  if (!device.input_now) return null;
  return (
    <div className="card types-here" role="status" data-testid="types-here">
      <p><Icon name="warning" /> <Name>{device.name}</Name> moves the pointer and types on this computer right now.</p>
      <Button tone="danger" onClick={() => changeDevice(device, { remote_input: false })}>Stop it</Button>
    </div>
  );
}
