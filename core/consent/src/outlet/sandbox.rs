//! Child processes that look into files from elsewhere, and so may turn against us: they see one file, the libraries that they
//! are made of and nothing else, write nowhere but into the pipe that we read, have no sockets, and end when we drop them.
//!
//! A thread of its own locks itself up and then starts the child, which inherits that: [Landlock] for files, a [seccomp]
//! filter for calls to the system. Neither needs a right, a namespace or another program, so that it holds where user
//! namespaces are refused. Where the system has no Landlock (Linux before 5.13, or switched off), nothing is started.
//!
//! All that one of them starts stays in one group of processes and is ended with it; it cannot leave that group. What remains:
//! - Starting it takes two calls that it inherits: `clone` in the one way in which programs are started, and `execve`. So it can
//!   start copies of itself and of what lies among the libraries, locked up as it is. The limits are those of each process, so
//!   that all together may use more memory than one may.
//! - The limits come a moment after the start.
//! - When Accord is ended without a chance to clean up (SIGKILL, no memory), they run on until they write into the pipe that
//!   nobody reads, or have used up their time.
//! - That a file is there, its size and its times can be seen (`stat`): Landlock does not look at that. What it holds cannot.
//!
//! [Landlock]: https://docs.kernel.org/userspace-api/landlock.html
//! [seccomp]: https://docs.kernel.org/userspace-api/seccomp_filter.html
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where processes are started")]

mod calls;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
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

/// A program that runs locked up. When this is dropped, it is ended, with all that it started.
#[derive(Debug)]
pub struct Confined {
    /// What it makes.
    pub stdout: Option<ChildStdout>,
    /// What it complains of.
    pub stderr: Option<ChildStderr>,
    child: Child,
    // Dropped after the child.
    group: Group,
}

impl Confined {
    /// Its number, until it has been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Until it ended; then what it started is ended too.
    ///
    /// # Errors
    /// When the system does not say.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.group.end();
        Ok(status)
    }
}

/// The group of processes that a locked-up program is in. Its first member is ended before it did anything, and is not waited
/// for as long as the group may be of use: so its number is nobody else's, and there is a group that the program can be put
/// into and be kept in.
#[derive(Debug)]
struct Group {
    number: Pid,
    _first: Child,
}

impl Group {
    fn new(program: &Path) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command.env_clear().arg("-version").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut first = command.spawn()?;
        let number = first.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        first.start_kill()?;
        Ok(Self { number: number.ok_or(Errno::SRCH)?, _first: first })
    }

    fn end(&self) {
        let _ = rustix::process::kill_process_group(self.number, Signal::KILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
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
) -> Result<Confined, OutletError> {
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
) -> Result<Confined, OutletError> {
    let (tell, told) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let name = program.display().to_string();
    let thread = std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
        let _runtime = runtime.enter();
        let _ = tell.send(grouped(&program, &words, input, &more, limits));
    });
    thread.map_err(failed(format!("a thread for {name}")))?;
    told.await.map_err(|_| OutletError::NoSandbox("its thread ended".to_owned()))?
}

fn grouped(
    program: &Path,
    words: &[String],
    input: Option<File>,
    more: &[PathBuf],
    limits: Limits,
) -> Result<Confined, OutletError> {
    let group = Group::new(program).map_err(failed(format!("starting {}", program.display())))?;
    let runtime = tokio::runtime::Handle::current();
    let number = group.number;
    // What is locked up stays so: a thread is used for this alone, and what limits the child is another one.
    let started = std::thread::scope(|scope| {
        let locked_up = move || {
            let _runtime = runtime.enter();
            start(program, words, input, more, number)
        };
        let thread = std::thread::Builder::new().name("sandboxed".to_owned()).spawn_scoped(scope, locked_up);
        thread
            .map(|thread| thread.join().unwrap_or_else(|_| Err(OutletError::NoSandbox("its thread ended".to_owned()))))
    });
    let mut child = started.map_err(failed(format!("a thread for {}", program.display())))??;
    // gate-check: sandbox-limits
    if let Err(error) = limited(&child, limits) {
        return Err(OutletError::NoSandbox(error.to_string()));
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    Ok(Confined { stdout, stderr, child, group })
}

fn start(
    program: &Path,
    words: &[String],
    input: Option<File>,
    more: &[PathBuf],
    group: Pid,
) -> Result<Child, OutletError> {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").args(words).kill_on_drop(true).process_group(group.as_raw_pid());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let filter = calls::filter(group)?;
    // gate-check: sandbox-files
    if let Err(error) = only_these_files(program, input.as_ref(), more) {
        return Err(OutletError::NoSandbox(error));
    }
    command.stdin(input.map_or_else(Stdio::null, Stdio::from));
    // gate-check: sandbox-calls
    if let Err(error) = seccompiler::apply_filter(&filter) {
        return Err(OutletError::NoSandbox(error.to_string()));
    }
    command.spawn().map_err(failed(format!("starting {}", program.display())))
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

/// The child runs already, but for a moment.
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
    use super::calls::{STARTS, X32};
    use super::*;
    use linux_raw_sys::general as call;
    use std::io::Write;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt};

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

    /// What perl can call by number; it needs none of its modules for this.
    const CALLS: &str = r#"
        sub try { my $name = shift; $! = 0; my $got = syscall($_[0], @_[1..$#_]); print "$name ", ($got >= 0 ? "done" : 0 + $!), "\n"; $got }
        $| = 1; my $zero = pack("q2", 0, 0); my $mask = pack("Q16", ~0); my $out = "\0" x 64; my $open = pack("q2", 60, 60);
    "#;

    fn perl() -> Option<PathBuf> {
        Path::new("/usr/bin/perl").canonicalize().ok()
    }

    #[tokio::test]
    async fn it_changes_nothing_of_others_and_no_limit_of_its_own() {
        let Some(perl) = perl() else { return };
        let others = format!(
            "{CALLS} my $other = 0 + shift;
            try('look', {limit}, $other, 7, 0, $out);
            try('limit', {limit}, $other, 4, $open, 0);
            try('affinity', {affinity}, $other, 128, $mask);
            try('scheduler', {scheduler}, $other, 0, $zero);
            try('parameter', {parameter}, $other, $zero);",
            limit = call::__NR_prlimit64,
            affinity = call::__NR_sched_setaffinity,
            scheduler = call::__NR_sched_setscheduler,
            parameter = call::__NR_sched_setparam,
        );
        let names = ["look", "limit", "affinity", "scheduler", "parameter"];
        let all = |how: &str| names.map(|name| format!("{name} {how}\n")).concat();
        // A victim of its own, so that it is seen that the attack works.
        let mut victim = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let number = victim.id().to_string();
        let free = std::process::Command::new(&perl).args(["-e", &others, &number]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&free.stdout), all("done"), "the attack works");
        let said = script(&perl, &[&others, &number]).await;
        assert_eq!(said, all("1"), "another one");
        let parent = std::process::id().to_string();
        assert_eq!(script(&perl, &[&others, &parent]).await, all("1"), "we");
        victim.kill().unwrap();
        victim.wait().unwrap();

        let own = format!(
            "{CALLS} try('look', {limit}, 0, 7, 0, $out); try('limit', {limit}, 0, 7, $open, 0); try('set', {set}, 7, $open);
            try('affinity', {affinity}, 0, 128, $mask); try('owner', {fcntl}, 1, {owner}, {parent});
            try('attribute', {attribute}, 3, $zero, 0, $zero, $zero, 16);",
            limit = call::__NR_prlimit64,
            set = call::__NR_setrlimit,
            affinity = call::__NR_sched_setaffinity,
            fcntl = call::__NR_fcntl,
            owner = call::F_SETOWN,
            attribute = call::__NR_setxattrat,
        );
        let said = script(&perl, &[&own]).await;
        assert_eq!(said, "look done\nlimit 1\nset 1\naffinity done\nowner 1\nattribute 1\n");
    }

    #[cfg(target_arch = "x86_64")]
    #[tokio::test]
    async fn no_call_has_a_second_number() {
        let Some(perl) = perl() else { return };
        let calls = format!("{CALLS} try('getpid', {X32} | {}); try('any', {X32} | 600);", call::__NR_getpid);
        assert_eq!(script(&perl, &[&calls]).await, "getpid 1\nany 1\n");
    }

    #[tokio::test]
    async fn what_it_starts_ends_with_it() {
        let Some(perl) = perl() else { return };
        // As programs are started, which cannot be refused: the copy says who it is, and its parent ends.
        let copy = format!(
            "{CALLS} try('session', {session}); try('group', {group}, 0, 0); print 'fork ', defined(fork) ? 'done' : 0 + $!, qq(\\n);
            try('clone3', {clone3}, $out, 64); print qq($$\\n); sleep 60;",
            session = call::__NR_setsid,
            group = call::__NR_setpgid,
            clone3 = call::__NR_clone3,
        );
        let start = format!(
            "if (syscall({}, {STARTS}, 0, 0, 0, 0) == 0) {{ exec {{ $ARGV[0] }} 'perl', '-e', $ARGV[1] }} exit 0",
            call::__NR_clone
        );
        for waits in [false, true] {
            let words = ["-e", &start, &perl.display().to_string(), &copy].map(str::to_owned).to_vec();
            let mut child = confined(perl.clone(), words, None, vec![], LIMITS).await.unwrap();
            let mut stdout = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
            let mut said = Vec::new();
            while said.len() < 5 {
                let line = tokio::time::timeout(Duration::from_secs(20), stdout.next_line()).await.unwrap().unwrap();
                said.push(line.expect("the copy says more"));
            }
            assert_eq!(said[..4], ["session 1", "group 1", "fork 1", "clone3 38"]);
            let copy: u32 = said[4].parse().unwrap();
            let (number, first) = (child.group.number, child.id().unwrap());
            assert_ne!(copy, first);
            assert!(runs(copy), "it goes on without its parent");
            if waits {
                child.wait().await.unwrap();
            } else {
                drop(child);
            }
            for _ in 0..100 {
                if !runs(copy) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(!runs(copy), "{copy} of {number:?}");
        }
    }

    fn runs(id: u32) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    /// What a script says when it is locked up.
    async fn script(program: &Path, words: &[&str]) -> String {
        let words = std::iter::once("-e").chain(words.iter().copied()).map(str::to_owned).collect();
        let mut child = confined(program.to_owned(), words, None, vec![], LIMITS).await.unwrap();
        let mut said = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let read = stdout.read_to_string(&mut said);
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
        child.wait().await.unwrap();
        said
    }

    #[tokio::test]
    async fn other_programs_are_not_started() {
        let refused = sandboxed("bash", vec![], None, vec![], LIMITS).await;
        assert!(matches!(refused, Err(OutletError::UnknownProgram(_))));
    }
}
