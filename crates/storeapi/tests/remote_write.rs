//! Writes over gRPC: our own peers learn the fate of each series, others a status.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId, Verdict, WriteBatch};
use thanoxide_proto::thanos::writeable_store_client::WriteableStoreClient;
use thanoxide_proto::{prometheus_copy, thanos};
use thanoxide_storeapi::{ClientConfig, Rejected, RemoteWriter, WriteError, WriteOutcome, WriteStore, add_write_store};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;

/// Keeps what it was given and answers as it was told to.
#[derive(Debug)]
struct Recorder {
    seen: Mutex<Vec<(TenantId, usize, Vec<Sample>)>>,
    answer: Result<WriteOutcome, WriteError>,
}

#[async_trait]
impl WriteStore for Recorder {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        self.seen.lock().unwrap().push((tenant.clone(), batch.series.len(), batch.samples.clone()));
        self.answer.clone()
    }
}

async fn serve(answer: Result<WriteOutcome, WriteError>) -> (Arc<Recorder>, String) {
    let recorder = Arc::new(Recorder { seen: Mutex::default(), answer });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut services = RoutesBuilder::default();
    add_write_store(&mut services, Arc::<Recorder>::clone(&recorder) as Arc<dyn WriteStore>, None);
    let server = Server::builder().add_routes(services.routes());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (recorder, address)
}

fn batch(series: usize) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for i in 0..series {
        let labels = Labels::from_pairs([("__name__", "up"), ("instance", &format!("instance-{i}"))]);
        builder.push(&labels, &[Sample { timestamp_ms: i as i64, value: 1.0 }]);
    }
    builder.build()
}

#[tokio::test]
async fn verdicts_come_back() {
    let rejected = vec![Rejected { series: 3, verdict: Verdict::TooOld, samples: 1 }];
    let outcome = WriteOutcome { accepted: 99, rejected, explanation: None };
    let (recorder, address) = serve(Ok(outcome.clone())).await;
    let tenant = TenantId::new("t1").unwrap();
    for snappy in [false, true] {
        let writer = RemoteWriter::connect(&address, &ClientConfig { snappy, ..ClientConfig::default() }).unwrap();
        assert_eq!(writer.write(&tenant, Arc::new(batch(100))).await, Ok(outcome.clone()));
        let (seen_tenant, series, samples) = recorder.seen.lock().unwrap().pop().unwrap();
        assert_eq!((seen_tenant, series, samples), (tenant.clone(), 100, batch(100).samples));
    }
}

#[tokio::test]
async fn an_unavailable_peer_is_unavailable() {
    let (_, address) = serve(Err(WriteError::Unavailable("starting".into()))).await;
    let writer = RemoteWriter::connect(&address, &ClientConfig::default()).unwrap();
    let tenant = TenantId::new("t1").unwrap();
    let answer = writer.write(&tenant, Arc::new(batch(1))).await;
    assert_eq!(answer, Err(WriteError::Unavailable("rpc error: code = Unavailable desc = starting".into())));

    // Nobody listens where the listener is gone.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let writer = RemoteWriter::connect(&nobody, &ClientConfig::default()).unwrap();
    assert!(matches!(writer.write(&tenant, Arc::new(batch(1))).await, Err(WriteError::Unavailable(_))));
}

#[tokio::test]
async fn other_clients_read_statuses_and_send_either_layout() {
    let rejected = vec![
        Rejected { series: 0, verdict: Verdict::InvalidHistogram, samples: 2 },
        Rejected { series: 1, verdict: Verdict::OutOfOrder, samples: 1 },
    ];
    let (recorder, address) = serve(Ok(WriteOutcome { accepted: 0, rejected, explanation: None })).await;
    let mut client = WriteableStoreClient::connect(format!("http://{address}")).await.unwrap();
    let series = || vec![prometheus_copy::TimeSeries::default()];
    let older = thanos::WriteRequest { timeseries: series(), tenant: "a".into(), replica: 1, ..Default::default() };
    let status = client.remote_write(older).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::AlreadyExists);
    assert_eq!(status.message(), "2 errors: add 1 samples: out of order sample; add 2 samples: invalid histogram");
    let tuple = |tenant: &str| thanos::TimeSeriesTenantTuple { timeseries: series(), tenant: tenant.into() };
    let newer = thanos::WriteRequest { timeseries_tenant_data: vec![tuple("b"), tuple("c")], ..Default::default() };
    client.remote_write(newer).await.unwrap_err();
    let tenants: Vec<_> = recorder.seen.lock().unwrap().iter().map(|(t, _, _)| t.to_string()).collect();
    assert_eq!(tenants, ["a", "b", "c"]);
    let bad = thanos::WriteRequest { timeseries: series(), tenant: "../x".into(), ..Default::default() };
    assert_eq!(client.remote_write(bad).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}
