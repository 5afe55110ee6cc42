//! Reading all that is there, to find damage before a query or a cut does.

use std::path::PathBuf;
use std::sync::Arc;

use thanoxide_model::TenantId;
use thanoxide_model::series::Columns;

use super::tenant::Tenant;
use super::{Engine, EngineError};
use crate::chunk::{Chunk, decode};
use crate::chunk_store::{HeadSeries, load};

/// Series are taken out of a head so many at a time, so that appends go on between.
const SERIES_AT_A_TIME: usize = 1024;

/// Something that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it lies: a block, or the directory of heads.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Blocks that were read whole.
    pub blocks: u64,
    /// Chunks that were decoded, those of heads included.
    pub chunks: u64,
    /// What is broken.
    pub broken: Vec<Broken>,
}

impl Engine {
    /// Reads and decodes every chunk of every block and head, and names what cannot be. Appends and reads go on.
    /// `keep_going` is asked now and then; what was found until then is told.
    pub fn scrub(&self, keep_going: &dyn Fn() -> bool) -> Scrubbed {
        let mut done = Scrubbed::default();
        for (id, error) in self.quarantined() {
            done.name(&id, self.tenant_dir(&id), error.to_string());
        }
        let mut tenants = self.all_tenants();
        tenants.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        for tenant in tenants {
            if !keep_going() {
                break;
            }
            tenant.scrub_blocks(keep_going, &mut done);
            if let Err(error) = self.scrub_head(&tenant, keep_going, &mut done) {
                done.name(&tenant.id, self.root.clone(), error.to_string());
            }
        }
        done
    }

    fn scrub_head(
        &self,
        tenant: &Tenant,
        keep_going: &dyn Fn() -> bool,
        done: &mut Scrubbed,
    ) -> Result<(), EngineError> {
        let slots = tenant.state.read().head.live_slots();
        for slots in slots.chunks(SERIES_AT_A_TIME).take_while(|_| keep_going()) {
            let (files, series) = {
                let state = tenant.state.read();
                // What is deleted or late is left alone: all that is to be read is the chunks as they lie.
                let plain = |series| HeadSeries { deleted: Vec::new(), late: Vec::new(), ..series };
                let collect = |slot: &_| state.head.collect(*slot, i64::MIN, i64::MAX).map(plain);
                (tenant.chunks.files(), slots.iter().filter_map(collect).collect::<Vec<_>>())
            };
            let whole = |series: &HeadSeries| series.chunks.iter().filter(|chunk| !chunk.continues()).count();
            let wanted: Vec<usize> = series.iter().map(whole).collect();
            let loaded = load(&files, series).map_err(|e| EngineError::io(&self.root, &e))?;
            for (series, wanted) in loaded.into_iter().zip(wanted) {
                if series.chunks.len() < wanted {
                    let lost = wanted - series.chunks.len();
                    done.name(
                        &tenant.id,
                        self.root.clone(),
                        format!("{}: {lost} head chunks are damaged", series.labels),
                    );
                }
                done.decode(&tenant.id, &self.root, &series.chunks);
            }
        }
        Ok(())
    }
}

impl Tenant {
    fn scrub_blocks(&self, keep_going: &dyn Fn() -> bool, done: &mut Scrubbed) {
        let blocks = Arc::clone(&self.state.read().blocks);
        for block in blocks.all().take_while(|_| keep_going()) {
            let read = block.read_all(|chunks| {
                done.chunks += chunks.len() as u64;
                chunks.iter().try_for_each(|chunk| decode(chunk, i64::MIN, i64::MAX, &mut Columns::default()))
            });
            match read {
                Ok(()) => done.blocks += 1,
                Err(error) => done.name(&self.id, self.dir.join(block.id().to_string()), error.to_string()),
            }
        }
        for id in blocks.unread() {
            done.name(&self.id, self.dir.join(id.to_string()), "the disk does not give it".to_string());
        }
    }
}

impl Scrubbed {
    fn name(&mut self, tenant: &TenantId, path: PathBuf, reason: String) {
        tracing::error!(%tenant, path = %path.display(), reason, "scrub found something broken");
        self.broken.push(Broken { tenant: tenant.clone(), path, reason });
    }

    fn decode(&mut self, tenant: &TenantId, path: &std::path::Path, chunks: &[Chunk]) {
        for chunk in chunks {
            self.chunks += 1;
            if let Err(error) = decode(chunk, i64::MIN, i64::MAX, &mut Columns::default()) {
                self.name(tenant, path.to_path_buf(), error.to_string());
            }
        }
    }
}
