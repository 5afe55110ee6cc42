//! TLS and authentication of listeners, from the flags.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use thanoxide_config::{Web, WebTls};
use thanoxide_flags::Matches;
use thanoxide_server::{BasicAuth, ClientAuth, Tls, TlsConfig};
use thanoxide_storeapi::grpc::{ClientTls, ClientTlsConfig};

const HTTP: [&[u8]; 2] = [b"h2", b"http/1.1"];
const GRPC: [&[u8]; 1] = [b"h2"];

/// The flags of one listener, named as stock names them.
fn from_flags(matches: &Matches, prefix: &str, protocols: &[&[u8]]) -> Result<Option<Tls>> {
    let flag = |name: &str| format!("{prefix}-{name}");
    let text = |name: &str| matches.text(&flag(name));
    let config = TlsConfig::from_flags(text("cert"), text("key"), text("client-ca"), text("min-version"))?;
    let Some(config) = config else { return Ok(None) };
    let config = TlsConfig {
        ciphers: matches.texts(&flag("ciphers")),
        curves: matches.texts(&flag("curves")),
        protocols: protocols.iter().map(|protocol| protocol.to_vec()).collect(),
        ..config
    };
    Ok(Some(Tls::new(config).map_err(|error| match error {
        // Stock names the step only where a file is at fault.
        thanoxide_server::TlsError::File { .. } => anyhow::Error::new(error).context("server credentials"),
        error => error.into(),
    })?))
}

/// `--grpc-server-tls-*`; programs without these flags speak in plain text.
pub(crate) fn grpc_server(matches: &Matches) -> Result<Option<Tls>> {
    if matches.command() == "standalone" {
        return Ok(None);
    }
    from_flags(matches, "grpc-server-tls", &GRPC)
}

/// `--remote-write.server-tls-*`.
pub(crate) fn remote_write_server(matches: &Matches) -> Result<Option<Tls>> {
    from_flags(matches, "remote-write.server-tls", &HTTP)
}

/// `--remote-write.client-tls-*`: TLS towards other nodes of the hashrings.
pub(crate) fn remote_write_client(matches: &Matches) -> Result<Option<ClientTls>> {
    client(matches, "remote-write.client-tls", "remote-write.client-server-name")
}

/// `--grpc-client-tls-*`: TLS towards endpoints.
pub(crate) fn grpc_client(matches: &Matches) -> Result<Option<ClientTls>> {
    client(matches, "grpc-client-tls", "grpc-client-server-name")
}

fn client(matches: &Matches, prefix: &str, server_name: &str) -> Result<Option<ClientTls>> {
    let flag = |name: &str| format!("{prefix}-{name}");
    if !matches.switch(&flag("secure")) {
        return Ok(None);
    }
    let text = |name: &str| matches.text(&flag(name));
    let config = ClientTlsConfig::from_flags(text("ca"), text("cert"), text("key"), matches.text(server_name))?;
    let config = ClientTlsConfig {
        skip_verify: matches.switch(&flag("skip-verify")),
        min_version: text("min-version").to_string(),
        ..config
    };
    Ok(Some(ClientTls::new(config)?))
}

/// What `--http.config` says of a listener.
#[derive(Debug)]
pub(crate) struct WebListener {
    /// TLS, where it is configured.
    pub(crate) tls: Option<Tls>,
    /// Who may come in; nobody named is everybody.
    pub(crate) users: Arc<BasicAuth>,
}

impl WebListener {
    pub(crate) fn from_flags(matches: &Matches) -> Result<Self> {
        let path = if matches.command() == "standalone" { "" } else { matches.text("http.config") };
        let web = if path.is_empty() { Web::default() } else { read(Path::new(path))? };
        let tls = web.tls.as_ref().map(web_tls).transpose()?.flatten();
        Ok(WebListener { tls, users: BasicAuth::new(web.users) })
    }
}

fn read(path: &Path) -> Result<Web> {
    let yaml = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!("open {}: no such file or directory", path.display()),
        _ => anyhow::anyhow!("open {}: {error}", path.display()),
    })?;
    Ok(Web::parse(&yaml, path.parent().unwrap_or(Path::new(".")))?)
}

fn web_tls(web: &WebTls) -> Result<Option<Tls>> {
    if web.cert_file.is_empty() {
        return Ok(None);
    }
    let client_auth = match web.client_auth_type.as_str() {
        "" | "NoClientCert" => ClientAuth::None,
        "VerifyClientCertIfGiven" => ClientAuth::IfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::Required,
        other => bail!("client_auth_type {other} takes certificates that nobody verified, and is not supported"),
    };
    let config = TlsConfig {
        cert: web.cert_file.clone().into(),
        key: web.key_file.clone().into(),
        client_ca: (!web.client_ca_file.is_empty()).then(|| web.client_ca_file.clone().into()),
        client_auth,
        min_version: web.min_version.clone(),
        max_version: web.max_version.clone(),
        ciphers: web.cipher_suites.clone(),
        curves: web.curve_preferences.clone(),
        protocols: HTTP.iter().map(|protocol| protocol.to_vec()).collect(),
    };
    let tls = Tls::new(config).with_context(|| format!("failed to read cert_file ({})", web.cert_file));
    // The exporter toolkit puts the step before the cause.
    tls.map(Some).map_err(|error| anyhow::anyhow!("{error:#}"))
}
