//! A core's own io_uring for files.
//!
//! Each operation is submitted by the core's thread, hard-linked to a one-byte SEND into a socket pair. glommio
//! cannot wait for a second ring, but it can wait for a socket: when the byte arrives, a task of the core (the
//! reaper) takes the completions and wakes the waiting futures. A lost byte costs a beat of the
//! core's pulse, not a hang: it reaps too.
//!
//! A core that has nothing better to do waits for a journal write where it submits it ([`staying`](super::staying)).
//!
//! Ownership is the whole of its safety: what the kernel reads or writes for an operation belongs to the
//! operation, not to the future that waits for it, from submission until its completion has been taken.
#![expect(unsafe_code, reason = "submissions hand memory to the kernel by address")]

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
        unix::net::UnixStream as SocketPair,
    },
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_lite::AsyncReadExt;
use glommio::net::UnixStream;
use io_uring::{IoUring, opcode, squeue, types};

use super::{
    staying::{STAY_MAX, Staying},
    tasks,
};
use crate::host;

/// Submissions that fit before they must be handed over; each operation is two. Only a burst within one
/// system call needs them: they are handed over at once.
const SUBMISSIONS: u32 = 256;

/// Completions that fit before the kernel keeps them in a list of its own (it loses none).
const COMPLETIONS: u32 = 2048;

/// How often an operation that took longer than the core stayed is looked for.
const LATE_LOOK: Duration = Duration::from_micros(100);

/// Names the linked SENDs, whose completions nobody needs.
const WAKE_UP: u64 = u64::MAX;

/// What the linked SEND sends.
static WAKE_UP_BYTE: u8 = 1;

thread_local! {
    static CURRENT: RefCell<Option<Rc<DiskRing>>> = const { RefCell::new(None) };
}

/// The ring of one core.
pub(super) struct DiskRing {
    ring: RefCell<IoUring>,
    in_flight: RefCell<InFlight>,
    wake_up: OwnedFd,
    /// The kernel was out of resources when something was handed over: to be tried again.
    backlog: Cell<bool>,
    staying: RefCell<Staying>,
    /// Whether the kernel can wait for a completion and for a time (5.11).
    waits_for_a_time: bool,
}

/// Operations that the kernel works on, by the number that names them to it.
#[derive(Default)]
struct InFlight {
    operations: Vec<Option<Rc<dyn Complete>>>,
    free: Vec<usize>,
}

trait Complete {
    fn complete(&self, result: i32);
}

/// Makes this core's ring; it lasts until the guard is dropped.
pub(super) fn open() -> io::Result<RingGuard> {
    let ring = IoUring::builder().dontfork().setup_cqsize(COMPLETIONS).build(SUBMISSIONS)?;
    let (wake_up, woken) = SocketPair::pair()?;
    let disk = Rc::new(DiskRing {
        staying: RefCell::new(Staying::new(crate::now())),
        waits_for_a_time: ring.params().is_feature_ext_arg(),
        ring: RefCell::new(ring),
        in_flight: RefCell::default(),
        wake_up: wake_up.into(),
        backlog: Cell::new(false),
    });
    disk.unpin_workers();
    // SAFETY: the descriptor is a connected socket, and given up by `into_raw_fd`.
    let woken = unsafe { UnixStream::from_raw_fd(woken.into_raw_fd()) };
    tasks::spawn("file reaper", reap_when_woken(Rc::clone(&disk), woken));
    CURRENT.set(Some(disk));
    Ok(RingGuard)
}

/// Closes the core's ring when dropped, after waiting for what is in flight.
pub(super) struct RingGuard;

impl Drop for RingGuard {
    fn drop(&mut self) {
        if let Some(disk) = CURRENT.take() {
            disk.wait_for_all();
        }
    }
}

/// This thread's ring. An error off the cores.
pub(super) fn current() -> io::Result<Rc<DiskRing>> {
    CURRENT
        .with_borrow(Clone::clone)
        .ok_or_else(|| io::Error::other("files can be read and written only on a core"))
}

/// Takes what has completed, and hands over what could not be handed over before. For the core's pulse.
pub(super) fn tick() {
    if let Ok(disk) = current() {
        if disk.backlog.get() {
            disk.hand_over();
        }
        disk.reap();
    }
}

async fn reap_when_woken(disk: Rc<DiskRing>, mut woken: UnixStream) {
    let mut bytes = [0; 256];
    loop {
        match woken.read(&mut bytes).await {
            Ok(0) => tasks::abort("the wake-up socket of the file ring was closed"),
            Ok(_) => disk.reap(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => tasks::abort(&format!("the wake-up socket of the file ring: {error}")),
        }
    }
}

impl DiskRing {
    /// Lets the kernel's worker threads of this ring run on any CPU: made by a pinned thread, they would
    /// fight with it for its own.
    fn unpin_workers(&self) {
        let Some(cpus) = host::cpus_of_process() else {
            return;
        };
        if let Err(error) = self.ring.borrow().submitter().register_iowq_aff(&cpus) {
            tracing::debug!(%error, "the workers of io_uring stay pinned (a kernel before 5.14)");
        }
    }

    /// Submits `entry`. The future gives the result of the operation and `held` back; dropped before, it
    /// leaves the operation to run to its end, and `held` is dropped then.
    ///
    /// # Safety
    /// Every address and descriptor in `entry` must belong to `held`, stay valid when `held` is moved, and be
    /// used by nobody else (memory that the kernel only reads may be read) as long as `held` lives untouched.
    pub(super) unsafe fn submit<H: 'static>(
        self: &Rc<Self>,
        entry: squeue::Entry,
        held: H,
    ) -> Operation<H> {
        let (name, operation) = self.begin(held);
        let entries = [
            entry.flags(squeue::Flags::IO_HARDLINK).user_data(name),
            opcode::Send::new(types::Fd(self.wake_up.as_raw_fd()), &raw const WAKE_UP_BYTE, 1)
                // A full socket has bytes enough to wake the reaper.
                .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                .build()
                .user_data(WAKE_UP),
        ];
        self.push(&entries);
        self.hand_over();
        operation
    }

    /// Submits `entry`, and stays with it if the core has the time (see [`staying`]): the future is then often
    /// done by the time it is polled.
    ///
    /// # Safety
    /// As [`DiskRing::submit`].
    pub(super) unsafe fn submit_and_stay<H: 'static>(
        self: &Rc<Self>,
        entry: squeue::Entry,
        held: H,
    ) -> Operation<H> {
        let began = crate::now();
        let is_worth_it = || self.staying.borrow_mut().is_worth_it(began, crate::core_cpu_time);
        if !self.waits_for_a_time || !is_worth_it() {
            // SAFETY: the caller's promise.
            return unsafe { self.submit(entry, held) };
        }
        let (name, operation) = self.begin(held);
        // Without the linked SEND: nobody sleeps who would have to be woken.
        self.push(&[entry.user_data(name)]);
        let deadline = began + STAY_MAX;
        let is_done = loop {
            let left = deadline - crate::now();
            self.wait_for_one(left);
            self.reap();
            let is_done = operation.shared.result.get().is_some();
            if is_done || crate::now() >= deadline {
                break is_done;
            }
        };
        self.staying.borrow_mut().note(crate::now() - began, is_done);
        if !is_done {
            let (disk, shared) = (Rc::clone(self), Rc::clone(&operation.shared));
            tasks::spawn("late file operation", async move {
                while shared.result.get().is_none() {
                    crate::sleep(LATE_LOOK).await;
                    disk.reap();
                }
            });
        }
        operation
    }

    /// Hands the submission queue to the kernel, and sleeps until something has completed.
    fn wait_for_one(&self, at_most: Duration) {
        let time = types::Timespec::from(at_most);
        let arguments = types::SubmitArgs::new().timespec(&time);
        let result = self.ring.borrow().submitter().submit_with_args(1, &arguments);
        let rest = !self.ring.borrow_mut().submission().is_empty();
        self.backlog.set(rest);
        match result {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ETIME) || is_passing(&error) => {}
            Err(error) => tasks::abort(&format!("io_uring takes no file operations: {error}")),
        }
    }

    fn begin<H: 'static>(self: &Rc<Self>, held: H) -> (u64, Operation<H>) {
        let shared = Rc::new(Shared {
            held: RefCell::new(Some(held)),
            result: Cell::new(None),
            waker: RefCell::new(None),
        });
        let complete: Rc<dyn Complete> = Rc::clone(&shared) as Rc<dyn Complete>;
        let name = self.in_flight.borrow_mut().add(complete);
        (name, Operation { disk: Rc::clone(self), shared })
    }

    /// Puts `entries` into the submission queue, together or not at all.
    fn push(&self, entries: &[squeue::Entry]) {
        loop {
            // SAFETY: the operation's memory belongs to `held`, which `in_flight` keeps until its completion
            // has been taken (the promise of `submit`); the byte of the SEND is static, its socket is ours.
            let pushed = unsafe { self.ring.borrow_mut().submission().push_multiple(entries) };
            if pushed.is_ok() {
                return;
            }
            // Full: only when the kernel refused to take what is in it.
            self.hand_over();
            self.reap();
            std::thread::yield_now();
        }
    }

    /// Hands the submission queue to the kernel. If that is out of resources just now, the core's pulse tries again.
    fn hand_over(&self) {
        let handed_over = self.ring.borrow().submit();
        match handed_over {
            // The kernel stops at an entry that it cannot even begin, and takes the rest the next time.
            Ok(_) => {
                let rest = !self.ring.borrow_mut().submission().is_empty();
                self.backlog.set(rest);
            }
            Err(error) if is_passing(&error) => self.backlog.set(true),
            Err(error) => tasks::abort(&format!("io_uring takes no file operations: {error}")),
        }
    }

    /// Takes what has completed, and wakes those who wait for it.
    fn reap(&self) {
        loop {
            let completion = self
                .ring
                .borrow_mut()
                .completion()
                .next()
                .map(|entry| (entry.user_data(), entry.result()));
            match completion {
                None => break,
                Some((WAKE_UP, _)) => {}
                Some((name, result)) => {
                    let operation = self.in_flight.borrow_mut().remove(name);
                    if let Some(operation) = operation {
                        operation.complete(result);
                    }
                }
            }
        }
        if self.ring.borrow_mut().submission().cq_overflow() {
            // The kernel moves its own list into the queue when entered.
            self.hand_over();
            self.backlog.set(true);
        }
    }

    /// Blocks until nothing is in flight: the core is stopping, and the kernel must be done with its memory.
    fn wait_for_all(&self) {
        self.reap();
        while !self.in_flight.borrow().is_empty() {
            let waited = self.ring.borrow().submit_and_wait(1);
            match waited {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(error) => tasks::abort(&format!("io_uring does not end: {error}")),
            }
            self.reap();
        }
    }
}

impl Drop for DiskRing {
    fn drop(&mut self) {
        // Only after `wait_for_all`, or when the thread ends without it: then the kernel may still use what
        // the operations hold, so that is never freed.
        std::mem::forget(std::mem::take(&mut *self.in_flight.borrow_mut()));
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::EINTR | libc::ENOMEM))
}

impl InFlight {
    fn add(&mut self, operation: Rc<dyn Complete>) -> u64 {
        let index = self.free.pop().unwrap_or(self.operations.len());
        match self.operations.get_mut(index) {
            Some(slot) => *slot = Some(operation),
            None => self.operations.push(Some(operation)),
        }
        index as u64
    }

    fn remove(&mut self, name: u64) -> Option<Rc<dyn Complete>> {
        let index = usize::try_from(name).ok()?;
        let operation = self.operations.get_mut(index)?.take()?;
        self.free.push(index);
        Some(operation)
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.operations.len()
    }
}

/// What an operation and the future that waits for it share. `held` is touched only once `result` is there.
struct Shared<H> {
    held: RefCell<Option<H>>,
    result: Cell<Option<i32>>,
    waker: RefCell<Option<Waker>>,
}

impl<H> Complete for Shared<H> {
    fn complete(&self, result: i32) {
        self.result.set(Some(result));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Waits for a submitted operation: its result (bytes, or an error) and what it held.
#[must_use = "the operation runs anyway, but its result is lost"]
pub(super) struct Operation<H> {
    disk: Rc<DiskRing>,
    shared: Rc<Shared<H>>,
}

impl<H> Future for Operation<H> {
    type Output = (io::Result<usize>, H);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.shared.result.get().is_none() {
            // Reads from the page cache are often done by the time they have been submitted.
            self.disk.reap();
        }
        let Some(result) = self.shared.result.get() else {
            self.shared.waker.replace(Some(context.waker().clone()));
            return Poll::Pending;
        };
        let result = usize::try_from(result)
            .map_err(|_| io::Error::from_raw_os_error(result.saturating_neg()));
        match self.shared.held.take() {
            Some(held) => Poll::Ready((result, held)),
            None => tasks::abort("a file operation was polled after it had ended"),
        }
    }
}
