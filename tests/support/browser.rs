//! A real browser without a window: Chromium, by the protocol of its developer tools. It comes from the system:
//! without it a test fails.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A browser with one page. It ends with this value.
pub struct Browser {
    child: Child,
    folder: PathBuf,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    requests: u64,
    /// The errors and warnings of the page.
    complaints: Vec<String>,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Browser {
    pub async fn start() -> Self {
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        static BROWSERS: AtomicU32 = AtomicU32::new(0);
        let number = BROWSERS.fetch_add(1, Ordering::Relaxed);
        let folder = format!("octowire-browser-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let mut child = Command::new(&program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .args(["--remote-debugging-port=0", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is needed (or CHROMIUM=…): {error}"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    return address.to_owned();
                }
            }
            panic!("the browser ended");
        });
        let address = address.await.expect("the browser says where it listens");
        // Drains the output of the browser, which has no other reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = connect_async(address).await.unwrap();
        let mut browser =
            Self { child, folder, socket, session: None, requests: 0, complaints: Vec::new() };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", attach).await;
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    pub async fn open(&mut self, url: &str) {
        let opened = self.ask("Page.navigate", json!({ "url": url })).await;
        assert!(opened["errorText"].is_null(), "{opened}");
        self.until("document.readyState === 'complete'").await;
    }

    /// Looks at the page in a window of this size, in the light or in the dark.
    pub async fn look(&mut self, width: u32, height: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let media = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": media })).await;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Returns the value of an expression.
    pub async fn value(&mut self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let reported = self.ask("Runtime.evaluate", ask).await;
        assert!(reported["exceptionDetails"].is_null(), "{expression}: {reported}");
        reported["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.value(&format!("Boolean({expression})")).await != json!(true) {
            assert!(start.elapsed() < PATIENCE, "{expression} is never true");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The page as a PNG: as much as its window shows, or all of it.
    pub async fn screenshot(&mut self, all: bool) -> Vec<u8> {
        let ask = json!({ "format": "png", "captureBeyondViewport": all });
        let reported = self.ask("Page.captureScreenshot", ask).await;
        STANDARD.decode(reported["data"].as_str().unwrap()).unwrap()
    }

    /// Returns the complaints so far: errors and warnings of the console, exceptions, the log entries of the browser
    /// refused it, and requests that failed.
    pub async fn complaints(&mut self) -> Vec<String> {
        // All that came before the answer was read.
        self.value("0").await;
        self.complaints.clone()
    }

    pub async fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        let mut request = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        let response = timeout(PATIENCE, async {
            loop {
                let text = match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(_)) => continue,
                    ended => panic!("the browser has ended: {ended:?}"),
                };
                let reported: Value = serde_json::from_str(&text).unwrap();
                if reported["id"] == json!(id) {
                    return reported;
                }
                self.record(&reported);
            }
        });
        let mut response = response.await.unwrap_or_else(|_| panic!("{method} is not answered"));
        assert!(response["error"].is_null(), "{method}: {response}");
        response["result"].take()
    }

    fn record(&mut self, reported: &Value) {
        let (method, about) =
            (reported["method"].as_str().unwrap_or_default(), &reported["params"]);
        let complains = match method {
            "Runtime.exceptionThrown" => true,
            "Runtime.consoleAPICalled" => about["type"] == "error" || about["type"] == "warning",
            "Log.entryAdded" => {
                about["entry"]["level"] == "error" || about["entry"]["level"] == "warning"
            }
            "Network.loadingFailed" => about["canceled"] != json!(true),
            _ => false,
        };
        if complains {
            self.complaints.push(about.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
