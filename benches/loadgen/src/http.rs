//! A client of HTTP/1.1 over one kept connection, so plain that it costs the generator next to nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// No answer for so long is a failure.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Larger than any chunk header or header line.
const LINE_LIMIT: u64 = 64 << 10;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// The body of a 2xx answer; else an error with what it says.
    pub fn success(self) -> Result<Vec<u8>> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let text = String::from_utf8_lossy(&self.body);
        bail!("HTTP {}: {}", self.status, text.chars().take(500).collect::<String>())
    }
}

/// A connection to one server.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    /// Connects to `host:port`.
    pub fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Connection { stream: BufReader::with_capacity(256 << 10, stream), address: address.to_string() })
    }

    /// GET.
    pub fn get(&mut self, path: &str) -> Result<Response> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.exchange(&head, b"")
    }

    /// GET with parameters.
    pub fn get_with(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
        self.get(&format!("{path}?{}", form(fields)))
    }

    /// POST of a body; `headers` are whole lines, each with its line end.
    pub fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Result<Response> {
        let (address, length) = (&self.address, body.len());
        let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.exchange(&head, body)
    }

    /// POST of a form.
    pub fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
        self.post_form_with(path, "", fields)
    }

    /// POST of a form with more headers, whole lines each.
    pub fn post_form_with(&mut self, path: &str, headers: &str, fields: &[(&str, &str)]) -> Result<Response> {
        let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}");
        self.post(path, &headers, form(fields).as_bytes())
    }

    fn exchange(&mut self, head: &str, body: &[u8]) -> Result<Response> {
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).context("cannot send")?;
        stream.write_all(body).context("cannot send")?;
        read_response(&mut self.stream)
    }
}

fn read_response(stream: &mut impl BufRead) -> Result<Response> {
    let status_line = line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.with_context(|| format!("no HTTP answer: {status_line:?}"))?;
    let (mut length, mut chunked) = (None, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", value)) => length = Some(value.trim().parse::<u64>()?),
            Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
            Some(_) => {}
            None => break,
        }
    }
    let body = match (chunked, length) {
        (true, _) => chunks(stream)?,
        (false, Some(length)) => exactly(stream, length)?,
        (false, None) if status == 204 => Vec::new(),
        (false, None) => bail!("an answer without a length"),
    };
    Ok(Response { status, body })
}

fn chunks(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?;
        let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).context("bad chunk")?;
        if size == 0 {
            while !line(stream)?.is_empty() {}
            return Ok(body);
        }
        append(stream, size, &mut body)?;
        line(stream)?;
    }
}

fn exactly(stream: &mut impl BufRead, length: u64) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    append(stream, length, &mut body)?;
    Ok(body)
}

fn append(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> Result<()> {
    if stream.take(length).read_to_end(body)? as u64 != length {
        bail!("the answer ends early");
    }
    Ok(())
}

fn line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    stream.take(LINE_LIMIT).read_line(&mut line).context("no answer")?;
    match line.strip_suffix('\n') {
        Some(whole) => Ok(whole.trim_end_matches('\r').to_string()),
        None => bail!("the answer ends early"),
    }
}

/// Names and values as a form has them.
fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// Percent-encoding of everything but letters and digits.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Response> {
        read_response(&mut text.as_bytes())
    }

    #[test]
    fn bodies_of_every_framing_are_read() {
        let plain = parsed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc").unwrap();
        assert_eq!((plain.status, plain.body.as_slice()), (200, b"abc".as_slice()));
        let chunked = parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n");
        assert_eq!(chunked.unwrap().body, b"abc");
        assert!(parsed("HTTP/1.1 204 No Content\r\n\r\n").unwrap().body.is_empty());
    }

    #[test]
    fn broken_answers_are_errors() {
        for text in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"]
        {
            assert!(parsed(text).is_err(), "{text:?}");
        }
        assert!(parsed("HTTP/1.1 409 Conflict\r\nContent-Length: 1\r\n\r\nx").unwrap().success().is_err());
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(encoded("a b{c=\"1\"}"), "a%20b%7Bc%3D%221%22%7D");
    }
}
