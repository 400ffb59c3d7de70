//! `barewire conform` as a person and a CI server use it, on a driver whose faults are known.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod command;

use command::{Desk, Outcome};
use serde_json::Value;
use specimen::{FREE_RUNNING, VARIABLE};
use std::path::PathBuf;

/// The specimen, built beside this test because it depends on it.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    folder.join(format!("{}specimen{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// The specimen with a fault, or none, examined.
fn conform(desk: &Desk, fault: &str, more: &[&str]) -> Outcome {
    conform_with(desk, &library().to_string_lossy(), fault, more)
}

fn conform_with(desk: &Desk, driver: &str, fault: &str, more: &[&str]) -> Outcome {
    let mut arguments = vec!["--simulated", "conform", driver];
    arguments.extend(more);
    let mut command = desk.command(&arguments);
    let output = command.env(VARIABLE, fault).env(FREE_RUNNING, "1").output().unwrap();
    Outcome {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn report(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// The rules of a report, in its order.
fn names(report: &Value) -> Vec<String> {
    let cases = report["cases"].as_array().unwrap().iter();
    cases.map(|case| case["case"].as_str().unwrap().to_owned()).collect()
}

/// The rules of a table, in its order.
fn rows(text: &str) -> Vec<String> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rules = words.filter(|words| words.len() >= 3 && words[0] == "passed");
    rules.map(|words| words[1].to_owned()).collect()
}

#[test]
fn rules_are_chosen_by_name_group_and_level() {
    let desk = Desk::new();
    let chosen = |words: &[&str]| {
        let outcome = conform(&desk, "", &[words, &["--json"]].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        names(&report(&outcome))
    };
    assert_eq!(chosen(&["channels"]), ["channels"]);
    assert_eq!(chosen(&["channels", "init"]).len(), 1 + group("init", "").len());
    assert_eq!(chosen(&["loading", "--except", "should"]), group("loading", "should"));
    let outcome = conform(&desk, "", &["channel"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.err.contains("channel is no rule, group or level"), "{outcome:?}");
}

/// The rules of a group that are not of a level, by the list that the command prints.
fn group(name: &str, except: &str) -> Vec<String> {
    let listed = Desk::new().run(&["--json", "conform", "--list"]).json();
    let rules = listed.as_array().unwrap().iter();
    let meant = rules.filter(|rule| rule["group"] == name && rule["level"] != except);
    let names: Vec<String> = meant.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
    assert!(names.len() > 2, "{name}: {names:?}");
    names
}

#[test]
fn the_list_has_every_rule_and_runs_none() {
    let outcome = Desk::new().run(&["conform", "/no/such/driver.so", "--list"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.out.lines().count(), barewire_conformance::Case::ALL.len());
}

#[test]
fn the_exit_status_goes_by_the_level_of_what_is_broken() {
    let desk = Desk::new();
    for (fault, rule, code) in [
        ("", "latencies", 0),
        ("latency-zero", "latencies", 1),
        ("not-direct", "direct-process", 2),
        ("crashes-at-channel", "channel-out-of-range", 1),
    ] {
        let outcome = conform(&desk, fault, &[rule]);
        assert_eq!(outcome.code, Some(code), "{fault}: {outcome:?}");
    }
    // A must outweighs a should, whichever comes first.
    let outcome = conform(&desk, "latency-zero", &["latencies", "stop-twice", "direct-process"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
}

#[test]
fn the_report_says_what_was_seen_and_what_was_expected() {
    let desk = Desk::new();
    let outcome = conform(&desk, "latency-zero", &["latencies", "channels", "--json"]);
    let report = report(&outcome);
    assert_eq!(report["driver"], *library().to_string_lossy());
    assert_eq!(report["counts"], serde_json::json!({ "FAILED": 1, "passed": 1 }));
    assert_eq!(names(&report), ["channels", "latencies"]);
    let failed = &report["cases"][1];
    assert_eq!((&failed["level"], &failed["status"]), (&"must".into(), &"failed".into()));
    for words in ["seen", "expected"] {
        assert!(failed[words].as_str().is_some_and(|text| !text.is_empty()), "{failed}");
    }
}

#[test]
fn a_crash_a_hang_and_an_end_are_reported_with_the_call_and_the_rest_goes_on() {
    let desk = Desk::new();
    for (fault, rule, status, call) in [
        ("crashes-at-channel", "channel-out-of-range", "crashed", "getChannelInfo"),
        ("loops-in-clock-sources", "clock-sources", "hung", "getClockSources"),
        ("exits-in-clock-sources", "clock-sources", "crashed", "getClockSources"),
    ] {
        let more = [rule, "channels", "--patience", "8", "--json"];
        let report = report(&conform(&desk, fault, &more));
        let cases = report["cases"].as_array().unwrap();
        let find = |name: &str| cases.iter().find(|case| case["case"] == name).unwrap();
        assert_eq!(find(rule)["status"], status, "{fault}: {report}");
        assert_eq!(find(rule)["during"], call, "{fault}: {report}");
        assert_eq!(find("channels")["status"], "passed", "{fault}: {report}");
    }
}

#[test]
fn the_xml_is_read_by_a_parser_that_nobody_here_wrote() {
    let desk = Desk::new();
    // A name that breaks what is not escaped.
    let driver = desk.path("it's \"a\" <driver> & more.so");
    std::fs::copy(library(), &driver).unwrap();
    let (driver, file) = (driver.to_string_lossy().into_owned(), desk.path("report.xml"));
    let file_name = file.to_string_lossy();
    let more = ["latencies", "channels", "stack-balance", "--junit", &file_name];
    let outcome = conform_with(&desk, &driver, "latency-zero", &more);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let suite = document.root_element();
    assert_eq!((suite.tag_name().name(), suite.attribute("name")), ("testsuite", Some(&*driver)));
    for (name, count) in [("tests", "3"), ("failures", "1"), ("skipped", "1")] {
        assert_eq!(suite.attribute(name), Some(count), "{name}");
    }
    let cases: Vec<_> = suite.children().filter(roxmltree::Node::is_element).collect();
    let found: Vec<_> = cases
        .iter()
        .map(|case| {
            assert!(case.attribute("time").is_some_and(|time| time.parse::<f64>().is_ok()));
            let inner = |name: &str| case.children().find(|child| child.has_tag_name(name));
            let kind = inner("failure").and_then(|node| node.attribute("type"));
            let is_skipped = inner("skipped").is_some();
            (
                case.attribute("classname").unwrap(),
                case.attribute("name").unwrap(),
                kind,
                is_skipped,
            )
        })
        .collect();
    let expected = [
        ("loading", "stack-balance", None, true),
        ("queries", "channels", None, false),
        ("buffers", "latencies", Some("failed must"), false),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_skip_that_is_not_listed_fails_the_run() {
    let desk = Desk::new();
    let list = desk.write("skips.txt", "registration # named by its path\n\n# nothing else\n");
    let list = list.to_string_lossy();
    let run = |rules: &[&str]| conform(&desk, "", &[rules, &["--skips", &list]].concat());
    let listed = run(&["registration", "channels"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let more = run(&["registration", "registered-name"]);
    assert_eq!(more.code, Some(1), "{more:?}");
    assert!(more.err.contains("does not list it: registered-name"), "{more:?}");
    desk.write("skips.txt", "registratoin\n");
    let wrong = run(&["registration"]);
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("there is no rule registratoin"), "{wrong:?}");
}

#[test]
fn a_seed_draws_an_order_and_repeats_it() {
    let desk = Desk::new();
    let run = |more: &[&str]| {
        let rules = ["init", "loading", "--jobs", "1", "--except", "instances-leave-nothing"];
        let outcome = conform(&desk, "", &[&rules, more].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        rows(&outcome.out)
    };
    let (plain, seven, again, eight) =
        (run(&[]), run(&["--seed", "7"]), run(&["--seed", "7"]), run(&["--seed", "8"]));
    assert!(plain.len() > 8, "{plain:?}");
    assert_eq!(seven, again);
    assert!(seven != eight && seven != plain, "{seven:?}, {eight:?}, {plain:?}");
    let sorted = |mut rules: Vec<String>| {
        rules.sort();
        rules
    };
    assert_eq!(sorted(seven.clone()), sorted(plain));
    // What others rest on comes first in any order.
    let place = |rules: &[String], name: &str| rules.iter().position(|rule| rule == name).unwrap();
    for order in [&seven, &eight] {
        assert!(place(order, "instantiation") < place(order, "query-interface"), "{order:?}");
        assert!(place(order, "init") < place(order, "init-twice"), "{order:?}");
    }
}

#[test]
fn rounds_are_counted_each() {
    let outcome = conform(&Desk::new(), "", &["channels", "--repeat", "3", "--json"]);
    assert_eq!(names(&report(&outcome)), ["channels"; 3]);
}
