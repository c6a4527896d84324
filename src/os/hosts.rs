//! The names under which a service is reached, and requests that a browser sends for another site.
//!
//! A page of another site can give its own name the address 127.0.0.1 and then read, through the visitor's browser, what
//! is served there to this machine alone (DNS rebinding). Such a request carries the other site's name. It can also simply
//! post there; then the browser says from which site.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Request, StatusCode, Version, header};

use crate::text::quote;

/// Who is reached: the service, and the section whose key `hosts` has more names for it.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'a> {
    /// The program.
    pub program: &'a str,
    /// The section.
    pub section: &'a str,
    /// The names.
    pub names: &'a [String],
}

/// Checks the `Host` of a request. At a loopback address (`is_local`) only localhost, loopback addresses and the
/// configured names are served. HTTP/1.0 knows no `Host`: a balancer's health check sends none, and no browser speaks it.
///
/// # Errors
/// Fails with the answer if there is no `Host`, two of them, one that is none, or one that is not served here.
pub fn check<B>(request: &Request<B>, is_local: bool, reached: Reached) -> Result<(), (StatusCode, String)> {
    let bad = |message: &str| (StatusCode::BAD_REQUEST, message.to_string());
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_10 => None,
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            Some(host.filter(|host| !host.as_str().contains('@')).ok_or_else(|| bad("the Host is not a name"))?)
        }
        _ => return Err(bad("a request has exactly one Host")),
    };
    // An address with a host of its own, as a proxy is asked, counts more than the header.
    for host in [host.as_ref(), request.uri().authority()].into_iter().flatten() {
        if is_local && !is_served(host.host(), reached.names) {
            let message = format!(
                "{} is not served here; set [{}] hosts to the names under which {} is reached",
                quote(host.host()),
                reached.section,
                reached.program
            );
            return Err((StatusCode::MISDIRECTED_REQUEST, message));
        }
    }
    Ok(())
}

/// Whether a page in a browser sends the request, and not a person who opens the address or a program. A browser names the
/// page's site in `Origin` whenever it posts, and says by `Sec-Fetch-Site` how it is related to this one.
pub fn is_of_a_page(headers: &HeaderMap) -> bool {
    let site = headers.get("Sec-Fetch-Site").map(|site| site.as_bytes());
    headers.contains_key(header::ORIGIN) || site.is_some_and(|site| site != b"none")
}

fn is_served(host: &str, names: &[String]) -> bool {
    let host = host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    host == "localhost"
        || host.ends_with(".localhost")
        || is_loopback
        || names.iter().any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(names: &[String]) -> Reached<'_> {
        Reached { program: "p", section: "s", names }
    }

    #[test]
    fn what_a_page_sends_is_told_from_what_programs_and_people_send() {
        let is_of_a_page = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            is_of_a_page(&HeaderMap::from_iter(pairs))
        };
        assert!(!is_of_a_page(&[]) && !is_of_a_page(&[("sec-fetch-site", "none")]));
        assert!(is_of_a_page(&[("origin", "null")]) && is_of_a_page(&[("origin", "https://evil.example.org")]));
        for site in ["cross-site", "same-site", "same-origin", "new"] {
            assert!(is_of_a_page(&[("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn only_the_names_of_this_machine_and_of_the_config_are_served_on_loopback() {
        let names = ["Monitor.example.org".to_string()];
        let answer = |version: Version, uri: &str, hosts: &[&str], is_local: bool| {
            let mut request = Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            check(&request.body(()).unwrap(), is_local, reached(&names)).err().map(|failure| failure.0.as_u16())
        };
        let status = |hosts: &[&str], is_local: bool| answer(Version::HTTP_11, "/", hosts, is_local);
        for good in [
            "localhost",
            "LOCALHOST:5000",
            "localhost.",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
            "[::ffff:127.0.0.1]",
            "monitor.example.org",
            "a.localhost",
        ] {
            assert_eq!(status(&[good], true), None, "{good}");
        }
        for other in ["evil.example.org", "localhost.evil.org", "192.0.2.1", "127.0.0.1.evil.org", "[::2]"] {
            assert_eq!((status(&[other], true), status(&[other], false)), (Some(421), None), "{other}");
        }
        for none in [&[][..], &["localhost", "localhost"], &[""], &["a b"], &["user@localhost"], &["localhost/x"]] {
            assert_eq!((status(none, true), status(none, false)), (Some(400), Some(400)), "{none:?}");
        }
        let asked = |uri: &str| answer(Version::HTTP_11, uri, &["localhost"], true);
        assert_eq!((asked("http://localhost:5000/"), asked("http://evil.example.org/")), (None, Some(421)));
        // HTTP/1.0, as HAProxy checks health, names no host; if it does, the name counts.
        let old = |uri: &str, hosts: &[&str]| answer(Version::HTTP_10, uri, hosts, true);
        assert_eq!((old("/", &[]), old("/", &["localhost"]), old("http://localhost/", &[])), (None, None, None));
        assert_eq!((old("/", &["evil.example.org"]), old("http://evil.example.org/", &[])), (Some(421), Some(421)));
        assert_eq!((old("/", &["localhost", "localhost"]), old("/", &["a b"])), (Some(400), Some(400)));
    }
}
