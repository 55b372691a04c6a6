// Icons of our own, drawn on a 24 grid with one stroke width.
import type { DeviceKind } from "../api/types";

const PATHS = {
  devices: "M3 6.5A1.5 1.5 0 0 1 4.5 5h11A1.5 1.5 0 0 1 17 6.5V8M3 6.5v8A1.5 1.5 0 0 0 4.5 16H12M9 20h3M15 12.5a1.5 1.5 0 0 1 1.5-1.5h3a1.5 1.5 0 0 1 1.5 1.5v6a1.5 1.5 0 0 1-1.5 1.5h-3a1.5 1.5 0 0 1-1.5-1.5z",
  transfers: "M7 20V5M7 5 3 9m4-4 4 4M17 4v15m0 0 4-4m-4 4-4-4",
  privacy: "M12 3 4.5 6v5.5c0 4.6 3.1 8 7.5 9.5 4.4-1.5 7.5-4.9 7.5-9.5V6zM9 12l2.2 2.2L15.2 10",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM9 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  computer: "M4.5 4h15A1.5 1.5 0 0 1 21 5.5v9a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 14.5v-9A1.5 1.5 0 0 1 4.5 4ZM12 16v4m-4 0h8",
  laptop: "M6 5h12a1.5 1.5 0 0 1 1.5 1.5V15h-15V6.5A1.5 1.5 0 0 1 6 5ZM2 18.5h20",
  phone: "M8.5 2.5h7A1.5 1.5 0 0 1 17 4v16a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 7 20V4a1.5 1.5 0 0 1 1.5-1.5ZM11 18.5h2",
  tablet: "M6 3h12a1.5 1.5 0 0 1 1.5 1.5v15A1.5 1.5 0 0 1 18 21H6a1.5 1.5 0 0 1-1.5-1.5v-15A1.5 1.5 0 0 1 6 3ZM11 18h2",
  tv: "M4 5h16a1.5 1.5 0 0 1 1.5 1.5v9A1.5 1.5 0 0 1 20 17H4a1.5 1.5 0 0 1-1.5-1.5v-9A1.5 1.5 0 0 1 4 5ZM7 20.5h10",
  speaker: "M8 2.5h8A1.5 1.5 0 0 1 17.5 4v16a1.5 1.5 0 0 1-1.5 1.5H8A1.5 1.5 0 0 1 6.5 20V4A1.5 1.5 0 0 1 8 2.5ZM12 17.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM12 7h.01",
  watch: "M12 17a5 5 0 1 0 0-10 5 5 0 0 0 0 10ZM9 7.5 9.6 3h4.8L15 7.5M9 16.5 9.6 21h4.8l.6-4.5M12 10v2l1.3 1",
  car: "M4 16v-3.5L6 7.5A1.8 1.8 0 0 1 7.7 6h8.6A1.8 1.8 0 0 1 18 7.5l2 5V16M4 12.5h16M3.5 16h17v2.5h-3V16M6.5 16v2.5h-3V16M7.5 14.3h.01M16.5 14.3h.01",
  light: "M9 18h6M10 21h4M8.5 14.5A6 6 0 1 1 15.5 14.5c-.7.6-1 1.2-1 2h-5c0-.8-.3-1.4-1-2Z",
  plug: "M9 3v5M15 3v5M6.5 8h11v3.5a5.5 5.5 0 0 1-11 0zM12 17v4",
  sensor: "M12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM8 16a5.7 5.7 0 0 1 0-8M16 8a5.7 5.7 0 0 1 0 8M5 19a9.9 9.9 0 0 1 0-14M19 5a9.9 9.9 0 0 1 0 14",
  lock: "M6.5 11h11A1.5 1.5 0 0 1 19 12.5v7a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 5 19.5v-7A1.5 1.5 0 0 1 6.5 11ZM8 11V7.5a4 4 0 0 1 8 0V11M12 15v2",
  climate: "M12 3v18M4.2 7.5l15.6 9M19.8 7.5l-15.6 9M9.5 4.5 12 6l2.5-1.5M9.5 19.5 12 18l2.5 1.5",
  cover: "M4 4h16M5.5 4v14M18.5 4v14M5.5 8h13M5.5 12h13M5.5 16h13M12 16v4.5",
  vacuum: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM5 17c2-1.3 4.3-2 7-2s5 .7 7 2",
  camera: "M4.5 7h3l1.5-2.5h6L16.5 7h3A1.5 1.5 0 0 1 21 8.5v9a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17.5v-9A1.5 1.5 0 0 1 4.5 7ZM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Z",
  hub: "M12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM12 9.5V4M9.8 13.2 5 16.5M14.2 13.2l4.8 3.3M12 4h.01M4.5 17h.01M19.5 17h.01",
  other: "M12 3.5 20 8v8l-8 4.5L4 16V8zM4 8l8 4.5L20 8M12 12.5v8",
  send: "M20.5 3.5 10.5 13.5M20.5 3.5 14 20.5l-3.5-7-7-3.5z",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  close: "M6 6l12 12M18 6 6 18",
  check: "m5 12.5 4.5 4.5L19 7.5",
  warning: "M12 9v4.5M12 17h.01M10.5 4.4 2.8 17.7A1.7 1.7 0 0 0 4.3 20.3h15.4a1.7 1.7 0 0 0 1.5-2.6L13.5 4.4a1.7 1.7 0 0 0-3 0Z",
  star: "m12 3.5 2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9-4.3-4.1 5.9-.8z",
  plus: "M12 5v14M5 12h14",
  file: "M6.5 3H14l5 5v11.5a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 5 19.5v-15A1.5 1.5 0 0 1 6.5 3ZM14 3v5h5",
  folder: "M3 7a1.5 1.5 0 0 1 1.5-1.5h4.3l2.2 2.5h8.5A1.5 1.5 0 0 1 21 9.5v8a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17.5z",
  text: "M5 6h14M5 11h14M5 16h9",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  copy: "M9 8.5h9.5A1.5 1.5 0 0 1 20 10v9.5a1.5 1.5 0 0 1-1.5 1.5H9a1.5 1.5 0 0 1-1.5-1.5V10A1.5 1.5 0 0 1 9 8.5ZM4 15.5V5a1.5 1.5 0 0 1 1.5-1.5H15",
  retry: "M20 11.5A8 8 0 1 0 18 17M20 5v6.5h-6.5",
  down: "m6 9.5 6 6 6-6",
  right: "m9.5 6 6 6-6 6",
  left: "m14.5 6-6 6 6 6",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 20 20",
  download: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 19.5h14",
  upload: "M12 16V5m0 0L7.5 9.5M12 5l4.5 4.5M5 19.5h14",
  radar: "M12 21a9 9 0 1 1 9-9M12 16.5a4.5 4.5 0 1 1 4.5-4.5M12 12l6.5 6.5",
  ledger: "M6 3h11.5A1.5 1.5 0 0 1 19 4.5v15a1.5 1.5 0 0 1-1.5 1.5H6zM6 3v18M9.5 8h6M9.5 12h6M9.5 16h3.5",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5l3.5 2",
  off: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM5.7 5.7l12.6 12.6",
  inbox: "M4 13.5 6.5 5h11L20 13.5V19H4zM4 13.5h4.5L10 16h4l1.5-2.5H20",
  key: "M8.5 19a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM11.7 11.3 20 3M16 7l3 3",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
  battery: "M4 8h13A1.5 1.5 0 0 1 18.5 9.5v5A1.5 1.5 0 0 1 17 16H4a1.5 1.5 0 0 1-1.5-1.5v-5A1.5 1.5 0 0 1 4 8ZM21.5 11v2",
  bell: "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.5h4",
  media: "M7 4.5 19 12 7 19.5z",
  note: "M9 17.5a2.5 2.5 0 1 1-2.5-2.5A2.5 2.5 0 0 1 9 17.5ZM19.5 15.5A2.5 2.5 0 1 1 17 13a2.5 2.5 0 0 1 2.5 2.5ZM9 17.5V6.5L19.5 4v11.5",
  pause: "M7.5 5.5h2.5v13H7.5zM14 5.5h2.5v13H14z",
  next: "M6 5.5 15 12l-9 6.5zM18 5.5v13",
  previous: "M18 5.5 9 12l9 6.5zM6 5.5v13",
  stop: "M7 7h10v10H7z",
  volume: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5ZM15.5 9a4.5 4.5 0 0 1 0 6M18 6.5a8.5 8.5 0 0 1 0 11",
  mute: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5ZM16 9.5l5 5M21 9.5l-5 5",
  hidden: "M4 4l16 16M9.9 5.2A9.6 9.6 0 0 1 12 5c5 0 8.2 4 9.5 7a14 14 0 0 1-2.6 3.7M6.2 7.2A13.6 13.6 0 0 0 2.5 12c1.3 3 4.5 7 9.5 7 1.7 0 3.2-.5 4.5-1.2M10 10.2a2.7 2.7 0 0 0 3.8 3.8",
  shuffle: "M3.5 7h3.2c1.4 0 2.6.7 3.4 1.8l3.8 6.4A4 4 0 0 0 17.3 17h3.200M17.5 4l3 3-3 3M17.5 14l3 3-3 3M3.5 17h3.200c1.4 0 2.6-.7 3.4-1.800l.4-.7M13.5 9.500l.4-.7A4 4 0 0 1 17.3 7h3.2",
  clipboard: "M9 4.500H7A1.5 1.5 0 0 0 5.5 6v13A1.5 1.5 0 0 0 7 20.500h10a1.5 1.5 0 0 0 1.5-1.500V6A1.5 1.5 0 0 0 17 4.500h-2M10 3h4a1 1 0 0 1 1 1v1.500a1 1 0 0 1-1 1h-4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1ZM9 12h6M9 16h4",
  reply: "M9.5 6 4 11.5 9.5 17M4 11.5h9a7 7 0 0 1 7 7",
  run: "m5 6.5 5.5 5.5L5 17.5M12.5 18H19",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11v5.5M12 7.5h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, filled }: { name: IconName; filled?: boolean }) {
  return (
    <svg className={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill={filled ? "currentColor" : "none"} />
    </svg>
  );
}

export const KindIcon = ({ kind }: { kind: DeviceKind }) => <Icon name={kind in PATHS ? kind : "other"} />;

/** Icons of the standard services. */
export const serviceIcon: Record<string, IconName> = {
  files: "file", storage: "folder", clipboard: "clipboard", notifications: "bell", media: "media", battery: "battery", ringer: "radar",
  volume: "volume", command: "run", ping: "text", input: "text", signal: "sensor", calls: "phone", messages: "text",
  "screen-lock": "lock", "on-off": "plug", light: "light", "door-lock": "lock", information: "info",
};

export const Mark = () => (
  <svg className="mark" viewBox="0 0 512 512" aria-hidden="true" focusable="false">
    <rect width="512" height="512" rx="116" className="mark-ground" />
    <g fill="none" stroke="#fff" strokeWidth="46" strokeLinecap="round"><path d="M128 380 236 138" /><path d="M384 380 276 138" /></g>
    <circle cx="256" cy="306" r="40" fill="#8fe3d6" />
  </svg>
);
