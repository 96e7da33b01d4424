//! Labels, the names and glyphs of emoji, as people and programs write them: when two of them are the same.
//!
//! Keyboards, programming languages and operating systems write one emoji in several ways: `❤` with or without a variation
//! selector, which only asks for a picture or for a character in black; an é as one code point or as two. Folding takes away the
//! variation selectors U+FE0E and U+FE0F and composes what is left (Unicode normalisation form C). Two labels are the same
//! if they are folded to the same text. Case, skin tones and joiners count.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Bytes of a folded label at most: composing makes a text three times as long at worst.
pub const FOLDED_MAX: usize = 3 * crate::frame::LABEL_MAX;

/// Whether two labels are the same.
pub fn is_same(one: &str, other: &str) -> bool {
    one == other || (!(one.is_ascii() && other.is_ascii()) && folded(one).eq(folded(other)))
}

/// Whether a label is folded as it is, by a quick look: nearly every one that is.
pub fn is_folded(label: &str) -> bool {
    label.is_ascii() || (!label.contains(is_selector) && is_nfc_quick(label.chars()) == IsNormalized::Yes)
}

/// Whether a label says nothing: it is empty, or variation selectors alone.
pub fn is_blank(label: &str) -> bool {
    label.chars().all(is_selector)
}

/// The characters of a folded label.
pub fn folded(label: &str) -> impl Iterator<Item = char> {
    label.chars().filter(|&character| !is_selector(character)).nfc()
}

fn is_selector(character: char) -> bool {
    matches!(character, '\u{FE0E}' | '\u{FE0F}')
}

/// The folded label, in memory of the caller's; `None` when that is too short. A label of a palette fits [`FOLDED_MAX`] bytes.
pub fn fold_into<'a>(label: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    let mut len = 0;
    for character in folded(label) {
        let place = buffer.get_mut(len..len + character.len_utf8())?;
        len += character.encode_utf8(place).len();
    }
    std::str::from_utf8(&buffer[..len]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variation_selectors_and_composition_do_not_count() {
        let pairs = [
            ("\u{2764}", "\u{2764}\u{FE0F}"),
            ("\u{2764}\u{FE0E}", "\u{2764}\u{FE0F}"),
            ("6\u{20E3}", "6\u{FE0F}\u{20E3}"),
            ("\u{1F44D}\u{FE0F}", "\u{1F44D}"),
            // A heart on fire, of which fonts know both spellings.
            ("\u{2764}\u{200D}\u{1F525}", "\u{2764}\u{FE0F}\u{200D}\u{1F525}"),
            ("cafe\u{301}", "caf\u{E9}"),
            // A selector between a letter and its accent does not keep them apart.
            ("e\u{FE0F}\u{301}", "\u{E9}"),
            // PHA with NUKTA, which keyboards for Hindi write in both ways.
            ("\u{95E}", "\u{92B}\u{93C}"),
        ];
        for (one, other) in pairs {
            assert!(is_same(one, other) && is_same(other, one), "{one:?} and {other:?}");
            assert!(!(is_folded(one) && is_folded(other)), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn everything_else_counts() {
        let pairs = [
            ("fire", "Fire"),
            ("\u{1F44D}", "\u{1F44D}\u{1F3FD}"),
            ("\u{2764}\u{200D}\u{1F525}", "\u{2764}\u{1F525}"),
            ("6\u{20E3}", "6"),
            ("\u{FB01}re", "fire"),
            ("a", ""),
        ];
        for (one, other) in pairs {
            assert!(!is_same(one, other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn the_longest_label_of_a_palette_fits_whatever_composing_makes_of_it() {
        // U+1D15F is excluded from composition: four bytes become eight. U+FB2C becomes three times as long.
        for character in ['\u{1D15F}', '\u{FB2C}', '\u{1F44D}'] {
            let label = String::from(character).repeat(crate::frame::LABEL_MAX / character.len_utf8());
            let mut buffer = [0; FOLDED_MAX];
            let text = fold_into(&label, &mut buffer).expect("it fits");
            assert_eq!(text, folded(&label).collect::<String>());
        }
        assert_eq!(fold_into("four", &mut [0; 3]), None);
    }
}
