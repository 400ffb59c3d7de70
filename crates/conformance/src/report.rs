//! All verdicts together: as a table, as JUnit XML, and as an exit status.

use crate::case::Level;
use crate::outcome::{Outcome, Status};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many cases came to what.
pub fn counts(outcomes: &[Outcome]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.status.name()).or_default() += 1;
    }
    counts
}

/// 0: no rule is broken; 1: a "must" is; 2: a "should" is. What could not be judged counts as broken, and what was kept with a
/// warning does if `is_strict`.
pub fn exit_status(outcomes: &[Outcome], is_strict: bool) -> u8 {
    let is_broken = |status: &Status| match status {
        Status::NotJudged { .. } => true,
        Status::Warned { .. } => is_strict,
        other => other.is_failure(),
    };
    let broken = |level: Level| {
        outcomes.iter().any(|outcome| outcome.level == level && is_broken(&outcome.status))
    };
    if broken(Level::Must) {
        1
    } else if broken(Level::Should) {
        2
    } else {
        0
    }
}

/// One line of the table, with its notes below if `verbose`.
pub fn line(outcome: &Outcome, verbose: bool) -> String {
    let Outcome { case, level, status, notes, .. } = outcome;
    let mut text = format!("{:10} {case:28} {level:11} {status}", status.name());
    text.truncate(text.trim_end().len());
    if verbose || status.is_failure() {
        for note in notes {
            // A write to a String does not fail.
            let _ = write!(text, "\n{:11}{note}", "");
        }
    }
    if status.is_failure() {
        let about = case.about();
        let _ = write!(text, "\n{:11}rule: {}\n{:11}why:  {}", "", about.rule, "", about.why);
    }
    text
}

/// The last line.
pub fn summary(outcomes: &[Outcome]) -> String {
    let words: Vec<String> =
        counts(outcomes).iter().map(|(name, count)| format!("{count} {name}")).collect();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.seconds).sum();
    format!("{} cases: {} ({seconds:.0} s of work)", outcomes.len(), words.join(", "))
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 has no other control characters.
            letter if letter.is_control() && letter != '\n' && letter != '\t' => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// As JUnit XML, which CI servers read.
pub fn junit(driver: &str, outcomes: &[Outcome]) -> String {
    let failures = outcomes.iter().filter(|outcome| outcome.status.is_failure()).count();
    let passive = |status: &Status| {
        matches!(status, Status::Skipped { .. } | Status::NotJudged { .. } | Status::NotRun)
    };
    let skipped = outcomes.iter().filter(|outcome| passive(&outcome.status)).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">\n",
        escaped(driver),
        outcomes.len()
    );
    for outcome in outcomes {
        let Outcome { case, status, notes, seconds, level } = outcome;
        let group = case.about().group;
        let _ = writeln!(
            text,
            "  <testcase classname=\"{group}\" name=\"{case}\" time=\"{seconds:.3}\">"
        );
        let message = escaped(&status.to_string());
        let kind = status.name().to_lowercase();
        if status.is_failure() {
            let why = escaped(case.about().why);
            let _ = writeln!(
                text,
                "    <failure type=\"{kind} {level}\" message=\"{message}\">{why}</failure>"
            );
        } else if passive(status) {
            let _ = writeln!(text, "    <skipped message=\"{message}\"/>");
        }
        let mut words = notes.clone();
        if let Status::Warned { warnings } = status {
            words.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
        }
        if !words.is_empty() {
            let _ = writeln!(text, "    <system-out>{}</system-out>", escaped(&words.join("\n")));
        }
        text.push_str("  </testcase>\n");
    }
    text.push_str("</testsuite>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    fn outcome(case: Case, status: Status) -> Outcome {
        Outcome {
            case,
            level: case.about().level,
            status,
            notes: vec!["a < b".into()],
            seconds: 0.1,
        }
    }

    fn failed() -> Status {
        Status::Failed { seen: "\"1\" & 2\u{1}".into(), expected: "<3>".into() }
    }

    #[test]
    fn the_exit_status_goes_by_the_level() {
        let good = outcome(Case::Init, Status::Passed);
        let should = outcome(Case::InitTwice, failed());
        let must = outcome(Case::Channels, failed());
        let open = outcome(Case::Start, Status::NotJudged { because: String::new() });
        let hint = outcome(Case::CallbacksAreCopied, failed());
        assert_eq!(exit_status(&[good.clone(), hint], false), 0);
        assert_eq!(exit_status(&[good.clone(), should.clone()], false), 2);
        assert_eq!(exit_status(&[good.clone(), should, must], false), 1);
        assert_eq!(exit_status(&[good.clone(), open], false), 1);
        let odd = outcome(Case::Channels, Status::Warned { warnings: vec!["odd".into()] });
        let of_no_weight =
            outcome(Case::CallbacksAreCopied, Status::Warned { warnings: vec!["odd".into()] });
        assert_eq!(exit_status(&[good.clone(), odd.clone()], false), 0);
        assert_eq!(exit_status(&[good.clone(), odd], true), 1);
        assert_eq!(exit_status(&[good, of_no_weight], true), 0);
    }

    #[test]
    fn the_xml_says_all_and_breaks_at_nothing_that_a_driver_says() {
        let outcomes = [
            outcome(Case::Init, Status::Passed),
            outcome(Case::Channels, failed()),
            outcome(Case::Start, Status::Skipped { reason: "no".into() }),
        ];
        let text = junit("a \"driver\" <&>", &outcomes);
        assert!(text.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{text}");
        assert!(
            text.contains("message=\"saw &quot;1&quot; &amp; 2 ; expected &lt;3&gt;\""),
            "{text}"
        );
        assert_eq!(text.matches("<testcase").count(), text.matches("</testcase>").count());
        assert!(text.contains("<system-out>a &lt; b</system-out>"));
    }
}
