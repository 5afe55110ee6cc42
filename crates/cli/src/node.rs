//! What every program shares: metrics, probes, listeners, and the order of starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use thanoxide_env::Env;
use thanoxide_flags::Matches;
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::http::Router;
use thanoxide_server::process::{BuildInfo, register_process_metrics};
use thanoxide_server::{
    BasicAuth, GrpcKind, GrpcMethod, GrpcMetrics, GrpcServer, HttpMetrics, HttpMetricsConfig, HttpServer, Metrics,
    Probe, RunGroup, Shutdown, metrics_router,
};

use crate::tls::{self, WebListener};

/// How long a stop may take in all.
pub const STOP_DEADLINE: Duration = Duration::from_secs(9);

/// A program before it serves: its registry still takes metrics.
#[derive(Debug)]
pub struct Node {
    /// Clock, disk, randomness.
    pub env: Env,
    /// Where metrics go.
    pub registry: Registry,
    /// Whether it is ready.
    pub probe: Probe,
    /// Metrics of HTTP requests.
    pub http_metrics: HttpMetrics,
    /// Metrics of gRPC calls.
    pub grpc_metrics: GrpcMetrics,
    /// What runs.
    pub group: RunGroup,
    http: HttpServer,
    users: Arc<BasicAuth>,
    http_grace: Duration,
    grpc: GrpcServer,
    grpc_grace: Duration,
    stop_deadline: Duration,
}

impl Node {
    /// Binds the listeners of `--http-address` and `--grpc-address`, with the grace periods and connection age of the flags;
    /// HTTP requests are counted as `requests` says.
    pub async fn bind(component: &'static str, matches: &Matches, requests: HttpMetricsConfig) -> Result<Self> {
        let mut node = Node::bind_quick(component, matches, requests).await?;
        node.grpc_grace = matches.duration("grpc-grace-period");
        node.grpc = node.grpc.with_max_connection_age(matches.duration("grpc-server-max-connection-age"));
        node.stop_deadline = node.http_grace.max(node.grpc_grace).max(STOP_DEADLINE);
        Ok(node)
    }

    /// As [`Node::bind`], for a program that stops within [`STOP_DEADLINE`] whatever its clients do.
    pub async fn bind_quick(component: &'static str, matches: &Matches, requests: HttpMetricsConfig) -> Result<Self> {
        let env = Env::system();
        let tls = tls::grpc_server(matches).context("setup gRPC server")?;
        let web = WebListener::from_flags(matches).context("server could not be started")?;
        let http = HttpServer::bind("http-address", matches.text("http-address")).await?.with_tls(web.tls);
        tracing::info!(component = "http", address = %http.local_addr()?, "listening");
        let grpc = GrpcServer::bind("grpc-address", matches.text("grpc-address")).await?.with_tls(tls);
        tracing::info!(component = "grpc", address = %grpc.local_addr()?, "listening");
        let mut registry = Registry::default();
        let build = BuildInfo { version: env!("CARGO_PKG_VERSION"), revision: "", branch: "" };
        register_process_metrics(&mut registry, &build);
        Ok(Node {
            probe: Probe::new(component, &mut registry),
            http_metrics: HttpMetrics::new(&mut registry, requests, Arc::clone(&env.clock)),
            grpc_metrics: GrpcMetrics::new(&mut registry, &GRPC_METHODS, Arc::clone(&env.clock)),
            registry,
            env,
            group: RunGroup::new(),
            http,
            users: web.users,
            http_grace: matches.duration("http-grace-period"),
            grpc,
            grpc_grace: STOP_DEADLINE,
            stop_deadline: STOP_DEADLINE,
        })
    }

    /// Where HTTP is served.
    pub fn http_addr(&self) -> Result<SocketAddr> {
        Ok(self.http.local_addr()?)
    }

    /// Where gRPC is served.
    pub fn grpc_addr(&self) -> Result<SocketAddr> {
        Ok(self.grpc.local_addr()?)
    }

    /// How long listeners may take to drain.
    pub fn http_grace(&self) -> Duration {
        self.http_grace.min(self.stop_deadline)
    }

    /// Serves until a signal comes: `api` beside probes and metrics, `services` over gRPC. `metrics` hands the finished
    /// registry to whoever else reads it.
    pub async fn serve(self, api: Router, services: RoutesBuilder, metrics: impl FnOnce(&Metrics)) -> Result<()> {
        let http_grace = self.http_grace();
        let registry = Metrics::new(self.registry);
        metrics(&registry);
        let routes = self.probe.router().merge(metrics_router(registry)).merge(api);
        let routes = self.users.guard(routes);
        let (deadline, grpc_grace) = (self.stop_deadline, self.grpc_grace);
        let (mut group, http, grpc, grpc_metrics, probe) =
            (self.group, self.http, self.grpc, self.grpc_metrics, self.probe.clone());
        group.add("grpc", move |shutdown| grpc.serve(services, grpc_metrics, probe, shutdown, grpc_grace));
        group.add("http", move |shutdown| http.serve(routes, shutdown, http_grace));
        Ok(group.run(Shutdown::new(), deadline).await?)
    }
}

const GRPC_METHODS: [GrpcMethod; 7] = [
    method("thanos.Store", "Series", GrpcKind::ServerStream),
    method("thanos.Store", "LabelNames", GrpcKind::Unary),
    method("thanos.Store", "LabelValues", GrpcKind::Unary),
    method("thanos.WriteableStore", "RemoteWrite", GrpcKind::Unary),
    method("thanos.Exemplars", "Exemplars", GrpcKind::ServerStream),
    method("thanos.Metadata", "MetricMetadata", GrpcKind::ServerStream),
    method("thanos.info.Info", "Info", GrpcKind::Unary),
];

const fn method(service: &'static str, method: &'static str, kind: GrpcKind) -> GrpcMethod {
    GrpcMethod { service, method, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_methods_are_those_of_the_services() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/thanos");
        let files = std::fs::read_dir(root)
            .expect("a folder")
            .flat_map(|dir| std::fs::read_dir(dir.expect("an entry").path()).expect("a folder"));
        let texts: Vec<String> =
            files.map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("a text")).collect();
        for GrpcMethod { service, method, kind } in GRPC_METHODS {
            let (package, service) = service.rsplit_once('.').expect("a package");
            let text = texts.iter().find(|text| {
                text.contains(&format!("package {package};")) && text.contains(&format!("service {service} {{"))
            });
            let line = text.and_then(|text| text.lines().find(|line| line.contains(&format!("rpc {method}("))));
            let line = line.unwrap_or_else(|| panic!("{package}.{service} has no {method}"));
            assert_eq!(line.contains("returns (stream "), kind == GrpcKind::ServerStream, "{line}");
        }
    }
}
