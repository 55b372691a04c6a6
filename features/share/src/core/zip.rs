//! An archive of files whose names and sizes are known and whose content is not read yet (APPNOTE 6.3.10): stored, with
//! the checksum after each, so that it streams and its length is known beforehand.

use std::sync::OnceLock;

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// The checksum follows the content; names are UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
/// Sizes and places from here on need the longer records.
const LONG: u64 = 0xffff_ffff;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Folders and name, with `/`.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
}

/// Writes the parts around the files' contents.
#[derive(Debug)]
pub struct Zip<'a> {
    entries: &'a [Entry],
    at: u64,
    done: Vec<(u64, u32)>,
}

impl<'a> Zip<'a> {
    /// An archive of these.
    pub fn new(entries: &'a [Entry]) -> Self {
        Self { entries, at: 0, done: Vec::with_capacity(entries.len()) }
    }

    /// How long the archive is, in bytes.
    pub fn length(entries: &[Entry]) -> u64 {
        let mut zip = Zip::new(entries);
        let mut out = Vec::new();
        let mut length = 0;
        for entry in entries {
            length += zip.before(&mut out) as u64 + entry.size;
            zip.at += entry.size;
            length += zip.after(0, &mut out) as u64;
        }
        length + zip.end(&mut out) as u64
    }

    /// Writes what is before the content of the next file; how much that is.
    pub fn before(&mut self, out: &mut Vec<u8>) -> usize {
        out.clear();
        let entry = &self.entries[self.done.len()];
        self.done.push((self.at, 0));
        let (date, time) = dos_time(entry.modified);
        let long = entry.size >= LONG;
        put32(out, LOCAL);
        put16(out, if long { 45 } else { 20 });
        put16(out, FLAGS);
        put16(out, 0);
        put16(out, time);
        put16(out, date);
        put32(out, 0);
        // Both sizes follow the content; a long file says so here.
        put32(out, if long { u32::MAX } else { 0 });
        put32(out, if long { u32::MAX } else { 0 });
        put16(out, length16(&entry.name));
        put16(out, if long { 20 } else { 0 });
        out.extend_from_slice(entry.name.as_bytes());
        if long {
            put16(out, 1);
            put16(out, 16);
            put64(out, 0);
            put64(out, 0);
        }
        self.at += out.len() as u64;
        out.len()
    }

    /// So many bytes of content went by.
    pub fn content(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// Writes what is after the content of the file; how much that is.
    pub fn after(&mut self, crc: u32, out: &mut Vec<u8>) -> usize {
        out.clear();
        let place = self.done.len() - 1;
        self.done[place].1 = crc;
        let size = self.entries[place].size;
        put32(out, DESCRIPTOR);
        put32(out, crc);
        for _ in 0..2 {
            if size >= LONG { put64(out, size) } else { put32(out, size as u32) }
        }
        self.at += out.len() as u64;
        out.len()
    }

    /// Writes the directory at the end; how much that is.
    pub fn end(&mut self, out: &mut Vec<u8>) -> usize {
        out.clear();
        let begin = self.at;
        for (entry, (offset, crc)) in self.entries.iter().zip(&self.done) {
            let mut extra = Vec::new();
            let (long, far) = (entry.size >= LONG, *offset >= LONG);
            if long {
                put64(&mut extra, entry.size);
                put64(&mut extra, entry.size);
            }
            if far {
                put64(&mut extra, *offset);
            }
            let (date, time) = dos_time(entry.modified);
            put32(out, CENTRAL);
            // Made on Unix, so that the permissions below count.
            put16(out, 3 << 8 | 45);
            put16(out, if long || far { 45 } else { 20 });
            put16(out, FLAGS);
            put16(out, 0);
            put16(out, time);
            put16(out, date);
            put32(out, *crc);
            let size = if long { u32::MAX } else { entry.size as u32 };
            put32(out, size);
            put32(out, size);
            put16(out, length16(&entry.name));
            put16(out, if extra.is_empty() { 0 } else { extra.len() as u16 + 4 });
            put16(out, 0);
            put16(out, 0);
            put16(out, 0);
            put32(out, 0o100_644 << 16);
            put32(out, if far { u32::MAX } else { *offset as u32 });
            out.extend_from_slice(entry.name.as_bytes());
            if !extra.is_empty() {
                put16(out, 1);
                put16(out, extra.len() as u16);
                out.extend_from_slice(&extra);
            }
        }
        let (size, count) = (out.len() as u64, self.entries.len() as u64);
        if count >= 0xffff || size >= LONG || begin >= LONG {
            put32(out, END_64);
            put64(out, 44);
            put16(out, 3 << 8 | 45);
            put16(out, 45);
            put32(out, 0);
            put32(out, 0);
            put64(out, count);
            put64(out, count);
            put64(out, size);
            put64(out, begin);
            put32(out, LOCATOR_64);
            put32(out, 0);
            put64(out, begin + size);
            put32(out, 1);
        }
        put32(out, END);
        put16(out, 0);
        put16(out, 0);
        put16(out, count.min(0xffff) as u16);
        put16(out, count.min(0xffff) as u16);
        put32(out, size.min(LONG) as u32);
        put32(out, begin.min(LONG) as u32);
        put16(out, 0);
        self.at += out.len() as u64;
        out.len()
    }
}

fn length16(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}
fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}
fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Date and time as MS-DOS has them, in UTC; what it has no word for becomes the nearest.
fn dos_time(seconds: i64) -> (u16, u16) {
    const FIRST: i64 = 315_532_800; // 1980-01-01
    const LAST: i64 = 4_354_819_199; // 2107-12-31
    let seconds = seconds.clamp(FIRST, LAST);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let date = (year - 1980) << 9 | month << 5 | day;
    let time = (second / 3600) << 11 | (second / 60 % 60) << 5 | (second % 60 / 2);
    (date as u16, time as u16)
}

/// CRC-32 (ISO 3309), eight bytes at a time.
#[derive(Debug, Clone, Copy)]
pub struct Crc(u32);

impl Default for Crc {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Crc {
    /// Takes more content.
    pub fn update(&mut self, bytes: &[u8]) {
        let table = table();
        let mut crc = self.0;
        let mut eights = bytes.chunks_exact(8);
        for eight in &mut eights {
            let low = crc ^ u32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]]);
            crc = table[7][(low & 0xff) as usize]
                ^ table[6][(low >> 8 & 0xff) as usize]
                ^ table[5][(low >> 16 & 0xff) as usize]
                ^ table[4][(low >> 24) as usize]
                ^ table[3][usize::from(eight[4])]
                ^ table[2][usize::from(eight[5])]
                ^ table[1][usize::from(eight[6])]
                ^ table[0][usize::from(eight[7])];
        }
        for byte in eights.remainder() {
            crc = crc >> 8 ^ table[0][((crc ^ u32::from(*byte)) & 0xff) as usize];
        }
        self.0 = crc;
    }
    /// The checksum of all that was taken.
    pub fn value(self) -> u32 {
        !self.0
    }
}

fn table() -> &'static [[u32; 256]; 8] {
    static TABLE: OnceLock<Box<[[u32; 256]; 8]>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Box::new([[0; 256]; 8]);
        for byte in 0..256 {
            let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            table[0][byte] = (0..8).fold(byte as u32, |crc, _| step(crc));
        }
        for slice in 1..8 {
            for byte in 0..256 {
                let before = table[slice - 1][byte];
                table[slice][byte] = before >> 8 ^ table[0][(before & 0xff) as usize];
            }
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn archive(files: &[(&str, &[u8], i64)]) -> Vec<u8> {
        let entries: Vec<Entry> = files
            .iter()
            .map(|(name, content, modified)| Entry {
                name: (*name).to_owned(),
                size: content.len() as u64,
                modified: *modified,
            })
            .collect();
        let (mut zip, mut part, mut out) = (Zip::new(&entries), Vec::new(), Vec::new());
        for (_, content, _) in files {
            zip.before(&mut part);
            out.extend_from_slice(&part);
            out.extend_from_slice(content);
            zip.content(content.len() as u64);
            let mut crc = Crc::default();
            crc.update(content);
            zip.after(crc.value(), &mut part);
            out.extend_from_slice(&part);
        }
        zip.end(&mut part);
        out.extend_from_slice(&part);
        assert_eq!(out.len() as u64, Zip::length(&entries));
        out
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        let mut crc = Crc::default();
        crc.update(b"123456789");
        assert_eq!(crc.value(), 0xcbf4_3926);
        assert_eq!(Crc::default().value(), 0);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |year: u16, month: u16, day: u16| (year - 1980) << 9 | month << 5 | day;
        assert_eq!(dos_time(0), (date(1980, 1, 1), 0));
        assert_eq!(dos_time(951_827_696), (date(2000, 2, 29), 12 << 11 | 34 << 5 | 28));
        assert_eq!(dos_time(1_767_225_599), (date(2025, 12, 31), 23 << 11 | 59 << 5 | 29));
        assert_eq!(dos_time(i64::MAX).0, date(2107, 12, 31));
    }

    #[test]
    fn an_archive_has_its_signatures_where_its_directory_says() {
        let out = archive(&[("a/ä.txt", b"hello", 0), ("empty", b"", 1_700_000_000)]);
        assert_eq!(&out[..4], b"PK\x03\x04");
        let end = out.len() - 22;
        assert_eq!(&out[end..end + 4], b"PK\x05\x06");
        let at = u32::from_le_bytes(out[end + 16..end + 20].try_into().unwrap()) as usize;
        assert_eq!(&out[at..at + 4], b"PK\x01\x02");
        assert_eq!(u16::from_le_bytes(out[end + 10..end + 12].try_into().unwrap()), 2);
    }

    #[test]
    fn more_than_four_gigabytes_get_the_longer_records() {
        let entry = |size| Entry { name: "a".to_owned(), size, modified: 0 };
        let small = Zip::length(&[entry(10), entry(10)]) - 20;
        // A longer head, descriptor and directory entry; then a place beyond and the longer end.
        let long = Zip::length(&[entry(5 << 30), entry(10)]) - (5 << 30) - 10;
        assert_eq!(long - small, 20 + 8 + 20 + 12 + 76);
    }

    proptest! {
        #[test]
        fn a_checksum_is_the_same_however_it_is_cut(content in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let at = at.min(content.len());
            let (mut whole, mut cut) = (Crc::default(), Crc::default());
            whole.update(&content);
            cut.update(&content[..at]);
            cut.update(&content[at..]);
            prop_assert_eq!(whole.value(), cut.value());
        }
    }
}
