//! The messages of libvirt's protocol: the calls that we make, and their replies. Pure.

use std::borrow::Cow;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::xdr::{Reader, Writer};
use crate::text::quote;

/// The longest message, in bytes: what libvirt itself sends at most, and its header.
pub const LONGEST: usize = (32 << 20) + HEADER;

/// The bytes of a header, its length included.
pub const HEADER: usize = 28;

/// The most domains of a host, as libvirt itself has it.
pub const MOST_DOMAINS: usize = 16_384;

const PROGRAM: u32 = 0x2000_8086;
const VERSION: u32 = 1;

/// The procedures that we call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Procedure {
    /// Opens the hypervisor.
    Open = 1,
    /// Closes it.
    Close = 2,
    /// Tells how a client must prove itself.
    AuthList = 66,
    /// Lets polkit decide.
    AuthPolkit = 70,
    /// Tells libvirt's version.
    LibVersion = 157,
    /// Returns one element of a domain's metadata.
    Metadata = 265,
    /// Lists the domains.
    List = 273,
    /// Returns the counters of many domains.
    Stats = 344,
}

/// A domain, as calls and replies name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRef {
    /// Its name, such as `instance-0000002a`.
    pub name: String,
    /// Its UUID, the identity.
    pub uuid: Uuid,
    /// The number of its run, −1 while it is off.
    pub id: i32,
}

/// The identity of a domain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(out, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl From<Uuid> for String {
    fn from(uuid: Uuid) -> Self {
        uuid.to_string()
    }
}

impl TryFrom<String> for Uuid {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
        Ok(Self(number.with_context(|| format!("{} is not a UUID", quote(&text)))?.to_be_bytes()))
    }
}

/// The groups of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// All that become points: state, cpu, balloon, vcpu, interface, block. libvirtd asks QEMU for them.
    All,
    /// State and interface, for which libvirtd never asks QEMU.
    Quiet,
}

impl Groups {
    fn bits(self) -> u32 {
        match self {
            Self::All => 1 | 2 | 4 | 8 | 16 | 32,
            Self::Quiet => 1 | 16,
        }
    }
}

/// Lets libvirtd pass by the counters of a domain whose job somebody holds, instead of waiting for it.
const NOWAIT: u32 = 1 << 29;

/// Returns the frame of a call.
pub fn call(procedure: Procedure, serial: u32, body: &[u8]) -> Vec<u8> {
    let length = (HEADER + body.len()) as u32;
    let header = Writer::default().u32(length).u32(PROGRAM).u32(VERSION).i32(procedure as i32);
    header.u32(0).u32(serial).u32(0).bytes(body).0
}

/// Returns the body of OPEN, for reading alone.
pub fn open() -> Vec<u8> {
    Writer::default().some_text("qemu:///system").u32(1).0
}

/// Returns the body of LIST, for all domains, running and off.
pub fn list() -> Vec<u8> {
    Writer::default().i32(1).u32(0).0
}

/// Returns the body of STATS; without domains it asks for all of them.
pub fn stats(domains: &[&DomainRef], groups: Groups) -> Vec<u8> {
    let named = Writer::default().u32(domains.len() as u32);
    let named = domains.iter().fold(named, |body, domain| put(body, domain));
    named.u32(groups.bits()).u32(NOWAIT).0
}

/// Returns the body of METADATA, for the element of a namespace.
pub fn metadata(domain: &DomainRef, namespace: &str) -> Vec<u8> {
    put(Writer::default(), domain).i32(2).some_text(namespace).u32(0).0
}

fn put(body: Writer, domain: &DomainRef) -> Writer {
    body.text(&domain.name).bytes(&domain.uuid.0).i32(domain.id)
}

/// The header of a message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is a reply to a call of ours; events and keep-alives are not.
    pub is_reply: bool,
    /// The serial number of the call.
    pub serial: u32,
    /// Whether the body is an error.
    pub is_error: bool,
}

/// Returns the length of a message from its first four bytes.
///
/// # Errors
/// Fails if no message has that length.
pub fn length(first: [u8; 4]) -> Result<usize> {
    let length = u32::from_be_bytes(first) as usize;
    ensure!(
        (HEADER..=LONGEST).contains(&length),
        "what answers is not libvirtd: {} begins no message of its protocol",
        quote(&String::from_utf8_lossy(&first))
    );
    Ok(length)
}

/// Splits a message, without its length, into header and body.
///
/// # Errors
/// Fails if it is shorter than a header.
pub fn split(message: &[u8]) -> Result<(Header, &[u8])> {
    let mut reader = Reader::new(message);
    let (program, version, _procedure) = (reader.u32()?, reader.u32()?, reader.i32()?);
    let (kind, serial, status) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let is_reply = (program, version, kind) == (PROGRAM, VERSION, 1);
    Ok((Header { is_reply, serial, is_error: status != 0 }, &message[HEADER - 4..]))
}

/// What libvirtd answers instead of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// libvirt's number of the error: 42 no such domain, 80 no such metadata.
    pub code: i32,
    /// Its words.
    pub message: String,
}

/// Reads the body of an error.
///
/// # Errors
/// Fails if it breaks off.
pub fn refusal(body: &[u8]) -> Result<Refusal> {
    let mut reader = Reader::new(body);
    let (code, _domain) = (reader.i32()?, reader.i32()?);
    let message = reader.maybe_text()?.unwrap_or_default();
    Ok(Refusal { code, message: lossy(message).into() })
}

/// Reads the reply to AUTH_LIST: the ways in which a client may prove itself.
///
/// # Errors
/// Fails if it breaks off or is longer, as all readers here.
pub fn read_auth_list(body: &[u8]) -> Result<Vec<i32>> {
    let mut reader = Reader::new(body);
    let count = reader.u32()?;
    let mut ways = Vec::new();
    for _ in 0..count {
        ways.push(reader.i32()?);
    }
    reader.end()?;
    Ok(ways)
}

/// Reads the reply to LIB_VERSION, as 9.0.0.
///
/// # Errors
/// As [`read_auth_list`].
pub fn read_version(body: &[u8]) -> Result<String> {
    let mut reader = Reader::new(body);
    let version = reader.u64()?;
    reader.end()?;
    Ok(format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000))
}

/// Reads the reply to LIST. The order is libvirtd's, which is random.
///
/// # Errors
/// As [`read_auth_list`], and if there are more than [`MOST_DOMAINS`].
pub fn read_list(body: &[u8]) -> Result<Vec<DomainRef>> {
    let mut reader = Reader::new(body);
    let count = count_of_domains(&mut reader, MOST_DOMAINS)?;
    let mut domains = Vec::new();
    for _ in 0..count {
        domains.push(domain(&mut reader)?);
    }
    reader.u32()?;
    reader.end()?;
    Ok(domains)
}

fn count_of_domains(reader: &mut Reader, most: usize) -> Result<u32> {
    let count = reader.u32()?;
    ensure!(count as usize <= most, "the answer has {count} domains instead of at most {most}");
    Ok(count)
}

fn domain(reader: &mut Reader) -> Result<DomainRef> {
    Ok(DomainRef { name: lossy(reader.text()?).into(), uuid: Uuid(reader.uuid()?), id: reader.i32()? })
}

/// The value of a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A whole number from 0.
    Unsigned(u64),
    /// A negative number; libvirt sends some counters of devices as signed ones.
    Negative(i64),
    /// A fraction.
    Float(f64),
    /// A text.
    Text(&'a [u8]),
}

impl Value<'_> {
    /// Returns a counter; `None` for what is none.
    pub fn counter(self) -> Option<u64> {
        if let Self::Unsigned(value) = self { Some(value) } else { None }
    }
}

/// Reads the reply to STATS about at most so many domains: hands each to `begin`, and then each of its counters to `take`.
///
/// # Errors
/// As [`read_auth_list`], if there are more domains, and if a value has a type that the protocol does not know.
pub fn read_stats<T>(
    body: &[u8],
    most: usize,
    mut begin: impl FnMut(DomainRef) -> T,
    mut take: impl FnMut(&mut T, &[u8], Value),
) -> Result<Vec<T>> {
    let mut reader = Reader::new(body);
    let count = count_of_domains(&mut reader, most)?;
    let mut domains = Vec::new();
    for _ in 0..count {
        let mut domain = begin(domain(&mut reader)?);
        for _ in 0..reader.u32()? {
            let key = reader.text()?;
            take(&mut domain, key, value(&mut reader)?);
        }
        domains.push(domain);
    }
    reader.end()?;
    Ok(domains)
}

fn value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>> {
    let signed = |value: i64| u64::try_from(value).map_or(Value::Negative(value), Value::Unsigned);
    Ok(match reader.u32()? {
        1 => signed(reader.i32()?.into()),
        2 | 6 => Value::Unsigned(reader.u32()?.into()),
        3 => signed(reader.u64()?.cast_signed()),
        4 => Value::Unsigned(reader.u64()?),
        5 => Value::Float(f64::from_bits(reader.u64()?)),
        7 => Value::Text(reader.text()?),
        other => bail!("the answer has a value of type {other}, which the protocol does not know"),
    })
}

/// Reads the reply to METADATA.
///
/// # Errors
/// As [`read_auth_list`].
pub fn read_metadata(body: &[u8]) -> Result<Cow<'_, str>> {
    let mut reader = Reader::new(body);
    let text = reader.text()?;
    reader.end()?;
    Ok(lossy(text))
}

/// Returns text from a host; invalid UTF-8 becomes U+FFFD.
pub(super) fn lossy(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}
