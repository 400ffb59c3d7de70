//! The right word that is nearest to a wrong one.

/// How alike two words must be (Jaro and Winkler's measure) before one is offered for the other. With 0.78
/// `min` still leads to `min_frames`; much less and any word leads to any other.
const LEAST_LIKENESS: f64 = 0.78;

/// The candidate most like `wrong`, if any is like it.
pub(crate) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let wrong = wrong.to_lowercase();
    candidates
        .into_iter()
        .map(|right| (strsim::jaro_winkler(&wrong, &right.to_lowercase()), right))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, right)| right.to_owned())
}

/// The key most like `wrong`: a key whose last part is the same, in whatever section, comes first, then the most
/// alike within the same section, then anywhere.
pub(crate) fn nearest_key(wrong: &str, keys: &[String]) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let section = wrong.split_once('.').map(|(section, _)| section);
    let wrong_last = last(wrong);
    let here = |key: &&String| key.split_once('.').map(|(section, _)| section) == section;
    let in_section = || {
        let names: Vec<String> = keys.iter().filter(here).map(|key| last(key)).collect();
        let name = nearest(&wrong_last, names.iter().map(String::as_str))?;
        Some(format!("{}.{name}", section.unwrap_or_default()))
    };
    let same_name = || keys.iter().find(|key| last(key) == wrong_last).cloned();
    let anywhere = || {
        let right = nearest(&wrong_last, keys.iter().filter_map(|key| key.rsplit('.').next()))?;
        keys.iter().find(|key| last(key) == right).cloned()
    };
    same_name().or_else(in_section).or_else(anywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_wrong_section_is_sent_to_the_right_one() {
        let keys: Vec<String> =
            ["driver.backend", "output.channels", "blocks.min_frames"].map(str::to_owned).into();
        assert_eq!(nearest_key("backend", &keys).as_deref(), Some("driver.backend"));
        assert_eq!(nearest_key("output.chanels", &keys).as_deref(), Some("output.channels"));
        assert_eq!(nearest_key("blocks.min", &keys).as_deref(), Some("blocks.min_frames"));
        // The section alone makes no likeness.
        assert_eq!(nearest_key("output.qqq", &keys), None);
    }
}
