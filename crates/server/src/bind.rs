//! Binding a listening address, with errors that name the flag.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;

/// An address that cannot be listened on. The texts after the flag are Go's.
#[derive(Debug, Error)]
pub enum BindError {
    /// No `:port`.
    #[error("--{flag}: listen tcp: address {address}: missing port in address")]
    MissingPort {
        /// The flag that gave the address.
        flag: String,
        /// The address as given.
        address: String,
    },
    /// A port that is not a number up to 65535.
    #[error("--{flag}: listen tcp: address {port}: invalid port")]
    InvalidPort {
        /// The flag that gave the address.
        flag: String,
        /// The port as given.
        port: String,
    },
    /// The system refuses: the port is busy, the address is not ours, the name is unknown.
    #[error("--{flag}: listen tcp {address}: {}", reason(.cause))]
    Refused {
        /// The flag that gave the address.
        flag: String,
        /// The address as given.
        address: String,
        /// What the system said. The text above holds it, so it is no source of its own.
        cause: io::Error,
    },
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "bind: address already in use".to_string(),
        io::ErrorKind::PermissionDenied => "bind: permission denied".to_string(),
        io::ErrorKind::AddrNotAvailable => "bind: cannot assign requested address".to_string(),
        _ => error.to_string(),
    }
}

/// What Go says of a file that cannot be opened.
pub(crate) fn go_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_string(),
        io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}

/// Listens on `host:port`. An empty host means every address of the machine, as in Go.
pub(crate) async fn bind(flag: &str, address: &str) -> Result<TcpListener, BindError> {
    let (host, port) = split(flag, address)?;
    let refused = |cause| BindError::Refused { flag: flag.to_string(), address: address.to_string(), cause };
    let addresses: Vec<SocketAddr> = if host.is_empty() {
        vec![SocketAddr::from(([0u16; 8], port)), SocketAddr::from(([0u8; 4], port))]
    } else {
        tokio::net::lookup_host((host, port)).await.map_err(refused)?.collect()
    };
    // The first error is kept: falling back to IPv4 must not hide that the port is busy.
    let mut first_error = None;
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(refused(error)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(refused(first_error.unwrap_or_else(|| io::Error::other("no address found"))))
}

fn split<'a>(flag: &str, address: &'a str) -> Result<(&'a str, u16), BindError> {
    let missing = || BindError::MissingPort { flag: flag.to_string(), address: address.to_string() };
    let (host, port) = address.rsplit_once(':').ok_or_else(missing)?;
    if host.starts_with('[') != host.ends_with(']') {
        return Err(missing());
    }
    let number = port.parse();
    let number = number.map_err(|_| BindError::InvalidPort { flag: flag.to_string(), port: port.to_string() })?;
    Ok((host.trim_start_matches('[').trim_end_matches(']'), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_name_the_flag_and_the_address() {
        for (address, text) in [
            ("127.0.0.1", "--http-address: listen tcp: address 127.0.0.1: missing port in address"),
            ("127.0.0.1:99999", "--http-address: listen tcp: address 99999: invalid port"),
        ] {
            assert_eq!(bind("http-address", address).await.unwrap_err().to_string(), text);
        }
        let taken = bind("http-address", "127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = bind("http-address", &address).await.unwrap_err().to_string();
        assert_eq!(error, format!("--http-address: listen tcp {address}: bind: address already in use"));
    }

    #[tokio::test]
    async fn empty_hosts_and_bracketed_addresses_bind() {
        for address in [":0", "0.0.0.0:0", "localhost:0"] {
            assert!(bind("http-address", address).await.is_ok(), "{address}");
        }
        assert_eq!(split("f", "[::1]:80").unwrap(), ("::1", 80));
    }
}
