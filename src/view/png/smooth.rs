//! A scene with smooth lines: tiny-skia draws these, and all others as they are.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, PremultipliedColorU8, StrokeDash, Transform,
};

use super::encode::Picture;
use super::path::{Step, number, steps};
use super::pixels::Run;
use super::present::{colour, rgb};
use crate::view::scene::{Scene, Shape, Stroke};

/// Draws a scene. More than 256 colours lose their lowest bits.
///
/// # Errors
/// Fails if it is too large.
pub fn draw(scene: &Scene, shapes: &[(&Shape, Option<Vec<Run>>)], (width, height): (u32, u32)) -> Result<Picture> {
    let mut map = Pixmap::new(width, height).context("a picture of this size")?;
    map.fill(opaque(scene.ground, 1.0));
    for (shape, runs) in shapes {
        let colour = colour(shape, scene);
        match (shape, runs) {
            (_, Some(runs)) => fill(&mut map, runs, colour),
            (Shape::Line { path, stroke, .. }, _) => line(&mut map, path, stroke),
            (Shape::Area { path, opacity, .. }, _) => area(&mut map, path, &paint(colour, number(opacity))),
            // Gaps and letters are whole pixels.
            _ => {}
        }
    }
    let number = |pixel: &[u8]| u32::from_be_bytes([0, pixel[0], pixel[1], pixel[2]]);
    let pixels: Vec<_> = map.data().chunks_exact(4).map(number).collect();
    let (colours, mask) = palette(&pixels);
    // Most pixels are like the one before, which spares the look-up.
    let mut last = None;
    let mut number = |key: u32| match last {
        Some((known, number)) if known == key => number,
        _ => last.insert((key, colours[&key].0)).1,
    };
    let pixels = pixels.iter().map(|pixel| number(pixel & mask)).collect();
    let mut colours: Vec<_> = colours.values().collect();
    colours.sort();
    let palette = colours.iter().map(|(_, colour)| colour.to_be_bytes()).map(|[_, r, g, b]| [r, g, b]).collect();
    Ok(Picture { width, height, pixels, palette })
}

fn opaque(text: &str, opacity: f32) -> Color {
    let [red, green, blue] = rgb(text);
    Color::from_rgba8(red, green, blue, (opacity * 255.0).round() as u8)
}

fn paint(text: &str, opacity: f32) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(opaque(text, opacity));
    paint
}

fn fill(map: &mut Pixmap, runs: &[Run], colour: &str) {
    let [red, green, blue] = rgb(colour);
    let (columns, rows) = (map.width() as usize, map.height() as usize);
    let Some(pixel) = PremultipliedColorU8::from_rgba(red, green, blue, 255) else { return };
    for run in runs {
        map.pixels_mut()[run.within(columns, rows)].fill(pixel);
    }
}

fn area(map: &mut Pixmap, path: &str, paint: &Paint) {
    if let Some(path) = read(path) {
        map.fill_path(&path, paint, FillRule::Winding, Transform::identity(), None);
    }
}

fn line(map: &mut Pixmap, path: &str, stroke: &Stroke) {
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
    if let Some(path) = read(path) {
        map.stroke_path(&path, &paint(stroke.colour, 1.0), &shape, Transform::identity(), None);
    }
}

/// Returns a path; `None` if it draws nothing.
fn read(text: &str) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for step in steps(text) {
        match step {
            Step::Move(x, y) => builder.move_to(x, y),
            Step::Line(x, y) => builder.line_to(x, y),
            Step::Close => builder.close(),
        }
    }
    builder.finish()
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
