//! What an object store's answer means. Of its text only what has the form of S3's own codes and regions is shown: a refusal
//! may repeat the signature.

use super::config::Config;
use crate::os::http::Answer;

/// The most bytes of an answer that are read.
const LONGEST: u64 = 64 << 10;

/// Why a graph was not put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It would be so with every graph.
    All(String),
    /// It would be so with every graph of this bucket.
    Bucket(String),
    /// The next one may fare better.
    One(String),
}

impl Failure {
    /// Returns the message.
    pub fn text(&self) -> &str {
        match self {
            Self::All(text) | Self::Bucket(text) | Self::One(text) => text,
        }
    }
}

/// An answer, read.
#[derive(Debug, Default)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Where a redirect leads to.
    pub location: Option<String>,
    /// S3's code of an error: `NoSuchBucket`.
    code: Option<String>,
    /// The region of the bucket, if it is said.
    region: Option<String>,
    /// Whether it says that the request came too late.
    is_late: bool,
    /// The checksum that it gives to what it has stored, without quotation marks.
    etag: Option<String>,
    /// Whether it says that it stores encrypted, so that its checksum need not be an MD5.
    is_encrypted: bool,
    /// Whether it lists a bucket.
    is_list: bool,
}

impl Reply {
    /// Reads an answer to its end, so that the connection can be used again.
    pub fn of(answer: Answer) -> Self {
        let (status, location) = (answer.status, answer.header("location").map(String::from));
        let region = answer.header("x-amz-bucket-region").map(String::from);
        let etag = answer.header("etag").map(|etag| etag.trim_matches('"').to_string());
        let is_encrypted = answer.header("x-amz-server-side-encryption").is_some();
        let text = answer.text(LONGEST);
        let is_list = text.contains("<ListBucketResult");
        let is_region = |text: &&str| {
            (2..=30).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let region = region.as_deref().or(element(&text, "Region")).filter(is_region).map(String::from);
        let is_code = |text: &&str| {
            text.len() <= 50
                && text.starts_with(|first: char| first.is_ascii_uppercase())
                && text.bytes().all(|byte| byte.is_ascii_alphabetic())
        };
        let code = element(&text, "Code").filter(is_code).map(String::from);
        Self { status, location, code, region, is_late: text.contains("has expired"), etag, is_encrypted, is_list }
    }

    /// Whether it has stored what has this MD5, in hexadecimal digits. HTTP 200 alone is also what a proxy or a web server says
    /// that stores nothing; an object store gives a checksum, which is the MD5 unless it encrypts.
    pub fn has_stored(&self, md5: &str) -> bool {
        let is_md5 = |etag: &str| etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_ours =
            |etag: &String| !etag.is_empty() && (self.is_encrypted || !is_md5(etag) || etag.eq_ignore_ascii_case(md5));
        self.is_taken() && self.etag.as_ref().is_some_and(is_ours)
    }

    /// Whether it lists a bucket.
    pub fn is_list(&self) -> bool {
        self.is_taken() && self.is_list
    }

    /// Whether it took what was sent.
    pub fn is_taken(&self) -> bool {
        matches!(self.status, 200 | 201 | 204)
    }

    /// Whether it does not say that the request came too late.
    pub fn is_in_time(&self) -> bool {
        !self.is_late
    }

    /// Whether it has this code.
    pub fn says(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Says why it did not take what was sent, and what to do.
    pub fn failure(&self, config: &Config, bucket: &str) -> Failure {
        let Self { status, code, region, .. } = self;
        let name = config.name();
        if self.is_taken() {
            return match &self.etag {
                Some(_) => {
                    Failure::One(format!("{name} answered HTTP {status}, and stored something else than was sent"))
                }
                None => Failure::All(format!(
                    "{name} answered HTTP {status} as no object store does: is it a proxy's or a web server's? See [s3] url"
                )),
            };
        }
        let answered = match code {
            Some(code) => format!("{name} answered HTTP {status} {code}"),
            None => format!("{name} answered HTTP {status}, without one of S3's codes"),
        };
        if let (301 | 400, Some(region)) = (status, region) {
            return Failure::Bucket(format!(
                "{answered}: bucket {bucket} lies in {region}; set [s3] region = {region}"
            ));
        }
        let clock = "the clocks of this machine and of the store differ by more than 15 min; set the one that is wrong";
        match (status, code.as_deref().unwrap_or_default()) {
            (403, "RequestTimeTooSkewed") => Failure::All(format!("{answered}: {clock}")),
            (403, _) if self.is_late => Failure::All(format!("{answered}: {clock}")),
            (403, "InvalidAccessKeyId" | "NotSignedUp") => {
                Failure::All(format!("{answered}: it does not know [s3] access_key"))
            }
            (403, "SignatureDoesNotMatch") => {
                Failure::All(format!("{answered}: [s3] secret_key is not that of access_key"))
            }
            (403, "AccessDenied") => Failure::Bucket(format!(
                "{answered}: the key may not write into bucket {bucket}, or it is somebody else's"
            )),
            (401, _) => Failure::All(answered),
            (403, _) => Failure::Bucket(answered),
            (301, _) => Failure::Bucket(format!("{answered}: bucket {bucket} lies elsewhere; set [s3] url and region")),
            (429, _) | (503, _) => Failure::All(format!("{answered}: it asks for fewer requests")),
            (404, "NoSuchBucket") => Failure::Bucket(format!("{answered}: there is no bucket {bucket}")),
            (404, "") => Failure::All(format!("{answered}: is it an object store?")),
            _ => Failure::One(answered),
        }
    }
}

/// Returns the text of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}
