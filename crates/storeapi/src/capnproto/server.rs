//! Takes writes for a [`WriteStore`].

use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use capnp::any_pointer;
use capnp::capability::{Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Server};
use capnp::private::capability::ClientHook;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use thanoxide_model::TenantId;
use thanoxide_proto::capnproto::layout::{Fields, NewFields};
use thanoxide_proto::capnproto::read_write_request;
use thanoxide_proto::{DecodeLimits, StoreWriteRequest};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tonic::{Code, Status};
use tracing::debug;

use super::{ALREADY_EXISTS, INTERFACE, INTERNAL, INVALID_ARGUMENT, NONE, UNAVAILABLE, WRITE, network, on_own_thread};
use crate::convert::status::write_to_status;
use crate::convert::verdicts::to_status;
use crate::{WriteOrigin, WriteStore};

/// Connections at once; others wait.
const MAX_CONNECTIONS: usize = 1024;

/// Serves until `stop`, then ends all connections. Needs a runtime, on which the store is called.
pub async fn serve_capnproto(
    listener: TcpListener,
    store: Arc<dyn WriteStore>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.into_std()?;
    let writer = Writer { store, runtime: Handle::current() };
    let (ended, end) = oneshot::channel();
    on_own_thread("capnproto", move || async move {
        let served = tokio::select! {
            served = accept(listener, writer) => served,
            () = stop => Ok(()),
        };
        // Nobody waits where the program is ending already.
        let _ = ended.send(served);
    })?;
    end.await.unwrap_or(Ok(()))
}

async fn accept(listener: std::net::TcpListener, writer: Writer) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let writer = Rc::new(writer);
    let connections = Rc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = Rc::clone(&connections);
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                debug!(err = %e, "cannot accept");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let writer = Rc::clone(&writer);
        tokio::task::spawn_local(async move {
            let _permit = permit.acquire().await;
            if let Err(e) = serve_connection(stream, writer).await {
                debug!(err = %e, "connection ended");
            }
        });
    }
}

async fn serve_connection(stream: TcpStream, writer: Rc<Writer>) -> capnp::Result<()> {
    stream.set_nodelay(true).map_err(|e| capnp::Error::failed(e.to_string()))?;
    let client: WriterClient = capnp_rpc::new_client_from_rc(writer);
    RpcSystem::new(network(stream, Side::Server), Some(client.0)).await
}

/// The object behind the interface.
struct Writer {
    store: Arc<dyn WriteStore>,
    runtime: Handle,
}

struct WriterClient(Client);

impl FromClientHook for WriterClient {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        WriterClient(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0.hook
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        &*self.0.hook
    }
}

#[derive(Clone)]
struct Dispatch(Rc<Writer>);

impl Deref for Dispatch {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.0
    }
}

impl FromServer<Writer> for WriterClient {
    type Dispatch = Dispatch;

    fn from_server(writer: Rc<Writer>) -> Dispatch {
        Dispatch(writer)
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        interface_id: u64,
        method_id: u16,
        params: Params<any_pointer::Owned>,
        mut results: capnp::capability::Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        if (interface_id, method_id) != (INTERFACE, WRITE) {
            let unknown = capnp::Error::unimplemented("unknown method".to_string());
            return DispatchCallResult::new(Promise::err(unknown), false);
        }
        let request = read(&params);
        drop(params);
        let answered = async move {
            let (error, context) = code_of(self.write(request?).await);
            let mut fields: NewFields<'_, 1, 1> = results.get().init_as();
            fields.0.set_data_field(0, error);
            let mut text: capnp::text::Builder<'_> = fields.init(0, context.len());
            text.push_str(&context);
            Ok(())
        };
        DispatchCallResult::new(Promise::from_future(answered), false)
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }
}

fn read(params: &Params<any_pointer::Owned>) -> capnp::Result<StoreWriteRequest> {
    let params: Fields<'_> = params.get()?.get_as()?;
    let request: Fields<'_> = params.pointer(0)?;
    read_write_request(&request, &DecodeLimits::default()).map_err(|e| capnp::Error::failed(e.to_string()))
}

impl Writer {
    async fn write(&self, request: StoreWriteRequest) -> Result<(), Status> {
        let store = Arc::clone(&self.store);
        let written = self.runtime.spawn(async move { write_all(&*store, request).await });
        written.await.unwrap_or_else(|_| Err(Status::unavailable("stopping")))
    }
}

async fn write_all(store: &dyn WriteStore, request: StoreWriteRequest) -> Result<(), Status> {
    let mut worst = Ok(());
    for (tenant, batch) in request.tenants {
        let tenant = TenantId::new(&tenant).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let outcome = store.write_from(WriteOrigin::default(), &tenant, Arc::new(batch)).await;
        let outcome = outcome.map_err(write_to_status)?;
        worst = worst.and(to_status(&outcome));
    }
    worst
}

fn code_of(written: Result<(), Status>) -> (u16, String) {
    let Err(status) = written else { return (NONE, String::new()) };
    match status.code() {
        Code::Unavailable => (UNAVAILABLE, String::new()),
        Code::AlreadyExists => (ALREADY_EXISTS, String::new()),
        Code::InvalidArgument => (INVALID_ARGUMENT, String::new()),
        _ => (INTERNAL, status.message().to_string()),
    }
}
