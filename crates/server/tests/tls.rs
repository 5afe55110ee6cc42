//! TLS of the HTTP listener: certificates that change, clients that must show theirs, versions. The keys in `data` are
//! made for these tests and good for nothing else.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, Identity};
use thanoxide_server::http::{Request, Router, get};
use thanoxide_server::{CertificateField, ClientIdentity, HttpServer, Shutdown, Tls, TlsConfig};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

fn config(cert: &Path, key: &Path, client_ca: &str, min_version: &str) -> TlsConfig {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    TlsConfig::from_flags(&path(cert), &path(key), client_ca, min_version).unwrap().unwrap()
}

/// A listener that answers with the common name of its client.
async fn serve(config: TlsConfig) -> (SocketAddr, Shutdown) {
    let who = |request: Request| async move {
        let identity = request.extensions().get::<ClientIdentity>();
        ClientIdentity::field_of(identity, CertificateField::CommonName).map_or_else(|e| e.to_string(), str::to_string)
    };
    let server = HttpServer::bind("f", "127.0.0.1:0").await.unwrap().with_tls(Some(Tls::new(config).unwrap()));
    let (address, shutdown) = (server.local_addr().unwrap(), Shutdown::new());
    tokio::spawn(server.serve(Router::new().route("/", get(who)), shutdown.clone(), Duration::ZERO));
    (address, shutdown)
}

/// A client that keeps no connection, so that each request shakes hands.
fn client(identity: Option<&str>) -> Client {
    let ca = Certificate::from_pem(text("ca.pem").as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().tls_certs_only([ca]).pool_max_idle_per_host(0);
    let identity = identity.map(|name| {
        Identity::from_pem((text(&format!("{name}.key.pem")) + &text(&format!("{name}.pem"))).as_bytes()).unwrap()
    });
    identity.into_iter().fold(builder, |builder, identity| builder.identity(identity)).build().unwrap()
}

async fn ask(client: &Client, address: SocketAddr) -> Option<String> {
    client.get(format!("https://localhost:{}/", address.port())).send().await.ok()?.text().await.ok()
}

#[tokio::test]
async fn clients_are_let_in_by_their_certificate() {
    let ca = data("ca.pem").to_string_lossy().into_owned();
    let (open, _stop) = serve(config(&data("server.pem"), &data("server.key.pem"), "", "1.3")).await;
    let nobody = "could not get required certificate field from client cert";
    assert_eq!(ask(&client(None), open).await.as_deref(), Some(nobody));
    let (closed, _stop) = serve(config(&data("server.pem"), &data("server.key.pem"), &ca, "1.2")).await;
    assert_eq!(ask(&client(None), closed).await, None);
    assert_eq!(ask(&client(Some("client")), closed).await.as_deref(), Some("client"));
    // Whoever speaks no TLS gets nothing, and harms nobody.
    assert!(reqwest::get(format!("http://{closed}/")).await.is_err());
    assert_eq!(ask(&client(Some("client")), closed).await.as_deref(), Some("client"));
}

#[tokio::test]
async fn a_changed_certificate_is_read_again_and_a_broken_one_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
    let put = |from: &str, age_s: u64| {
        for (path, name) in [(&cert, format!("{from}.pem")), (&key, format!("{from}.key.pem"))] {
            std::fs::write(path, text(&name)).unwrap();
            let at = std::time::SystemTime::now() - Duration::from_secs(age_s);
            std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        }
    };
    put("server", 100);
    let (address, _stop) = serve(config(&cert, &key, "", "1.3")).await;
    let shown = async || {
        let response = client(None);
        let _ = &response;
        ask(&response, address).await.is_some()
    };
    assert!(shown().await);
    std::fs::write(&cert, "no certificate").unwrap();
    assert!(shown().await, "the old one stays");
    put("server-next", 50);
    assert!(shown().await);
}

#[test]
fn wrong_settings_have_stocks_words() {
    let error = |cert, key, ca| TlsConfig::from_flags(cert, key, ca, "1.3").unwrap_err().to_string();
    assert_eq!(error("a", "", ""), "both server key and certificate must be provided");
    assert_eq!(error("", "", "c"), "when a client CA is used a server key and certificate must also be provided");
    let tls = |config: TlsConfig| Tls::new(config).unwrap_err().to_string();
    assert_eq!(
        tls(config(Path::new("/no.crt"), Path::new("/no.key"), "", "")),
        "open /no.crt: no such file or directory"
    );
    let good = || config(&data("server.pem"), &data("server.key.pem"), "", "");
    let named = tls(TlsConfig { ciphers: vec!["NOPE".to_string()], ..good() });
    assert!(
        named.starts_with("invalid cipher suite: NOPE, valid values are TLS_AES_128_GCM_SHA256, TLS_AES_256"),
        "{named}"
    );
    let named = tls(TlsConfig { curves: vec!["NOPE".to_string()], ..good() });
    assert!(named.starts_with("invalid curve: NOPE, valid values are CurveP256, CurveP384, CurveP521,"), "{named}");
    let chosen = TlsConfig {
        ciphers: vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_string()],
        curves: vec!["X25519".to_string()],
        ..good()
    };
    assert!(Tls::new(chosen).is_ok());
}
