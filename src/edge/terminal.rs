//! What a terminal can show, as its environment says: characters beyond ASCII, and a cursor that moves.
//!
//! Invariant: only what is drawn for people goes by this. JSON and configuration files are UTF-8 everywhere.

use std::borrow::Cow;
use std::ffi::OsString;

/// What is shown for a character that has no likeness in ASCII.
const OTHER: char = '?';

/// Whether the locale is one of UTF-8: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set and not empty decides, and
/// without any the locale is that of C, which is ASCII.
pub fn is_utf8() -> bool {
    names_utf8(|name| std::env::var_os(name))
}

/// Whether `TERM` names a terminal whose cursor can be moved.
pub fn moves_cursor() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether to use colours on a terminal.
pub fn has_colours() -> bool {
    moves_cursor() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn names_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The text as the terminal can show it.
pub fn shown(text: &str) -> Cow<'_, str> {
    if is_utf8() { Cow::Borrowed(text) } else { ascii(text) }
}

/// The same in ASCII, as alike as that can be.
pub fn ascii(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.chars().filter_map(ascii_char).collect()),
    }
}

/// What stands for a character in ASCII; nothing for one that has no width.
fn ascii_char(char: char) -> Option<char> {
    Some(match char {
        _ if char.is_ascii() => char,
        '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{20e3}' => return None,
        '–' | '—' | '─' => '-',
        '│' => '|',
        '┌' | '┐' | '└' | '┘' => '+',
        'µ' | 'μ' => 'u',
        '↑' => '^',
        '↓' => 'v',
        '…' => '.',
        '\u{a0}' => ' ',
        // Bars, by their height.
        '▁' => '.',
        '▂' => ':',
        '▃' => '-',
        '▄' => '=',
        '▅' => '+',
        '▆' => '*',
        '▇' => '%',
        '█' => '#',
        _ => OTHER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_and_not_empty_names_the_locale() {
        let is_utf8 = |variables: &[(&str, &str)]| {
            names_utf8(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
        };
        for variables in [
            &[("LANG", "en_US.UTF-8")][..],
            &[("LC_CTYPE", "C.utf8"), ("LANG", "C")],
            &[("LC_ALL", ""), ("LANG", "de_DE.UTF-8@euro")],
            &[("LC_ALL", "C.UTF-8"), ("LANG", "C")],
        ] {
            assert!(is_utf8(variables), "{variables:?}");
        }
        for variables in
            [&[][..], &[("LANG", "C")], &[("LC_ALL", "C"), ("LANG", "C.UTF-8")], &[("LANG", "de_DE.ISO-8859-1")]]
        {
            assert!(!is_utf8(variables), "{variables:?}");
        }
    }

    #[test]
    fn whatever_there_is_becomes_ascii() {
        assert_eq!(ascii("up – 12 µs ▁▄█ ┌─┐ ↑↓"), "up - 12 us .=# +-+ ^v");
        assert_eq!(ascii("❤\u{fe0f} 6\u{fe0f}\u{20e3} 🔥 ü"), "? 6 ? ?");
        assert!(matches!(ascii("plain"), Cow::Borrowed("plain")));
        for char in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            assert!(ascii_char(char).is_none_or(|shown| shown.is_ascii()), "{char:?}");
        }
    }
}
