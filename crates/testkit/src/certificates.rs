//! Certificates made for a test: an authority, and files that are changed while programs use them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Somebody who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// One that nobody knows yet.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), pem })
    }

    /// A certificate and its key, as PEM, for `localhost` and 127.0.0.1.
    fn sign(&self, common_name: &str) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_string(), "127.0.0.1".to_string()])?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

/// A directory with `ca.pem`, `cert.pem` and `key.pem`.
#[derive(Debug)]
pub struct CertificateFiles {
    dir: PathBuf,
    /// How often they were written; each time gets a time of change of its own.
    writes: u64,
}

impl CertificateFiles {
    /// Writes them: a certificate from `authority`, and `trusted` as the CA of the others.
    pub fn new(dir: &Path, authority: &Authority, trusted: &Authority, common_name: &str) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut files = CertificateFiles { dir: dir.to_path_buf(), writes: 0 };
        files.renew(authority, trusted, common_name)?;
        Ok(files)
    }

    /// Writes others over them.
    pub fn renew(&mut self, authority: &Authority, trusted: &Authority, common_name: &str) -> Result<()> {
        let (cert, key) = authority.sign(common_name)?;
        self.put("cert.pem", &cert)?;
        self.put("key.pem", &key)?;
        self.put("ca.pem", &trusted.pem)
    }

    /// Writes one file; its time of change differs from that of all writes before, however coarse the clock is.
    pub fn put(&mut self, name: &str, text: &str) -> Result<()> {
        self.writes += 1;
        let path = self.path(name);
        std::fs::write(&path, text)?;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.writes);
        Ok(std::fs::File::options().write(true).open(path)?.set_modified(at)?)
    }

    /// Where one of them lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }
}
