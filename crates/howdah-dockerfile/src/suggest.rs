//! "Did you mean": the nearest of a few known names.

/// The candidate that `wrong` most probably stands for, or `None` when nothing is near.
pub(crate) fn nearest<'name>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'name str>,
) -> Option<&'name str> {
    // A long word is no typo, and the distance takes time quadratic in its length.
    if wrong.len() > 64 {
        return None;
    }
    let wrong = wrong.to_lowercase();
    let allowed = (wrong.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wrong, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["COPY", "CMD", "FROM", "ENTRYPOINT"];
        assert_eq!(nearest("COYP", names), Some("COPY"));
        assert_eq!(nearest("FORM", names), Some("FROM"));
        assert_eq!(nearest("entrypont", names), Some("ENTRYPOINT"));
        assert_eq!(nearest("RUNNING", names), None);
        assert_eq!(nearest(&"C".repeat(100), names), None);
    }
}
