//! Sidecars: `FILE.dna` beside a backup, written and copied last. It holds a dict of Python:
//! `{'dig': '0829f71740aab1ab98b33eae21dee122', 'size': 1915051630L}`, with the `L` from some Pythons.

/// What a sidecar says of its file; nothing at all if it cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seal {
    /// The size, in bytes.
    pub bytes: Option<u64>,
    /// The MD5 sum.
    pub digest: Option<[u8; 16]>,
}

impl Seal {
    /// That of a sidecar that lies there and cannot be read.
    pub const CLOSED: Self = Self { bytes: None, digest: None };

    /// Reads the first line of a sidecar; `None` if it says nothing.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let mut seal = Self { bytes: None, digest: None };
        for pair in text.split(',') {
            let (key, value) = pair.split_once(':')?;
            let is_quote = |c| matches!(c, '\'' | '"');
            let value = value.trim();
            match key.trim().trim_start_matches('u').trim_matches(is_quote) {
                "dig" => seal.digest = digest(value.trim_start_matches('u').trim_matches(is_quote)),
                "size" => seal.bytes = value.trim_end_matches(['L', 'l']).parse().ok(),
                _ => {}
            }
        }
        (seal.bytes.is_some() || seal.digest.is_some()).then_some(seal)
    }
}

/// Reads 32 hexadecimal digits.
pub fn digest(text: &str) -> Option<[u8; 16]> {
    let mut digest = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_of_any_python_is_read() {
        let sum = digest("0829f71740aab1ab98b33eae21dee122");
        for (line, bytes, digest) in [
            ("{'dig': '0829f71740aab1ab98b33eae21dee122', 'size': 8192}", Some(8192), sum),
            ("{'size': 1915051630L, 'dig': u'0829f71740aab1ab98b33eae21dee122'}\r", Some(1_915_051_630), sum),
            ("{\"dig\": \"0829F71740AAB1AB98B33EAE21DEE122\", \"size\": 1}", Some(1), sum),
            (include_str!("../../../tests/fixtures/backups/golden/svnsetup.tar.gz.dna"), Some(8192), sum),
            ("{'size': 5}", Some(5), None),
            ("{'dig': 'short', 'size': 5}", Some(5), None),
        ] {
            assert_eq!(Seal::parse(line.as_bytes()), Some(Seal { bytes, digest }), "{line}");
        }
        for line in
            ["", "Traceback", "{}", "{'dig'}", "{'size': -1}", "[1]", "{'dig': 'é829f71740aab1ab98b33eae21dee12'}"]
        {
            assert_eq!(Seal::parse(line.as_bytes()), None, "{line}");
        }
    }
}
