//! The names under which a service is reached, and requests that a browser sends for another site.
//!
//! A page of another site can give its own name the address 127.0.0.1 and then read, through the visitor's browser, what
//! is served there to this machine alone (DNS rebinding). Such a request carries the other site's name. It can also simply
//! post there; then the browser says from which site.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};

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
/// configured names are served.
///
/// # Errors
/// Fails with the answer if there is no `Host`, two of them, one that is none, or one that is not served here.
pub fn check(headers: &HeaderMap, uri: &Uri, is_local: bool, reached: Reached) -> Result<(), (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad("a request has exactly one Host".into()));
    };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let host = host.filter(|host| !host.as_str().contains('@')).ok_or_else(|| bad("the Host is not a name".into()))?;
    // An address with a host of its own, as a proxy is asked, counts more than the header.
    for host in [Some(&host), uri.authority()].into_iter().flatten() {
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
        let status = |hosts: &[&str], is_local: bool| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            let names = ["Monitor.example.org".to_string()];
            check(&headers, &Uri::from_static("/"), is_local, reached(&names)).err().map(|failure| failure.0.as_u16())
        };
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
        let asked = |uri: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, "localhost".parse().unwrap())]);
            check(&headers, &Uri::from_static(uri), true, reached(&[])).is_ok()
        };
        assert!(asked("http://localhost:5000/") && !asked("http://evil.example.org/"));
    }
}
