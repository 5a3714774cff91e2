//! A fake of GitHub's login pages, and the minimal HTTP for the examples' own servers.
//!
//! It accepts everything, and is not a model for a login server.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::form_urlencoded;

type Form = HashMap<String, String>;

/// A request with the parts that the examples use.
pub struct Request {
    /// The path and the query.
    pub target: String,
    pub authorization: String,
    pub form: Form,
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
    Ok(Some(Request {
        target: text.split(' ').nth(1).unwrap_or("/").to_owned(),
        authorization: header("authorization").to_owned(),
        form: form_urlencoded::parse(&bytes[head..length]).into_owned().collect(),
    }))
}

/// Sends the response, and closes the connection.
pub async fn answer(
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

/// Starts the fake, and returns its address.
pub async fn start() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let state = Arc::new(Mutex::new(State { base: base.clone(), polls: 0 }));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            if let Ok(Some(request)) = receive(&mut socket).await {
                let (status, headers, body) = reply(&state, &request);
                let _ = answer(&mut socket, status, &headers, &body).await;
            }
        }
    });
    Ok(base)
}

struct State {
    base: String,
    /// The number of polls of a device.
    polls: u32,
}

const JSON: &str = "content-type: application/json\r\n";
const TOKEN: &str = r#"{"access_token":"ghu_of_the_stand_in","token_type":"bearer","scope":"",
    "expires_in":28800,"refresh_token":"ghr_of_the_stand_in","refresh_token_expires_in":15897600}"#;

fn reply(state: &Mutex<State>, request: &Request) -> (&'static str, String, String) {
    let json = |body: &str| ("200 OK", JSON.to_owned(), body.to_owned());
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let Ok(mut state) = state.lock() else { return ("500 Oops", JSON.to_owned(), String::new()) };
    match path {
        "/login/oauth/authorize" => {
            let asked: Form = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let get = |name: &str| asked.get(name).map_or("", String::as_str);
            let (back, to) = (get("redirect_uri"), get("state"));
            let location = format!("location: {back}?code=of-the-stand-in&state={to}\r\n");
            ("302 Found", location, String::new())
        }
        "/login/device/code" => json(&format!(
            r#"{{"device_code":"of-the-stand-in","user_code":"WDJB-MJHT",
                "verification_uri":"{}/login/device","expires_in":900,"interval":1}}"#,
            state.base
        )),
        "/login/oauth/access_token" if request.form.contains_key("device_code") => {
            state.polls += 1;
            // The user takes some seconds.
            json(if state.polls < 3 { r#"{"error":"authorization_pending"}"# } else { TOKEN })
        }
        "/login/oauth/access_token" => json(TOKEN),
        "/user" if request.authorization == "Bearer ghu_of_the_stand_in" => {
            json(r#"{"login":"octocat"}"#)
        }
        "/user" => ("401 Unauthorized", JSON.to_owned(), r#"{"message":"Bad credentials"}"#.into()),
        _ => ("404 Not Found", JSON.to_owned(), r#"{"error":"Not Found"}"#.into()),
    }
}
