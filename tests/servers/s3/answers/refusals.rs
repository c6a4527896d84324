//! What a store refuses: what is said, and what it holds up.

use gridmon::sinks::s3::Failure;

use super::super::{Host, keys};
use super::{Stub, page, put, recorded, taken};

#[test]
fn every_refusal_says_what_to_do() {
    let all = |text: &str| Failure::All(text.into());
    let bucket = |text: &str| Failure::Bucket(text.into());
    let answers = recorded();
    let skew =
        page("403 Forbidden", "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference</Message></Error>");
    let late = page("403 Forbidden", "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>");
    let clock = "the clocks of this machine and of the store differ by more than 15 min; set the one that is wrong";
    for (answer, expected) in [
        (skew, all(&format!("URL/ answered HTTP 403 RequestTimeTooSkewed: {clock}"))),
        (late, all(&format!("URL/ answered HTTP 403 AccessDenied: {clock}"))),
        (
            answers["301 PermanentRedirect"].clone(),
            bucket(
                "URL/ answered HTTP 301 PermanentRedirect: bucket gridmon-heprc lies in eu-central-1; set [s3] region = eu-central-1",
            ),
        ),
        (
            answers["400 AuthorizationHeaderMalformed"].clone(),
            bucket(
                "URL/ answered HTTP 400 AuthorizationHeaderMalformed: bucket gridmon-heprc lies in eu-central-1; set [s3] region = eu-central-1",
            ),
        ),
        (answers["503 SlowDown"].clone(), all("URL/ answered HTTP 503 SlowDown: it asks for fewer requests")),
        (
            answers["403 InvalidAccessKeyId"].clone(),
            all("URL/ answered HTTP 403 InvalidAccessKeyId: it does not know [s3] access_key"),
        ),
        (
            answers["403 AccessDenied"].clone(),
            bucket(
                "URL/ answered HTTP 403 AccessDenied: the key may not write into bucket gridmon-heprc, or it is somebody else's",
            ),
        ),
        (
            answers["an answer that is no S3"].clone(),
            Failure::One("URL/ answered HTTP 502, without one of S3's codes".into()),
        ),
        (
            page("200 OK", "<html><body>Welcome to the proxy</body></html>"),
            all("URL/ answered HTTP 200 as no object store does: is it a proxy's or a web server's? See [s3] url"),
        ),
        (
            page("200 OK\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"", ""),
            Failure::One("URL/ answered HTTP 200, and stored something else than was sent".into()),
        ),
        (
            page("404 Not Found", "nothing here"),
            all("URL/ answered HTTP 404, without one of S3's codes: is it an object store?"),
        ),
        (
            page("400 Bad Request", "<Error><Code>BadDigest</Code></Error>"),
            Failure::One("URL/ answered HTTP 400 BadDigest".into()),
        ),
        (
            page("500 Oops", "<Error><Code>InternalError</Code></Error>"),
            Failure::One("URL/ answered HTTP 500 InternalError".into()),
        ),
    ] {
        let shown = answer.lines().next().unwrap_or_default().to_string();
        let stub = Stub::start(Box::new(move |_, _| Some(answer.clone())));
        let failure = put(&stub.store("")).unwrap_err();
        let plain = |text: &str| text.replace(&stub.url, "URL");
        let failure = match failure {
            Failure::All(text) => Failure::All(plain(&text)),
            Failure::Bucket(text) => Failure::Bucket(plain(&text)),
            Failure::One(text) => Failure::One(plain(&text)),
        };
        assert_eq!(failure, expected, "{shown}");
        assert_eq!(stub.seen().len(), 1, "{shown}");
    }
}

/// Amazon's checksum of an encrypted object is no MD5, nor is every store's.
#[test]
fn a_checksum_of_another_kind_is_no_refusal() {
    for etag in
        ["\"d41d8cd98f00b204e9800998ecf8427e\"\r\nx-amz-server-side-encryption: aws:kms", "\"0123456789abcdef-1\""]
    {
        let stub = Stub::start(Box::new(move |_, _| Some(page(&format!("200 OK\r\nETag: {etag}"), ""))));
        put(&stub.store("")).unwrap();
    }
}

/// Of three buckets the first takes nothing: the others get their graphs in the same run, and in each later one before it is
/// tried.
#[test]
fn a_bucket_that_refuses_holds_up_no_other() {
    let stub = Stub::start(Box::new(move |request, _| match request.line.contains("-000000000001.monitor") {
        true => Some(recorded()["403 AccessDenied"].clone()),
        false => taken(request),
    }));
    let host = Host::start();
    host.config(&stub.url, &format!("bucket = {{instance}}.monitor\nparallel = 1\n{}", keys("hidden+secret")));
    host.good(0);
    for (slot, due) in [(1, 27), (2, 15)] {
        let before = stub.seen().len();
        let run = host.run(slot);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        // Those of six hours and a month wait since the run before.
        let said = format!("; 9 of {due} graphs wait for the next run");
        assert!(run.stderr.contains("HTTP 403 AccessDenied") && run.stderr.contains(&said), "{}", run.stderr);
        let seen = &stub.seen()[before..];
        let of_it: Vec<_> = (0..seen.len()).filter(|at| seen[*at].line.contains("-000000000001.monitor")).collect();
        assert_eq!((seen.len(), of_it.len()), (due - 9 + 1, 1), "it is tried once");
        assert!(slot == 1 || of_it == [seen.len() - 1], "it is tried last: {of_it:?}");
    }
}

#[test]
fn a_key_that_may_make_no_bucket_says_so() {
    let answers = recorded();
    let stub = Stub::start(Box::new(move |request, _| {
        Some(answers[if request.is_bucket() { "403 AccessDenied" } else { "404 NoSuchBucket" }].clone())
    }));
    let Err(Failure::Bucket(text)) = put(&stub.store("")) else { panic!("it took it") };
    assert!(text.starts_with("bucket gridmon-heprc is missing and was not made: "), "{text}");
    assert!(text.ends_with("; make it by hand"), "{text}");
}
