//! Child processes that look into files from elsewhere, and so may turn against us: they see one file, the libraries that they
//! are made of and nothing else, write nowhere but into the pipe that we read, have no sockets, and end with us.
//!
//! A thread of its own locks itself up and then starts the child, which inherits that: [Landlock] for files, a [seccomp]
//! filter for calls to the system. Neither needs a right, a namespace or another program, so that it holds where user
//! namespaces are refused. Where the system has no Landlock (Linux before 5.13, or switched off), nothing is started.
//!
//! [Landlock]: https://docs.kernel.org/userspace-api/landlock.html
//! [seccomp]: https://docs.kernel.org/userspace-api/seccomp_filter.html
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where processes are started")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use linux_raw_sys::general as call;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::{OutletError, failed};

/// The programs that are started so: they read films, sounds and pictures.
const PROGRAMS: [&str; 2] = ["ffmpeg", "ffprobe"];
/// Where programs are, when nothing says it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// What such a program is made of: libraries, which are also run. The last are those of systems that have no `/usr`.
const LIBRARIES: [&str; 7] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/nix/store", "/gnu/store"];
/// What else it reads, which says nothing of its user: the list of libraries, fonts for captions, how many processors there
/// are, chance.
const READ: [&str; 9] = [
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/usr/share/fonts",
    "/usr/share/fontconfig",
    "/usr/local/share/fonts",
    "/var/cache/fontconfig",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/null",
];
/// Files that are open at once.
const OPEN_FILES: u64 = 64;

/// How much a child may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, counted as addresses.
    pub memory: u64,
    /// Time of a processor.
    pub processor: Duration,
}

/// Starts `ffmpeg` or `ffprobe`, locked up. It finds `input` as `/proc/self/fd/0` and may read the files `more` beside that.
/// Its standard output and error are pipes: it goes on only as far as they are read. It is ended when it is dropped.
///
/// # Errors
/// [`OutletError::UnknownProgram`], [`OutletError::NotInstalled`]; [`OutletError::NoSandbox`] where the system cannot lock it
/// up, and then nothing is started.
pub async fn sandboxed(
    program: &'static str,
    words: Vec<String>,
    input: Option<File>,
    more: Vec<PathBuf>,
    limits: Limits,
) -> Result<Child, OutletError> {
    if !PROGRAMS.contains(&program) {
        return Err(OutletError::UnknownProgram(accord_model::text::for_screen(program, 60)));
    }
    let path = installed(program).ok_or(OutletError::NotInstalled(program))?;
    confined(path, words, input, more, limits).await
}

/// Where a program is.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let mut places = std::env::split_paths(&path).filter(|place| place.is_absolute());
    // Behind its links: what is allowed is the file itself.
    places.find_map(|place| place.join(program).canonicalize().ok().filter(|found| found.is_file()))
}

async fn confined(
    program: PathBuf,
    words: Vec<String>,
    input: Option<File>,
    more: Vec<PathBuf>,
    limits: Limits,
) -> Result<Child, OutletError> {
    let (tell, told) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let name = program.display().to_string();
    // What is locked up stays so: the thread is used for this alone.
    let thread = std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
        let _runtime = runtime.enter();
        let _ = tell.send(start(&program, &words, input, &more, limits));
    });
    thread.map_err(failed(format!("a thread for {name}")))?;
    told.await.map_err(|_| OutletError::NoSandbox("its thread ended".to_owned()))?
}

fn start(
    program: &Path,
    words: &[String],
    input: Option<File>,
    more: &[PathBuf],
    limits: Limits,
) -> Result<Child, OutletError> {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").args(words).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let filter = filter()?;
    // gate-check: sandbox-files
    if let Err(error) = only_these_files(program, input.as_ref(), more) {
        return Err(OutletError::NoSandbox(error));
    }
    command.stdin(input.map_or_else(Stdio::null, Stdio::from));
    // gate-check: sandbox-calls
    if let Err(error) = seccompiler::apply_filter(&filter) {
        return Err(OutletError::NoSandbox(error.to_string()));
    }
    let child = command.spawn().map_err(failed(format!("starting {}", program.display())))?;
    // gate-check: sandbox-limits
    if let Err(error) = limited(&child, limits) {
        return Err(OutletError::NoSandbox(error.to_string()));
    }
    Ok(child)
}

/// From here on, this thread and what it starts open nothing else.
fn only_these_files(program: &Path, input: Option<&File>, more: &[PathBuf]) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| format!("Landlock: {error}");
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map_err(|error| words(&error))?
        // What newer systems can do beside: cutting files, devices, connections, other processes.
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V4)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(|rules| rules.create())
        .map_err(|error| words(&error))?;
    let beneath = |path: &Path, access: BitFlags<AccessFs>| {
        // What is not on this system need not be allowed; a file has no folder's rights.
        let opened = PathFd::new(path).ok()?;
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V1) };
        Some(PathBeneath::new(opened, access))
    };
    let libraries = LIBRARIES.iter().filter_map(|path| beneath(Path::new(path), read | AccessFs::Execute));
    let reads = READ.iter().filter_map(|path| beneath(Path::new(path), read));
    let program = beneath(program, AccessFs::ReadFile | AccessFs::Execute);
    let files = more.iter().filter_map(|path| beneath(path, AccessFs::ReadFile.into()));
    let all = libraries.chain(reads).chain(program).chain(files);
    let mut rules = rules.add_rules(all.map(Ok::<_, landlock::RulesetError>)).map_err(|error| words(&error))?;
    if let Some(input) = input {
        rules = rules.add_rule(PathBeneath::new(input, AccessFs::ReadFile)).map_err(|error| words(&error))?;
    }
    let status = rules.restrict_self().map_err(|error| words(&error))?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err("Landlock is not part of this system, or switched off".to_owned());
    }
    Ok(())
}

/// Calls that a reader of films has no use for: sockets; other processes; what Landlock does not look at (rights, owners,
/// times and attributes of files); namespaces, mounts, keys, and what has often let programs out.
const REFUSED: &[u32] = &[
    call::__NR_socket,
    call::__NR_socketpair,
    call::__NR_connect,
    call::__NR_bind,
    call::__NR_listen,
    call::__NR_accept,
    call::__NR_accept4,
    call::__NR_sendto,
    call::__NR_sendmsg,
    call::__NR_sendmmsg,
    call::__NR_kill,
    call::__NR_tkill,
    call::__NR_tgkill,
    call::__NR_rt_sigqueueinfo,
    call::__NR_rt_tgsigqueueinfo,
    call::__NR_pidfd_send_signal,
    call::__NR_pidfd_getfd,
    call::__NR_ptrace,
    call::__NR_process_vm_readv,
    call::__NR_process_vm_writev,
    call::__NR_process_madvise,
    call::__NR_kcmp,
    call::__NR_setpriority,
    call::__NR_ioprio_set,
    call::__NR_fchmod,
    call::__NR_fchmodat,
    call::__NR_fchmodat2,
    call::__NR_fchown,
    call::__NR_fchownat,
    call::__NR_utimensat,
    call::__NR_setxattr,
    call::__NR_lsetxattr,
    call::__NR_fsetxattr,
    call::__NR_removexattr,
    call::__NR_lremovexattr,
    call::__NR_fremovexattr,
    call::__NR_truncate,
    call::__NR_mknodat,
    call::__NR_shmget,
    call::__NR_shmat,
    call::__NR_semget,
    call::__NR_msgget,
    call::__NR_mq_open,
    call::__NR_add_key,
    call::__NR_request_key,
    call::__NR_keyctl,
    call::__NR_unshare,
    call::__NR_setns,
    call::__NR_mount,
    call::__NR_umount2,
    call::__NR_pivot_root,
    call::__NR_chroot,
    call::__NR_move_mount,
    call::__NR_open_tree,
    call::__NR_fsopen,
    call::__NR_fsconfig,
    call::__NR_fsmount,
    call::__NR_fspick,
    call::__NR_mount_setattr,
    call::__NR_name_to_handle_at,
    call::__NR_open_by_handle_at,
    call::__NR_fanotify_init,
    call::__NR_io_uring_setup,
    call::__NR_io_uring_enter,
    call::__NR_io_uring_register,
    call::__NR_bpf,
    call::__NR_perf_event_open,
    call::__NR_userfaultfd,
    call::__NR_personality,
    call::__NR_init_module,
    call::__NR_finit_module,
    call::__NR_delete_module,
    call::__NR_kexec_load,
    call::__NR_reboot,
    call::__NR_swapon,
    call::__NR_swapoff,
    call::__NR_acct,
    call::__NR_quotactl,
    call::__NR_syslog,
    call::__NR_settimeofday,
    call::__NR_clock_settime,
    call::__NR_adjtimex,
    call::__NR_clock_adjtime,
];
/// Those that only older machines have.
#[cfg(target_arch = "x86_64")]
const REFUSED_TOO: &[u32] = &[
    call::__NR_chmod,
    call::__NR_chown,
    call::__NR_lchown,
    call::__NR_utime,
    call::__NR_utimes,
    call::__NR_futimesat,
    call::__NR_mknod,
    call::__NR_ioperm,
    call::__NR_iopl,
    call::__NR_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_TOO: &[u32] = &[];
/// The same calls by another number (the "x32" way to call, of which nobody makes use).
const X32: u32 = 0x4000_0000;

/// Calls by the numbers of another machine end the process.
fn filter() -> Result<BpfProgram, OutletError> {
    let words = |error: seccompiler::BackendError| OutletError::NoSandbox(format!("seccomp: {error}"));
    let machine = std::env::consts::ARCH.try_into().map_err(words)?;
    let numbers = REFUSED.iter().chain(REFUSED_TOO).flat_map(|number| [*number, *number | X32]);
    let rules: BTreeMap<_, _> = numbers.map(|number| (i64::from(number), Vec::new())).collect();
    let no = SeccompAction::Errno(Errno::PERM.raw_os_error().unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, no, machine).and_then(TryInto::try_into).map_err(words)
}

/// The child runs already, and has read nothing but its own libraries.
fn limited(child: &Child, limits: Limits) -> std::io::Result<()> {
    let number = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    // One that ended is limited enough.
    let Some(number) = number else { return Ok(()) };
    let bounds = [
        (Resource::As, limits.memory),
        (Resource::Cpu, limits.processor.as_secs().max(1)),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in bounds {
        rustix::process::prlimit(Some(number), resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tokio::io::AsyncReadExt;

    const LIMITS: Limits = Limits { memory: 512 << 20, processor: Duration::from_secs(2) };

    /// What a shell says when it is locked up; it needs no other program for this.
    async fn shell(script: &str, input: Option<File>, more: Vec<PathBuf>) -> (bool, String) {
        let shell = Path::new("/bin/bash").canonicalize().unwrap();
        let words = ["-c", script].map(str::to_owned).to_vec();
        let mut child = confined(shell, words, input, more, LIMITS).await.unwrap();
        let mut said = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let read = stdout.read_to_string(&mut said);
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
        (child.wait().await.unwrap().success(), said)
    }

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a file");
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[tokio::test]
    async fn it_reads_the_one_file_and_those_that_are_named() {
        let (_dir, path) = file("secret");
        let other = format!("read -r line < '{}'; echo \"[$line]\"", path.display());
        assert_eq!(shell(&other, None, vec![]).await.1, "[]\n", "another file");
        assert_eq!(shell(&other, None, vec![path.clone()]).await.1, "[secret]\n", "named");
        let own = "read -r line < /proc/self/fd/0; echo \"[$line]\"";
        let input = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(shell(own, Some(input), vec![]).await.1, "[secret]\n", "the one, even when it has no name any more");
        for place in ["/etc/passwd", "/proc/self/environ", "/proc/1/cmdline", "/proc/self/maps"] {
            let script = format!("read -r line < {place} && echo got it");
            assert_eq!(shell(&script, None, vec![]).await.1, "", "{place}");
        }
        let said = shell("echo /home/* /root/* /etc/pass*", None, vec![]).await.1;
        assert_eq!(said, "/home/* /root/* /etc/pass*\n", "folders are not listed");
    }

    #[tokio::test]
    async fn it_writes_and_runs_nothing() {
        let (dir, path) = file("here");
        let place = dir.path().display().to_string();
        let script = format!("echo x > '{place}/new' || echo no; echo x >> '{}' || echo no", path.display());
        let input = File::options().read(true).write(true).open(&path).unwrap();
        assert_eq!(shell(&script, Some(input), vec![path.clone()]).await.1, "no\nno\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "here");
        assert!(!dir.path().join("new").exists());
        for program in ["/bin/cat /dev/null", "/usr/bin/env true", "/bin/sh -c true"] {
            assert!(!shell(program, None, vec![]).await.0, "{program}");
        }
    }

    #[tokio::test]
    async fn it_has_no_sockets_and_leaves_others_alone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
        assert_eq!(shell(&script, None, vec![]).await.1, "");
        let script = "exec 3<>/dev/udp/127.0.0.1/9 && echo sends";
        assert_eq!(shell(script, None, vec![]).await.1, "");
        let script = format!("kill -0 {} && echo reached", std::process::id());
        assert_eq!(shell(&script, None, vec![]).await.1, "");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came");
    }

    #[tokio::test]
    async fn it_uses_up_no_more_than_it_may() {
        let said = shell("ulimit -f; ulimit -n; ulimit -c; ulimit -t; ulimit -v", None, vec![]).await.1;
        // The limits come a moment after the start: what counts is that they come.
        let shown =
            shell("for i in {1..200000}; do :; done; ulimit -f; ulimit -n; ulimit -t; ulimit -v", None, vec![]).await.1;
        assert_eq!(shown, "0\n64\n2\n524288\n", "{said}");
        let (ended, _) = shell("while :; do :; done", None, vec![]).await;
        assert!(!ended, "by its processor time");
    }

    #[tokio::test]
    async fn it_ends_when_it_is_dropped_and_the_others_stay_free() {
        let shell = Path::new("/bin/bash").canonicalize().unwrap();
        let words = ["-c", "while :; do read -t 1; done"].map(str::to_owned).to_vec();
        let child = confined(shell, words, None, vec![], LIMITS).await.unwrap();
        let id = child.id().unwrap();
        assert!(Path::new(&format!("/proc/{id}")).exists());
        drop(child);
        for _ in 0..100 {
            let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
        let mut own = tempfile::tempfile().unwrap();
        own.write_all(b"we write as before").unwrap();
        std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    }

    #[tokio::test]
    async fn other_programs_are_not_started() {
        let refused = sandboxed("bash", vec![], None, vec![], LIMITS).await;
        assert!(matches!(refused, Err(OutletError::UnknownProgram(_))));
    }
}
