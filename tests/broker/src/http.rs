//! As much of HTTP/1.1 as the tests need, over plain sockets: what a test sends must be exactly what it says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for the other side.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// The status of an answer; 0 if it has none.
    #[must_use]
    pub fn status(&self) -> u16 {
        let status = self
            .start
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok());
        status.unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads a message whose length is given in its head; nothing if the other side has closed.
///
/// # Errors
/// A socket that breaks, a message that is none or is sent in chunks.
pub fn read_message(reader: &mut impl BufRead) -> Result<Option<Message>> {
    let mut message = Message::default();
    if reader.read_line(&mut message.start)? == 0 {
        return Ok(None);
    }
    message.start.truncate(message.start.trim_end().len());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the head broke off"));
        }
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        message.headers.insert(name, value);
    }
    if message.headers.contains_key("transfer-encoding") {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the body comes in chunks",
        ));
    }
    let length = message
        .headers
        .get("content-length")
        .and_then(|length| length.parse().ok());
    message.body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut message.body)?;
    Ok(Some(message))
}

/// Sends a request and reads the answer. `body` is sent as it is: its length is said unless a header says it.
///
/// # Errors
/// A server that does not answer.
pub fn request(
    address: &str,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Message> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| *name == "content-length") {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut sent = Vec::from(head);
    sent.extend_from_slice(body);
    // A server may refuse and close before it has read everything: its answer is there all the same.
    let written = (&stream).write_all(&sent);
    match read_message(&mut BufReader::new(stream)) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => {
            written?;
            Err(Error::new(
                ErrorKind::UnexpectedEof,
                "closed without an answer",
            ))
        }
        Err(error) => Err(error),
    }
}

/// Posts JSON.
///
/// # Errors
/// As [`request`].
pub fn post_json(address: &str, path: &str, body: &[u8]) -> Result<Message> {
    request(
        address,
        &format!("POST {path}"),
        &[("content-type", "application/json")],
        body,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back() {
        let text = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nX-A: b: c\r\n\r\nokHTTP/1.1 204 Nothing\r\n\r\n";
        let mut reader = BufReader::new(&text[..]);
        let message = read_message(&mut reader).unwrap().unwrap();
        assert_eq!((message.status(), message.text().as_str()), (202, "ok"));
        assert_eq!(message.headers["x-a"], "b: c");
        assert_eq!(read_message(&mut reader).unwrap().unwrap().status(), 204);
        assert_eq!(read_message(&mut reader).unwrap(), None);
    }
}
