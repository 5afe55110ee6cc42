//! A proxy over endpoints that fail, in both strategies.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use thanoxide_model::Matcher;
use thanoxide_storeapi::conformance::Dataset;
use thanoxide_storeapi::{
    LabelNamesRequest, LabelValuesRequest, LabelsAnswer, MemoryStore, PartialResponse, ProxyConfig, ProxyEndpoint,
    ProxyStore, SeriesFrame, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo,
};

/// How a store fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Opening,
    Midway,
    Silent,
    Warning,
    /// Nothing answers any more, its info neither.
    Frozen,
}

#[derive(Debug)]
struct Faulty(MemoryStore, Fault);

#[async_trait]
impl Store for Faulty {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        match self.1 {
            Fault::Frozen => std::future::pending().await,
            _ => self.0.info().await,
        }
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let first = self.0.series(request).await?.take(1);
        Ok(match self.1 {
            Fault::Opening => return Err(StoreError::Unavailable("gone".into())),
            Fault::Midway => first.chain(stream::iter([Err(StoreError::Internal("broken".into()))])).boxed(),
            Fault::Silent | Fault::Frozen => first.chain(stream::pending()).boxed(),
            Fault::Warning => first.chain(stream::iter([Ok(SeriesFrame::Warning("half".into()))])).boxed(),
        })
    }

    async fn label_names(&self, _: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    async fn label_values(&self, _: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }
}

fn proxy(data: &Dataset, fault: Fault) -> ProxyStore {
    let memory = || MemoryStore::new("test", data.external.clone(), data.chunked());
    let config = ProxyConfig { component: "query".into(), response_timeout: Some(Duration::from_millis(300)) };
    let endpoints = vec![
        ProxyEndpoint::local("good", Arc::new(memory())),
        ProxyEndpoint::local("bad", Arc::new(Faulty(memory(), fault))),
    ];
    ProxyStore::new(config, endpoints)
}

fn request(data: &Dataset, partial_response: PartialResponse) -> SeriesRequest {
    let (min_time_ms, max_time_ms) = data.times();
    let matchers = vec![Matcher::equal("cluster", "c1")];
    SeriesRequest { min_time_ms, max_time_ms, matchers, partial_response, ..Default::default() }
}

async fn ask(proxy: &ProxyStore, request: SeriesRequest) -> Result<(usize, Vec<String>), StoreError> {
    let frames: Vec<_> = proxy.series(request).await?.try_collect().await?;
    let (mut series, mut warnings) = (0, Vec::new());
    for frame in frames {
        match frame {
            SeriesFrame::Series(part) => series += part.len(),
            SeriesFrame::Warning(warning) => warnings.push(warning),
        }
    }
    Ok((series, warnings))
}

#[tokio::test]
async fn a_failing_endpoint_is_a_warning_or_the_end() {
    let data = Dataset::standard();
    for fault in [Fault::Opening, Fault::Midway, Fault::Silent, Fault::Warning] {
        let proxy = proxy(&data, fault);
        let (series, warnings) = ask(&proxy, request(&data, PartialResponse::Warn)).await.unwrap();
        assert_eq!(series, data.series.len(), "{fault:?}");
        assert_eq!(warnings.len(), 1, "{fault:?}: {warnings:?}");
        let error = ask(&proxy, request(&data, PartialResponse::Abort)).await.unwrap_err();
        assert!(matches!(error, StoreError::Aborted(_)), "{fault:?}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_endpoint_is_left_alone_until_its_watch_knows_better() {
    let data = Dataset::standard();
    let memory = || MemoryStore::new("test", data.external.clone(), data.chunked());
    let info = memory().info().await.unwrap();
    for response_timeout in [Some(Duration::from_millis(300)), None] {
        for (fault, is_left_alone) in [(Fault::Frozen, true), (Fault::Silent, false)] {
            let proxy = ProxyStore::new(ProxyConfig { component: "query".into(), response_timeout }, Vec::new());
            let endpoints = || {
                let bad = Arc::new(Faulty(memory(), fault));
                let good = ProxyEndpoint::local("good", Arc::new(memory()));
                vec![good, ProxyEndpoint::known("bad", bad, info.clone())]
            };
            proxy.set_endpoints(endpoints());
            let first = ask(&proxy, request(&data, PartialResponse::Warn));
            let first = tokio::time::timeout(Duration::from_secs(60), first).await;
            // One that gives signs of life is waited for, unless a timeout forbids that.
            assert_eq!(first.is_ok(), is_left_alone || response_timeout.is_some(), "{fault:?}");
            // The clock is ours: whoever looks after it has done so by then, so that the next one need not wait as well.
            tokio::time::sleep(Duration::from_millis(1)).await;
            if !is_left_alone {
                continue;
            }
            let begin = tokio::time::Instant::now();
            let (series, warnings) = ask(&proxy, request(&data, PartialResponse::Warn)).await.unwrap();
            assert_eq!((series, warnings.as_slice()), (data.series.len(), ["bad is silent".to_string()].as_slice()));
            assert!(ask(&proxy, request(&data, PartialResponse::Abort)).await.is_err());
            assert_eq!(begin.elapsed(), Duration::ZERO);
            proxy.set_endpoints(endpoints());
            let again = ask(&proxy, request(&data, PartialResponse::Warn)).await.unwrap();
            assert_ne!(again.1, warnings, "it is asked again");
        }
    }
}

#[tokio::test]
async fn labels_of_failing_endpoints() {
    let data = Dataset::standard();
    let proxy = proxy(&data, Fault::Opening);
    let (start_ms, end_ms) = data.times();
    let request = LabelNamesRequest { start_ms, end_ms, ..Default::default() };
    let answer = proxy.label_names(request.clone()).await.unwrap();
    assert!(answer.values.contains(&b"instance".to_vec()));
    assert_eq!(answer.warnings.len(), 1);
    let abort = LabelNamesRequest { partial_response: PartialResponse::Abort, ..request };
    assert!(matches!(proxy.label_names(abort).await, Err(StoreError::Aborted(_))));
}

#[tokio::test]
async fn no_endpoint_at_all() {
    let data = Dataset::standard();
    let config = ProxyConfig { component: "query".into(), response_timeout: None };
    let proxy = ProxyStore::new(config, Vec::new());
    assert_eq!(ask(&proxy, request(&data, PartialResponse::Warn)).await, Ok((0, Vec::new())));
    assert!(ask(&proxy, request(&data, PartialResponse::Abort)).await.is_err());
}
