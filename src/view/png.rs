//! A scene as PNG: smooth lines by tiny-skia, letters of our own, a palette where the colours allow it. The same scene gives
//! the same bytes on every machine.

#[cfg(not(feature = "png"))]
pub use self::absent::draw;
#[cfg(feature = "png")]
pub use self::present::draw;

/// Whether this build draws PNG.
pub const AVAILABLE: bool = cfg!(feature = "png");

#[cfg(not(feature = "png"))]
mod absent {
    use anyhow::{Result, bail};

    use crate::view::scene::Scene;

    /// Says that this build draws no PNG.
    ///
    /// # Errors
    /// Always.
    pub fn draw(_: &Scene) -> Result<Vec<u8>> {
        bail!("this build has no PNG: ask for SVG, or build with the feature png")
    }
}

#[cfg(feature = "png")]
mod present {
    use std::collections::BTreeMap;
    use std::io::Write;

    use anyhow::{Context, Result};
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, StrokeDash, Transform};

    use crate::view::font;
    use crate::view::scene::{Anchor, Scene, Shape, Stroke, Text};

    /// Draws a scene.
    ///
    /// # Errors
    /// Fails if it is too large.
    pub fn draw(scene: &Scene) -> Result<Vec<u8>> {
        let size = |length: f64| length.ceil().clamp(1.0, 20_000.0) as u32;
        let (width, height) = (size(scene.width), size(scene.height));
        let mut map = Pixmap::new(width, height).context("a picture of this size")?;
        map.fill(colour(scene.ground, 1.0));
        for shape in scene.lines.iter().flatten() {
            match shape {
                Shape::Line { path, stroke, .. } => line(&mut map, path, stroke),
                Shape::Area { path, colour, opacity, .. } => area(&mut map, path, colour, number(opacity)),
                Shape::Gap { x, y, width, height } => {
                    hatch(&mut map, [x, y, width, height].map(|text| number(text)), scene.quiet);
                }
                Shape::Text(text) => write(&mut map, text, scene.ink),
            }
        }
        let number = |pixel: &[u8]| u32::from_be_bytes([0, pixel[0], pixel[1], pixel[2]]);
        let pixels: Vec<_> = map.data().chunks_exact(4).map(number).collect();
        encode(&pixels, width, height)
    }

    fn number(text: &str) -> f32 {
        text.parse().unwrap_or_default()
    }

    fn rgb(colour: &str) -> [u8; 3] {
        let part = |at: usize| colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        [1, 3, 5].map(|at| part(at).unwrap_or_default())
    }

    fn colour(text: &str, opacity: f32) -> Color {
        let [red, green, blue] = rgb(text);
        Color::from_rgba8(red, green, blue, (opacity * 255.0).round() as u8)
    }

    fn paint(text: &str, opacity: f32) -> Paint<'static> {
        let mut paint = Paint::default();
        paint.set_color(colour(text, opacity));
        paint
    }

    fn area(map: &mut Pixmap, path: &str, colour: &str, opacity: f32) {
        let mut paint = paint(colour, opacity);
        // On whole pixels there is no edge to smooth, and smoothing takes most of the time.
        paint.anti_alias = path.contains('.');
        if let Some(path) = read(path, |length| length) {
            map.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
        }
    }

    fn line(map: &mut Pixmap, path: &str, stroke: &Stroke) {
        // A line of the grid lies on whole pixels: smooth, it would be two of them wide and pale.
        let path = match stroke.width {
            Some(_) => read(path, |length| length),
            None => read(path, |length| length.floor() + 0.5),
        };
        let dashes: Vec<_> = stroke.dashes.split(' ').filter_map(|dash| dash.parse().ok()).collect();
        let (cap, join) = match stroke.is_round {
            true => (LineCap::Round, LineJoin::Round),
            false => (LineCap::Butt, LineJoin::Miter),
        };
        let shape = tiny_skia::Stroke {
            width: stroke.width.map_or(1.0, number),
            line_cap: cap,
            line_join: join,
            dash: StrokeDash::new(dashes, 0.0),
            ..tiny_skia::Stroke::default()
        };
        if let Some(path) = path {
            map.stroke_path(&path, &paint(stroke.colour, 1.0), &shape, Transform::identity(), None);
        }
    }

    /// Reads a path of SVG; `None` if it draws nothing.
    fn read(text: &str, placed: impl Fn(f32) -> f32) -> Option<Path> {
        let (mut builder, mut at) = (PathBuilder::new(), (0.0_f32, 0.0_f32));
        let starts: Vec<_> = text.match_indices(|c: char| c.is_ascii_alphabetic()).map(|(start, _)| start).collect();
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(text.len());
            let mut numbers = text[start + 1..end].split(' ').map(number);
            let mut next = || numbers.next().unwrap_or_default();
            let command = text.as_bytes()[*start];
            at = match command {
                b'M' | b'L' => (placed(next()), placed(next())),
                b'm' => (at.0 + next(), at.1 + next()),
                b'H' => (placed(next()), at.1),
                b'h' => (at.0 + next(), at.1),
                b'V' => (at.0, placed(next())),
                b'v' => (at.0, at.1 + next()),
                _ => {
                    builder.close();
                    continue;
                }
            };
            match command {
                b'M' | b'm' => builder.move_to(at.0, at.1),
                _ => builder.line_to(at.0, at.1),
            }
        }
        builder.finish()
    }

    fn put(map: &mut Pixmap, x: i32, y: i32, [red, green, blue]: [u8; 3]) {
        let (width, height) = (map.width() as i32, map.height() as i32);
        if (0..width).contains(&x) && (0..height).contains(&y) {
            let at = (y * width + x) as usize * 4;
            map.data_mut()[at..at + 4].copy_from_slice(&[red, green, blue, 255]);
        }
    }

    fn hatch(map: &mut Pixmap, [x, y, width, height]: [f32; 4], colour: &str) {
        let (colour, ends) =
            (rgb(colour), |from: f32, length: f32| from.round() as i32..(from + length).round() as i32);
        for y in ends(y, height) {
            ends(x, width).filter(|x| (x + y) % 6 == 5).for_each(|x| put(map, x, y, colour));
        }
    }

    fn write(map: &mut Pixmap, text: &Text, ink: &str) {
        let colour = rgb(text.colour.unwrap_or(ink));
        let back = match text.anchor {
            Anchor::Start => 0,
            Anchor::Middle => font::width(&text.text) / 2,
            Anchor::End => font::width(&text.text),
        };
        let (x, y) = (number(&text.x).round() as i32, number(&text.y).round() as i32);
        font::pixels(&text.text, |right, down| match text.is_turned {
            false => put(map, x - back + right, y - font::HEIGHT + down, colour),
            true => put(map, x - font::HEIGHT + down, y + back - right, colour),
        });
    }

    /// Writes pixels as a PNG with a palette of at most 256 colours. More colours lose their lowest bits.
    fn encode(pixels: &[u32], width: u32, height: u32) -> Result<Vec<u8>> {
        let (palette, mask) = palette(pixels);
        let mut rows = Vec::with_capacity(pixels.len() + height as usize);
        // Most pixels are like the one before, which spares the look-up.
        let mut last = None;
        let mut number = |key: u32| match last {
            Some((known, number)) if known == key => number,
            _ => last.insert((key, palette[&key].0)).1,
        };
        for row in pixels.chunks_exact(width as usize) {
            // No filter: neighbouring numbers of a palette have nothing in common.
            rows.push(0);
            rows.extend(row.iter().map(|pixel| number(pixel & mask)));
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::new(9));
        packed.write_all(&rows)?;
        let mut colours: Vec<_> = palette.values().collect();
        colours.sort();
        let colours: Vec<_> = colours.iter().flat_map(|(_, colour)| colour.to_be_bytes().into_iter().skip(1)).collect();
        let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
        // Eight bits, a palette, the only compression, the only filters, whole rows.
        head.extend([8, 3, 0, 0, 0]);
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut png, b"IHDR", &head);
        chunk(&mut png, b"PLTE", &colours);
        chunk(&mut png, b"IDAT", &packed.finish()?);
        chunk(&mut png, b"IEND", &[]);
        Ok(png)
    }

    /// The colours of a picture as 0xrrggbb, by their highest bits: the number of each in the palette, and itself.
    type Palette = BTreeMap<u32, (u8, u32)>;

    /// Returns the palette, and the bits that tell its colours apart.
    fn palette(pixels: &[u32]) -> (Palette, u32) {
        let mut part = 0xff_u8;
        loop {
            let mask = u32::from_be_bytes([0, part, part, part]);
            let (mut palette, mut last) = (Palette::new(), None);
            for pixel in pixels {
                let key = pixel & mask;
                if last.replace(key) == Some(key) {
                    continue;
                }
                // The first one of alike colours stands for all, so that ground and grid keep their own.
                palette.entry(key).or_insert((0, *pixel));
                if palette.len() > 256 {
                    break;
                }
            }
            if palette.len() <= 256 {
                (0..=255).zip(palette.values_mut()).for_each(|(number, entry)| entry.0 = number);
                return (palette, mask);
            }
            part <<= 1;
        }
    }

    fn chunk(png: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
        png.extend((data.len() as u32).to_be_bytes());
        let from = png.len();
        png.extend(name);
        png.extend(data);
        let sum = crc32fast::hash(&png[from..]);
        png.extend(sum.to_be_bytes());
    }
}
