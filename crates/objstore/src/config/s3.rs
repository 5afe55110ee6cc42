//! S3 and what speaks its language.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::limit::LimitStore;
use object_store::{Attribute, Attributes, ClientOptions, ObjectStore, RetryConfig};
use serde::Deserialize;

use super::ConfigError;
use super::http::HttpConfig;
use crate::object_bucket::{ObjectBucket, UploadOptions};

/// Settings of type `S3`, with Thanos's names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// Name of the bucket.
    pub bucket: String,
    /// Host and port, without a scheme.
    pub endpoint: String,
    /// Region; `us-east-1` where it is empty.
    pub region: String,
    /// Has no meaning here: the endpoint is taken as it is.
    pub disable_dualstack: bool,
    /// Credentials as the AWS SDKs find them.
    pub aws_sdk_auth: bool,
    /// Key id; where it is empty, credentials come from the environment.
    pub access_key: String,
    /// Plain HTTP.
    pub insecure: bool,
    /// Not supported.
    pub signature_version2: bool,
    /// Secret.
    pub secret_key: String,
    /// Token of temporary credentials.
    pub session_token: String,
    /// Headers for each new object; `X-Amz-Storage-Class` or metadata.
    pub put_user_metadata: BTreeMap<String, String>,
    /// The HTTP client.
    pub http_config: HttpConfig,
    /// Tracing of requests: not supported, ignored with a warning.
    pub trace: TraceConfig,
    /// Only `v2` and empty are supported.
    pub list_objects_version: String,
    /// `auto`, `virtual-hosted` or `path`.
    pub bucket_lookup_type: String,
    /// Accepted; S3 checks the signed SHA-256 of each request instead.
    pub send_content_md5: Option<bool>,
    /// Upload each file in one request, which takes its size in memory.
    pub disable_multipart: bool,
    /// Bytes of a part; 0 is the default.
    pub part_size: u64,
    /// Encryption on the server.
    pub sse_config: SseConfig,
    /// Where to get temporary credentials.
    pub sts_endpoint: String,
    /// How often a request is repeated; 0 is the default.
    pub max_retries: usize,
}

/// The `trace` of an S3 configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceConfig {
    /// Whether requests are logged.
    pub enable: bool,
}

/// Encryption on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SseConfig {
    /// Empty, `SSE-S3`, `SSE-KMS` or `SSE-C`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Key of `SSE-KMS`.
    pub kms_key_id: String,
    /// Not supported.
    pub kms_encryption_context: BTreeMap<String, String>,
    /// File with the 32 bytes of `SSE-C`.
    pub encryption_key: String,
}

impl S3Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.check().map_err(|reason| ConfigError::Invalid { kind: "S3", reason })
    }

    fn check(&self) -> Result<(), String> {
        self.check_place()?;
        self.check_credentials()?;
        self.check_unsupported()?;
        self.sse_config.check()?;
        self.http_config.validate()
    }

    fn check_place(&self) -> Result<(), String> {
        if self.endpoint.is_empty() {
            return Err("no s3 endpoint in config file".into());
        }
        if self.endpoint.contains('/') {
            return Err(format!("endpoint {:?}: it must be a host without scheme and path", self.endpoint));
        }
        if self.bucket.is_empty() {
            return Err("no s3 bucket in config file".into());
        }
        match self.bucket_lookup_type.as_str() {
            "" | "auto" | "virtual-hosted" | "path" => Ok(()),
            other => Err(format!("unsupported bucket lookup type: {other}")),
        }
    }

    fn check_credentials(&self) -> Result<(), String> {
        let hint = "either both should be present in config or envvars/IAM should be used";
        match (self.access_key.is_empty(), self.secret_key.is_empty()) {
            (false, _) if self.aws_sdk_auth => {
                Err("aws_sdk_auth and access_key are mutually exclusive configurations".into())
            }
            (true, false) => Err(format!("no s3 access_key specified while secret_key is present; {hint}")),
            (false, true) => Err(format!("no s3 secret_key specified while access_key is present; {hint}")),
            _ => Ok(()),
        }
    }

    fn check_unsupported(&self) -> Result<(), String> {
        if self.signature_version2 {
            return Err("signature_version2 is not supported; requests are signed with version 4".into());
        }
        match self.list_objects_version.as_str() {
            "" | "v2" => Ok(()),
            "v1" => Err("list_objects_version v1 is not supported".into()),
            other => Err(format!("unsupported list_objects_version {other:?}: supported values are v1, v2")),
        }
    }

    pub(super) fn open(&self) -> Result<ObjectBucket, ConfigError> {
        let invalid = |reason: String| ConfigError::Invalid { kind: "S3", reason };
        let store = self.builder().map_err(invalid)?.build().map_err(|e| invalid(e.to_string()))?;
        let store: Arc<dyn ObjectStore> = match self.http_config.max_conns_per_host {
            0 => Arc::new(store),
            limit => Arc::new(LimitStore::new(store, limit)),
        };
        if self.trace.enable {
            tracing::warn!("trace.enable of the bucket configuration has no effect");
        }
        Ok(ObjectBucket::new(self.bucket.clone(), store, self.upload_options()))
    }

    fn builder(&self) -> Result<AmazonS3Builder, String> {
        let scheme = if self.insecure { "http" } else { "https" };
        let virtual_hosted = match self.bucket_lookup_type.as_str() {
            "virtual-hosted" => true,
            "path" => false,
            _ => self.endpoint.ends_with(".amazonaws.com") || self.endpoint.ends_with(".aliyuncs.com"),
        };
        // With virtual hosts the backend wants the bucket in the endpoint's host.
        let host = if virtual_hosted { format!("{}.{}", self.bucket, self.endpoint) } else { self.endpoint.clone() };
        let mut builder = self
            .credentials()
            .with_bucket_name(&self.bucket)
            .with_endpoint(format!("{scheme}://{host}"))
            .with_virtual_hosted_style_request(virtual_hosted)
            .with_client_options(ClientOptions::new().with_allow_http(self.insecure))
            .with_http_connector(self.http_config.connector()?);
        if !self.region.is_empty() {
            builder = builder.with_region(&self.region);
        }
        if self.max_retries > 0 {
            builder = builder.with_retry(RetryConfig { max_retries: self.max_retries, ..RetryConfig::default() });
        }
        self.sse_config.apply(builder)
    }

    fn credentials(&self) -> AmazonS3Builder {
        if self.access_key.is_empty() {
            let builder = AmazonS3Builder::from_env();
            return match self.sts_endpoint.as_str() {
                "" => builder,
                sts => builder.with_config(AmazonS3ConfigKey::StsEndpoint, sts),
            };
        }
        let builder =
            AmazonS3Builder::new().with_access_key_id(&self.access_key).with_secret_access_key(&self.secret_key);
        if self.session_token.is_empty() { builder } else { builder.with_token(&self.session_token) }
    }

    fn upload_options(&self) -> UploadOptions {
        let defaults = UploadOptions::default();
        let attributes = self.put_user_metadata.iter().map(|(name, value)| {
            let attribute = if name.eq_ignore_ascii_case("x-amz-storage-class") {
                Attribute::StorageClass
            } else {
                Attribute::Metadata(Cow::Owned(name.clone()))
            };
            (attribute, value.clone())
        });
        UploadOptions {
            part_bytes: if self.part_size == 0 { defaults.part_bytes } else { self.part_size },
            multipart: !self.disable_multipart,
            attributes: attributes.collect::<Attributes>(),
        }
    }
}

impl SseConfig {
    fn check(&self) -> Result<(), String> {
        match self.kind.as_str() {
            "" | "SSE-S3" => Ok(()),
            "SSE-KMS" if self.kms_key_id.is_empty() => {
                Err("kms_key_id must be set if sse_config.type is set to 'SSE-KMS'".into())
            }
            "SSE-KMS" if !self.kms_encryption_context.is_empty() => {
                Err("sse_config.kms_encryption_context is not supported".into())
            }
            "SSE-C" if self.encryption_key.is_empty() => {
                Err("encryption_key must be set if sse_config.type is set to 'SSE-C'".into())
            }
            "SSE-KMS" | "SSE-C" => Ok(()),
            other => Err(format!("unsupported sse_config.type {other:?}: supported types are SSE-S3, SSE-KMS, SSE-C")),
        }
    }

    fn apply(&self, builder: AmazonS3Builder) -> Result<AmazonS3Builder, String> {
        match self.kind.as_str() {
            "SSE-S3" => {
                let key = "aws_server_side_encryption".parse().map_err(|e| format!("{e}"))?;
                Ok(builder.with_config(key, "AES256"))
            }
            "SSE-KMS" => Ok(builder.with_sse_kms_encryption(&self.kms_key_id)),
            "SSE-C" => {
                let path = &self.encryption_key;
                let key = std::fs::read(path).map_err(|e| format!("sse_config.encryption_key {path}: {e}"))?;
                if key.len() != 32 {
                    return Err(format!("sse_config.encryption_key {path}: SSE-C key must be 256 bit long"));
                }
                Ok(builder.with_ssec_encryption(base64(&key)))
            }
            _ => Ok(builder),
        }
    }
}

/// RFC 4648's base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (i, b)| bits | u32::from(*b) << (16 - 8 * i));
        for digit in 0..4 {
            if digit <= group.len() {
                out.push(char::from(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
