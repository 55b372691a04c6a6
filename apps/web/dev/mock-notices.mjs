// The mock hub's notifications and clipboard: made-up ones that can be answered, dismissed, taken and ruled.

const PNG = (colour) => `data:image/png;base64,${colour}`;
// One pixel each.
const GREEN = PNG("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkuMf2HwAD0wHUeoS/9gAAAABJRU5ErkJggg==");

export function makeNotices({ at, tell, needs, devices, empty, hard }) {
  let count = 0;
  const one = (device, app, title, body, age, more = {}) => ({
    id: `n${++count}`, device, device_name: devices().find((other) => other.id === device)?.name ?? null, app, title, body, icon: null, actions: [], reply: false, code: null,
    hidden: false, posted: at(age), sent_to: [], waits_for: [], ...more,
  });
  const long = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen ".repeat(8);
  let list = empty ? [] : [
    one("link-phone", "Messages", "Noa", "Are you bringing the tickets? We meet at eight in front of the hall.", 140, { reply: true, actions: ["Mark as read"] }),
    one("link-phone", "Messages", "Book club", "Jo: I finished it last night.\nJo: That ending!", 1500, { reply: true }),
    one("link-phone", "Bank", "Sign in", "Your code is 482913. Tell nobody.", 45, { code: "482913", icon: GREEN }),
    one("link-phone", "ساعة", "منبه", "موعد الدواء", 9000),
    one("link-laptop", "Calendar", "Dentist", "Tomorrow, 9:30", 3600, { hidden: true }),
    one(null, "Thunderbird", "3 new messages", "Library: your book is due\nMira: Saturday?\nBuild: passed", 600, { sent_to: ["link-phone"], waits_for: ["link-tv"] }),
    one(null, "Backup", "Backup is done", "12.4 GiB in 3 minutes", 7000, { sent_to: ["link-phone"] }),
    ...(hard ? [one("link-phone", long, long, long, 30, { reply: true, actions: [long.slice(0, 60), "Zwei", "Drei"], code: "AB12CD34EF56" })] : []),
  ];
  let rules = { paused_until: null, quiet: { from: "22:30", to: "07:00", except_urgent: true }, hide_content: false, apps: { Calendar: { send: "full", show: "hidden" } }, devices: {} };
  const clipboard = {
    tool: "wl-clipboard", message: null, rules: { receive: "ask", devices: { "link-laptop": { send: true, receive: "automatic" } } },
    offers: empty ? [] : [{ device: "link-phone", device_name: devices().find((other) => other.id === "link-phone")?.name ?? "", kind: "text", size: 1800, preview: hard ? long.slice(0, 80) : "Gleis 7, 14:32 ab Hauptbahnhof. Umsteigen in Hannover, dort Gleis 10", since: at(70) }],
  };
  let content = { kind: "text", text: "https://example.org/summer-plans\nSaturday at noon, bring the maps.", image: null };
  const missing = [404, { error: "not-found", message: "That notification is gone.", prompt: null }];
  const drop = (id) => {
    list = list.filter((other) => other.id !== id);
    tell("notification-gone", { id });
  };

  return {
    /** Something new, as a lever. */
    post(more = {}) {
      const made = one("link-phone", "Messages", "Noa", "One more thing: bring a jacket.", 0, { reply: true, ...more });
      list.unshift(made);
      tell("notification", made);
    },
    noTool() {
      Object.assign(clipboard, { tool: null, message: "the hub runs outside a desktop session (neither WAYLAND_DISPLAY nor DISPLAY is set)" });
      tell("clipboard", clipboard);
    },
    answer(method, [first, second, third, fourth], body) {
      if (first === "clipboard") {
        if (!second) return [200, clipboard];
        if (second === "content" && method === "GET") return [200, content];
        if (second === "content") content = { kind: "text", text: body.text, image: null };
        if (second === "send") return needs("clipboard/share", `device:${body.device}`, `Send what you copied to ${devices().find((other) => other.id === body.device).name}`) ?? [204];
        if (second === "rules") {
          for (const [id, rule] of Object.entries(body.devices)) {
            const asked = rule.send && !clipboard.rules.devices[id]?.send && needs("clipboard/share", `device:${id}`, `Send what you copied to ${devices().find((other) => other.id === id).name}`);
            if (asked) return asked;
          }
          clipboard.rules = body;
          return [200, clipboard];
        }
        if (second === "offers") {
          clipboard.offers = clipboard.offers.filter((other) => other.device !== third);
          if (fourth === "accept") content = { kind: "text", text: "Gleis 7, 14:32", image: null };
          tell("clipboard", clipboard);
        }
        return [204];
      }
      if (second === "rules") {
        if (method === "PUT") rules = body;
        return [200, rules];
      }
      if (!second && method === "GET") return [200, { notifications: list, desktop: { mode: "following", server: "GNOME Shell", message: null } }];
      if (!second) return needs("notifications/mirror", `device:${body.device}`, `Show a notification on ${devices().find((other) => other.id === body.device).name}`) ?? [200, { id: "sent", waits: devices().find((other) => other.id === body.device).reach === "offline" }];
      const found = list.find((other) => other.id === second);
      if (!found) return missing;
      if (third === "copy") return [204];
      const words = { dismiss: "Dismiss", reply: "Reply to", act: "Act on" }[third];
      const asked = found.device && needs("notifications/answer", `device:${found.device}`, `${words} “${found.title}” of ${found.device_name}`);
      if (asked) return asked;
      drop(found.id);
      return [204];
    },
  };
}

const android = { name: "Android", steps: ["Install KDE Connect from the Play Store or F-Droid, and open it.", "Join the same Wi-Fi as this computer. Guest networks often keep devices apart.", "Pair here or there. Both screens show the same characters: compare, then accept on both.", "In the app, allow what you want to use: notifications, clipboard, files."] };
const iphone = { name: "iPhone, iPad", steps: ["Install KDE Connect from the App Store, and open it.", "Allow it to use the local network when it asks, and join the same Wi-Fi as this computer.", "Pair here or there. Both screens show the same characters: compare, then accept on both.", "Keep the app open: iOS lets it be reached only while it is on the screen."] };

/** What these features and bridges share, as the statement has it. */
export const noticeEntries = (base, field) => [
  { ...base, key: "control/command", title: "Controlling another device", recipient: "paired-device", recipient_name: "The device you control", fields: [field("command.name", "commands"), field("text.content", "texts", false, true)], purpose: "Making the device do it.", scenario: "When you press something on the device’s page.", transport: "lan" },
  { ...base, key: "notifications/mirror", title: "Showing this computer’s notifications on another device", recipient: "paired-device", recipient_name: "The device that shows your notifications", fields: [field("notification.app", "which app notifies"), field("notification.content", "what it says", false, true)], purpose: "So that you see on another device what happens here, and can answer it there.", scenario: "Whenever an app on this computer notifies.", transport: "lan" },
  { ...base, key: "notifications/answer", title: "Answering notifications of another device", recipient: "paired-device", recipient_name: "The device that the notification came from", fields: [field("notification.content", "which notification"), field("text.content", "your reply", false, true)], purpose: "So that a notification dismissed here is gone there too, and so that you can reply from here.", scenario: "When you dismiss, reply to or act on one.", transport: "lan" },
  { ...base, key: "clipboard/share", title: "Sharing what you copy", recipient: "paired-device", recipient_name: "The device that gets what you copy", fields: [field("clipboard.content", "the clipboard", true, true)], purpose: "So that you can paste on that device what you copied here.", scenario: "When you send it, and for devices for which you switched that on, whenever you copy something.", transport: "lan" },
  { ...base, key: "matter/search", title: "Looking for Matter devices", recipient: "local-network", recipient_name: "Everyone on the networks you are in", fields: [field("net.ip", "IP address")], purpose: "Finding devices that wait for being added.", scenario: "While it is on.", transport: "lan" },
  { ...base, key: "kdeconnect/presence", title: "Being found by KDE Connect devices", recipient: "local-network", recipient_name: "Everyone on the networks you are in", fields: [field("device.id.resettable", "resettable device ID"), field("net.ip", "IP address"), field("device.name", "device name"), field("device.type", "device type"), field("key.public", "public keys")], data: "This device's name, kind and addresses, a number that stays the same, and the list of KDE Connect abilities that this version has; to a device that connects also this device's public key", purpose: "So that phones and computers with KDE Connect find this device and can be paired with it.", scenario: "While this is on: when a network is joined, when another device announces itself, and when you pair.", method: "Announced in clear to the networks this device is in: everyone there can read it. KDE Connect works in no other way.", transport: "lan", join: { kind: "phone", what: "Phone with KDE Connect", systems: [android, iphone] } },
  { ...base, key: "localsend/presence", title: "Being found by LocalSend", recipient: "local-network", recipient_name: "Everyone on the networks you are in", fields: [field("device.name", "device name"), field("device.type", "device type"), field("key.public", "public keys"), field("net.ip", "IP address")], data: "This device's name and kind, its addresses in the network, and the fingerprint of its LocalSend certificate, which stays the same for years", purpose: "So that phones and computers with LocalSend find this device, and so that it finds them.", scenario: "When a network is joined, and every few minutes.", method: "Sent by multicast in clear, readable by everyone in the networks you are in.", transport: "lan", join: { kind: "phone", what: "Phone with LocalSend", systems: [android, iphone].map(({ name, steps }) => ({ name, steps: steps.slice(0, 3).map((step) => step.replace("KDE Connect", "LocalSend")) })) } },
];
