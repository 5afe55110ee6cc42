//! Thanos's Cap'n Proto replication: writes to a peer over one TCP connection, packed, in plain text.
//!
//! The interface `Writer` has one method: `write @0 (wr :WriteRequest) -> (error :WriteError, extraErrorContext :Text)`. The
//! RPC library is not made for threads, so that [`server`] and each [`client`] run on a thread of their own; storage is
//! called on the runtime that started them.

pub mod client;
pub mod server;

use capnp::message::ReaderOptions;
use capnp_futures::serialize_packed::{PackedRead, PackedWrite};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
pub use client::CapnprotoWriter;
use futures::io::{BufReader, BufWriter};
pub use server::serve_capnproto;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

const INTERFACE: u64 = 0xcc20_b9c3_32c8_3b91;
const WRITE: u16 = 0;

/// `WriteError`.
const NONE: u16 = 0;
const UNAVAILABLE: u16 = 1;
const ALREADY_EXISTS: u16 = 2;
const INVALID_ARGUMENT: u16 = 3;
const INTERNAL: u16 = 4;

/// Words that a message may have; as much as stock takes.
const MAX_MESSAGE_WORDS: usize = 8 << 20;

const BUFFER_BYTES: usize = 64 << 10;

/// One side of a connection.
fn network(stream: TcpStream, side: Side) -> Box<dyn capnp_rpc::VatNetwork<Side>> {
    let (read, write) = stream.into_split();
    let read = PackedRead::new(BufReader::with_capacity(BUFFER_BYTES, read.compat()));
    let write = PackedWrite::new(BufWriter::with_capacity(BUFFER_BYTES, write.compat_write()));
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(MAX_MESSAGE_WORDS));
    Box::new(VatNetwork::new(read, write, side, options))
}

/// Runs on a thread of its own, where tasks need not change threads.
fn on_own_thread<F: Future<Output = ()>>(
    name: &str,
    run: impl FnOnce() -> F + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.to_string()).spawn(move || {
        LocalSet::new().block_on(&runtime, async { run().await });
    })
}
