//! The letters of pictures in pixels: five wide, seven high, of our own. Each glyph is seven rows, from the top, of five bits
//! each; a row is one digit of base 32, the leftmost pixel its highest bit.

/// The width of a letter with the space after it, in pixels.
pub const ADVANCE: i32 = 6;

/// The height of a letter, in pixels.
pub const HEIGHT: i32 = 7;

/// The letters from the blank to the tilde.
const GLYPHS: [&[u8; 7]; 95] = [
    b"0000000", b"4444404", b"aaa0000", b"aavavaa", b"4fke5u4", b"op248j3", b"cik8lid", b"c480000", b"2488842",
    b"8422248", b"04lel40", b"044v440", b"0000c48", b"000v000", b"00000cc", b"01248g0", b"ehjlphe", b"4c4444e",
    b"eh1248v", b"v2421he", b"26aiv22", b"vgu11he", b"68guhhe", b"v124888", b"ehhehhe", b"ehhf12c", b"0cc0cc0",
    b"0cc0c48", b"248g842", b"00v0v00", b"8421248", b"eh12404", b"eh1dlle", b"ehhhvhh", b"uhhuhhu", b"ehggghe",
    b"sihhhis", b"vgguggv", b"vgguggg", b"ehgnhhf", b"hhhvhhh", b"e44444e", b"722222c", b"hikokih", b"ggggggv",
    b"hrllhhh", b"hhpljhh", b"ehhhhhe", b"uhhuggg", b"ehhhlid", b"uhhukih", b"fgge11u", b"v444444", b"hhhhhhe",
    b"hhhhha4", b"hhhllla", b"hha4ahh", b"hhha444", b"v1248gv", b"e88888e", b"0g84210", b"e22222e", b"4ah0000",
    b"000000v", b"8420000", b"00e1fhf", b"ggmphhu", b"00egghe", b"11djhhf", b"00ehvge", b"698s888", b"00fhf1e",
    b"ggmphhh", b"40c444e", b"20622ic", b"889aca9", b"c44444e", b"00qllhh", b"00mphhh", b"00ehhhe", b"00uhugg",
    b"00fhf11", b"00mpggg", b"00fge1u", b"88s8896", b"00hhhjd", b"00hhha4", b"00hhlla", b"00ha4ah", b"00hhf1e",
    b"00v248v", b"2448442", b"4444444", b"8442448", b"008l200",
];

/// Calls `put` with every pixel of a text, from the upper left corner of its first letter. A letter that is unknown is a box.
pub fn pixels(text: &str, mut put: impl FnMut(i32, i32)) {
    let mut left = 0;
    for letter in text.chars() {
        let known = (letter as usize).checked_sub(32).and_then(|at| GLYPHS.get(at));
        let rows = known.copied().unwrap_or(b"vhhhhhv");
        for (row, digit) in (0..).zip(rows) {
            let bits = (*digit as char).to_digit(32).unwrap_or_default();
            (0..5).filter(|column| bits & (16 >> column) != 0).for_each(|column| put(left + column, row));
        }
        left += ADVANCE;
    }
}

/// Returns the width of a text, in pixels.
pub fn width(text: &str) -> i32 {
    let letters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / ADVANCE);
    (letters * ADVANCE - 1).max(0)
}
