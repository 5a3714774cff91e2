//! The minimal HTTP/1.1 of the examples' own servers: a request, its response, and the connection ends.
//!
//! It is not a model for a server.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::form_urlencoded;

/// A request with the parts that the examples use.
pub struct Request {
    pub method: String,
    /// The path and the query.
    pub target: String,
    pub authorization: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The body as a form.
    pub fn form(&self) -> HashMap<String, String> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// More than a browser's request for a page; an example has bounds as well.
const MAX_HEAD: usize = 64 * 1024;

/// Reads a request; `None` if the connection ends before one is complete.
pub async fn receive(socket: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > MAX_HEAD || socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let header = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(set, _)| set.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    };
    let length = head + header("content-length").parse::<usize>().unwrap_or(0).min(MAX_HEAD);
    while bytes.len() < length {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let mut words = text.split(' ');
    Ok(Some(Request {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or("/").to_owned(),
        authorization: header("authorization").to_owned(),
        body: bytes[head..length].to_vec(),
    }))
}

/// Sends the response, and closes the connection.
pub async fn respond(
    socket: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &str,
) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n");
    socket.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
    socket.shutdown().await
}
