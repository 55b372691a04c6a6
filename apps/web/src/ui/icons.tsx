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
  thermostat: "M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17ZM12 12l3.200-3.200M12 6.300v.01M6.300 12h.01M17.700 12h.01M8 8h.01M9.500 16.300h5",
  climate: "M12 3v18M4.2 7.5l15.6 9M19.8 7.5l-15.6 9M9.5 4.5 12 6l2.5-1.5M9.5 19.5 12 18l2.5 1.5",
  cover: "M4 4h16M5.5 4v14M18.5 4v14M5.5 8h13M5.5 12h13M5.5 16h13M12 16v4.5",
  vacuum: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM5 17c2-1.3 4.3-2 7-2s5 .7 7 2",
  camera: "M4.5 7h3l1.5-2.5h6L16.5 7h3A1.5 1.5 0 0 1 21 8.5v9a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17.5v-9A1.5 1.5 0 0 1 4.5 7ZM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Z",
  hub: "M12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM12 9.5V4M9.8 13.2 5 16.5M14.2 13.2l4.8 3.3M12 4h.01M4.5 17h.01M19.5 17h.01",
  other: "M12 3.5 20 8v8l-8 4.5L4 16V8zM4 8l8 4.5L20 8M12 12.5v8",
  home: "M3.5 11.5 12 4l8.5 7.5M6 9.500V19.500h4.500V14.500h3V19.500H18V9.500",
  switch: "M8 6.500h8a5.500 5.500 0 0 1 0 11H8a5.500 5.500 0 0 1 0-11ZM16 14.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z",
  fan: "M12 13.500a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3ZM12 10.500c-1.500-2.500-1.500-6 .5-7 2.500-1 5 1.500 3.500 4.500-.8 1.600-2.500 2-2.800 3M13.300 12.800c2.900 0 6 1.700 5.900 3.900-.2 2.700-3.700 3.500-5.500.7-1-1.500-.5-3.100-1.200-3.900M10.700 12.800c-1.400 2.500-4.400 4.300-6.300 3.100-2.200-1.500-1.200-4.900 2.200-5 1.800 0 2.900 1.200 3.900 1",
  button: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 15.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7Z",
  air: "M3 9.500h10.500a2.700 2.700 0 1 0-2.600-3.500M3 13h15a2.700 2.700 0 1 1-2.600 3.500M3 16.500h7.500a2 2 0 1 1-1.900 2.600",
  valve: "M4 10v7M20 10v7M4 13.500h4.500M20 13.500h-4.500M12 17a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7ZM12 10V5M8.500 5h7",
  alarm: "M12 3 4.500 6v5.500c0 4.600 3.100 8 7.500 9.500 4.400-1.500 7.500-4.900 7.500-9.500V6zM12 8v4.500M12 15.500h.01",
  appliance: "M5.500 3.500h13A1.500 1.500 0 0 1 20 5v14a1.500 1.500 0 0 1-1.500 1.500h-13A1.500 1.500 0 0 1 4 19V5a1.500 1.500 0 0 1 1.500-1.500ZM4 8h16M7 5.800h.01M12 18a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7Z",
  siren: "M6 17v-4a6 6 0 0 1 12 0v4M4 20.500h16M6 17h12v3.500H6zM12 3v1.500M4.500 5.500l1 1M19.500 5.500l-1 1",
  thermometer: "M10 13.800V5a2 2 0 1 1 4 0v8.800a4 4 0 1 1-4 0ZM12 9v7.500",
  drop: "M12 3.500c3 3.600 6 6.900 6 10.500a6 6 0 0 1-12 0c0-3.600 3-6.900 6-10.500Z",
  gauge: "M4.500 17.500a9 9 0 1 1 15 0M12 14l3.500-4.500M12 15.500a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3Z",
  motion: "M13 6.500a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400ZM8 12l2.500-3.500 3 .5 1.500 3 3 1M12.500 9l-1.500 5 3 2.500.5 4.500M11 14.500 9 18l-3.500 1",
  door: "M6 20.500V4.500A1.500 1.500 0 0 1 7.500 3h9A1.500 1.500 0 0 1 18 4.500v16M4 20.500h16M14.500 12h.01",
  flame: "M12 21a6 6 0 0 0 6-6c0-4-3-5.500-3.500-9-2 1-3 3-3 5-1-.5-1.500-1.500-1.500-2.500-2.500 2-4 4-4 6.500a6 6 0 0 0 6 6Z",
  bolt: "M13 3 5.500 13.500H11L10 21l8-11h-5.500z",
  minus: "M5 12h14",
  up: "m6 14.500 6-6 6 6",
  palette: "M12 21a9 9 0 1 1 9-9c0 2-1.500 3-3 3h-2.500a1.800 1.800 0 0 0-1.300 3c.8 1 .3 3-2.200 3ZM7.500 12h.01M9.500 8h.01M14 7.500h.01M17 10.500h.01",
  locate: "M12 17a5 5 0 1 0 0-10 5 5 0 0 0 0 10ZM12 3v4M12 17v4M3 12h4M17 12h4",
  dock: "M4 20h16M6 20V9l6-5 6 5v11M10 20v-5h4v5",
  unlock: "M6.500 11h11A1.500 1.500 0 0 1 19 12.500v7a1.500 1.500 0 0 1-1.500 1.500h-11A1.500 1.500 0 0 1 5 19.500v-7A1.500 1.500 0 0 1 6.500 11ZM8 11V7.500a4 4 0 0 1 7.700-1.500M12 15v2",
  cast: "M3.5 8V6A1.5 1.5 0 0 1 5 4.5h14A1.5 1.500 0 0 1 20.5 6v12a1.5 1.5 0 0 1-1.5 1.5h-4M3.5 12a7.5 7.5 0 0 1 7.500 7.500M3.5 16a3.500 3.500 0 0 1 3.500 3.500M3.500 19.500h.01",
  list: "M9 6.500h11M9 12h11M9 17.500h11M4.500 6.500h.01M4.500 12h.01M4.500 17.500h.01",
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
  cloud: "M7 18.5a4 4 0 0 1-.4-8 5.5 5.5 0 0 1 10.7-1A4.500 4.500 0 0 1 17 18.500z",
  cloudy: "M8 19.500a3.500 3.500 0 0 1-.3-7 4.800 4.800 0 0 1 9.300-.8 4 4 0 0 1-.3 7.800zM9.500 9.500a4 4 0 0 1 7-3M12.500 2.500v1M18.500 4.500l-.7.700",
  rain: "M7 14.500a4 4 0 0 1-.4-8 5.500 5.500 0 0 1 10.700-1A4.500 4.500 0 0 1 17 14.500zM8 18l-1 2.500M12.500 18l-1 2.500M17 18l-1 2.500",
  snow: "M7 14.500a4 4 0 0 1-.4-8 5.500 5.500 0 0 1 10.700-1A4.500 4.500 0 0 1 17 14.500zM8 18.500h.01M12 18h.01M16 18.500h.01M10 21h.01M14 21h.01",
  storm: "M7 14.500a4 4 0 0 1-.4-8 5.500 5.500 0 0 1 10.700-1A4.500 4.500 0 0 1 17 14.500M12.500 11l-3 5h4l-2.500 5",
  fog: "M4 8h13M7 12h13M4 16h11M8 20h9",
  bed: "M3 18.500V6M3 15.500h18v3M21 15.500V13a3 3 0 0 0-3-3H3M7 10V8.500h4V10",
  sofa: "M6 11V8a2.500 2.500 0 0 1 2.500-2.500h7A2.500 2.500 0 0 1 18 8v3M6 14h12M4.500 10A1.500 1.500 0 0 1 6 11.500V14h12v-2.500a1.500 1.500 0 1 1 3 0V18H3v-6.500A1.500 1.500 0 0 1 4.500 10ZM6 18v2M18 18v2",
  "floor-lamp": "M8.500 3h7l2.500 6.500H6zM12 9.500V21M8.500 21h7",
  ceiling: "M12 3v5M5 14.500a7 7 0 0 1 14 0zM10 17.500a2 2 0 0 0 4 0",
  desk: "M3 9h18M5 9v10M19 9v10M13 9v5h6M7 9 9.500 4.500 13 6",
  coffee: "M5 9h11v6a4 4 0 0 1-4 4H9a4 4 0 0 1-4-4zM16 10.500h1.500a2.500 2.500 0 0 1 0 5H16M8.500 3.500v2M12.500 3.500v2",
  fridge: "M7 3h10a1.500 1.500 0 0 1 1.500 1.500V20h-13V4.500A1.500 1.500 0 0 1 7 3ZM5.500 10h13M8.500 6.500v1M8.500 13v2.500",
  oven: "M5 4h14v16H5zM5 8.500h14M8 6.300h.01M11 6.300h.01M8 12h8v5H8z",
  washer: "M5.500 3.500h13v17h-13zM5.500 7.500h13M8 5.500h.01M12 17.500a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM8.500 13c1.200-.8 2.300-.8 3.500 0s2.300.8 3.500 0",
  bath: "M3 12.500h18v1.500a5 5 0 0 1-5 5H8a5 5 0 0 1-5-5zM6 12.500V6a2 2 0 0 1 4-.500M7 19l-1 2M17 19l1 2",
  stairs: "M3 20h4.500v-4H12v-4h4.500V8H21V4",
  tree: "M12 3 6.500 10.500H9L5 16h14l-4-5.500h2.500zM12 16v5",
  plant: "M8 20.500h8l1-6H7zM12 14.500V9M12 10c0-3.500 2-5.500 5.500-5.500C17.500 8 15.500 10 12 10ZM12 11.500C12 9 10.300 7 7 7c0 3 1.700 4.500 5 4.500Z",
  book: "M12 6.500C10 5 7 4.500 4 5v13.500c3-.5 6 0 8 1.500 2-1.500 5-2 8-1.500V5c-3-.5-6 0-8 1.500ZM12 6.500V20",
  game: "M7.500 8h9a5 5 0 0 1 4.500 7.500c-1 2-3 2-4.500 0l-.5-.500H8l-.500.500c-1.500 2-3.500 2-4.500 0A5 5 0 0 1 7.500 8ZM8 10.500v3M6.500 12h3M15.500 11h.01M17.500 13h.01",
  wifi: "M3 9.500a13 13 0 0 1 18 0M6 13a8.500 8.500 0 0 1 12 0M9 16.300a4.300 4.300 0 0 1 6 0M12 19.500h.01",
  printer: "M7 9V4h10v5M7 17H4.500V9h15v8H17M7 14h10v6H7z",
  heart: "M12 20C6 16 3.500 12.500 3.500 9a4.500 4.500 0 0 1 8.500-2 4.500 4.500 0 0 1 8.500 2c0 3.500-2.500 7-8.500 11Z",
  arrange: "M4 5h6v6H4zM14 5h6v6h-6zM4 15h6v4H4zM17 14v6M14 17h6",
  undo: "M8.500 5 4 9.500 8.500 14M4 9.500h9.500a6 6 0 0 1 0 12H9",
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

/** The icon that the owner gave a device, when there is one of that name. */
export const ownIcon = (icon: string | null | undefined): IconName | null => (icon && Object.hasOwn(PATHS, icon) ? (icon as IconName) : null);
/** “Cold” is what an owner may choose; what heats is not shown by it. */
const kindIcon = (kind: DeviceKind): IconName => (kind === "climate" ? "thermostat" : kind in PATHS ? kind : "other");
export const KindIcon = ({ kind, icon }: { kind: DeviceKind; icon?: string | null }) => <Icon name={ownIcon(icon) ?? kindIcon(kind)} />;

/** What a device may be shown as, by the owner's choice, and what it is called. */
export const CHOICES: [IconName, string][] = [
  ["light", "Lamp"], ["ceiling", "Ceiling lamp"], ["floor-lamp", "Floor lamp"], ["desk", "Desk"], ["plug", "Plug"], ["switch", "Switch"], ["fan", "Fan"], ["climate", "Cold"],
  ["flame", "Fire"], ["thermometer", "Thermometer"], ["drop", "Water"], ["air", "Air"], ["sun", "Sun"], ["moon", "Night"], ["cover", "Blind"], ["door", "Door"], ["lock", "Lock"],
  ["alarm", "Shield"], ["bell", "Bell"], ["camera", "Camera"], ["motion", "Somebody"], ["sensor", "Sensor"], ["bolt", "Power"], ["battery", "Battery"], ["valve", "Tap"],
  ["bed", "Bed"], ["sofa", "Sofa"], ["bath", "Bath"], ["stairs", "Stairs"], ["coffee", "Coffee"], ["fridge", "Fridge"], ["oven", "Oven"], ["washer", "Washing machine"], ["appliance", "Appliance"],
  ["vacuum", "Robot"], ["tv", "Television"], ["speaker", "Loudspeaker"], ["note", "Music"], ["game", "Game"], ["book", "Book"], ["computer", "Computer"], ["printer", "Printer"],
  ["wifi", "Wireless"], ["tree", "Tree"], ["plant", "Plant"], ["car", "Car"], ["home", "House"], ["heart", "Heart"], ["star", "Star"],
];

/** Icons of the standard services. */
export const serviceIcon: Record<string, IconName> = {
  files: "file", storage: "folder", clipboard: "clipboard", notifications: "bell", media: "media", battery: "battery", ringer: "radar",
  volume: "volume", command: "run", ping: "text", input: "text", signal: "sensor", calls: "phone", messages: "text",
  "screen-lock": "lock", "on-off": "plug", light: "light", "door-lock": "lock", information: "info",
  picture: "camera", fan: "fan", climate: "thermostat", humidifier: "drop", cover: "cover", vacuum: "vacuum", valve: "valve", alarm: "alarm", siren: "siren", button: "button",
  press: "button", temperature: "thermometer", humidity: "drop", pressure: "gauge", illuminance: "sun", occupancy: "motion", contact: "door",
  "water-leak": "drop", smoke: "flame", gas: "flame", vibration: "motion", tamper: "warning", "carbon-monoxide": "warning", "air-quality": "air",
  electricity: "bolt", more: "list",
};

export const Mark = () => (
  <svg className="mark" viewBox="0 0 512 512" aria-hidden="true" focusable="false">
    <rect width="512" height="512" rx="116" className="mark-ground" />
    <g fill="none" stroke="#fff" strokeWidth="46" strokeLinecap="round"><path d="M128 380 236 138" /><path d="M384 380 276 138" /></g>
    <circle cx="256" cy="306" r="40" fill="#8fe3d6" />
  </svg>
);
