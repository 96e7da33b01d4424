//! What a misspelt word was meant to be.
//!
//! Not here: what is allowed, which every refusal says anyway.

use crate::limits::MISSPELT_BYTES_MAX;

/// Words that are named at most: more help nobody.
const NAMED_MAX: usize = 3;

/// `; did you mean window?`, or nothing.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(word, candidates);
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

/// Those of the `candidates` that `word` is most like, in their order. A word may lack its table (`idle_timeout` for
/// `http.idle_timeout`), its end, or have another case.
fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_ascii_lowercase();
    if word.is_empty() || word.len() > MISSPELT_BYTES_MAX {
        return Vec::new();
    }
    let scored = candidates.into_iter().filter_map(|candidate| Some((distance(&word, candidate)?, candidate)));
    let scored: Vec<_> = scored.collect();
    let Some(best) = scored.iter().map(|(distance, _)| *distance).min() else { return Vec::new() };
    let best = scored.into_iter().filter(|(distance, _)| *distance == best);
    best.map(|(_, candidate)| candidate).take(NAMED_MAX).collect()
}

/// How far a lower-case word is from a candidate; none if it is another word.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let lower = candidate.to_ascii_lowercase();
    let name = lower.rsplit_once('.').map_or(lower.as_str(), |(_, name)| name);
    let of = |other: &str| {
        let distance = strsim::damerau_levenshtein(word, other);
        (distance <= word.len().max(other.len()).div_ceil(4)).then_some(distance)
    };
    let begins = lower.starts_with(word).then(|| usize::from(lower.len() > word.len()));
    [begins, of(&lower), of(name)].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] =
        ["window", "top_k", "http.idle_timeout", "quic.idle_timeout", "listen.admin", "listen.admin_names"];

    #[test]
    fn a_misspelt_word_finds_what_it_is_most_like() {
        for (word, found) in [
            ("windows", "; did you mean window?"),
            ("widnow", "; did you mean window?"),
            ("WINDOW", "; did you mean window?"),
            ("http.idle_timout", "; did you mean http.idle_timeout?"),
            ("http.idle", "; did you mean http.idle_timeout?"),
            ("idle_timeout", "; did you mean http.idle_timeout or quic.idle_timeout?"),
            ("listen.admin_name", "; did you mean listen.admin_names?"),
            ("kafka", ""),
            // As long as a file may be: it is not compared at all.
            (&"window".repeat(1 << 20), ""),
            ("", ""),
        ] {
            assert_eq!(did_you_mean(word, KEYS), found, "{word:?}");
        }
    }
}
