//! Sends writes to a peer.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use capnp::capability::Client;
use capnp::{ErrorKind, any_pointer};
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_proto::capnproto::layout::{Fields, NewFields};
use thanoxide_proto::capnproto::write_write_request;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::{ALREADY_EXISTS, INTERFACE, INTERNAL, INVALID_ARGUMENT, NONE, UNAVAILABLE, WRITE, network, on_own_thread};
use crate::write::{PeerError, PeerErrorKind};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a broken connection is made anew for one write.
const RECONNECTS: usize = 2;

/// A peer. Its thread ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct CapnprotoWriter {
    calls: mpsc::UnboundedSender<Call>,
}

#[derive(Debug)]
struct Call {
    part: Part,
    answer: oneshot::Sender<Result<(), PeerError>>,
}

#[derive(Debug)]
struct Part {
    tenant: TenantId,
    batch: Arc<WriteBatch>,
    series: Vec<u32>,
}

impl CapnprotoWriter {
    /// A client of `host:port`; nothing is sent yet. Fails where no thread can be had.
    pub fn connect(address: &str) -> io::Result<Self> {
        let (calls, mut received) = mpsc::unbounded_channel::<Call>();
        let address = address.to_string();
        on_own_thread("capnproto-peer", move || async move {
            let peer =
                Rc::new(Peer { address, connection: RefCell::default(), dialling: tokio::sync::Mutex::default() });
            while let Some(mut call) = received.recv().await {
                let peer = Rc::clone(&peer);
                spawn_local(async move {
                    let written = tokio::select! {
                        written = peer.write(&call.part) => written,
                        // Whoever asked waits no longer.
                        () = call.answer.closed() => return,
                    };
                    let _ = call.answer.send(written);
                });
            }
        })?;
        Ok(CapnprotoWriter { calls })
    }

    /// Writes some series of a batch. The peer does not tell which of them it refused.
    pub async fn send(&self, tenant: &TenantId, batch: &Arc<WriteBatch>, series: &[u32]) -> Result<(), PeerError> {
        let (answer, answered) = oneshot::channel();
        let part = Part { tenant: tenant.clone(), batch: Arc::clone(batch), series: series.to_vec() };
        let ended = || failed(PeerErrorKind::Unavailable, "Unavailable", "writing to peer: its thread ended");
        self.calls.send(Call { part, answer }).map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn failed(kind: PeerErrorKind, code: &str, text: &str) -> PeerError {
    PeerError { kind, text: format!("rpc error: code = {code} desc = {text}") }
}

struct Peer {
    address: String,
    connection: RefCell<Option<Connection>>,
    /// One attempt at a time.
    dialling: tokio::sync::Mutex<u64>,
}

#[derive(Clone)]
struct Connection {
    writer: Client,
    number: u64,
}

impl Peer {
    async fn write(&self, part: &Part) -> Result<(), PeerError> {
        let unavailable =
            |e: capnp::Error| failed(PeerErrorKind::Unavailable, "Unavailable", &format!("writing to peer: {e}"));
        let mut left = RECONNECTS;
        loop {
            let connection = self.connection().await.map_err(unavailable)?;
            match try_write(&connection.writer, part).await {
                Ok((error, context)) => return answer_of(error, &context),
                Err(e) if e.kind == ErrorKind::Disconnected => {
                    self.forget(connection.number);
                    if left == 0 {
                        return Err(unavailable(e));
                    }
                    left -= 1;
                }
                Err(e) => return Err(unavailable(e)),
            }
        }
    }

    async fn connection(&self) -> capnp::Result<Connection> {
        let mut number = self.dialling.lock().await;
        if let Some(connection) = self.connection.borrow().clone() {
            return Ok(connection);
        }
        let refused =
            |e: String| capnp::Error::failed(format!("failed to dial peer: failed to dial peer {}: {e}", self.address));
        let dial = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address));
        let stream = dial.await.map_err(|e| refused(e.to_string()))?.map_err(|e| refused(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| refused(e.to_string()))?;
        let mut system = RpcSystem::new(network(stream, Side::Client), None);
        let writer: Bootstrapped = system.bootstrap(Side::Server);
        spawn_local(system);
        *number += 1;
        let connection = Connection { writer: writer.0, number: *number };
        *self.connection.borrow_mut() = Some(connection.clone());
        Ok(connection)
    }

    /// Gives up a connection, unless there is another one by now.
    fn forget(&self, number: u64) {
        let mut connection = self.connection.borrow_mut();
        if connection.as_ref().is_some_and(|connection| connection.number == number) {
            *connection = None;
        }
    }
}

/// What the peer offers.
struct Bootstrapped(Client);

impl capnp::capability::FromClientHook for Bootstrapped {
    fn new(hook: Box<dyn capnp::private::capability::ClientHook>) -> Self {
        Bootstrapped(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn capnp::private::capability::ClientHook> {
        self.0.hook
    }

    fn as_client_hook(&self) -> &dyn capnp::private::capability::ClientHook {
        &*self.0.hook
    }
}

async fn try_write(writer: &Client, part: &Part) -> capnp::Result<(u16, String)> {
    let mut request = writer.new_call::<any_pointer::Owned, any_pointer::Owned>(INTERFACE, WRITE, None);
    let mut params: NewFields<'_, 0, 1> = request.get().init_as();
    let series = part.series.iter().map(|index| *index as usize);
    write_write_request(params.init(0, 0), part.tenant.as_str(), &part.batch, series);
    let response = request.send().promise.await?;
    let fields: Fields<'_> = response.get()?.get_as()?;
    let context: capnp::text::Reader<'_> = fields.pointer(0)?;
    Ok((fields.0.get_data_field(0), context.to_string().unwrap_or_default()))
}

fn answer_of(error: u16, context: &str) -> Result<(), PeerError> {
    Err(match error {
        NONE => return Ok(()),
        UNAVAILABLE => failed(PeerErrorKind::Unavailable, "Unavailable", "remote write: peer unavailable"),
        ALREADY_EXISTS => failed(PeerErrorKind::Conflict, "AlreadyExists", "remote write: data already exists"),
        INVALID_ARGUMENT => failed(PeerErrorKind::Invalid, "InvalidArgument", "remote write: invalid argument"),
        INTERNAL if context.is_empty() => {
            let text = "writing to peer: rpc failed (no additional context provided)";
            failed(PeerErrorKind::Other, "Unavailable", text)
        }
        _ => failed(PeerErrorKind::Other, "Unavailable", &format!("writing to peer: rpc failed: {context}")),
    })
}
