// What was dropped or picked, as a flat list of files with their paths. Folders are read recursively.
import type { Chosen } from "../actions";

export function fromInput(list: FileList | null): Chosen[] {
  return [...(list ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

export async function fromDrop(data: DataTransfer): Promise<Chosen[]> {
  // Entries must be taken before the first await: the list is emptied after the event.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry != null);
  if (entries.length === 0) return fromInput(data.files);
  const found: Chosen[] = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry: FileSystemEntry, above: string, found: Chosen[]): Promise<void> {
  const path = above + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const child of some) await walk(child, `${path}/`, found);
  }
}

export const hasFiles = (data: DataTransfer | null) => !!data && [...data.types].includes("Files");
export const hasText = (data: DataTransfer | null) => !!data && [...data.types].some((type) => type === "text/uri-list" || type === "text/plain");
