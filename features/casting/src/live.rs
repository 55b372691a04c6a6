//! A conversion that is served while it is made. One program at most makes it, only as fast as the device fetches: what it has
//! made waits in its pipe. A device that opens the address again, as many do after a look at the beginning, gets the same
//! from the beginning; one that is gone for ten seconds has the program ended.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use accord_consent::outlet::Confined;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::convert::{Burn, pcm_words};
use crate::item::Item;
use crate::tool::{complaint, started};

/// How much of the beginning is kept for a device that opens it again.
const BEGINNING: usize = 4 << 20;
/// What is read and sent at once.
const PIECE: usize = 64 * 1024;
/// How long nobody may fetch it until its program is ended.
const GRACE: Duration = if cfg!(test) { Duration::from_millis(700) } else { Duration::from_secs(10) };
/// Programs are not started more often than that.
const BETWEEN: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(1) };
/// How long a program may take to end after its last word.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Something that is converted while it is served.
pub(crate) struct Live {
    item: Item,
    /// The words for the program when it begins so many seconds later than the whole does.
    words: Box<dyn Fn(f64) -> Vec<String> + Send + Sync>,
    burn: Option<Burn>,
    /// The program, in the hands of who serves what it makes.
    program: tokio::sync::Mutex<Option<Program>>,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    /// Whose turn it is; others are cancelled.
    now: CancellationToken,
    number: u64,
    last_start: Option<Instant>,
    over: bool,
}

struct Program {
    /// From which second of the whole on it makes it.
    from: f64,
    child: Confined,
    stdout: ChildStdout,
    complaint: JoinHandle<String>,
    /// All that it made, as long as that is little; else nothing.
    beginning: Vec<u8>,
    made: u64,
    /// It has made everything.
    done: bool,
}

/// The turn of one connection.
pub(crate) struct Turn {
    live: Arc<Live>,
    number: u64,
    /// Cancelled when another connection takes over.
    pub over: CancellationToken,
    /// From which second on it is wanted, and how many bytes of that were taken.
    from: f64,
    at: u64,
}

impl Live {
    pub(crate) fn new(
        item: Item,
        words: impl Fn(f64) -> Vec<String> + Send + Sync + 'static,
        burn: Option<Burn>,
    ) -> Arc<Self> {
        let words = Box::new(words);
        Arc::new(Self { item, words, burn, program: tokio::sync::Mutex::default(), turns: Mutex::default() })
    }

    /// A connection wants it from this second on: whoever was served until now is served no more.
    pub(crate) fn turn(self: &Arc<Self>, from: f64) -> Turn {
        let mut turns = self.turns();
        turns.now.cancel();
        turns.now = CancellationToken::new();
        turns.number += 1;
        if turns.over {
            turns.now.cancel();
        }
        Turn { live: self.clone(), number: turns.number, over: turns.now.clone(), from, at: 0 }
    }

    /// Nothing is made any more, now and later.
    pub(crate) fn end(self: &Arc<Self>) {
        let mut turns = self.turns();
        turns.over = true;
        turns.now.cancel();
        turns.number += 1;
        drop(turns);
        match self.program.try_lock() {
            Ok(mut program) => *program = None,
            // Whoever has it drops it in its turn's last moment.
            Err(_) => self.let_go_after(Duration::from_millis(200)),
        }
    }

    /// The process that makes it now.
    #[cfg(test)]
    pub(crate) async fn process(&self) -> Option<u32> {
        self.program.lock().await.as_ref().and_then(|program| program.child.id())
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the program then, unless somebody took it up by that time.
    fn let_go_after(self: &Arc<Self>, grace: Duration) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (live, number) = (self.clone(), self.turns().number);
        runtime.spawn(async move {
            tokio::time::sleep(grace).await;
            if live.turns().number == number {
                *live.program.lock().await = None;
            }
        });
    }

    fn more(&self) -> Vec<PathBuf> {
        match &self.burn {
            Some(Burn::Text(file)) => vec![file.path().to_owned()],
            _ => Vec::new(),
        }
    }

    async fn start(&self, later: f64) -> Result<Program, String> {
        let wait = {
            let mut turns = self.turns();
            let now = Instant::now();
            let from = turns.last_start.map_or(now, |last| now.max(last + BETWEEN));
            turns.last_start = Some(from);
            from
        };
        tokio::time::sleep_until(wait).await;
        Program::start(&self.item, later, (self.words)(later), self.more()).await
    }
}

impl Program {
    async fn start(item: &Item, from: f64, words: Vec<String>, more: Vec<PathBuf>) -> Result<Self, String> {
        let mut child = started(item, words, more).await?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let stdout = stdout.ok_or("ffmpeg was started without a pipe")?;
        let complaint = tokio::spawn(complaint(stderr));
        Ok(Self { from, child, stdout, complaint, beginning: Vec::new(), made: 0, done: false })
    }

    /// The next of what it makes; nothing at the end.
    async fn next(&mut self, piece: &mut [u8]) -> Result<usize, String> {
        let read = self.stdout.read(piece).await.map_err(|error| error.to_string())?;
        if read > 0 {
            self.made += read as u64;
            return Ok(read);
        }
        self.done = true;
        let ended = tokio::time::timeout(ENDS_WITHIN, self.child.wait()).await;
        if ended.is_ok_and(|status| status.is_ok_and(|status| status.success())) {
            return Ok(0);
        }
        let said = tokio::time::timeout(ENDS_WITHIN, &mut self.complaint).await;
        let said = said.ok().and_then(Result::ok).unwrap_or_default();
        Err(format!("the conversion failed: {said}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.complaint.abort();
    }
}

impl Turn {
    /// The next piece for this connection; nothing at the end.
    ///
    /// # Errors
    /// In words: the file was changed, ffmpeg failed.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>, String> {
        let mut program = self.live.program.lock().await;
        let fits = |program: &Program| program.from == self.from && program.made <= program.beginning.len() as u64;
        if self.at == 0 && program.as_ref().is_some_and(|program| !fits(program)) {
            // Its beginning is gone, or it is another.
            *program = None;
        }
        let program = match &mut *program {
            Some(program) => program,
            None if self.at > 0 => return Err("its program was ended".to_owned()),
            none => none.insert(self.live.start(self.from).await?),
        };
        self.live.item.check().map_err(|error| error.to_string())?;
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        if let Some(kept) = program.beginning.get(at..).filter(|kept| !kept.is_empty()) {
            let piece = kept[..kept.len().min(PIECE)].to_vec();
            self.at += piece.len() as u64;
            return Ok(piece);
        }
        if program.done {
            return Ok(Vec::new());
        }
        let mut piece = vec![0; PIECE];
        let read = program.next(&mut piece).await?;
        piece.truncate(read);
        self.at += read as u64;
        if program.made > BEGINNING as u64 {
            program.beginning = Vec::new();
        } else {
            program.beginning.extend_from_slice(&piece);
        }
        Ok(piece)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.live.turns().number == self.number {
            self.live.let_go_after(GRACE);
        }
    }
}

/// Raw sound of a thing, for loudspeakers that take a stream: 16 bits with the little end first, 44100 Hz, two channels. Made
/// only as fast as it is read; ended when it is dropped.
pub(crate) struct Pcm(Program);

impl Pcm {
    /// From a second on, of the so-many-th sound.
    ///
    /// # Errors
    /// In words, with what to install.
    pub(crate) async fn start(item: &Item, start: f64, sound: usize) -> Result<Self, String> {
        Program::start(item, 0.0, pcm_words(item.container(), start, sound), Vec::new()).await.map(Self)
    }

    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>, String> {
        let mut piece = vec![0; PIECE];
        let read = self.0.next(&mut piece).await?;
        piece.truncate(read);
        Ok(piece)
    }
}
