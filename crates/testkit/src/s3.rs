//! An S3 server inside the test process, on a free port, over a directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A running server; it ends with the runtime, its data with the value.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    bucket: String,
    data: TempDir,
}

impl S3Server {
    /// Starts one that has one empty bucket.
    pub async fn start(bucket: &str) -> Result<Self> {
        let data = tempfile::tempdir()?;
        std::fs::create_dir(data.path().join(bucket))?;
        let files = s3s_fs::FileSystem::new(data.path()).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = service.build();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                // A connection that ends badly is the client's affair.
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Ok(S3Server { address, bucket: bucket.to_string(), data })
    }

    /// Thanos's YAML for its bucket.
    pub fn config(&self) -> String {
        format!(
            "type: S3\nconfig:\n  bucket: {}\n  endpoint: {}\n  insecure: true\n  access_key: key\n  \
             secret_key: secret\n  max_retries: 1\n",
            self.bucket, self.address
        )
    }

    /// Where the bucket's objects lie as files.
    pub fn objects(&self) -> PathBuf {
        Path::new(self.data.path()).join(&self.bucket)
    }
}
