//! `barewire conform`: a driver against the rules of the interface, each in a process of its own. The rules are in
//! `barewire_conformance`; here are options, the start of a child, and the forms of the report.

use crate::{Global, builtin, say};
use anyhow::{Context, Result, bail};
use barewire_conformance::{Case, Options, Outcome, Plan, child, report, run};
use barewire_host::registry;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Conform {
    /// The driver: a registered name, or the path of its file; by default the built-in one.
    #[arg(value_name = "NAME|PATH")]
    subject: Option<String>,
    /// Only these: names of rules, groups, or levels.
    #[arg(value_name = "RULE|GROUP|LEVEL")]
    only: Vec<String>,
    /// All but these.
    #[arg(long, value_name = "RULE|GROUP|LEVEL")]
    except: Vec<String>,
    /// Print the rules that are chosen, and run nothing.
    #[arg(long)]
    list: bool,
    /// Run what takes long, and wait as long as a sceptic would.
    #[arg(long)]
    long: bool,
    /// The outputs are connected to the inputs: silence there is a failure.
    #[arg(long = "loop")]
    looped: bool,
    /// Panels may open, and somebody changes settings when asked.
    #[arg(long)]
    interactive: bool,
    /// Processes at once; what measures time runs alone.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Seconds that a rule may take.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    patience: u64,
    /// Begin the rules in an order drawn from this seed, each still after those that it rests on.
    #[arg(long)]
    seed: Option<u64>,
    /// So many rounds, each in another order, drawn from the next seed.
    #[arg(long, default_value_t = 1)]
    repeat: u64,
    /// Notes of rules that are kept, too.
    #[arg(long, short)]
    verbose: bool,
    /// Write JUnit XML, which CI servers read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Where pictures go.
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// A list of the rules that do not apply here, a name a line: any other that is skipped is a failure.
    #[arg(long, value_name = "FILE")]
    skips: Option<PathBuf>,
    /// A rule that is kept with a warning is broken.
    #[arg(long)]
    strict: bool,
    #[arg(long, hide = true)]
    child: Option<String>,
    #[arg(long, hide = true)]
    answer: Option<PathBuf>,
    #[arg(long, hide = true)]
    calls: Option<PathBuf>,
}

/// Makes a driver of ours that is loaded from a file keep simulated time.
const SIMULATED: &str = "driver.backend = \"virtual\"\nvirtual.clock = \"simulated\"";

impl Conform {
    /// The seeds of all rounds. The first one keeps the table's order unless a seed is given.
    fn seeds(&self) -> Vec<Option<u64>> {
        let more = (1..self.repeat.max(1)).map(|n| Some(self.seed.unwrap_or(0).wrapping_add(n)));
        std::iter::once(self.seed).chain(more).collect()
    }

    fn options(&self, global: &Global) -> Result<Options> {
        let name = self.subject.as_deref().filter(|name| !is_path(name));
        let entry = name.map(|name| registry::entry(&builtin::root(global), name)).transpose()?;
        Ok(Options {
            long: self.long,
            simulated: global.simulated,
            looped: self.looped,
            interactive: self.interactive,
            plots: self.plots.clone(),
            registered: entry,
        })
    }

    fn cases(&self) -> Result<Vec<Case>> {
        for word in self.only.iter().chain(&self.except) {
            if !Case::ALL.iter().any(|case| case.is_meant_by(word)) {
                bail!("{word} is no rule, group or level; see `barewire conform --list`");
            }
        }
        let meant = |case: &Case, words: &[String]| words.iter().any(|word| case.is_meant_by(word));
        let chosen = |case: &&Case| {
            (self.only.is_empty() || meant(case, &self.only)) && !meant(case, &self.except)
        };
        Ok(Case::ALL.iter().filter(chosen).copied().collect())
    }
}

fn is_path(name: &str) -> bool {
    name.contains(['/', '\\', '.'])
}

/// Runs the rules that are chosen; the exit status goes by their levels.
pub(crate) fn run_conform(global: &Global, options: &Conform) -> Result<ExitCode> {
    if let Some(case) = &options.child {
        return be_child(global, options, case);
    }
    let cases = options.cases()?;
    if options.list {
        list(global, &cases);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(folder) = &options.plots {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut plan = Plan {
        cases,
        long: options.long,
        jobs: options.jobs,
        patience: Duration::from_secs(options.patience),
        stop_at_failure: false,
        seed: None,
    };
    let mut all = Vec::new();
    for seed in options.seeds() {
        if let (Some(seed), true) = (seed, options.repeat > 1) {
            say::aside(format_args!("seed {seed}"));
        }
        plan.seed = seed;
        let command =
            |case: Case, answer: &Path, calls: &Path| child_command(global, case, answer, calls);
        let tell = |outcome: &Outcome| {
            if !global.json {
                say::line(report::line(outcome, options.verbose));
            }
        };
        all.extend(run(&plan, command, tell)?);
    }
    let name = options.subject.as_deref().unwrap_or(barewire_driver::NAME);
    conclude(global, options, name, &all)
}

fn conclude(
    global: &Global,
    options: &Conform,
    name: &str,
    outcomes: &[Outcome],
) -> Result<ExitCode> {
    if let Some(file) = &options.junit {
        std::fs::write(file, report::junit(name, outcomes))
            .with_context(|| file.display().to_string())?;
    }
    let whole = serde_json::json!({
        "driver": name,
        "counts": report::counts(outcomes),
        "cases": outcomes,
    });
    say::report(global, &whole, |_| say::line(report::summary(outcomes)));
    if let Some(file) = &options.skips {
        let unexpected = unexpected_skips(file, outcomes)?;
        if !unexpected.is_empty() {
            bail!("skipped, though {} does not list it: {}", file.display(), unexpected.join(", "));
        }
    }
    Ok(ExitCode::from(report::exit_status(outcomes, options.strict)))
}

/// Rules that were skipped and are not in the list of those that do not apply.
fn unexpected_skips(file: &Path, outcomes: &[Outcome]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let listed: BTreeSet<&str> = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|name| !name.is_empty())
        .collect();
    if let Some(wrong) = listed.iter().find(|name| Case::named(name).is_none()) {
        bail!("{}: there is no rule {wrong}", file.display());
    }
    let skipped =
        |outcome: &&Outcome| matches!(outcome.status, barewire_conformance::Status::Skipped { .. });
    let names = outcomes.iter().filter(skipped).map(|outcome| outcome.case.name());
    Ok(names.filter(|name| !listed.contains(name)).map(str::to_owned).collect())
}

fn list(global: &Global, cases: &[Case]) {
    let rules: Vec<_> = cases
        .iter()
        .map(|case| {
            let about = case.about();
            serde_json::json!({
                "name": about.name, "group": about.group, "level": about.level,
                "rule": about.rule, "why": about.why, "source": about.source, "long": about.is_long,
            })
        })
        .collect();
    say::report(global, &rules, |_| {
        for case in cases {
            let about = case.about();
            say::line(format_args!(
                "{case:28} {:8} {:11} {}",
                about.group, about.level, about.rule
            ));
        }
    });
}

/// This very command once more, for one rule.
fn child_command(global: &Global, case: Case, answer: &Path, calls: &Path) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "barewire".into());
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    command.arg("--child").arg(case.name());
    command.arg("--answer").arg(answer).arg("--calls").arg(calls);
    if global.simulated {
        let before = std::env::var("BAREWIRE_SET").unwrap_or_default();
        command.env("BAREWIRE_SET", format!("{before}\n{SIMULATED}"));
    }
    command
}

fn be_child(global: &Global, options: &Conform, case: &str) -> Result<ExitCode> {
    let case = Case::named(case).with_context(|| format!("{case} is no rule"))?;
    let (Some(answer), Some(calls)) = (&options.answer, &options.calls) else {
        bail!("a child needs files for its answer and its calls");
    };
    let source = match &options.subject {
        Some(name) => builtin::named(global, name)?,
        None => builtin::choose(global)?.source,
    };
    child(case, source, options.options(global)?, answer, calls)?;
    Ok(ExitCode::SUCCESS)
}
