//! Collects the built web UI (`apps/web/dist`) into a table that the program embeds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("../web/dist");
    // Cargo rebuilds each time when a watched path is missing; an empty folder is watched for free.
    if root.join("../web").is_dir() {
        fs::create_dir_all(&dist)?;
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &mut files)?;
    }
    files.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let copies = out.join("ui");
    fs::create_dir_all(&copies)?;
    let mut table = String::from(
        "/// Name, a tag that changes with the content, and the content.\nstatic FILES: &[(&str, &str, &[u8])] = &[\n",
    );
    for file in &files {
        let name = file.strip_prefix(&dist).unwrap_or(file).to_string_lossy().replace('\\', "/");
        // A copy, because the UI may be built anew while the compiler runs.
        let bytes = fs::read(file)?;
        let tag = fnv(&bytes);
        let full = copies.join(format!("{tag:016x}"));
        fs::write(&full, &bytes)?;
        let _ = writeln!(table, "    ({name:?}, \"{tag:016x}\", include_bytes!({:?})),", full.to_string_lossy());
    }
    table.push_str("];\n");
    fs::write(out.join("ui.rs"), table)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a: enough to tell versions of a file apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
