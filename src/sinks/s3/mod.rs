//! Graphs in an object store that speaks S3: a picture of now, which is not spooled.
//!
//! ```text
//! PUT /BUCKET/INSTANCE/cpu-1d.png?X-Amz-Algorithm=…&X-Amz-Signature=…   200 taken
//!                                                  404 NoSuchBucket     the bucket is made, once, and the PUT repeated
//!                                                  307 with Location    signed anew for that host
//!                                                  301, 400 with a region; 403; 503 SlowDown: said in words
//! ```
//!
//! The signature stands in the address, so no address is shown with its query, and no text of an answer but S3's codes. It is
//! good for a quarter of an hour, for this one picture: type and MD5 are signed too. Recorded from s3s-fs 0.14; what that does not
//! know is written after Amazon's documentation.

mod answer;
pub mod config;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use url::{Host, Url};

pub use self::answer::Failure;
use self::answer::Reply;
pub use self::config::Config;
use self::config::Style;
use crate::os::http::{self, Client, NoAnswer};
use crate::text::base64;

/// The region in which a bucket is made without naming it.
const FIRST_REGION: &str = "us-east-1";

/// How long a signature is good, in seconds.
#[cfg(feature = "http")]
const GOOD_SECONDS: u64 = 900;

/// An object store.
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "without HTTP nothing is signed"))]
pub struct Store {
    config: Config,
    client: Client,
    /// The real time at which it was made, in unix seconds, since requests are signed by the real clock.
    made: (i64, Instant),
    /// The buckets that were made, or found, after they had been missing.
    found: Mutex<BTreeSet<String>>,
}

/// What is asked of a store.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "without HTTP nothing is signed"))]
struct Request<'a> {
    method: Method,
    url: Url,
    query: &'a [(&'a str, &'a str)],
    /// Signed headers, sorted by name.
    headers: &'a [(&'static str, &'a str)],
    body: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Put,
}

impl Store {
    /// Returns the store of a config; opens no connection yet. `now` is the real time, in unix seconds.
    ///
    /// # Errors
    /// Fails if this build has no HTTP.
    pub fn new(config: Config, now: i64) -> Result<Self> {
        let client = Client::new()?.shown_as(config.spelling.clone());
        Ok(Self { config, client, made: (now, Instant::now()), found: Mutex::default() })
    }

    /// Puts a picture as INSTANCE/NAME into the instance's bucket, which is made if it is missing.
    ///
    /// # Errors
    /// Fails unless the store has taken it by `until`.
    pub fn put(&self, instance: &str, name: &str, picture: &[u8], until: Instant) -> Result<(), Failure> {
        let config = &self.config;
        let bucket = config
            .bucket_of(instance)
            .map_err(|why| Failure::One(format!("[s3] bucket: that of instance {instance} {why}")))?;
        let digest = md5::compute(picture);
        let md5 = base64(&digest.0);
        let headers = [("content-md5", md5.as_str()), ("content-type", "image/png")];
        let send = |url: Url| {
            self.send(&Request { method: Method::Put, url, query: &[], headers: &headers, body: picture }, until)
        };
        let url = self.address(&bucket, &format!("{instance}/{name}"));
        let mut reply = send(url.clone())?;
        if reply.says("NoSuchBucket") {
            self.make(&bucket, until)?;
            reply = send(url.clone())?;
        }
        if reply.status == 307 {
            let location = reply.location.as_deref().unwrap_or_default();
            reply = send(redirected(&url, location).map_err(|error| Failure::All(format!("{error:#}")))?)?;
        }
        if reply.has_stored(&format!("{digest:x}")) { Ok(()) } else { Err(reply.failure(config, &bucket)) }
    }

    /// Asks for nothing of the bucket; returns the text for `--check`.
    ///
    /// # Errors
    /// Fails if the store would not take a graph.
    pub fn check(&self, until: Instant) -> Result<String> {
        let config = &self.config;
        let bucket = config.bucket_of("00000000-0000-4000-8000-000000000000").map_err(|why| anyhow!("bucket {why}"))?;
        let query = [("list-type", "2"), ("max-keys", "0")];
        let url = self.address(&bucket, "");
        let reply = self.send(&Request { method: Method::Get, url, query: &query, headers: &[], body: &[] }, until);
        let reply = reply.map_err(|failure| anyhow!("{}", failure.text()))?;
        let shown = config.name();
        let unencrypted = if config.url.scheme() == "http" { "; graphs are sent unencrypted" } else { "" };
        let made = if config.has_many_buckets() {
            "the first graph of an instance makes its bucket"
        } else {
            "the first run makes it"
        };
        match reply.failure(config, &bucket) {
            _ if reply.is_list() => Ok(format!("{shown} has bucket {bucket}{unencrypted}")),
            _ if reply.says("NoSuchBucket") => {
                Ok(format!("{shown} answers, without bucket {}; {made}{unencrypted}", config.bucket))
            }
            // A key that may write need not be one that may list.
            _ if reply.says("AccessDenied") && reply.is_in_time() => Ok(format!(
                "{shown} answers, and lists nothing to this key; whether it may write, a run tells{unencrypted}"
            )),
            failure => Err(anyhow!("{}", failure.text())),
        }
    }

    /// Makes a bucket, if no other thread has.
    fn make(&self, bucket: &str, until: Instant) -> Result<(), Failure> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.contains(bucket) {
            return Ok(());
        }
        let region = &self.config.region;
        let body = match region.as_str() {
            FIRST_REGION => String::new(),
            _ => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}\
                 </LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        let url = self.address(bucket, "");
        let request = Request { method: Method::Put, url, query: &[], headers: &[], body: body.as_bytes() };
        let reply = self.send(&request, until)?;
        // Another host may have made it just now; if it is somebody else's, the next PUT is refused.
        let is_there = ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"].iter().any(|code| reply.says(code));
        if !reply.is_taken() && !is_there {
            let why = reply.failure(&self.config, bucket);
            let hint = if reply.status == 403 { "; make it by hand" } else { "" };
            let text = format!("bucket {bucket} is missing and was not made: {}{hint}", why.text());
            return Err(if matches!(why, Failure::All(_)) { Failure::All(text) } else { Failure::Bucket(text) });
        }
        found.insert(bucket.into());
        Ok(())
    }

    /// Returns the address of an object; of the bucket without a key.
    fn address(&self, bucket: &str, key: &str) -> Url {
        let mut url = self.config.url.clone();
        let prefix = url.path().trim_end_matches('/').to_string();
        let is_set = self.config.style == Style::Host
            && url
                .host_str()
                .map(|host| format!("{bucket}.{host}"))
                .is_some_and(|host| url.set_host(Some(&host)).is_ok());
        url.set_path(&if is_set { format!("{prefix}/{key}") } else { format!("{prefix}/{bucket}/{key}") });
        url
    }

    fn send(&self, request: &Request, until: Instant) -> Result<Reply, Failure> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::All("the run's time is over".into()));
        }
        let timeout = left.min(Duration::from_secs(self.config.timeout_seconds));
        let signed = self.signed(request);
        let answer = match request.method {
            Method::Get => self.client.open(&signed, timeout),
            Method::Put => self.client.put(&signed, request.headers, request.body.to_vec(), timeout),
        };
        answer.map(Reply::of).map_err(|error| {
            let is_down = error.downcast_ref::<NoAnswer>().is_some_and(|no| no.kind == http::Failure::Connection);
            let text = format!("{error:#}");
            if is_down { Failure::All(text) } else { Failure::One(text) }
        })
    }

    /// Returns the address with the signature in its query.
    #[cfg(feature = "http")]
    fn signed(&self, request: &Request) -> Url {
        let Self { config, made: (now, then), .. } = self;
        let now = now.saturating_add(then.elapsed().as_secs().cast_signed());
        let time = jiff::Timestamp::from_second(now).unwrap_or_default();
        let method = match request.method {
            Method::Get => rusty_s3::Method::Get,
            Method::Put => rusty_s3::Method::Put,
        };
        let (url, headers) = (request.url.clone(), request.headers.iter().copied());
        let (key, secret, region) = (&config.access_key, &config.secret_key.0, &config.region);
        let query = request.query.iter().copied();
        rusty_s3::signing::sign(&time, method, url, key, secret, None, region, GOOD_SECONDS, query, headers)
    }

    #[cfg(not(feature = "http"))]
    fn signed(&self, request: &Request) -> Url {
        request.url.clone()
    }
}

/// Returns the address that a redirect leads to: another host of the same domain, no less encrypted.
fn redirected(from: &Url, location: &str) -> Result<Url> {
    let mut to = from.join(location).context("it redirects to what is no address")?;
    let (old, new) = (from.host(), to.host());
    let domain = |host: &str| host.rsplit('.').take(2).map(String::from).collect::<Vec<_>>();
    let is_near = match (&old, &new) {
        (Some(Host::Domain(old)), Some(Host::Domain(new))) => domain(old) == domain(new),
        _ => old == new,
    };
    let is_closed = to.scheme() == "https" || to.scheme() == "http" && from.scheme() == "http";
    ensure!(
        is_near && is_closed,
        "{} redirects out of its domain or to what is not encrypted, which is not followed",
        from.host_str().unwrap_or_default()
    );
    // Whatever it says of queries and logins: we sign anew.
    to.set_query(None);
    to.set_fragment(None);
    let _ = (to.set_username(""), to.set_password(None));
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_in_its_domain() {
        let from = Url::parse("https://s3.us-west-2.amazonaws.com/b/i/cpu-1d.png").unwrap();
        let to =
            redirected(&from, "https://u:p@b.s3-us-west-2.amazonaws.com/i/cpu-1d.png?X-Amz-Signature=1#x").unwrap();
        assert_eq!(to.as_str(), "https://b.s3-us-west-2.amazonaws.com/i/cpu-1d.png");
        for location in
            ["https://evil.example/", "http://b.s3.amazonaws.com/", "https://10.0.0.1/", "ftp://b.amazonaws.com/", "//"]
        {
            redirected(&from, location).expect_err(location);
        }
        let near = Url::parse("http://127.0.0.1:9000/b/k").unwrap();
        assert_eq!(redirected(&near, "http://127.0.0.1:9001/b/k").unwrap().port(), Some(9001));
        redirected(&near, "http://127.0.0.2:9000/b/k").unwrap_err();
    }
}
