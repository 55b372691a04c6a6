//! Pictures of what plays: from `file://` addresses only, so that no address of a player makes this computer fetch something.

use std::io::Read;
use std::path::PathBuf;

use accord_ports::picture::format_of;

/// Most bytes of one picture. In a message every byte takes up to four characters.
pub const MAX_ARTWORK: usize = 56 * 1024;
const LONGEST: usize = 4096;

/// The picture at a player's `mpris:artUrl`; none when it is elsewhere, too large, or no picture.
pub async fn read(address: String) -> Option<Vec<u8>> {
    let path = path(&address)?;
    tokio::task::spawn_blocking(move || {
        // A pipe or a device would keep us waiting.
        if !std::fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&path).ok()?.take(MAX_ARTWORK as u64 + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= MAX_ARTWORK && format_of(&bytes).is_some()).then_some(bytes)
    })
    .await
    .ok()?
}

/// The path of a `file://` address (RFC 8089) on this computer.
fn path(address: &str) -> Option<PathBuf> {
    let rest = address.strip_prefix("file://").filter(|rest| rest.len() <= LONGEST)?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(rest.len());
    let mut rest = rest.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digits = [high.to_ascii_uppercase(), low.to_ascii_uppercase()];
                bytes.extend(data_encoding::HEXUPPER.decode(&digits).ok()?);
                rest = tail;
            }
            (b'%', _) => return None,
            (b'?' | b'#', _) => break,
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    if bytes.contains(&0) {
        return None;
    }
    Some(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_computers_files_have_a_path() {
        assert_eq!(path("file:///tmp/a%20b.png"), Some("/tmp/a b.png".into()));
        assert_eq!(path("file://localhost/tmp/a.png#x"), Some("/tmp/a.png".into()));
        for not in ["http://example.org/a.png", "file://server/a.png", "file:a.png", "file:///%0", "file:///a%00", "/a"]
        {
            assert_eq!(path(not), None, "{not}");
        }
    }

    #[tokio::test]
    async fn what_is_no_picture_or_too_large_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let address = |name: &str| format!("file://{}", dir.path().join(name).display());
        let picture = b"\x89PNG\r\n\x1a\nrest".to_vec();
        std::fs::write(dir.path().join("a.png"), &picture).unwrap();
        std::fs::write(dir.path().join("secret"), b"root:x:0").unwrap();
        let mut large = picture.clone();
        large.resize(MAX_ARTWORK + 1, 0);
        std::fs::write(dir.path().join("large.png"), large).unwrap();
        assert_eq!(read(address("a.png")).await, Some(picture));
        for not in ["secret", "large.png", "missing", ""] {
            assert_eq!(read(address(not)).await, None, "{not}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_address_is_read_without_panic(address in "(file://)?.{0,80}") {
            let _ = path(&address);
        }
    }
}
