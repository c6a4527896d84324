//! collect-panda from end to end. PanDA, CRIC and Elasticsearch cannot be had here: a stand-in gives recorded answers, and
//! those that they give when they fail.

mod answers;
mod compare;
mod days;
mod golden;
mod tls;
mod topics;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::{Outcome, Sandbox, StandIn, fixture, page};
use serde_json::{Value, json};

/// The clock of the golden answers, 2024-06-01 12:37:42 UTC.
const NOW: i64 = 1_717_245_462;

fn recorded(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("panda/{name}"))).unwrap()).unwrap()
}

/// A site with collect-panda: its sandbox, and the stand-in for everything that it asks.
struct Site {
    sandbox: Sandbox,
    server: StandIn,
}

const PANDA: &str = "/panda";
const QUEUES: &str = "/pandaqueue";
const SITES: &str = "/site";
const ENDPOINTS: &str = "/ddmendpoint";
const FEDERATIONS: &str = "/federation";
const BENCHMARKS: &str = "/benchmarks-*/_search";

/// The password that nothing may show.
const SECRET: &str = "S3cr3t";

impl Site {
    /// One that gets the golden answers.
    fn golden() -> Self {
        let site = Self { sandbox: Sandbox::new("small"), server: StandIn::start() };
        site.server.gives(PANDA, &json!({"success": true, "message": "", "data": recorded("panda_stats.json")}));
        site.server.gives(QUEUES, &recorded("scraped_cric_pandaqueue.json"));
        site.server.gives(SITES, &recorded("scraped_cric_sites.json"));
        site.server.gives(ENDPOINTS, &recorded("scraped_cric_ddm.json"));
        // QMonit kept one federation for each of its sites.
        let kept = recorded("scraped_rebus_federations.json");
        let mut federations = serde_json::Map::new();
        for (rcsite, federation) in kept.as_object().unwrap() {
            let mut federation = federation.clone();
            federation["rcsites"] = json!([rcsite]);
            federations.insert(federation["name"].as_str().unwrap().into(), federation);
        }
        site.server.gives(FEDERATIONS, &Value::Object(federations));
        // One measurement, so that the mean is it.
        let inner =
            json!([{"_source": {"timestamp": "2024-06-01T10:00:00Z", "profiles": {"fastBmk": {"value": 12.3456}}}}]);
        let hit = json!({
            "_source": {"metadata": {"PanDAQueue": "AGLT2"}},
            "inner_hits": {"most_recent": {"hits": {"hits": inner}}},
        });
        site.server.gives(BENCHMARKS, &json!({"hits": {"hits": [hit]}}));
        site.config(&format!(
            "[credentials_elasticsearch]\nhost = {}\nusername = bench\npassword = {SECRET}",
            site.server.url
        ));
        site
    }

    fn config(&self, more: &str) {
        let (url, state) = (&self.server.url, self.sandbox.path("state"));
        let path = self.sandbox.write(
            "config.cfg",
            format!(
                "[grid]\nname = atlas\n[panda]\nurl = {url}{PANDA}\ntimeout_seconds = 1\n[cric]\npandaqueue_url = {url}{QUEUES}\n\
                 site_url = {url}{SITES}\nddmendpoint_url = {url}{ENDPOINTS}\nfederation_url = {url}{FEDERATIONS}\n\
                 timeout_seconds = 1\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}\n{more}\n",
                state.display()
            ),
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program("collect-panda"));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(&mut command)
    }

    fn at(&self, now: i64, more: &[&str]) -> Outcome {
        self.run(&[&["--now", &now.to_string()], more].concat())
    }

    /// The lines of a dry run as line protocol.
    fn lines(&self, now: i64) -> (Outcome, Vec<String>) {
        let outcome = self.at(now, &["--dry-run", "--format", "influx"]);
        let lines = outcome.stdout.lines().map(String::from).collect();
        (outcome, lines)
    }
}
