//! An S3 server inside the test process, on a free port, over a directory of its own.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

/// A running server; it ends with the runtime, its data with the value.
#[derive(Debug)]
pub(crate) struct S3Server {
    address: std::net::SocketAddr,
    _data: tempfile::TempDir,
}

impl S3Server {
    /// Starts one that has one empty bucket.
    pub(crate) async fn start(bucket: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join(bucket)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(data.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = service.build();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        S3Server { address, _data: data }
    }

    /// The bucket configuration for it.
    pub(crate) fn config(&self, bucket: &str) -> String {
        format!(
            "type: S3\nconfig:\n  bucket: {bucket}\n  endpoint: {}\n  insecure: true\n  access_key: key\n  \
             secret_key: secret\n  part_size: 8388608\n  max_retries: 1\n",
            self.address
        )
    }
}
