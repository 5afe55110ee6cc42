//! The router's part of the flags: tenants, relabelling, limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use thanoxide_config::{Limits, Relabel};
use thanoxide_flags::Matches;
use thanoxide_ingester::Ingester;
use thanoxide_router::head_series::watch_head_series;
use thanoxide_router::{Limiter, OtlpSettings, Promotion, RouterConfig, TranslationStrategy};
use thanoxide_server::{CertificateField, HttpMetricsConfig, Shutdown, TenantHeader};

use crate::node::Node;
use crate::query::feature_names;
use crate::receive::hop_secret;
use crate::standalone::tenant_of;

/// Buckets of durations of the default forward timeout.
const RECEIVE_BUCKETS_SECONDS: [f64; 20] =
    [0.001, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 4.0, 5.0];
/// Prometheus's feature of this name: samples keep since when they count.
pub(crate) const ST_STORAGE: &str = "st-storage";
/// There are no buckets beyond it, however long a write may take.
const MAX_BUCKET_SECONDS: f64 = 120.0;

/// What the flags of `receive` say of the router. Everything is read and checked here, before anything is bound.
pub(crate) fn router_config(matches: &Matches) -> Result<RouterConfig> {
    let relabel = matches.content("receive.relabel-config").context("get content of relabel configuration");
    let relabel = relabel.and_then(|yaml| Ok(Relabel::parse(&yaml.unwrap_or_default())?));
    let split = matches.text("receive.split-tenant-label-name");
    let config = RouterConfig {
        certificate_field: CertificateField::named(matches.text("receive.tenant-certificate-field")),
        split_tenant_label: (!split.is_empty()).then(|| split.to_string()),
        replica_header: matches.text("receive.replica-header").to_string(),
        otlp: otlp_settings(matches)?,
        hop_secret: hop_secret(matches)?,
        relabel: Arc::new(relabel.context("get relabel configuration")?),
        ..tenant_config(matches)?
    };
    if let Some(limits) = read_limits(matches)? {
        config.limiter.set(limits);
    }
    Ok(config)
}

/// How OTLP is translated. The errors are those of Prometheus's configuration.
fn otlp_settings(matches: &Matches) -> Result<OtlpSettings> {
    let named = |flag| matches.texts(flag).into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>();
    let promoted = named("receive.otlp-promote-resource-attributes");
    let ignored = named("receive.otlp-ignore-resource-attributes");
    let promotion = match matches.switch("receive.otlp-promote-all-resource-attributes") {
        true if !promoted.is_empty() => bail!(
            "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously"
        ),
        true => Promotion::AllBut(ignored),
        false if !ignored.is_empty() => {
            bail!("'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true")
        }
        false => Promotion::Named(promoted),
    };
    Ok(OtlpSettings {
        strategy: TranslationStrategy::named(matches.text("receive.otlp-translation-strategy")),
        target_info: matches.switch("receive.otlp-enable-target-info"),
        promotion,
        keep_identifying: matches.switch("receive.otlp-keep-identifying-resource-attributes"),
        promote_scope: matches.switch("receive.otlp-promote-scope-metadata"),
        custom_buckets: matches.switch("receive.otlp-convert-histograms-to-nhcb"),
        delta: matches.switch("receive.otlp-native-delta-ingestion"),
        key_before_underscore: matches.switch("receive.otlp-label-name-underscore-sanitization"),
        keep_underscores: matches.switch("receive.otlp-label-name-preserve-multiple-underscores"),
    })
}

/// How Thanos's receiver counts requests: by tenant, and in finer buckets the longer a write may be on its way.
pub(crate) fn request_metrics(matches: &Matches) -> Result<HttpMetricsConfig> {
    let default_tenant = tenant_of(matches, "receive.default-tenant-id")?;
    let tenants = TenantHeader::new(matches.text("receive.tenant-header"), default_tenant.as_str())?;
    let mut seconds = RECEIVE_BUCKETS_SECONDS.to_vec();
    let longest = matches.duration("receive-forward-timeout").as_secs_f64().min(MAX_BUCKET_SECONDS);
    seconds.extend((1..).map(|step| 5.0 + 2.0 * f64::from(step)).take_while(|bound| *bound < longest));
    if seconds.last().is_some_and(|last| *last < longest) {
        seconds.push(longest);
    }
    Ok(HttpMetricsConfig { tenants: Some(tenants), duration_buckets_seconds: seconds })
}

/// The tenant's header and default, which `standalone` has as well.
pub(crate) fn tenant_config(matches: &Matches) -> Result<RouterConfig> {
    Ok(RouterConfig {
        tenant_header: matches.text("receive.tenant-header").to_string(),
        default_tenant: tenant_of(matches, "receive.default-tenant-id")?.as_str().to_string(),
        start_times: stores_start_times(matches),
        ..RouterConfig::default()
    })
}

/// Whether `--enable-feature` has Prometheus's name for start times that are kept.
pub(crate) fn stores_start_times(matches: &Matches) -> bool {
    feature_names(matches).any(|name| name == ST_STORAGE)
}

fn read_limits(matches: &Matches) -> Result<Option<Limits>> {
    let yaml = matches.content("receive.limits-config").context("get content of limit configuration")?;
    yaml.map(|yaml| Ok(Limits::parse(&yaml)?)).transpose()
}

/// Shows the limits, and reads their file again and again. A file that cannot be read changes nothing.
pub(crate) fn watch_limits(matches: &Matches, node: &mut Node, limiter: &Limiter, ingester: Option<&Arc<Ingester>>) {
    limiter.register(&mut node.registry);
    if let Some(ingester) = ingester {
        ingester.set_limits(Limits::clone(&limiter.limits()));
    }
    let asking = limiter.clone();
    node.group.add("head-series", move |shutdown| watch_head_series(asking, shutdown));
    if matches.text("receive.limits-config-file").is_empty() {
        return;
    }
    let interval = matches.duration("receive.limits-config-reload-timer").max(Duration::from_millis(10));
    let (matches, limiter, ingester) = (matches.clone(), limiter.clone(), ingester.map(Arc::clone));
    node.group.add("limits", move |shutdown: Shutdown| async move {
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok::<_, Infallible>(()),
                () = tokio::time::sleep(interval) => reload(&matches, &limiter, ingester.as_deref()),
            }
        }
    });
}

fn reload(matches: &Matches, limiter: &Limiter, ingester: Option<&Ingester>) {
    match read_limits(matches).map(Option::unwrap_or_default) {
        Ok(limits) if limits != *limiter.limits() => {
            tracing::info!("limits changed");
            if let Some(ingester) = ingester {
                ingester.set_limits(limits.clone());
            }
            limiter.set(limits);
        }
        Ok(_) => {}
        Err(error) => {
            if limiter.keep() {
                tracing::error!(err = format!("{error:#}"), "limits stay as they are, the file cannot be read");
            }
        }
    }
}
