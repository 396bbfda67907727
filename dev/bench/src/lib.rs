//! Compares two ways to do the same inside one run, and prints one line a figure.
//!
//! Two benchmarks run one after the other differ by what else the machine did meanwhile. Here the
//! two take turns in short rounds, so that both see the same machine, and the ratio is the median
//! of the rounds' own ratios.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Bytes of every value.
pub const VALUE_BYTES: usize = 1024;

/// One figure: what is compared and what ratio is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// What is measured.
    pub name: &'a str,
    /// What it is compared with.
    pub against: &'a str,
    /// How many entries there are, writers, or whatever else grows.
    pub size: u64,
    /// The wanted ratio of the two, ours by theirs.
    pub goal: Goal,
}

/// The wanted ratio of our figure to theirs.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At most so much: of times.
    AtMost(f64),
    /// At least so much: of rates.
    AtLeast(f64),
    /// None is set.
    Open,
}

/// Times `ours` and `theirs` in turns and prints the median time of one operation of each.
///
/// Each is called with the number of the round, does its `operations` and returns how long they
/// took. Round 0 warms up and does not count.
pub fn compare(
    figure: Figure<'_>,
    rounds: usize,
    operations: usize,
    mut ours: impl FnMut(usize) -> Duration,
    mut theirs: impl FnMut(usize) -> Duration,
) {
    let per_operation = |time: Duration| time.as_nanos() as f64 / operations as f64;
    let times = turns(rounds, &mut ours, &mut theirs);
    let times = times.into_iter().map(|pair| pair.map(per_operation));
    let (own, other, ratio) = medians(times, |own, other| own / other);
    print(figure, own, other, ratio, "ns");
}

/// Compares rates, in operations a second, as [`compare`] compares times.
pub fn compare_rates(
    figure: Figure<'_>,
    rounds: usize,
    mut ours: impl FnMut(usize) -> f64,
    mut theirs: impl FnMut(usize) -> f64,
) {
    let rates = turns(rounds, &mut ours, &mut theirs);
    let (own, other, ratio) = medians(rates, |own, other| own / other);
    print(figure, own, other, ratio, "/s");
}

/// Times `ours` and `theirs` in turns as [`compare`] does, and prints what one operation of ours
/// takes longer: the median of the rounds' own differences. `goal` is the most that it may, in
/// nanoseconds.
#[expect(clippy::print_stdout, reason = "the figures are the output")]
pub fn compare_added(
    name: &str,
    goal: Option<f64>,
    rounds: usize,
    operations: usize,
    mut ours: impl FnMut(usize) -> Duration,
    mut theirs: impl FnMut(usize) -> Duration,
) {
    let per_operation = |time: Duration| time.as_nanos() as f64 / operations as f64;
    let times = turns(rounds, &mut ours, &mut theirs);
    let times = times.into_iter().map(|pair| pair.map(per_operation));
    let (own, other, added) = medians(times, |own, other| own - other);
    let goal = goal.map_or("-".to_owned(), |goal| {
        format!("<= {goal:.0} {}", verdict(added <= goal))
    });
    println!(
        "{name:<26} ours {own:>6.0} ns  without {other:>6.0} ns  adds {added:>6.0} ns  goal {goal}"
    );
}

/// Makes a JSON object of [`VALUE_BYTES`] that no other call has made: an engine may skip a write
/// that changes nothing.
#[must_use]
pub fn value(number: u64) -> Bytes {
    let head = format!(r#"{{"number":{number},"fill":""#);
    let mut text = Vec::with_capacity(VALUE_BYTES);
    text.extend_from_slice(head.as_bytes());
    text.resize(VALUE_BYTES - 2, b'x');
    text.extend_from_slice(br#""}"#);
    text.into()
}

/// Measures how long `work` takes.
pub fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// A script of `dev/bench/python` in a process of its own. It does what a line tells it, and answers
/// with how often it did it a second.
#[derive(Debug)]
pub struct Python {
    process: Child,
    orders: ChildStdin,
    rates: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a script.
    ///
    /// # Panics
    ///
    /// When Python or its libraries are not there: `dev/test` installs them.
    #[must_use]
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let folder = kv_tests::workspace().join("dev/bench/python");
        let mut process = Command::new(kv_tests::kv_python())
            .arg(folder.join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        Self {
            orders: process.stdin.take().expect("it is piped"),
            rates: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        }
    }

    /// Has it do what `order` says, and returns how often it did it a second.
    ///
    /// # Panics
    ///
    /// When it does not answer with a rate.
    pub fn rate(&mut self, order: &str) -> f64 {
        writeln!(self.orders, "{order}").expect("Python reads");
        let mut rate = String::new();
        self.rates.read_line(&mut rate).expect("Python answers");
        rate.trim().parse().expect("Python answers with a rate")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Fails only when it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lets the two take turns, and returns what each answered in each round but the first.
fn turns<T>(
    rounds: usize,
    ours: &mut dyn FnMut(usize) -> T,
    theirs: &mut dyn FnMut(usize) -> T,
) -> Vec<[T; 2]> {
    let turn = |round| {
        // Whoever is second may find the caches as the first left them.
        if round % 2 == 0 {
            return [ours(round), theirs(round)];
        }
        let other = theirs(round);
        [ours(round), other]
    };
    (0..=rounds).map(turn).skip(1).collect()
}

/// Returns the medians of the rounds' pairs, and of what `combine` makes of each pair.
fn medians(
    rounds: impl IntoIterator<Item = [f64; 2]>,
    combine: impl Fn(f64, f64) -> f64,
) -> (f64, f64, f64) {
    let mut lists = [Vec::new(), Vec::new(), Vec::new()];
    for [own, other] in rounds {
        let values = [own, other, combine(own, other)];
        for (list, value) in lists.iter_mut().zip(values) {
            list.push(value);
        }
    }
    lists.map(median).into()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn print(figure: Figure<'_>, ours: f64, theirs: f64, ratio: f64, unit: &str) {
    let goal = match figure.goal {
        Goal::AtMost(goal) => format!("<= {goal:.2} {}", verdict(ratio <= goal)),
        Goal::AtLeast(goal) => format!(">= {goal:.2} {}", verdict(ratio >= goal)),
        Goal::Open => "-".to_owned(),
    };
    println!(
        "{:<26} {:>8}  ours {ours:>9.0} {unit}  {:<28} {theirs:>9.0} {unit}  ratio {ratio:>6.2}  goal {goal}",
        figure.name, figure.size, figure.against
    );
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
