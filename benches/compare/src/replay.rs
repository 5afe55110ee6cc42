//! Sends ready bodies in a closed loop and notes how long each took.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::http::Connection;
use crate::peer::Endpoint;
use crate::workload::Body;

/// Requests in flight.
pub(crate) const CONNECTIONS: usize = 4;
const HEADERS: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                       X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: thanoxide-compare\r\n";

/// Sends sweeps one after the other; the answers' times, in seconds. Any refusal is an error.
pub(crate) fn replay(target: &Endpoint, sweeps: &[Vec<Body>]) -> Result<Vec<f64>> {
    let connections: Result<Vec<_>> = (0..CONNECTIONS).map(|_| Connection::open(&target.address)).collect();
    let mut connections = connections?;
    let mut acks = Vec::with_capacity(sweeps.iter().map(Vec::len).sum());
    for bodies in sweeps {
        acks.extend(send_all(&mut connections, &target.path, bodies)?);
    }
    Ok(acks)
}

/// Sends one sweep. The next one waits until it is all there: samples of a series stay in order.
fn send_all(connections: &mut [Connection], path: &str, bodies: &[Body]) -> Result<Vec<f64>> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let next = &next;
        let senders =
            connections.iter_mut().map(|connection| scope.spawn(move || send(connection, path, bodies, next)));
        let senders: Vec<_> = senders.collect();
        let mut acks = Vec::with_capacity(bodies.len());
        for sender in senders {
            acks.extend(sender.join().map_err(|_| anyhow!("a sender panicked"))??);
        }
        Ok(acks)
    })
}

fn send(connection: &mut Connection, path: &str, bodies: &[Body], next: &AtomicUsize) -> Result<Vec<f64>> {
    let mut acks = Vec::new();
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let start = Instant::now();
        connection.post(path, HEADERS, body)?.success().context("a write was refused")?;
        acks.push(start.elapsed().as_secs_f64());
    }
    Ok(acks)
}
