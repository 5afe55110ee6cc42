//! Sends a plan at its pace, over some connections, and keeps the ledger of what was acknowledged.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use thanoxide_model::Labels;

use crate::http::Connection;
use crate::plan::{GROUP, Plan};
use crate::replay::Endpoint;
use crate::template::{Protocol, Template};

/// How and how long.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Where to.
    pub target: Endpoint,
    /// Remote write 1.0 or 2.0.
    pub protocol: Protocol,
    /// More header lines, each with its line end.
    pub headers: String,
    /// Connections, each with its own groups of series.
    pub connections: usize,
    /// Scrapes of every series.
    pub scrapes: u64,
    /// Whether a scrape waits for its time; else it follows the one before it.
    pub is_paced: bool,
}

/// What became of each request: for each group of series the scrapes that were acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Acknowledged scrapes by group.
    pub acked: BTreeMap<u64, Vec<u64>>,
    /// Requests that got no 2xx, and the last reason.
    pub failed: u64,
    /// Why the last of them failed.
    pub last_failure: Option<String>,
}

/// What a run gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was acknowledged.
    pub ledger: Ledger,
    /// How long each acknowledgement took, in seconds.
    pub acks_s: Vec<f64>,
}

/// Sends all scrapes of all series.
pub fn send(plan: &Plan, sending: &Sending) -> Result<Outcome> {
    let groups = plan.series.div_ceil(GROUP);
    let workers = (sending.connections.max(1) as u64).min(groups);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|first| scope.spawn(move || send_groups(plan, sending, (first..groups).step_by(workers as usize))))
            .collect();
        workers.into_iter().try_fold(Outcome::default(), |mut all, worker| {
            let one = worker.join().map_err(|_| anyhow!("a sender panicked"))??;
            all.ledger.acked.extend(one.ledger.acked);
            all.ledger.failed += one.ledger.failed;
            all.ledger.last_failure = one.ledger.last_failure.or(all.ledger.last_failure);
            all.acks_s.extend(one.acks_s);
            Ok(all)
        })
    })
}

/// One connection's share: at each scrape every group once, spread over the interval.
fn send_groups(plan: &Plan, sending: &Sending, groups: impl Iterator<Item = u64>) -> Result<Outcome> {
    let mut groups: Vec<Group> = groups.map(|number| Group::new(plan, sending.protocol, number)).collect();
    let (mut outcome, mut connection) = (Outcome::default(), None);
    for scrape in 0..sending.scrapes {
        let count = groups.len() as i64;
        for (turn, group) in groups.iter_mut().enumerate() {
            if sending.is_paced {
                let offset_ms = plan.interval_ms * turn as i64 / count;
                wait_until(plan.start_ms + plan.interval_ms * scrape as i64 + offset_ms);
            }
            let body = group.body(plan, sending.protocol, scrape)?;
            let began = Instant::now();
            match post(&mut connection, sending, &body) {
                Ok(()) => {
                    outcome.acks_s.push(began.elapsed().as_secs_f64());
                    outcome.ledger.acked.entry(group.number).or_default().push(scrape);
                }
                Err(error) => {
                    connection = None;
                    outcome.ledger.failed += 1;
                    outcome.ledger.last_failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    Ok(outcome)
}

fn post(connection: &mut Option<Connection>, sending: &Sending, body: &[u8]) -> Result<()> {
    let open = match connection.take() {
        Some(open) => open,
        None => Connection::open(&sending.target.address)?,
    };
    let open = connection.insert(open);
    let headers = format!("{}{}", sending.protocol.headers(), sending.headers);
    open.post(&sending.target.path, &headers, body)?.success().map(drop)
}

/// Series that are sent in one request.
#[derive(Debug)]
struct Group {
    number: u64,
    generation: u64,
    template: Template,
    /// The last sample of each series, for holes.
    last: Vec<(i64, f64)>,
}

impl Group {
    fn new(plan: &Plan, protocol: Protocol, number: u64) -> Self {
        let members = members(plan, number);
        let generation = plan.generation(members.start, 0);
        let last = members.clone().map(|series| plan.sent(series, 0)).collect();
        Group { number, generation, template: template(plan, protocol, number, generation), last }
    }

    fn body(&mut self, plan: &Plan, protocol: Protocol, scrape: u64) -> Result<Vec<u8>> {
        let members = members(plan, self.number);
        let generation = plan.generation(members.start, scrape);
        if generation != self.generation {
            (self.generation, self.template) = (generation, template(plan, protocol, self.number, generation));
        }
        for (series, last) in members.zip(&mut self.last) {
            *last = plan.sample(series, scrape).unwrap_or(*last);
        }
        self.template.body(self.last.iter().copied())
    }
}

fn template(plan: &Plan, protocol: Protocol, group: u64, generation: u64) -> Template {
    let labels: Vec<Labels> = members(plan, group).map(|series| plan.labels(series, generation)).collect();
    Template::new(protocol, &labels, 1)
}

/// The series of a group.
pub fn members(plan: &Plan, group: u64) -> std::ops::Range<u64> {
    group * GROUP..plan.series.min((group + 1) * GROUP)
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as i64
}

fn wait_until(time_ms: i64) {
    let left_ms = time_ms - now_ms();
    if left_ms > 0 {
        thread::sleep(Duration::from_millis(left_ms as u64));
    }
}
