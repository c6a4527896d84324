//! The names of sets: bytes on the node, text for people, config and stores.

use std::fmt::Write as _;

/// Returns a name as text. A blank, comma, `%`, control character, or byte that is no UTF-8 becomes `%XX`, so that what is
/// shown can stand in the config.
pub fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for piece in name.utf8_chunks() {
        for c in piece.valid().chars() {
            if c.is_control() || c.is_whitespace() || matches!(c, '%' | ',' | '\u{2028}' | '\u{2029}') {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| hex(byte, &mut text));
            } else {
                text.push(c);
            }
        }
        piece.invalid().iter().for_each(|byte| hex(*byte, &mut text));
    }
    text
}

fn hex(byte: u8, text: &mut String) {
    let _ = write!(text, "%{byte:02X}");
}

/// Returns the bytes of a name in the config, where `%XX` stands for a byte.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes
}

/// Returns the first five names of a list, and how many more there are.
pub fn some_of(names: &[impl AsRef<str>]) -> String {
    const NAMED: usize = 5;
    let named: Vec<_> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let more = names.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

/// Whether a name fits a glob, in which `*` stands for any text and `?` for one character.
pub fn fits(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<_>, Vec<_>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut seen, mut back) = (0, 0, None);
    while seen < name.len() {
        match glob.get(at) {
            Some('*') => {
                back = Some((at, seen));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[seen] => (at, seen) = (at + 1, seen + 1),
            _ => match back {
                Some((star, from)) => {
                    (at, seen) = (star + 1, from + 1);
                    back = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_shown_so_that_it_can_stand_in_the_config() {
        for (raw, text) in [
            (&b"svn/dybsvn"[..], "svn/dybsvn"),
            (b"names/with space", "names/with%20space"),
            (b"names/new\nline", "names/new%0Aline"),
            ("names/ümläut-日本".as_bytes(), "names/ümläut-日本"),
            (b"names/latin1-\xe9", "names/latin1-%E9"),
            (b"names/percent%20", "names/percent%2520"),
            (b"names/quote'\"$(reboot)`x`", "names/quote'\"$(reboot)`x`"),
        ] {
            assert_eq!(shown(raw), text);
            assert_eq!(bytes(text), raw);
        }
        assert_eq!(bytes("50%"), b"50%");
    }

    #[test]
    fn a_glob_fits_any_text_or_one_character() {
        for (glob, name, is) in [
            ("svn/*", "svn/dybsvn", true),
            ("*", "", true),
            ("*/dyb*", "svn/dybsvn", true),
            ("svn/dyb?vn", "svn/dybsvn", true),
            ("svn", "svn/x", false),
            ("*a*b", "xaxbxb", true),
            ("*a*c", "xaxbxb", false),
        ] {
            assert_eq!(fits(glob, name), is, "{glob} {name}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name: Vec<u8>) {
            prop_assert_eq!(bytes(&shown(&name)), name);
        }
    }
}
