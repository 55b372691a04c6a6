//! The writer thread: takes queued work, runs it in one transaction, commits, then answers everyone.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Options, StoreError, wal};

/// Tells the caller what became of its work, once the commit is known.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

trait Work: Send {
    /// Does the work; says whether it succeeded, and who waits for the commit.
    fn run(self: Box<Self>, connection: &Connection) -> (bool, Answer);
    /// Answers without having run.
    fn refuse(self: Box<Self>) -> Answer;
}

struct Job {
    work: Box<dyn Work>,
    place: Option<OwnedSemaphorePermit>,
}

struct Typed<W, A> {
    path: PathBuf,
    work: W,
    tell: A,
}

impl<T, W, A> Work for Typed<W, A>
where
    T: Send + 'static,
    W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    A: FnOnce(Result<T, StoreError>) + Send + 'static,
{
    fn run(self: Box<Self>, connection: &Connection) -> (bool, Answer) {
        let Self { path, work, tell } = *self;
        match work(connection) {
            Ok(value) => (true, Box::new(move |committed| tell(committed.map(|()| value)))),
            Err(error) => (false, Box::new(move |_| tell(Err(StoreError::from_sql(&path, error))))),
        }
    }
    fn refuse(self: Box<Self>) -> Answer {
        let Self { path, tell, .. } = *self;
        Box::new(move |outcome| tell(Err(outcome.err().unwrap_or(StoreError::Closed { path }))))
    }
}

const MOST_PER_COMMIT: usize = 512;

pub(crate) struct Writer {
    path: PathBuf,
    jobs: Option<mpsc::Sender<Job>>,
    places: Arc<Semaphore>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub fn start(
        path: &Path,
        connection: Connection,
        options: Options,
        rollbacks: Arc<AtomicU64>,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("accord-store".into())
            .spawn({
                let path = path.to_owned();
                move || Loop { path, connection, queue, gather: options.gather, rollbacks }.run()
            })
            .map_err(|cause| StoreError::File { path: path.to_owned(), cause: Arc::new(cause) })?;
        Ok(Self {
            path: path.to_owned(),
            jobs: Some(jobs),
            places: Arc::new(Semaphore::new(options.queue)),
            thread: Some(thread),
        })
    }

    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| self.closed())?;
        let (tell, told) = oneshot::channel();
        self.queue(work, Some(place), move |outcome| drop(tell.send(outcome)))?;
        told.await.unwrap_or_else(|_| Err(self.closed()))
    }

    pub fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = mpsc::sync_channel(1);
        let place = if self.is_here() { None } else { block_on(self.places.clone().acquire_owned()).ok() };
        self.queue(work, place, move |outcome| drop(tell.send(outcome)))?;
        told.recv().unwrap_or_else(|_| Err(self.closed()))
    }

    pub async fn run_then<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let place = self.places.clone().acquire_owned().await.ok();
        self.queue_or_log(work, place, then);
    }

    /// Never waits: the callers are destructors, on threads that have other things to do. What they write ends what
    /// took a place when it began, so there is never more of it than of that.
    pub fn run_later<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let place = self.places.clone().try_acquire_owned().ok();
        self.queue_or_log(work, place, then);
    }

    fn queue_or_log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        place: Option<OwnedSemaphorePermit>,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let path = self.path.clone();
        let queued = self.queue(work, place, move |outcome| {
            if let Err(error) = &outcome {
                tracing::error!(path = %path.display(), %error, "a queued write failed");
            }
            then(outcome);
        });
        if let Err(error) = queued {
            tracing::error!(%error, "a write came after the database was closed");
        }
    }

    /// The writer itself must not wait for the writer.
    fn is_here(&self) -> bool {
        self.thread.as_ref().is_some_and(|writer| writer.thread().id() == thread::current().id())
    }

    fn queue<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        place: Option<OwnedSemaphorePermit>,
        tell: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let work = Box::new(Typed { path: self.path.clone(), work, tell });
        let jobs = self.jobs.as_ref().ok_or_else(|| self.closed())?;
        jobs.send(Job { work, place }).map_err(|_| self.closed())
    }

    fn closed(&self) -> StoreError {
        StoreError::Closed { path: self.path.clone() }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The last clone may be dropped by the writer thread itself, inside a job's closure.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

/// Waits on this thread, woken and not polled.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Loop {
    path: PathBuf,
    connection: Connection,
    queue: mpsc::Receiver<Job>,
    gather: Duration,
    rollbacks: Arc<AtomicU64>,
}

impl Loop {
    fn run(self) {
        let mut commits = 0_u32;
        while let Ok(first) = self.queue.recv() {
            self.commit_together(first);
            commits = commits.wrapping_add(1);
            // Now that everyone has been answered. It waits for no reader: then the next one moves the more.
            if commits.is_multiple_of(wal::COMMITS) {
                let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
            }
        }
        let _ = self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Nobody waits for company that has not come: only work that is already queued joins.
    fn commit_together(&self, first: Job) {
        let until = Instant::now() + self.gather;
        let begun = self.say("BEGIN IMMEDIATE");
        let mut answers: Vec<(Answer, Option<OwnedSemaphorePermit>)> = Vec::new();
        let mut next = Some(first);
        while let Some(Job { work, place }) = next.take() {
            let answer = if begun.is_ok() { self.in_savepoint(work) } else { work.refuse() };
            answers.push((answer, place));
            if answers.len() < MOST_PER_COMMIT && Instant::now() < until {
                next = self.queue.try_recv().ok();
            }
        }
        let outcome = begun.and_then(|()| self.say("COMMIT"));
        let outcome = outcome.map_err(|error| {
            self.rollbacks.fetch_add(1, Ordering::AcqRel);
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            StoreError::from_sql(&self.path, error)
        });
        for (answer, place) in answers {
            answer(outcome.clone());
            drop(place);
        }
    }

    /// A statement that each commit needs: read once by SQLite, and not each time.
    fn say(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    fn in_savepoint(&self, work: Box<dyn Work>) -> Answer {
        if let Err(error) = self.say("SAVEPOINT job") {
            return self.fail(work.refuse(), error);
        }
        let (worked, answer) = work.run(&self.connection);
        if !worked {
            self.rollbacks.fetch_add(1, Ordering::AcqRel);
            let _ = self.connection.execute_batch("ROLLBACK TO job; RELEASE job");
            return answer;
        }
        match self.say("RELEASE job") {
            Ok(()) => answer,
            Err(error) => {
                self.rollbacks.fetch_add(1, Ordering::AcqRel);
                self.fail(answer, error)
            }
        }
    }

    fn fail(&self, answer: Answer, error: rusqlite::Error) -> Answer {
        let error = StoreError::from_sql(&self.path, error);
        Box::new(move |_| answer(Err(error)))
    }
}
