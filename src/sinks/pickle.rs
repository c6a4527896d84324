//! Writes values as Python's pickles have them, in opcodes that every reader of protocol 2 and later knows.

/// Appends a text: BINUNICODE.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    let [a, b, c, d] = (text.len() as u32).to_le_bytes();
    out.extend_from_slice(&[b'X', a, b, c, d]);
    out.extend_from_slice(text.as_bytes());
}

/// Appends an integer: BININT, or LONG1 with eight bytes beyond 31 bits.
pub(super) fn whole(value: i64, out: &mut Vec<u8>) {
    match i32::try_from(value) {
        Ok(value) => {
            let [a, b, c, d] = value.to_le_bytes();
            out.extend_from_slice(&[b'J', a, b, c, d]);
        }
        Err(_) => {
            out.extend_from_slice(b"\x8a\x08");
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Appends a float: BINFLOAT.
pub(super) fn float(value: f64, out: &mut Vec<u8>) {
    out.push(b'G');
    out.extend_from_slice(&value.to_be_bytes());
}
