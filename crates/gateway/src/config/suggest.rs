//! What was probably meant by a word that does not exist.

/// How alike two words must be (Jaro–Winkler) before one is offered for the other.
const ALIKE: f64 = 0.82;

/// The word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// A remedy: the nearest word, or all of them.
pub(super) fn instead_of(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(candidate) => format!("did you mean \"{candidate}\"?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let known = ["endpoint", "region", "bucket", "secret_access_key"];
        assert_eq!(nearest("endpont", known), Some("endpoint"));
        assert_eq!(
            nearest("secret-access-key", known),
            Some("secret_access_key")
        );
        assert_eq!(nearest("colour", known), None);
    }
}
