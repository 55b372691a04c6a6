// What lies on the mock hub's phone.
const day = (ago) => new Date(Date.now() - ago * 86_400_000).toISOString();
const file = (name, size, ago) => ({ name, kind: "file", size, modified: day(ago) });
const folder = (name, ago) => ({ name, kind: "folder", size: null, modified: day(ago) });

const CARD = "/storage/emulated/0";
const folders = {
  "": [{ ...folder("Internal storage", 0), path: CARD, modified: null }, { ...folder("SD card", 0), path: "/storage/1A2B-3C4D", modified: null }],
  [CARD]: [folder("DCIM", 1), folder("Download", 3), folder("Secret", 9), file("notes.txt", 812, 12)],
  [`${CARD}/DCIM`]: [...Array.from({ length: 450 }, (_, at) => file(`IMG_${2000 + at}.jpg`, 2_400_000 + at * 7919, at / 3)), file("holiday\u202egpj.exe", 99_000, 2)],
  [`${CARD}/Download`]: [],
  "/storage/1A2B-3C4D": [file("Concert.mp4", 480e6, 80), { name: "newest", kind: "link", size: null, modified: day(1) }],
};
const refused = (code, error, message) => [code, { error, message, prompt: null }];

export function list(path) {
  const found = folders[path];
  if (path.endsWith("/Secret")) return refused(409, "conflict", "the device reports: it does not let this be seen; allow it in its KDE Connect app, or choose another folder");
  if (!found) return refused(409, "conflict", "the device reports: there is no such file or folder on it");
  const entries = found.map((entry) => ({ ...entry, path: entry.path ?? `${path}/${entry.name}` }));
  return [200, { path, entries, more: path.endsWith("/DCIM"), nameless: path.endsWith("/DCIM") ? 2 : 0 }];
}

export function find(path) {
  const at = path.lastIndexOf("/");
  return folders[path.slice(0, at)]?.find((entry) => entry.name === path.slice(at + 1));
}
