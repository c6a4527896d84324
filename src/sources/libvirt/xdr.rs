//! XDR, the encoding of libvirt's protocol (RFC 4506): big-endian numbers, and texts padded to four bytes. Pure.
//!
//! Nothing is allocated by a length or a count that a message tells: a text is a part of the bytes that arrived.

use anyhow::{Context, Result, bail};

/// Writes values behind one another.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Adds an unsigned number of 32 bits.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds a signed number of 32 bits.
    #[must_use]
    pub fn i32(self, value: i32) -> Self {
        self.u32(value.cast_unsigned())
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Adds a text with its length, padded to four bytes.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        let mut writer = self.u32(text.len() as u32).bytes(text.as_bytes());
        writer.0.resize(writer.0.len().next_multiple_of(4), 0);
        writer
    }

    /// Adds a text that could be absent.
    #[must_use]
    pub fn some_text(self, text: &str) -> Self {
        self.u32(1).text(text)
    }
}

/// Reads values one after another.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Returns a reader of a message's body.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Reads `count` bytes.
    ///
    /// # Errors
    /// Fails if fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count).context("the answer breaks off")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().context("the answer breaks off")?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Reads an unsigned number of 32 bits.
    ///
    /// # Errors
    /// Fails if the answer breaks off, as all readers here.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a signed number of 32 bits.
    ///
    /// # Errors
    /// As [`Self::u32`].
    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads an unsigned number of 64 bits.
    ///
    /// # Errors
    /// As [`Self::u32`].
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads an identity of 16 bytes.
    ///
    /// # Errors
    /// As [`Self::u32`].
    pub fn uuid(&mut self) -> Result<[u8; 16]> {
        self.array()
    }

    /// Reads a text, as bytes: names on a host need not be UTF-8.
    ///
    /// # Errors
    /// As [`Self::u32`].
    pub fn text(&mut self) -> Result<&'a [u8]> {
        let length = self.u32()? as usize;
        let text = self.bytes(length)?;
        self.bytes(length.next_multiple_of(4) - length)?;
        Ok(text)
    }

    /// Reads whether a value that may be absent follows.
    ///
    /// # Errors
    /// As [`Self::u32`], and if it is neither 0 nor 1.
    pub fn is_some(&mut self) -> Result<bool> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => bail!("the answer has {other} where 0 or 1 tells whether a value follows"),
        }
    }

    /// Reads a text that may be absent.
    ///
    /// # Errors
    /// As [`Self::is_some`].
    pub fn maybe_text(&mut self) -> Result<Option<&'a [u8]>> {
        self.is_some()?.then(|| self.text()).transpose()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Fails if something is left.
    pub fn end(self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => bail!("the answer has {left} bytes more than it should"),
        }
    }
}
