//! Chromium without a window, driven by `WebDriver` (W3C, 2018).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::http;

/// The key under which `WebDriver` gives elements (section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(super) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    // What it writes, for as long as it runs.
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(super) fn start() -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let started = "ChromeDriver was started successfully on port ";
        let port = lines.map_while(Result::ok).find_map(|line| {
            Some(
                line.strip_prefix(started)?
                    .trim_end_matches('.')
                    .parse::<u16>(),
            )
        });
        let mut browser = Browser {
            driver,
            address: ([127, 0, 0, 1], port.expect("a port").unwrap()).into(),
            session: String::new(),
            _profile: profile,
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
        ];
        let options = json!({ "goog:chromeOptions": { "args": arguments } });
        let capabilities = json!({ "capabilities": { "alwaysMatch": options } });
        let answer = browser.ask("POST", "/session", &capabilities);
        browser.session = format!("/session/{}", answer["sessionId"].as_str().unwrap());
        browser
    }

    /// Somebody writes an invoice and marks it as paid.
    pub(super) fn visit(&self, site: &str, mode: &str) {
        self.command("url", &json!({ "url": format!("{site}/invoices") }));
        self.command("cookie", &Value::Null);
        self.click("a.button.primary");
        self.type_into("[name=customer_id]", "Aurora");
        self.type_into("[name='lines[0][description]']", mode);
        self.type_into("[name='lines[0][unit_price]']", "12.50");
        self.click("[data-add-line]");
        self.type_into("[name='lines[1][description]']", "Travel");
        self.type_into("[name='lines[1][unit_price]']", "100");
        // The application's script adds up while one types.
        self.wait_for("[data-net]", "112.50");
        self.click("tr[data-line]:nth-child(2) [data-remove-line]");
        self.wait_for("[data-net]", "12.50");
        // A price that is none: the form comes back with what was typed.
        self.type_into("[name='lines[0][unit_price]']", "x");
        self.click("form.card button.primary");
        self.wait_for("[role=alert]", "Please correct");
        self.run("document.querySelector(\"[name='lines[0][unit_price]']\").value = ''");
        self.type_into("[name='lines[0][unit_price]']", "12.50");
        self.click("form.card button.primary");
        self.wait_for("[role=status]", "was created");
        self.wait_for("article", mode);
        self.click(".actions button.primary");
        self.wait_for("h1 .badge", "Paid");
        self.command("url", &json!({ "url": format!("{site}/invoices/nothing") }));
        self.wait_for("body", "Not found");
    }

    fn element(&self, selector: &str) -> String {
        let by = json!({ "using": "css selector", "value": selector });
        let start = Instant::now();
        loop {
            let found = self.try_command("element", &by);
            if let Some(id) = found[ELEMENT].as_str() {
                return id.to_owned();
            }
            assert!(start.elapsed() < crate::DEADLINE, "no {selector}: {found}");
        }
    }

    fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        let keys = json!({ "text": text });
        self.command(&format!("element/{element}/value"), &keys);
    }

    fn run(&self, script: &str) -> Value {
        let script = json!({ "script": script, "args": [] });
        self.command("execute/sync", &script)
    }

    fn wait_for(&self, selector: &str, text: &str) {
        let script = format!("return document.querySelector({selector:?})?.textContent ?? ''");
        let start = Instant::now();
        loop {
            let content = self.run(&script);
            if content
                .as_str()
                .is_some_and(|content| content.contains(text))
            {
                return;
            }
            assert!(
                start.elapsed() < crate::DEADLINE,
                "{selector} is {content}, not {text}"
            );
        }
    }

    fn command(&self, name: &str, parameters: &Value) -> Value {
        let answer = self.try_command(name, parameters);
        assert!(answer["error"].is_null(), "{name} {parameters}: {answer}");
        answer
    }

    /// No parameters: what there was is removed.
    fn try_command(&self, name: &str, parameters: &Value) -> Value {
        let method = if parameters.is_null() {
            "DELETE"
        } else {
            "POST"
        };
        self.ask(method, &format!("{}/{name}", self.session), parameters)
    }

    fn ask(&self, method: &str, path: &str, parameters: &Value) -> Value {
        let host = self.address.to_string();
        let fields = [
            ("host", host.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if parameters.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(parameters).unwrap()
        };
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = http::head(method, path, &fields);
        let answer = http::exchange(&mut stream, head, &body);
        let mut answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session, and not with its driver. Perhaps after a panic: there must not be another.
        let head = http::head("DELETE", &self.session, &[("host", "localhost")]);
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            stream.set_read_timeout(Some(crate::DEADLINE)).ok();
            write!(stream, "{head}\r\n").ok();
            stream.read_exact(&mut [0; 1]).ok();
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
