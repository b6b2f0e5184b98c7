//! Shows glommio's lost wake-ups, and that the pulse makes up for them.
//!
//! The fault needs the pre-emption timer to fire between the executor's look at its rings and its first task.
//! With the 20 ms of [`super::executor`] that is too rare for a test, so here it is [`HAIR_TRIGGER`].
//!
//! Seen on two cores with Linux 6.18: without a pulse every run ended with all 32 connections waiting for ever.
//! Timers of the executor's own are not enough in principle, since the task that one wakes may be lost as any
//! other: with a single one about every third run ended so, with eight none did, but waits came to 0.4 s.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use glommio::{Latency, LocalExecutorBuilder, Placement, Shares};
use model::CoreId;

use super::{
    pulse,
    tasks::{self, ContextGuard, CoreContext},
};
use crate::{
    host,
    net::{Listener, Stream},
};

const CONNECTIONS: usize = 32;

/// A pre-emption timer so short that wake-ups are lost within moments.
const HAIR_TRIGGER: Duration = Duration::from_micros(50);

/// What the server works for each request.
const WORK: Duration = Duration::from_micros(20);

const DRIVEN_FOR: Duration = Duration::from_secs(3);

/// Far beyond what a busy machine delays a reply by, far below for ever.
const STALL: Duration = Duration::from_secs(5);

async fn echo(stream: Stream) {
    let (mut read, mut write) = stream.split();
    let mut buffer = [0; 256];
    while let Ok(count @ 1..) = read.read(&mut buffer).await {
        let received = Instant::now();
        while received.elapsed() < WORK {}
        if write.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Runs an echo server with a hair trigger for the fault, for as long as the clients need; sends its address.
fn serve(with_pulse: bool, ready: mpsc::Sender<SocketAddr>) {
    let cpu = host::allowed_cpus().first().copied();
    LocalExecutorBuilder::new(cpu.map_or(Placement::Unbound, Placement::Fixed))
        .preempt_timer(HAIR_TRIGGER)
        .spawn(move || async move {
            let background = glommio::executor().create_task_queue(
                Shares::Static(100),
                Latency::NotImportant,
                "background",
            );
            let _context = ContextGuard::enter(CoreContext { core: CoreId(0), background });
            let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            let _pulse = with_pulse.then(pulse::begin);
            tasks::spawn("accept", async move {
                while let Ok(stream) = listener.accept().await {
                    tasks::spawn("echo", echo(stream));
                }
            });
            // No other timer: it would do as a pulse for a moment.
            crate::sleep(DRIVEN_FOR + STALL).await;
        })
        .unwrap()
        .join()
        .unwrap();
}

/// One client: one request at a time, until `deadline`. The longest that it waited for a reply.
fn drive(address: SocketAddr, deadline: Instant) -> Duration {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(STALL)).unwrap();
    let mut longest = Duration::ZERO;
    let mut buffer = [7; 100];
    while Instant::now() < deadline {
        let sent = Instant::now();
        stream.write_all(&buffer).unwrap();
        if stream.read_exact(&mut buffer).is_err() {
            return STALL;
        }
        longest = longest.max(sent.elapsed());
    }
    longest
}

/// The longest that any of the clients waited; [`STALL`] if one got no reply.
fn longest_wait(with_pulse: bool) -> Duration {
    pulse::start_thread().unwrap();
    let (ready, address) = mpsc::channel();
    let server = thread::spawn(move || serve(with_pulse, ready));
    let address = address.recv().unwrap();
    let deadline = Instant::now() + DRIVEN_FOR;
    let clients: Vec<_> =
        (0..CONNECTIONS).map(|_| thread::spawn(move || drive(address, deadline))).collect();
    let longest =
        clients.into_iter().map(|client| client.join().unwrap()).max().unwrap_or_default();
    server.join().unwrap();
    longest
}

/// Given an executor that loses wake-ups, when 32 connections are driven, then none waits for ever.
#[test]
fn the_pulse_makes_up_for_lost_wake_ups() {
    let longest = longest_wait(true);
    println!("longest wait with the pulse: {longest:?}");
    assert!(longest < STALL, "a connection got no reply");
}

/// The same without a pulse: to be run by hand, to see that the fault is still there (5 s stand for ever).
#[test]
#[ignore = "shows a fault of glommio, which it would be no loss to miss"]
fn without_a_pulse_connections_stall() {
    let longest = longest_wait(false);
    println!("longest wait without a pulse: {longest:?}");
}
