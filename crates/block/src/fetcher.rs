//! Finds the blocks of a bucket and leaves out what a reader must not see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, stream};
use thanoxide_env::Clock;
use thanoxide_objstore::{Bucket, BucketError};
use thiserror::Error;
use ulid::Ulid;

use crate::filter::deduplicate;
use crate::mark::{DELETION_MARK_NAME, DeletionMark};
use crate::meta::{META_NAME, Meta};
use crate::metrics::{FetcherMetrics, SyncState};

/// The largest meta file or mark that is read.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// How blocks are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    /// List the root, then ask for each block's files.
    #[default]
    Concurrent,
    /// List everything at once.
    Recursive,
}

/// A bound of the time range of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBound {
    /// Ms since the Unix epoch.
    Absolute(i64),
    /// Ms from now; negative is the past. Evaluated at every sync.
    Relative(i64),
}

impl TimeBound {
    /// The bound in ms since the Unix epoch.
    pub fn at(self, now_ms: i64) -> i64 {
        match self {
            TimeBound::Absolute(ms) => ms,
            TimeBound::Relative(ms) => now_ms.saturating_add(ms),
        }
    }
}

/// Decides by a block's meta whether it is of interest: label selectors come in through it.
pub type MetaSelector = Arc<dyn Fn(&Meta) -> bool + Send + Sync>;

/// What a fetcher sees.
#[derive(Clone)]
pub struct FetcherConfig {
    /// Requests at the same time.
    pub concurrency: usize,
    /// How blocks are found.
    pub discovery: Discovery,
    /// Blocks that end before this are left out.
    pub min_time: TimeBound,
    /// Blocks that begin after this are left out.
    pub max_time: TimeBound,
    /// Younger blocks are left out, unless a compactor made them.
    pub consistency_delay_ms: i64,
    /// Blocks that were marked for deletion longer ago are left out.
    pub ignore_deletion_marks_delay_ms: i64,
    /// Blocks for which it is false are left out.
    pub selector: Option<MetaSelector>,
}

impl Default for FetcherConfig {
    fn default() -> Self {
        FetcherConfig {
            concurrency: 32,
            discovery: Discovery::default(),
            min_time: TimeBound::Absolute(i64::MIN),
            max_time: TimeBound::Absolute(i64::MAX),
            consistency_delay_ms: 0,
            ignore_deletion_marks_delay_ms: 24 * 3_600_000,
            selector: None,
        }
    }
}

impl fmt::Debug for FetcherConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetcherConfig")
            .field("concurrency", &self.concurrency)
            .field("discovery", &self.discovery)
            .field("min_time", &self.min_time)
            .field("max_time", &self.max_time)
            .field("consistency_delay_ms", &self.consistency_delay_ms)
            .field("ignore_deletion_marks_delay_ms", &self.ignore_deletion_marks_delay_ms)
            .finish_non_exhaustive()
    }
}

/// Why a sync saw nothing at all.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("listing blocks: {0}")]
pub struct FetchError(#[from] pub BucketError);

/// What a sync saw.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The blocks to read.
    pub blocks: BTreeMap<Ulid, Arc<Meta>>,
    /// Blocks without a usable `meta.json`, and why.
    pub partial: Vec<(Ulid, String)>,
    /// Blocks of which it is not known what they are: the view is incomplete, and nothing may be dropped because of it.
    pub failed: Vec<(Ulid, BucketError)>,
    /// The deletion marks found.
    pub marks: HashMap<Ulid, DeletionMark>,
}

impl Fetched {
    /// Whether all blocks of the bucket were looked at.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Finds blocks. Metas are immutable, so each is read once.
#[derive(Debug)]
pub struct Fetcher {
    config: FetcherConfig,
    bucket: Arc<dyn Bucket>,
    clock: Arc<dyn Clock>,
    metrics: Option<FetcherMetrics>,
    cache: Mutex<HashMap<Ulid, Arc<Meta>>>,
}

/// What the listing says of one block.
struct Listed {
    id: Ulid,
    /// `None`: the listing does not say.
    has_meta: Option<bool>,
    has_mark: Option<bool>,
}

enum Looked {
    Whole(Arc<Meta>, Option<DeletionMark>),
    Partial(SyncState, String),
    Failed(BucketError),
}

impl Fetcher {
    /// A fetcher; does nothing yet.
    pub fn new(
        config: FetcherConfig,
        bucket: Arc<dyn Bucket>,
        clock: Arc<dyn Clock>,
        metrics: Option<FetcherMetrics>,
    ) -> Self {
        if let Some(metrics) = &metrics {
            metrics.consistency_delay.set(config.consistency_delay_ms as f64 / 1000.0);
        }
        Fetcher { config, bucket, clock, metrics, cache: Mutex::default() }
    }

    /// Looks at the bucket once.
    pub async fn fetch(&self) -> Result<Fetched, FetchError> {
        let start = self.clock.monotonic();
        let result = self.look().await;
        if let Some(metrics) = &self.metrics {
            metrics.syncs.inc();
            metrics.sync_duration.observe(self.clock.monotonic().saturating_sub(start).as_secs_f64());
            if !result.as_ref().is_ok_and(Fetched::is_complete) {
                metrics.sync_failures.inc();
            }
        }
        result
    }

    async fn look(&self) -> Result<Fetched, FetchError> {
        let listed = match self.config.discovery {
            Discovery::Concurrent => self.list_root().await?,
            Discovery::Recursive => self.list_all().await?,
        };
        let looks = stream::iter(listed).map(|block| async move { (block.id, self.look_at(&block).await) });
        let mut looks = looks.buffer_unordered(self.config.concurrency.max(1));
        let mut fetched = Fetched::default();
        let mut counts = Vec::new();
        while let Some((id, looked)) = looks.next().await {
            match looked {
                Looked::Whole(meta, mark) => {
                    fetched.marks.extend(mark.map(|mark| (id, mark)));
                    fetched.blocks.insert(id, meta);
                }
                Looked::Partial(state, reason) => {
                    counts.push((state, 1));
                    fetched.partial.push((id, reason));
                }
                Looked::Failed(e) => {
                    counts.push((SyncState::Failed, 1));
                    fetched.failed.push((id, e));
                }
            }
        }
        drop(looks);
        self.remember(&fetched);
        self.filter(&mut fetched, &mut counts);
        if let Some(metrics) = &self.metrics {
            metrics.set_synced(&counts);
        }
        Ok(fetched)
    }

    async fn list_root(&self) -> Result<Vec<Listed>, BucketError> {
        let names = self.bucket.iter("").await?;
        let dirs = names.iter().filter_map(|name| name.strip_suffix('/'));
        let ids = dirs.filter_map(|dir| Ulid::from_string(dir).ok());
        Ok(ids.map(|id| Listed { id, has_meta: None, has_mark: None }).collect())
    }

    async fn list_all(&self) -> Result<Vec<Listed>, BucketError> {
        let mut blocks: BTreeMap<Ulid, (bool, bool)> = BTreeMap::new();
        for entry in self.bucket.iter_recursive("").await? {
            let Some((dir, file)) = entry.name.split_once('/') else { continue };
            let Ok(id) = Ulid::from_string(dir) else { continue };
            let (has_meta, has_mark) = blocks.entry(id).or_default();
            *has_meta |= file == META_NAME;
            *has_mark |= file == DELETION_MARK_NAME;
        }
        let listed = |(id, (meta, mark))| Listed { id, has_meta: Some(meta), has_mark: Some(mark) };
        Ok(blocks.into_iter().map(listed).collect())
    }

    async fn look_at(&self, block: &Listed) -> Looked {
        let meta = match self.meta_of(block).await {
            Ok(Ok(meta)) => meta,
            Ok(Err((state, reason))) => return Looked::Partial(state, reason),
            Err(e) => return Looked::Failed(e),
        };
        match self.mark_of(block).await {
            Ok(mark) => Looked::Whole(meta, mark),
            Err(e) => Looked::Failed(e),
        }
    }

    async fn meta_of(&self, block: &Listed) -> Result<Result<Arc<Meta>, (SyncState, String)>, BucketError> {
        let missing = || Ok(Err((SyncState::NoMeta, "no meta.json".to_string())));
        let name = format!("{}/{META_NAME}", block.id);
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&block.id).map(Arc::clone);
        if let Some(meta) = cached {
            // Deleting a block begins with its meta.
            let exists = match block.has_meta {
                Some(exists) => exists,
                None => self.bucket.exists(&name).await?,
            };
            return if exists { Ok(Ok(meta)) } else { missing() };
        }
        if block.has_meta == Some(false) {
            return missing();
        }
        let json = match self.bucket.read(&name, MAX_JSON_BYTES).await {
            Ok(json) => json,
            Err(e) if e.is_not_found() => return missing(),
            Err(e) => return Err(e),
        };
        match Meta::parse_uploaded(&json) {
            Ok(meta) if meta.id() == block.id => Ok(Ok(Arc::new(meta))),
            Ok(meta) => Ok(Err((SyncState::CorruptedMeta, format!("meta.json is that of block {}", meta.id())))),
            Err(e) => Ok(Err((SyncState::CorruptedMeta, e.to_string()))),
        }
    }

    async fn mark_of(&self, block: &Listed) -> Result<Option<DeletionMark>, BucketError> {
        if block.has_mark == Some(false) {
            return Ok(None);
        }
        match self.bucket.read(&format!("{}/{DELETION_MARK_NAME}", block.id), MAX_JSON_BYTES).await {
            Ok(json) => match DeletionMark::parse(&json) {
                Ok(mark) => Ok(Some(mark)),
                Err(e) => {
                    tracing::warn!(block = %block.id, error = %e, "unreadable deletion mark is ignored");
                    Ok(None)
                }
            },
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Keeps the metas of what is there, and of what could not be looked at.
    fn remember(&self, fetched: &Fetched) {
        let failed: HashSet<Ulid> = fetched.failed.iter().map(|(id, _)| *id).collect();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|id, _| failed.contains(id));
        cache.extend(fetched.blocks.iter().map(|(id, meta)| (*id, Arc::clone(meta))));
    }

    /// Same order as Thanos's store: time, label, consistency, deletion, duplicates.
    fn filter(&self, fetched: &mut Fetched, counts: &mut Vec<(SyncState, usize)>) {
        let now_ms = self.clock.now_ms();
        let marks = &fetched.marks;
        fetched.blocks.retain(|id, meta| {
            let state = self.excluded(now_ms, meta, marks.get(id));
            counts.extend(state.map(|state| (state, 1)));
            state.is_none()
        });
        let duplicates = deduplicate(fetched.blocks.values());
        fetched.blocks.retain(|id, _| !duplicates.contains(id));
        counts.push((SyncState::Duplicate, duplicates.len()));
        counts.push((SyncState::Loaded, fetched.blocks.len()));
    }

    fn excluded(&self, now_ms: i64, meta: &Meta, mark: Option<&DeletionMark>) -> Option<SyncState> {
        let config = &self.config;
        if meta.max_time_ms() < config.min_time.at(now_ms) || meta.min_time_ms() > config.max_time.at(now_ms) {
            return Some(SyncState::TimeExcluded);
        }
        if config.selector.as_ref().is_some_and(|selects| !selects(meta)) {
            return Some(SyncState::LabelExcluded);
        }
        if is_too_fresh(now_ms, meta, config.consistency_delay_ms) {
            return Some(SyncState::TooFresh);
        }
        let marked_ms = mark.map(|mark| now_ms.saturating_sub(mark.deletion_time_s.saturating_mul(1000)));
        if marked_ms.is_some_and(|ago_ms| ago_ms > config.ignore_deletion_marks_delay_ms) {
            return Some(SyncState::MarkedForDeletion);
        }
        None
    }
}

fn is_too_fresh(now_ms: i64, meta: &Meta, delay_ms: i64) -> bool {
    let Some(thanos) = &meta.thanos else { return false };
    let born_ms = thanos.upload_time_ms().unwrap_or(meta.id().timestamp_ms() as i64);
    !thanos.source.is_compactor() && now_ms.saturating_sub(born_ms) < delay_ms
}
