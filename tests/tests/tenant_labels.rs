//! `--receive.tenant-labels`: external labels of some tenants, static or made from the tenant's name.

use anyhow::{Result, ensure};
use serde_json::json;
use thanoxide_model::{Labels, Sample};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::read_all;
use thanoxide_testkit::sender::Sender;

const TIME_MS: i64 = 1_790_000_000_000;
const RULES: &str = "
- tenant: acme
  labels: {region: eu}
- tenant: (.+)-(dev|prod)
  labels: {team: $1, stage: $2, region: '${2}land'}
- tenant: quiet-dev
  labels: {region: ''}
";

/// Tenants, and what they get beside their name.
const TENANTS: [(&str, &[(&str, &str)]); 5] = [
    ("acme", &[("region", "eu")]),
    ("acme-2", &[]),
    ("web-prod", &[("region", "prodland"), ("stage", "prod"), ("team", "web")]),
    ("a-b-dev", &[("region", "devland"), ("stage", "dev"), ("team", "a-b")]),
    ("quiet-dev", &[("stage", "dev"), ("team", "quiet")]),
];

#[tokio::test(flavor = "multi_thread")]
async fn tenants_have_the_labels_of_their_names() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("labels.yaml");
    std::fs::write(&file, RULES)?;
    let (inline, path) =
        (format!("--receive.tenant-labels={RULES}"), format!("--receive.tenant-labels-file={}", file.display()));
    for (name, flag) in [("inline", &inline), ("file", &path)] {
        let node = Program::receiver(&dir.path().join(name), &[flag])?;
        for (tenant, _) in TENANTS {
            let sender = Sender::new(format!("{}/api/v1/receive", node.url("remote-write"))).for_tenant(tenant);
            let up = Labels::from_pairs([("__name__", "up")]);
            sender.write(&[(up, vec![Sample { timestamp_ms: TIME_MS, value: 1.0 }])]).await?;
        }
        let wanted = TENANTS.map(|(tenant, own)| {
            let all = [&[("__name__", "up"), ("tenant_id", tenant)], own].concat();
            let labels = Labels::from_pairs(all);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            json!(labels.iter().map(|(name, value)| [text(name), text(value)]).collect::<Vec<_>>()).to_string()
        });
        let mut wanted: Vec<String> = wanted.into();
        wanted.sort_unstable();
        let found: Vec<String> = read_all(node.address("grpc"))?.into_keys().collect();
        ensure!(found == wanted, "{name}: {found:?}");
        // They are external labels: matchers on them choose among tenants.
        let query = Program::querier(&[&format!("--endpoint={}", node.address("grpc"))])?;
        let api = Api::new(query.url("http"));
        for (query, count) in
            [("count(up{stage=\"dev\"})", "2"), ("count(up{region=\"eu\"})", "1"), ("count(up{team=\"\"})", "2")]
        {
            let answer = api.instant(query, TIME_MS).await?;
            ensure!(answer["data"]["result"][0]["value"][1] == count, "{query}: {answer}");
        }
    }
    Ok(())
}
