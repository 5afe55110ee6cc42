//! Writes over Cap'n Proto: what arrives, and which error comes back.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId, Verdict, WriteBatch};
use thanoxide_storeapi::capnproto::{CapnprotoWriter, serve_capnproto};
use thanoxide_storeapi::{PeerErrorKind, Rejected, WriteError, WriteOutcome, WriteStore};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Tenant, labels of each series, samples.
type Seen = (TenantId, Vec<Vec<String>>, Vec<Sample>);

#[derive(Debug)]
struct Recorder {
    seen: Mutex<Vec<Seen>>,
    answer: Mutex<Result<WriteOutcome, WriteError>>,
}

#[async_trait]
impl WriteStore for Recorder {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let labels = batch.series.iter().map(|s| batch.labels_of(s).flat_map(|(n, v)| [text(n), text(v)]).collect());
        self.seen.lock().unwrap().push((tenant.clone(), labels.collect(), batch.samples.clone()));
        self.answer.lock().unwrap().clone()
    }
}

async fn serve() -> (Arc<Recorder>, String, oneshot::Sender<()>) {
    let recorder = Recorder { seen: Mutex::default(), answer: Mutex::new(Ok(WriteOutcome::default())) };
    let (recorder, listener) = (Arc::new(recorder), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel();
    let store: Arc<dyn WriteStore> = Arc::<Recorder>::clone(&recorder);
    tokio::spawn(serve_capnproto(listener, store, async move { _ = stopped.await }));
    (recorder, address, stop)
}

fn batch(series: usize) -> Arc<WriteBatch> {
    let mut builder = WriteBatchBuilder::default();
    for i in 0..series {
        let labels = Labels::from_pairs([("__name__", "up"), ("instance", &format!("instance-{i}"))]);
        builder.push(&labels, &[Sample { timestamp_ms: i as i64, value: i as f64 }]);
    }
    Arc::new(builder.build())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_arrive_and_errors_come_back() {
    let (recorder, address, _stop) = serve().await;
    let (writer, tenant) = (CapnprotoWriter::connect(&address).unwrap(), TenantId::new("t1").unwrap());
    assert_eq!(writer.send(&tenant, &batch(5000), &[7, 4999]).await, Ok(()));
    let (seen, labels, samples) = recorder.seen.lock().unwrap().pop().unwrap();
    assert_eq!((seen, samples), (tenant.clone(), vec![batch(5000).samples[7], batch(5000).samples[4999]]));
    assert_eq!(labels[1], ["__name__", "up", "instance", "instance-4999"]);

    let rejected = vec![Rejected { series: 0, verdict: Verdict::OutOfOrder, samples: 1 }];
    let refused = WriteOutcome { accepted: 0, rejected, explanation: None };
    for (answer, kind, text) in [
        (
            Ok(refused),
            PeerErrorKind::Conflict,
            "rpc error: code = AlreadyExists desc = remote write: data already exists",
        ),
        (
            Err(WriteError::Unavailable("starting".into())),
            PeerErrorKind::Unavailable,
            "rpc error: code = Unavailable desc = remote write: peer unavailable",
        ),
        (
            Err(WriteError::Internal("broken".into())),
            PeerErrorKind::Other,
            "rpc error: code = Unavailable desc = writing to peer: rpc failed: broken",
        ),
    ] {
        *recorder.answer.lock().unwrap() = answer;
        let error = writer.send(&tenant, &batch(1), &[0]).await.unwrap_err();
        assert_eq!((error.kind, error.text.as_str()), (kind, text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_gone_is_unavailable_and_found_again() {
    let (_, address, stop) = serve().await;
    let (writer, tenant) = (CapnprotoWriter::connect(&address).unwrap(), TenantId::new("t1").unwrap());
    assert_eq!(writer.send(&tenant, &batch(1), &[0]).await, Ok(()));
    stop.send(()).unwrap();
    // The listener goes with its thread.
    let listener = loop {
        match TcpListener::bind(&address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    drop(listener);
    let error = writer.send(&tenant, &batch(1), &[0]).await.unwrap_err();
    assert_eq!(error.kind, PeerErrorKind::Unavailable, "{error}");
    let listener = TcpListener::bind(&address).await.unwrap();
    let recorder = Recorder { seen: Mutex::default(), answer: Mutex::new(Ok(WriteOutcome::default())) };
    let store: Arc<dyn WriteStore> = Arc::new(recorder);
    tokio::spawn(serve_capnproto(listener, store, std::future::pending()));
    assert_eq!(writer.send(&tenant, &batch(1), &[0]).await, Ok(()));
}
