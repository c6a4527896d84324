//! Reads ClassAds as HTCondor's tools print them with `-json`: one array, split into its ads while it streams, so that
//! memory does not grow with the number of jobs.

use std::fmt;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::text::quote;

/// Maximum size of an ad, in bytes; a complete slot ad of a large machine has about 100 kB.
const LONGEST_AD: usize = 16 << 20;

/// Splits a JSON array of objects, fed in pieces of any size, into its objects.
#[derive(Debug, Default)]
pub struct Splitter {
    place: Place,
    /// The bytes of the current object from earlier pieces.
    held: Vec<u8>,
    ads: usize,
}

/// The position of the stream in the array.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    /// Before `[`. The tools print nothing at all if there are no ads.
    #[default]
    Start,
    /// After `[`: expects an ad or the end.
    First,
    /// After an ad: expects a comma or the end.
    Next,
    /// After a comma: expects an ad.
    Ad,
    /// Inside an ad: the depth of its braces, whether in a string, and whether after a backslash.
    Inside { depth: usize, string: bool, escaped: bool },
    /// After `]`.
    End,
}

impl Splitter {
    /// Takes the next piece and calls `each` with the bytes of every object that it completes.
    ///
    /// # Errors
    /// Fails at the first byte that the array cannot have there (text before JSON, an HTML page), and if `each` fails.
    pub fn feed(&mut self, piece: &[u8], each: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut begin = 0;
        let mut at = 0;
        while at < piece.len() {
            let byte = piece[at];
            self.place = match (self.place, byte) {
                (Place::Inside { depth, string, escaped: true }, _) => Place::Inside { depth, string, escaped: false },
                (Place::Inside { depth, string: true, .. }, b'\\') => {
                    Place::Inside { depth, string: true, escaped: true }
                }
                (Place::Inside { depth, string, .. }, b'"') => Place::Inside { depth, string: !string, escaped: false },
                (inside @ Place::Inside { string: true, .. }, _) => {
                    // Skips the rest of the string in one step, since nearly all bytes are in strings.
                    let skip = piece[at..].iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(piece.len() - at);
                    at += skip.max(1) - 1;
                    inside
                }
                (Place::Inside { depth, string, escaped }, b'{') => Place::Inside { depth: depth + 1, string, escaped },
                (Place::Inside { depth: 1, .. }, b'}') => {
                    let last = &piece[begin..=at];
                    self.ads += 1;
                    if self.held.is_empty() {
                        each(last)?;
                    } else {
                        self.held.extend_from_slice(last);
                        each(&self.held)?;
                        self.held.clear();
                    }
                    Place::Next
                }
                (Place::Inside { depth, string, escaped }, b'}') => Place::Inside { depth: depth - 1, string, escaped },
                (inside @ Place::Inside { .. }, _) => inside,
                (place, b' ' | b'\n' | b'\r' | b'\t') => place,
                (Place::Start, b'[') => Place::First,
                (Place::First | Place::Ad, b'{') => {
                    begin = at;
                    Place::Inside { depth: 1, string: false, escaped: false }
                }
                (Place::Next, b',') => Place::Ad,
                (Place::First | Place::Next, b']') => Place::End,
                (Place::Start, _) => {
                    bail!("printed {} where JSON was expected", quote_line(&piece[at..]))
                }
                _ => bail!("printed {} after {} ads, which is no JSON", quote_line(&piece[at..]), self.ads),
            };
            at += 1;
        }
        if let Place::Inside { .. } = self.place {
            self.held.extend_from_slice(&piece[begin..]);
            ensure!(self.held.len() <= LONGEST_AD, "printed an ad of over {LONGEST_AD} bytes");
        }
        Ok(())
    }

    /// Ends the stream and returns the number of its objects.
    ///
    /// # Errors
    /// Fails if the array is incomplete.
    pub fn finish(&self) -> Result<usize> {
        ensure!(
            matches!(self.place, Place::Start | Place::End),
            "printed half an answer, cut off after {} ads",
            self.ads
        );
        Ok(self.ads)
    }
}

/// Quotes the first line of `bytes`. The length of the rest depends on how much has arrived by chance.
fn quote_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    quote(&String::from_utf8_lossy(line))
}

/// The value of an attribute, reduced to the types that are used here.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Attribute {
    /// Missing, `null`, or an object.
    #[default]
    None,
    /// A number; ClassAd integers come as `2`, reals as `2.0`.
    Number(f64),
    /// A text, or an expression spelt `/Expr(…)/`.
    Text(String),
    /// A list, as the texts of its members joined with commas.
    List(String),
}

impl Attribute {
    /// Returns the value as a number; parses a text.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::None | Self::List(_) => None,
        }
        .filter(|number| number.is_finite())
    }

    /// Returns the value as a whole number.
    pub fn whole(&self) -> Option<i64> {
        // Beyond 2^53 a float skips whole numbers, and no count here is that large.
        self.number().filter(|number| number.fract() == 0.0 && number.abs() <= 9e15).map(|number| number as i64)
    }

    /// Returns the value as a truth value: `true`, `"TRUE"`, and every number but 0, are true.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            other => other.number().map(|number| number != 0.0),
        }
    }

    /// Returns the value as text: `42` for a number. Returns `None` if it is missing, null or an expression that did
    /// not evaluate.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) if text.starts_with("/Expr(") => None,
            Self::Text(text) | Self::List(text) => Some(text.clone()),
        }
    }
}

/// Reads the `wanted` attributes of one ad, in that order. Attribute names are case-insensitive. Bytes that are not
/// UTF-8, which users can put into an ad, become U+FFFD.
///
/// # Errors
/// Fails if the bytes are not a JSON object.
pub fn read<const N: usize>(ad: &[u8], wanted: &[&str; N]) -> Result<[Attribute; N]> {
    let mut values = std::array::from_fn(|_| Attribute::None);
    read_into(ad, wanted, &mut values)?;
    Ok(values)
}

/// Like [`read`], for any number of attributes. Attributes that the ad lacks become [`Attribute::None`].
///
/// # Errors
/// Fails if the bytes are not a JSON object.
pub fn read_into(ad: &[u8], wanted: &[&str], values: &mut [Attribute]) -> Result<()> {
    values.fill(Attribute::None);
    let lossy;
    let text = match std::str::from_utf8(ad) {
        Ok(text) => text,
        Err(_) => {
            lossy = String::from_utf8_lossy(ad);
            &lossy
        }
    };
    let mut json = serde_json::Deserializer::from_str(text);
    match AdVisitor(wanted, values).deserialize(&mut json) {
        Ok(()) => Ok(()),
        Err(error) => bail!("printed {}, which is no JSON: {error}", quote(text)),
    }
}

struct AdVisitor<'a>(&'a [&'a str], &'a mut [Attribute]);

impl<'de> DeserializeSeed<'de> for AdVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AdVisitor<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an ad")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(NameSeed(self.0))? {
            match place {
                Some(place) => self.1[place] = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads an attribute's name as its index among the wanted ones, without copying the text.
struct NameSeed<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an attribute's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|wanted| wanted.eq_ignore_ascii_case(name)))
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(AttributeVisitor)
    }
}

struct AttributeVisitor;

impl<'de> Visitor<'de> for AttributeVisitor {
    type Value = Attribute;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an attribute's value")
    }

    fn visit_unit<E>(self) -> Result<Attribute, E> {
        Ok(Attribute::None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Attribute, E> {
        Ok(Attribute::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Attribute, E> {
        Ok(Attribute::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Attribute, E> {
        Ok(Attribute::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Attribute, E> {
        Ok(Attribute::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Attribute, E> {
        Ok(Attribute::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Attribute, A::Error> {
        let mut texts = Vec::new();
        while let Some(member) = list.next_element::<Attribute>()? {
            texts.extend(member.text());
        }
        Ok(Attribute::List(texts.join(",")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attribute, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Attribute::None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the objects of `text`, fed in pieces of `size` bytes, or why it was refused.
    fn split(text: &[u8], size: usize) -> Result<Vec<String>, String> {
        let mut objects = Vec::new();
        let mut splitter = Splitter::default();
        let mut each = |object: &[u8]| {
            objects.push(String::from_utf8_lossy(object).into_owned());
            Ok(())
        };
        text.chunks(size)
            .try_for_each(|piece| splitter.feed(piece, &mut each))
            .and_then(|()| splitter.finish())
            .map_err(|error| error.to_string())?;
        Ok(objects)
    }

    #[test]
    fn an_array_is_cut_into_its_objects_whatever_the_pieces() {
        let text = br#" [ {"a": "}]\"{", "b": {"c": [1, {}]}}
            , {} , {"d":"x"}]
        "#;
        for size in 1..text.len() {
            let objects = split(text, size).unwrap();
            assert_eq!(objects, [r#"{"a": "}]\"{", "b": {"c": [1, {}]}}"#, "{}", r#"{"d":"x"}"#], "pieces of {size}");
        }
        for empty in [
            "", "
", "[]", "[
]
",
        ] {
            assert_eq!(split(empty.as_bytes(), 4096), Ok(vec![]));
        }
    }

    #[test]
    fn what_is_no_whole_array_is_refused_in_words() {
        for (text, error) in [
            ("All queues are empty\n", r#"printed "All queues are empty" where JSON was expected"#),
            ("<html><body>login</body>", r#"printed "<html><body>login</body>" where JSON was expected"#),
            ("warning: x\n[{}]", r#"printed "warning: x" where JSON was expected"#),
            ("{}", r#"printed "{}" where JSON was expected"#),
            ("[", "printed half an answer, cut off after 0 ads"),
            ("[{},", "printed half an answer, cut off after 1 ads"),
            (r#"[{"a": "b"#, "printed half an answer, cut off after 0 ads"),
            ("[{}", "printed half an answer, cut off after 1 ads"),
            ("[{},{}] tail", r#"printed "tail" after 2 ads, which is no JSON"#),
            ("[{} {}]", r#"printed "{}]" after 1 ads, which is no JSON"#),
            ("[1]", r#"printed "1]" after 0 ads, which is no JSON"#),
        ] {
            assert_eq!(split(text.as_bytes(), 4096), Err(error.to_string()), "{text}");
        }
    }

    #[test]
    fn attributes_are_read_whatever_their_type_and_case() {
        let read = |ad: &str| read(ad.as_bytes(), &["JobStatus", "TargetClouds"]).unwrap();
        let [status, clouds] = read(r#"{"jobstatus": 2.0, "X": {"y": [1]}, "TARGETCLOUDS": ["CERN", 42, null]}"#);
        assert_eq!((status.whole(), clouds.text().as_deref()), (Some(2), Some("CERN,42")));
        let [status, clouds] = read(r#"{"JobStatus": "5", "TargetClouds": 42}"#);
        assert_eq!((status.whole(), clouds.text().as_deref()), (Some(5), Some("42")));
        let [status, clouds] = read(r#"{"JobStatus": null, "TargetClouds": "\/Expr(NoSuch + 1)\/"}"#);
        assert_eq!((status.whole(), clouds.text()), (None, None));
        let [status, clouds] = read(r#"{"JobStatus": 1.5, "TargetClouds": {"a": 1}}"#);
        assert_eq!((status.whole(), clouds.text()), (None, None));
        let mut latin = br#"{"TargetClouds": "caf"#.to_vec();
        latin.extend_from_slice(b"\xe9\"}");
        let [clouds] = super::read(&latin, &["TargetClouds"]).unwrap();
        assert_eq!(clouds.text().as_deref(), Some("caf\u{fffd}"));
        assert!(
            super::read(b"{nonsense}", &["x"]).unwrap_err().to_string().starts_with(r#"printed "{nonsense}", which"#)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn any_array_of_objects_is_cut_as_serde_json_reads_it(
            texts in prop::collection::vec(any::<String>(), 0..5),
            pretty in any::<bool>(),
            size in 1usize..50,
        ) {
            let ads: Vec<_> = texts.iter().map(|text| serde_json::json!({"a": text, "b": [text, {"c": text}]})).collect();
            let text = if pretty { serde_json::to_string_pretty(&ads) } else { serde_json::to_string(&ads) }.unwrap();
            let objects = split(text.as_bytes(), size).unwrap();
            let again: Vec<serde_json::Value> = objects.iter().map(|object| serde_json::from_str(object).unwrap()).collect();
            prop_assert_eq!(again, ads);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in r#"[\[\]{}," :\\a1-]{0,40}"#) {
            let _ = split(bytes.as_bytes(), 7);
            let _ = read(bytes.as_bytes(), &["a"]);
        }
    }
}
