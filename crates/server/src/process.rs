//! Metrics of the process, read from `/proc` when they are asked for, and `thanos_build_info`.

use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// Clock ticks per second in `/proc/<pid>/stat`: fixed by the kernel's user interface on every platform of ours.
const TICKS_PER_SECOND: f64 = 100.0;

// Collectors end their help with two full stops: see `exposition::Metrics`.
const CPU_HELP: &str = "Total user and system CPU time spent in seconds..";
const RECEIVE_HELP: &str = "Number of bytes received by the process over the network..";
const TRANSMIT_HELP: &str = "Number of bytes sent by the process over the network..";
const MAX_FDS_HELP: &str = "Maximum number of open file descriptors..";
const OPEN_FDS_HELP: &str = "Number of open file descriptors..";
const RESIDENT_HELP: &str = "Resident memory size in bytes..";
const START_HELP: &str = "Start time of the process since unix epoch in seconds..";
const VIRTUAL_HELP: &str = "Virtual memory size in bytes..";
const VIRTUAL_MAX_HELP: &str = "Maximum amount of virtual memory available in bytes..";

/// What `thanos_build_info` says.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    /// The release, as `0.1.0`.
    pub version: &'static str,
    /// The commit, or empty.
    pub revision: &'static str,
    /// The branch, or empty.
    pub branch: &'static str,
}

/// Registers the metrics of this process.
pub fn register_process_metrics(registry: &mut Registry, build: &BuildInfo) {
    registry.register_collector(Box::new(ProcessCollector));
    let labels = vec![
        ("branch", build.branch),
        ("goarch", go_arch()),
        ("goos", std::env::consts::OS),
        ("goversion", concat!("rust", env!("CARGO_PKG_RUST_VERSION"))),
        ("revision", build.revision),
        ("tags", ""),
        ("version", build.version),
    ];
    let info = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
    info.get_or_create(&labels).set(1);
    let help = "A metric with a constant '1' value labeled by version, revision, branch, goversion from which thanos \
                was built, and the goos and goarch for the build.";
    registry.register("thanos_build_info", help, info);
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // A value that cannot be read is left out, as Go's collector does.
        let mut counter = |name: &str, help: &str, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        let stat = Stat::read();
        let network = network_bytes();
        counter("process_cpu_seconds", CPU_HELP, stat.as_ref().map(|s| s.cpu_seconds))?;
        counter("process_network_receive_bytes", RECEIVE_HELP, network.map(|(received, _)| received))?;
        counter("process_network_transmit_bytes", TRANSMIT_HELP, network.map(|(_, sent)| sent))?;
        let mut gauge = |name: &str, help: &str, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        gauge("process_max_fds", MAX_FDS_HELP, limit("Max open files"))?;
        gauge("process_open_fds", OPEN_FDS_HELP, open_fds())?;
        gauge("process_resident_memory_bytes", RESIDENT_HELP, memory_bytes("VmRSS:"))?;
        gauge("process_start_time_seconds", START_HELP, stat.as_ref().and_then(Stat::start_time_seconds))?;
        gauge("process_virtual_memory_bytes", VIRTUAL_HELP, memory_bytes("VmSize:"))?;
        gauge("process_virtual_memory_max_bytes", VIRTUAL_MAX_HELP, limit("Max address space"))
    }
}

/// Two fields of `/proc/self/stat`, in ticks of 10 ms.
struct Stat {
    cpu_seconds: f64,
    start_ticks: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses and may hold anything.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Stat { cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND, start_ticks: ticks(22)? })
    }

    fn start_time_seconds(&self) -> Option<f64> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(boot + self.start_ticks / TICKS_PER_SECOND)
    }
}

fn open_fds() -> Option<f64> {
    // The listing itself holds one.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn memory_bytes(field: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn limit(name: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let soft = text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
    // Go shows "unlimited" as the largest number.
    if soft == "unlimited" { Some(u64::MAX as f64) } else { soft.parse().ok() }
}

/// Bytes received and sent by IP: a line of names, then a line of values, each beginning with `IpExt:`.
fn network_bytes() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/self/net/netstat").ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let find = |wanted: &str| {
        let mut pairs = names.split_whitespace().zip(values.split_whitespace());
        pairs.find(|(name, _)| *name == wanted)?.1.parse::<f64>().ok()
    };
    Some((find("InOctets")?, find("OutOctets")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{ExpositionFormat, Metrics};

    #[test]
    fn the_process_is_shown() {
        let mut registry = Registry::default();
        register_process_metrics(&mut registry, &BuildInfo { version: "0.1.0", revision: "abc", branch: "main" });
        let text = Metrics::new(registry).encode(ExpositionFormat::Text).unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") < value("process_max_fds"));
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(text.contains("thanos_build_info{branch=\"main\",goarch="), "{text}");
        assert!(text.contains("# HELP process_open_fds Number of open file descriptors.\n"), "{text}");
    }
}
