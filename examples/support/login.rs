//! A fake of GitHub's login pages.
//!
//! It accepts everything, and is not a model for a login server.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use super::server::{Request, receive, respond};

/// Starts the fake, and returns its address.
pub async fn start() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let state = Arc::new(Mutex::new(State { base: base.clone(), polls: 0 }));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            if let Ok(Some(request)) = receive(&mut socket).await {
                let (status, headers, body) = reply(&state, &request);
                let _ = respond(&mut socket, status, &headers, &body).await;
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
    let Ok(mut state) = state.lock() else { return ("500 Oops", JSON.to_owned(), String::new()) };
    match request.path() {
        "/login/oauth/authorize" => {
            let get = |name: &str| request.query(name).unwrap_or_default();
            let (back, to) = (get("redirect_uri"), get("state"));
            let location = format!("location: {back}?code=of-the-stand-in&state={to}\r\n");
            ("302 Found", location, String::new())
        }
        "/login/device/code" => json(&format!(
            r#"{{"device_code":"of-the-stand-in","user_code":"WDJB-MJHT",
                "verification_uri":"{}/login/device","expires_in":900,"interval":1}}"#,
            state.base
        )),
        "/login/oauth/access_token" if request.form().contains_key("device_code") => {
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
