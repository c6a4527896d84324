//! The search for benchmarks through Elastic's own client, in builds with the feature `elasticsearch`. It asks the same as
//! [`super::ask_benchmarks`] without it, and its answer is parsed in the same way. The client brings an HTTP client of its
//! own, which trusts Mozilla's CAs and not the machine's, and reads an answer whole, however long it is.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use elasticsearch::auth::Credentials;
use elasticsearch::http::headers::{ACCEPT, CONTENT_TYPE, HeaderValue};
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::{Elasticsearch, SearchParts};
use serde_json::Value;

use super::INDEX;
use crate::os::http::{BadStatus, Login, Url};

/// Searches the benchmarks of the Elasticsearch at `base`; returns the answer's body.
///
/// # Errors
/// Fails if no answer comes within `timeout`, or its status is not 200.
pub fn search(base: &Url, login: Option<&Login>, body: Value, timeout: Duration) -> Result<Vec<u8>> {
    let pool = SingleNodeConnectionPool::new(base.clone());
    // What the environment names must not see a login.
    let transport = TransportBuilder::new(pool).disable_proxy().enable_meta_header(false).timeout(timeout);
    let transport = match login {
        Some(Login::Basic(login)) => {
            let (username, password) = login.split_once(':').unwrap_or((login, ""));
            transport.auth(Credentials::Basic(username.into(), password.into()))
        }
        Some(Login::Bearer(token) | Login::Token(token)) => transport.auth(Credentials::Bearer(token.clone())),
        None => transport,
    };
    let client = Elasticsearch::new(transport.build().context("client of Elasticsearch")?);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("client of Elasticsearch")?;
    let answer = runtime.block_on(async {
        // The client's own media type is refused by Elasticsearch 7 and by OpenSearch.
        let json = || HeaderValue::from_static("application/json");
        let search = client.search(SearchParts::Index(&[INDEX])).header(CONTENT_TYPE, json()).header(ACCEPT, json());
        let answer = search.body(body).send().await?;
        let status = answer.status_code().as_u16();
        Ok((status, answer.text().await?))
    });
    // A name server that does not answer must not hold up the run.
    runtime.shutdown_background();
    let (status, text) = answer.map_err(|error: elasticsearch::Error| explain(&error, base, timeout))?;
    if status != 200 {
        return Err(anyhow::Error::from(BadStatus::new(status, &text)).context(format!("POST {base}{INDEX}/_search")));
    }
    Ok(text.into_bytes())
}

/// Says why no answer came, without the address that the client's error holds.
fn explain(error: &elasticsearch::Error, base: &Url, timeout: Duration) -> anyhow::Error {
    if error.is_timeout() {
        return anyhow!("POST {base}{INDEX}/_search: no answer within {} s", timeout.as_secs_f64().round());
    }
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    anyhow!("POST {base}{INDEX}/_search: {cause}")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::super::*;
    use super::Duration;

    /// A server that gives one answer; it returns the question.
    fn answering(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/es/", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut question, mut bytes) = (Vec::new(), [0; 4096]);
            while !question.ends_with(b"}") {
                let count = stream.read(&mut bytes).unwrap();
                question.extend(&bytes[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(question).unwrap()
        });
        (address, asked)
    }

    fn ask(address: &str) -> Result<Vec<Benchmark>> {
        let login = Login::basic("monit", "S3cr3t").unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        ask_benchmarks(&Url::parse(address).unwrap(), &Some(login), 1_717_245_000, until)
    }

    #[test]
    fn it_asks_what_our_client_asks_and_its_answer_is_parsed_alike() {
        let body = r#"{"_shards": {"failed": 0}, "hits": {"hits": []}}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (address, asked) = answering(answer.leak());
        assert_eq!(ask(&address).unwrap(), []);
        let question = asked.join().unwrap();
        let (head, body) = question.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("post /es/benchmarks-*/_search http/1.1\r\n"), "{head}");
        for line in [
            "\naccept: application/json\r",
            "\ncontent-type: application/json\r",
            "\nauthorization: basic bw9uaxq6uznjcjn0",
        ] {
            assert!(head.contains(line), "{line}: {head}");
        }
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), search());
    }

    #[test]
    fn what_goes_wrong_is_said_without_the_login() {
        let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}";
        let broken = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{}";
        for (answer, expected) in [
            (refused, "HTTP 401; it does not take the [credentials_elasticsearch] username and password"),
            (broken, "benchmarks-*/_search: "),
            ("HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nwhy {", "HTTP 500 \"why {\""),
        ] {
            let (address, _asked) = answering(answer);
            let error = format!("{:#}", ask(&address).unwrap_err());
            assert!(error.contains(expected) && !error.contains("S3cr3t"), "{error}");
        }
        let error = format!("{:#}", ask("http://127.0.0.1:1/").unwrap_err());
        assert!(error.contains("POST http://127.0.0.1:1/benchmarks-*/_search: Connection refused"), "{error}");
    }
}
