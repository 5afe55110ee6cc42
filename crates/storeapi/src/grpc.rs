//! The StoreAPI over gRPC: servers for what implements our traits, clients that implement them.

pub mod channel;
pub mod client_tls;
mod remote_store;
mod remote_writer;
pub mod snappy;
mod store_service;
pub mod traced;
mod unary;
mod write_message;
mod write_service;

use std::sync::Arc;

use thanoxide_proto::thanos::exemplars_server::ExemplarsServer;
use thanoxide_proto::thanos::info::info_server::InfoServer;
use thanoxide_proto::thanos::metadata_server::MetadataServer;
use tonic::service::RoutesBuilder;

pub use channel::{ClientConfig, GrpcChannel};
pub use client_tls::{ClientTls, ClientTlsConfig, ClientTlsError};
pub use remote_store::RemoteStore;
pub use remote_writer::RemoteWriter;
use snappy::SnappyServer;
use store_service::{StoreMethods, StoreService};
pub use write_message::{SharedSeries, WriteMessage};
use write_service::WriteService;

use crate::{HopSecret, Store, WriteStore};

/// Largest message that is sent or taken, as Thanos has it.
pub const MAX_MESSAGE_BYTES: usize = i32::MAX as usize;

/// The services `thanos.Store`, `thanos.Exemplars`, `thanos.Metadata` and `thanos.info.Info` of a store. The health service is the listener's business.
pub fn grpc_server(store: Arc<dyn Store>) -> RoutesBuilder {
    let mut services = RoutesBuilder::default();
    add_store(&mut services, store);
    services
}

/// Adds `thanos.Store`, `thanos.Exemplars`, `thanos.Metadata` and `thanos.info.Info`.
pub fn add_store(services: &mut RoutesBuilder, store: Arc<dyn Store>) {
    let service = StoreService::new(store);
    let info = InfoServer::new(service.clone());
    let metadata = MetadataServer::new(service.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES);
    let exemplars = ExemplarsServer::new(service.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES);
    services.add_service(SnappyServer::new(StoreMethods(service))).add_service(SnappyServer::new(info));
    services.add_service(SnappyServer::new(exemplars)).add_service(SnappyServer::new(metadata));
}

/// Adds `thanos.WriteableStore`; with a secret, only for those who show it.
pub fn add_write_store(services: &mut RoutesBuilder, store: Arc<dyn WriteStore>, secret: Option<HopSecret>) {
    services.add_service(SnappyServer::new(WriteService::new(store, secret)));
}
