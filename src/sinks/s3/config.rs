//! `[s3]`.

use std::net::Ipv4Addr;

use anyhow::{Result, anyhow};
use url::{Host, Url};

use crate::config::{Key, Kind, Secret, Section, Unset, Values};

/// What stands in `bucket` for the name of an instance.
const INSTANCE: &str = "{instance}";

/// A name as instances have it, to check a bucket for each of them.
const SAMPLE: &str = "00000000-0000-4000-8000-000000000000";

/// `[s3]`.
pub const SECTION: Section = Section::new(
    "s3",
    "Puts the graphs of the files of [rrd] into an object store that speaks S3.",
    &[
        Key::new(
            "url",
            Kind::Url,
            Unset::Absent("https://s3.example.org"),
            "Where the object store is. Without it no graphs are put anywhere. It needs [rrd] directory, bucket, access_key and \
             secret_key beside it.",
        ),
        Key::new(
            "bucket",
            Kind::Text,
            Unset::Absent("gridmon-graphs"),
            "The bucket of the graphs, INSTANCE/cpu-1d.png and eight more for each instance; it is made if it is missing. With \
             {instance} in it, such as {instance}.monitor, each instance has a bucket of its own.",
        ),
        Key::new("region", Kind::Text, Unset::Default("us-east-1"), "The region that requests are signed for."),
        Key::new(
            "style",
            Kind::Word(&["path", "host"]),
            Unset::Default("path"),
            "Where the bucket stands: path for https://HOST/BUCKET/, host for https://BUCKET.HOST/, as Amazon wants it.",
        ),
        Key::new("access_key", Kind::Text, Unset::Absent("AKIDEXAMPLE"), KEYS),
        Key::new("secret_key", Kind::Secret, Unset::Absent("change-me"), KEYS),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("20"),
            "How long one request may take, in seconds.",
        ),
        Key::new(
            "parallel",
            Kind::Number { least: 1, most: 64, unit: "requests" },
            Unset::Default("8"),
            "How many graphs are drawn and sent at once.",
        ),
    ],
);

const KEYS: &str = "The keys that requests are signed with.";

/// Where the bucket stands in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `https://HOST/BUCKET/KEY`.
    Path,
    /// `https://BUCKET.HOST/KEY`.
    Host,
}

/// `[s3]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of the object store.
    pub url: Url,
    /// How the config spells the address, if messages show that instead.
    pub spelling: Option<String>,
    /// The name of the bucket, perhaps with `{instance}`.
    pub bucket: String,
    /// The region that is signed for; `us-east-1` by default.
    pub region: String,
    /// Where the bucket stands in an address.
    pub style: Style,
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Secret,
    /// The time limit of a request, in seconds; 20 by default.
    pub timeout_seconds: u64,
    /// How many graphs are drawn and sent at once; 8 by default.
    pub parallel: usize,
}

impl Config {
    /// Reads `[s3]`; returns `None` unless it names an address. `has_files` tells whether `[rrd]` names a directory.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, if something is missing beside the address, if the name cannot be that of a
    /// bucket, or if there are no files to draw.
    pub fn read(values: &Values, has_files: bool) -> Result<Option<Self>> {
        let (url, bucket, region) = (values.url("url")?, values.text("bucket")?, values.needed("region")?);
        let style = if values.word("style")? == "path" { Style::Path } else { Style::Host };
        let (access_key, secret_key) = (values.text("access_key")?, values.secret("secret_key")?);
        let (timeout_seconds, parallel) = (values.number("timeout_seconds")?, values.number("parallel")? as usize);
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        values.check("region", is_word(&region), "the name of a region, such as us-east-1")?;
        if let Some(bucket) = &bucket {
            let named = bucket.replace(INSTANCE, SAMPLE);
            if let Err(error) = check_bucket(&named) {
                return Err(values.error("bucket", anyhow!("{error}; a name has 3 to 63 of a-z 0-9 - .")));
            }
        }
        let Some(url) = url else { return Ok(None) };
        let missing = |key: &str| values.error("url", anyhow!("needs {key} beside it"));
        if url.query().is_some() || url.fragment().is_some() {
            return Err(values.error("url", anyhow!("carries a ? or #, and what follows it is not used")));
        }
        if !has_files {
            return Err(values.error("url", anyhow!("needs [rrd] directory: graphs are drawn from the files there")));
        }
        let bucket = bucket.ok_or_else(|| missing("bucket"))?;
        let access_key = access_key.ok_or_else(|| missing("access_key"))?;
        values.check("access_key", is_word(&access_key), "an access key")?;
        let secret_key = secret_key.ok_or_else(|| missing("secret_key"))?;
        if style == Style::Host {
            let is_name = matches!(url.host(), Some(Host::Domain(_)));
            values.check("style", is_name, "possible with an address for a host: use path")?;
            let is_covered = url.scheme() == "http" || !bucket.contains('.');
            values.check(
                "style",
                is_covered,
                "possible with https:// and dots in the bucket's name: no certificate covers them",
            )?;
        }
        let spelling = values.spelling("url");
        Ok(Some(Self { url, spelling, bucket, region, style, access_key, secret_key, timeout_seconds, parallel }))
    }

    /// Returns its name for messages.
    pub fn name(&self) -> &str {
        self.spelling.as_deref().unwrap_or(self.url.as_str())
    }

    /// Whether each instance has a bucket of its own.
    pub fn has_many_buckets(&self) -> bool {
        self.bucket.contains(INSTANCE)
    }

    /// Returns the bucket of an instance.
    ///
    /// # Errors
    /// Fails if its name cannot be that of a bucket.
    pub fn bucket_of(&self, instance: &str) -> Result<String, String> {
        let bucket = self.bucket.replace(INSTANCE, instance);
        check_bucket(&bucket).map(|()| bucket)
    }
}

/// Checks the name of a bucket by the rules of S3.
fn check_bucket(name: &str) -> Result<(), String> {
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte);
    let why = match () {
        () if !(3..=63).contains(&name.len()) => "is too short or too long for a bucket",
        () if !bytes.iter().all(is_plain) => "holds a character that no bucket's name has",
        () if !is_end(bytes.first()) || !is_end(bytes.last()) => "begins or ends with - or .",
        () if name.contains("..") => "has two dots beside each other",
        () if name.parse::<Ipv4Addr>().is_ok() => "is an IP address",
        () if name.starts_with("xn--") => "begins with xn--",
        () => return Ok(()),
    };
    Err(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_are_those_that_s3_takes() {
        for name in ["abc", "gridmon-graphs", "8d1d0b5e-6e0e-4f5e-9f0e-0a8d4b2c1f00.monitor", "1.2.3.4.5"] {
            check_bucket(name).unwrap_or_else(|why| panic!("{name} {why}"));
        }
        let long = "a".repeat(64);
        for name in [
            "ab",
            &long,
            "Upper",
            "_i-00000001.monitor",
            "a..b",
            "10.0.0.1",
            "xn--a",
            "-ab",
            "ab-",
            "ab.",
            "a b",
            "a/b",
            "ä-b",
        ] {
            check_bucket(name).expect_err(name);
        }
    }
}
