//! A scene as PNG: shapes on whole pixels by ourselves, smooth ones by tiny-skia, letters of our own, a palette. The same scene
//! gives the same bytes on every machine.

#[cfg(feature = "png")]
mod encode;
#[cfg(feature = "png")]
mod path;
#[cfg(feature = "png")]
mod pixels;
#[cfg(feature = "png")]
mod smooth;

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
    use anyhow::Result;

    use super::encode::{Picture, encode};
    use super::pixels::{Run, whole};
    use super::smooth;
    use crate::view::scene::{Scene, Shape};

    /// Draws a scene.
    ///
    /// # Errors
    /// Fails if it is too large.
    pub fn draw(scene: &Scene) -> Result<Vec<u8>> {
        let size = |length: f64| length.ceil().clamp(1.0, 20_000.0) as u32;
        let (width, height) = (size(scene.width), size(scene.height));
        let shapes: Vec<_> = scene.lines.iter().flatten().map(|shape| (shape, whole(shape))).collect();
        let picture = flat(scene, &shapes, (width, height));
        let picture = match picture {
            Some(picture) => picture,
            None => smooth::draw(scene, &shapes, (width, height))?,
        };
        encode(&picture)
    }

    /// Draws a scene in which nothing is smooth, with a number of the palette for each pixel; `None` if something is, or if it
    /// has more than 256 colours.
    fn flat(scene: &Scene, shapes: &[(&Shape, Option<Vec<Run>>)], (width, height): (u32, u32)) -> Option<Picture> {
        let (columns, rows) = (width as usize, height as usize);
        let mut picture = Picture { width, height, pixels: vec![0; columns * rows], palette: vec![rgb(scene.ground)] };
        for (shape, runs) in shapes {
            let (runs, colour) = (runs.as_ref()?, rgb(colour(shape, scene)));
            let known = picture.palette.iter().position(|other| *other == colour);
            let number = u8::try_from(known.unwrap_or(picture.palette.len())).ok()?;
            if known.is_none() {
                picture.palette.push(colour);
            }
            for run in runs {
                picture.pixels[run.within(columns, rows)].fill(number);
            }
        }
        Some(picture)
    }

    /// Returns the colour of a shape.
    pub fn colour<'a>(shape: &Shape, scene: &'a Scene) -> &'a str {
        match shape {
            Shape::Line { stroke, .. } => stroke.colour,
            Shape::Area { colour, .. } => colour,
            Shape::Gap { .. } => scene.quiet,
            Shape::Text(text) => text.colour.unwrap_or(scene.ink),
        }
    }

    /// Reads a colour.
    pub fn rgb(colour: &str) -> [u8; 3] {
        let part = |at: usize| colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        [1, 3, 5].map(|at| part(at).unwrap_or_default())
    }
}
