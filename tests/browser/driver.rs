//! A real browser: Debian's Chromium, headless, driven through chromedriver by the WebDriver protocol, which is JSON over
//! HTTP and needs no library.

// The bench of the dashboard has this file too.
#[path = "driver/wire.rs"]
mod wire;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use gridmon_testkit::servers::script;
use gridmon_testkit::{TempDir, wait_until};
use serde_json::{Value, json};

use self::wire::{ask, decoded, exchange};

/// How long a page may take to do what is waited for.
pub const SOON: Duration = Duration::from_secs(20);

/// chromedriver, one for all tests of a process.
struct Driver {
    port: u16,
    folder: TempDir,
    /// It ends when this closes, that is with the process.
    _stdin: ChildStdin,
    _child: Child,
}

fn driver() -> Option<&'static Driver> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    let start = || {
        let here = |name: &str| Path::new("/usr/bin").join(name).exists();
        if !here("chromium") || !here("chromedriver") {
            return None;
        }
        let folder = TempDir::new();
        let mut child = Command::new("/bin/bash")
            .arg(script("chromedriver.sh"))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said
            .filter_map(|line| line.strip_suffix('.')?.rsplit_once("successfully on port ")?.1.parse().ok())
            .next()
            .expect("chromedriver says its port");
        Some(Driver { port, folder, _stdin: child.stdin.take().unwrap(), _child: child })
    };
    DRIVER.get_or_init(start).as_ref()
}

/// One window of a browser of its own, without a past. Closed on drop.
pub struct Browser {
    port: u16,
    session: String,
    /// Every address that was asked for.
    asked: Mutex<Vec<String>>,
}

impl Browser {
    /// Opens one; `None` where Chromium is not installed.
    pub fn open(width: u32, height: u32) -> Option<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let driver = driver()?;
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let profile = driver.folder.path().join(format!("profile-{count}"));
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &format!("--window-size={width},{height}"),
            &format!("--user-data-dir={}", profile.display()),
        ];
        // On a busy machine axe takes its time with a large page.
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "timeouts": { "script": 150_000 },
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let answer = ask(driver.port, "POST", "/session", &capabilities);
        let session = answer["sessionId"].as_str().expect("a session").to_string();
        let browser = Self { port: driver.port, session, asked: Mutex::default() };
        browser.size(width, height);
        // Of several windows only one has the focus; here each behaves as if it had it.
        browser.tell("Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
        // Instead of its own first page, which would go on loading.
        browser.go("about:blank");
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        ask(self.port, method, &format!("/session/{}{path}", self.session), body)
    }

    /// The size of the page, which a headless window does not have by itself when it is narrow.
    pub fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.tell("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Prefers a colour scheme, `light` or `dark`.
    pub fn prefers(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tell("Emulation.setEmulatedMedia", &features);
    }

    /// A command of Chromium's own protocol.
    pub fn tell(&self, command: &str, parameters: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Opens an address and waits until the page has loaded.
    pub fn go(&self, url: &str) {
        // On a busy machine the driver sometimes answers before the page has changed.
        self.js("window.isOld = true");
        self.ask("POST", "/url", &json!({ "url": url }));
        self.wait("!window.isOld && document.readyState === 'complete'");
    }

    /// The browser's own button.
    pub fn back(&self) {
        self.ask("POST", "/back", &json!({}));
    }

    /// What a script returns.
    pub fn js(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a promise of a script, an async function's body, comes to.
    pub fn promise(&self, script: &str) -> Value {
        let script =
            format!("const done = arguments[0]; (async () => {{ {script} }})().then(done, (e) => done(String(e)))");
        self.ask("POST", "/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// What a script returns, as text.
    pub fn text(&self, script: &str) -> String {
        match self.js(&format!("return {script}")) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Waits until an expression is true.
    pub fn wait(&self, expression: &str) {
        let script = format!("return !!({expression})");
        wait_until(expression, SOON, || (self.js(&script) == json!(true)).then_some(()));
    }

    /// Clicks with the mouse on the element that a selector names.
    pub fn click(&self, selector: &str) {
        // What lies behind a head that stays in place counts as seen, and would not be scrolled to.
        let seen = "arguments[0].scrollIntoView({ block: 'center', inline: 'center' })";
        let element = self.ask("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        let id = element.as_object().and_then(|ids| ids.values().next()).and_then(Value::as_str);
        let id = id.unwrap_or_else(|| panic!("{selector}: {element}"));
        self.ask("POST", "/execute/sync", &json!({ "script": seen, "args": [element] }));
        let answer = self.ask("POST", &format!("/element/{id}/click"), &json!({}));
        assert!(answer.is_null(), "{selector}: {answer}");
    }

    /// Types on the keyboard, wherever the focus is. `\u{e004}` is Tab, `\u{e007}` Enter, `\u{e00c}` Escape.
    pub fn keys(&self, keys: &str) {
        let actions = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })));
        let actions: Vec<_> = actions.collect();
        self.ask("POST", "/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }));
    }

    /// Moves the mouse from one place of the page to another with its button down.
    pub fn drag(&self, from: (i64, i64), to: (i64, i64)) {
        let between = (i64::midpoint(from.0, to.0), i64::midpoint(from.1, to.1));
        let [down, up] = ["pointerDown", "pointerUp"].map(|kind| json!({ "type": kind, "button": 0 }));
        self.mouse(&[step(from), down, step(between), step(to), up]);
    }

    /// Presses the button at a place and moves the mouse to another, with the button down from then on.
    pub fn press(&self, from: (i64, i64), to: (i64, i64)) {
        self.mouse(&[step(from), json!({ "type": "pointerDown", "button": 0 }), step(to)]);
    }

    /// Moves the mouse to a place and lets its button go there.
    pub fn release(&self, at: (i64, i64)) {
        self.mouse(&[step(at), json!({ "type": "pointerUp", "button": 0 })]);
    }

    /// Clicks twice.
    pub fn double_click(&self, place: (i64, i64)) {
        let press = ["pointerDown", "pointerUp"].map(|kind| json!({ "type": kind, "button": 0 }));
        let actions: Vec<_> = std::iter::once(step(place)).chain(press.clone()).chain(press).collect();
        self.mouse(&actions);
    }

    fn mouse(&self, actions: &[Value]) {
        self.ask("POST", "/actions", &json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": actions }] }));
    }

    /// What is seen, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let answer = self.ask("GET", "/screenshot", &Value::Null);
        decoded(answer.as_str().expect("a picture"))
    }

    /// The page as it is printed, as PDF.
    pub fn print(&self) -> Vec<u8> {
        let answer = self.tell("Page.printToPDF", &json!({ "preferCSSPageSize": true, "printBackground": true }));
        decoded(answer["data"].as_str().unwrap_or_else(|| panic!("{answer}")))
    }

    /// Keeps what is seen as `NAME.png` in the folder that `GRIDMON_LOOK` names, for a person to look at.
    pub fn look(&self, name: &str) {
        if std::env::var_os("GRIDMON_LOOK").is_some() {
            self.keep(&format!("{name}.png"), &self.picture());
        }
    }

    /// Keeps a file there.
    pub fn keep(&self, name: &str, bytes: &[u8]) {
        if let Some(folder) = std::env::var_os("GRIDMON_LOOK") {
            std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
        }
    }

    /// What the console said since the last time: errors, warnings, violations of the content security policy.
    pub fn console(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().into_iter().flatten();
        entries.map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// Every address that the pages have asked for.
    pub fn asked(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({ "type": "performance" }));
        let mut asked = self.asked.lock().unwrap();
        for entry in log.as_array().into_iter().flatten() {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap_or("{}")).unwrap_or_default();
            if message["message"]["method"] == "Network.requestWillBeSent" {
                asked.extend(message["message"]["params"]["request"]["url"].as_str().map(String::from));
            }
        }
        asked.clone()
    }

    /// Panics when the console said anything, or when a page asked for what is not of `site`.
    pub fn is_quiet(&self, site: &str) {
        assert_eq!(self.console(), Vec::<String>::new());
        self.stays_at(site);
    }

    /// The same, but for lines of the console that hold `expected`.
    pub fn is_quiet_but(&self, site: &str, expected: &str) {
        let console = self.console();
        assert!(console.iter().all(|line| line.contains(expected)), "{console:?}");
        self.stays_at(site);
    }

    /// Panics when a page asked for what is not of `site`.
    pub fn stays_at(&self, site: &str) {
        let asked = self.asked();
        assert!(asked.iter().any(|url| url.starts_with(site)), "{asked:?}");
        for url in asked {
            // chrome: is what the browser has inside, for its own first page.
            let is_inside =
                ["data:", "about:", "chrome:", "chrome-untrusted:"].iter().any(|scheme| url.starts_with(scheme));
            assert!(is_inside || url.starts_with(site), "asked for {url}");
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = exchange(self.port, "DELETE", &format!("/session/{}", self.session), &Value::Null);
    }
}

/// The mouse on its way to a place.
fn step((x, y): (i64, i64)) -> Value {
    json!({ "type": "pointerMove", "x": x, "y": y, "duration": 20 })
}
