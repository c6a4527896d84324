//! A picture with a palette, as the bytes of a PNG.

use std::io::Write;

use anyhow::Result;
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A level above it takes up to four times as long for a tenth less.
const LEVEL: Compression = Compression::new(5);

/// Pixels, each a number of a colour.
#[derive(Debug)]
pub struct Picture {
    /// Its width, in pixels.
    pub width: u32,
    /// Its height, in pixels.
    pub height: u32,
    /// Row by row, from above.
    pub pixels: Vec<u8>,
    /// The colours: red, green, blue. At most 256.
    pub palette: Vec<[u8; 3]>,
}

/// Writes a picture as PNG.
///
/// # Errors
/// Never, as far as we know: its bytes are compressed in memory.
pub fn encode(picture: &Picture) -> Result<Vec<u8>> {
    let Picture { width, height, palette, .. } = picture;
    let bits = match palette.len() {
        0..=2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        _ => 8,
    };
    let mut packed = ZlibEncoder::new(Vec::with_capacity(4096), LEVEL);
    packed.write_all(&rows(picture, bits))?;
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // A palette, the only compression, the only filters, whole rows.
    head.extend([bits, 3, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, b"IHDR", &head);
    chunk(&mut png, b"PLTE", palette.as_flattened());
    chunk(&mut png, b"IDAT", &packed.finish()?);
    chunk(&mut png, b"IEND", &[]);
    Ok(png)
}

/// Returns the rows, each after the number of its filter, with as many pixels in a byte as fit.
fn rows(picture: &Picture, bits: u8) -> Vec<u8> {
    let (columns, each) = (picture.width as usize, usize::from(8 / bits));
    let mut rows = Vec::with_capacity((columns.div_ceil(each) + 1) * picture.height as usize);
    for row in picture.pixels.chunks_exact(columns) {
        // No filter: neighbouring numbers of a palette have nothing in common.
        rows.push(0);
        match bits {
            8 => rows.extend(row),
            _ => rows.extend(row.chunks(each).map(|pixels| {
                let byte = pixels.iter().fold(0, |byte, pixel| byte << bits | pixel);
                // The last byte of a row may not be full.
                byte << (bits * (each - pixels.len()) as u8)
            })),
        }
    }
    rows
}

fn chunk(png: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let from = png.len();
    png.extend(name);
    png.extend(data);
    let sum = crc32fast::hash(&png[from..]);
    png.extend(sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pixels_as_fit_share_a_byte() {
        let picture = |pixels: &[u8]| Picture { width: 3, height: 2, pixels: pixels.to_vec(), palette: Vec::new() };
        assert_eq!(rows(&picture(&[1, 0, 1, 0, 1, 1]), 1), [0, 0b1010_0000, 0, 0b0110_0000]);
        assert_eq!(rows(&picture(&[1, 2, 3, 0, 1, 2]), 2), [0, 0b0110_1100, 0, 0b0001_1000]);
        assert_eq!(rows(&picture(&[1, 15, 3, 4, 5, 6]), 4), [0, 0x1f, 0x30, 0, 0x45, 0x60]);
        assert_eq!(rows(&picture(&[1, 200, 3, 4, 5, 6]), 8), [0, 1, 200, 3, 0, 4, 5, 6]);
    }
}
