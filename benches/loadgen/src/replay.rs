//! Sends ready bodies in a closed loop and notes how long each took.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::http::Connection;
use crate::workload::Body;

/// Requests in flight.
pub const CONNECTIONS: usize = 4;

/// Where requests of one sort go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`.
    pub address: String,
    /// The path, with its slash.
    pub path: String,
}

/// Sends sweeps one after the other; the answers' times, in seconds. Any refusal is an error.
pub fn replay(target: &Endpoint, headers: &str, sweeps: &[Vec<Body>]) -> Result<Vec<f64>> {
    let connections: Result<Vec<_>> = (0..CONNECTIONS).map(|_| Connection::open(&target.address)).collect();
    let mut connections = connections?;
    let mut acks = Vec::with_capacity(sweeps.iter().map(Vec::len).sum());
    for bodies in sweeps {
        acks.extend(send_all(&mut connections, &target.path, headers, bodies)?);
    }
    Ok(acks)
}

/// Sends one sweep. The next one waits until it is all there: samples of a series stay in order.
fn send_all(connections: &mut [Connection], path: &str, headers: &str, bodies: &[Body]) -> Result<Vec<f64>> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let next = &next;
        let senders =
            connections.iter_mut().map(|connection| scope.spawn(move || send(connection, path, headers, bodies, next)));
        let senders: Vec<_> = senders.collect();
        let mut acks = Vec::with_capacity(bodies.len());
        for sender in senders {
            acks.extend(sender.join().map_err(|_| anyhow!("a sender panicked"))??);
        }
        Ok(acks)
    })
}

fn send(
    connection: &mut Connection,
    path: &str,
    headers: &str,
    bodies: &[Body],
    next: &AtomicUsize,
) -> Result<Vec<f64>> {
    let mut acks = Vec::new();
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let start = Instant::now();
        connection.post(path, headers, body)?.success().context("a write was refused")?;
        acks.push(start.elapsed().as_secs_f64());
    }
    Ok(acks)
}
