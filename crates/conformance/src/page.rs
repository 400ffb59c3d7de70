//! The pages of the rules, made of the table of cases: one for each group, and the list of all.

use crate::case::{Case, Group};
use std::fmt::Write;

/// The name of a file and its text.
pub type Page = (String, String);

const HEAD: &str = "<!-- Made from crates/conformance/src/cases.rs: change it there, then\n     cargo run -p barewire-conformance --example pages -->\n\n";

/// A page for each rule, named after it, and the list of them.
pub fn pages() -> Vec<Page> {
    let mut pages: Vec<Page> = Case::ALL.iter().map(|case| page(*case)).collect();
    pages.push(("rules.md".to_owned(), list()));
    pages
}

fn page(case: Case) -> Page {
    let about = case.about();
    let mut text = format!("# {case}\n\n{HEAD}");
    // A write to a String does not fail.
    let _ = writeln!(text, "**Rule.** {}\n", about.rule);
    let _ = writeln!(text, "**Why hosts need it.** {}\n", about.why);
    let _ = writeln!(
        text,
        "| | |\n|---|---|\n| level | {} |\n| group | {} |",
        about.level, about.group
    );
    let _ = writeln!(text, "| source | {} |", about.source);
    if about.is_long {
        text.push_str("| runs | only with `--long` |\n");
    }
    let bases: Vec<String> =
        about.rests_on.iter().map(|base| format!("[{base}]({base}.md)")).collect();
    if !bases.is_empty() {
        let _ = writeln!(text, "| rests on | {} |", bases.join(", "));
    }
    let _ = writeln!(text, "\nAlone: `barewire conform DRIVER {case}`\n");
    text.push_str("[All rules](rules.md)\n");
    (format!("{case}.md"), text)
}

fn list() -> String {
    let mut text = format!("# The rules\n\n{HEAD}");
    let _ = writeln!(text, "{} rules in {} groups.\n", Case::ALL.len(), Group::ALL.len());
    for group in Group::ALL {
        let _ = writeln!(text, "## {group}\n\n| rule | level | |\n|---|---|---|");
        for case in Case::ALL.iter().filter(|case| case.about().group == group) {
            let about = case.about();
            let _ = writeln!(text, "| [{case}]({case}.md) | {} | {} |", about.level, about.rule);
        }
        text.push('\n');
    }
    text
}
