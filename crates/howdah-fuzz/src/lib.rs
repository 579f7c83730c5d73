//! Feeds parsers with mutated inputs, in tests: none may panic, and none may hang.
//!
//! Each target is a test beside the code it feeds, with a corpus of real inputs in its repository. `cargo test` mutates
//! them for a moment with fixed random numbers; `make fuzz` goes on for as long as it is told, each time with others. An
//! input that fails is written into the corpus, so that it is tried first from then on (docs/decisions/0011).

mod mutate;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use mutate::Mutator;
use random::Random;

/// Inputs tried when no time is given.
const INPUTS: usize = 2_000;
/// The time that `cargo test` gives to a target at most.
const MOMENT: Duration = Duration::from_secs(5);
/// One input that takes longer keeps a user waiting: a hang. Parsers need milliseconds.
const HANG: Duration = Duration::from_secs(10);
/// Inputs do not grow beyond this.
const MOST_BYTES: usize = 64 << 10;
/// How many seconds `make fuzz` gives to each target.
const SECONDS: &str = "HOWDAH_FUZZ_SECONDS";

/// What is fed, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Campaign<'a> {
    /// The directory of real inputs; each file is one.
    pub corpus: &'a Path,
    /// Words that mean something to the parser.
    pub words: &'a [&'a str],
}

/// How long a campaign lasts, and which random numbers it has.
struct Budget {
    inputs: usize,
    time: Duration,
    seed: u64,
}

impl Budget {
    fn of_environment() -> Budget {
        #[expect(
            clippy::disallowed_methods,
            reason = "the only setting of a test driver"
        )]
        let seconds = std::env::var(SECONDS)
            .ok()
            .and_then(|text| text.parse().ok());
        match seconds {
            Some(seconds) => Budget {
                inputs: usize::MAX,
                time: Duration::from_secs(seconds),
                seed: SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .map_or(1, |now| now.as_secs() ^ u64::from(now.subsec_nanos())),
            },
            None => Budget {
                inputs: INPUTS,
                time: MOMENT,
                seed: 1,
            },
        }
    }
}

/// Feeds `target` with the corpus and with mutations of it. Panics with the name of a file that holds the input when
/// `target` panics or hangs.
pub fn run(campaign: &Campaign, target: impl Fn(&[u8])) {
    let corpus = read(campaign.corpus);
    assert!(
        !corpus.is_empty(),
        "no inputs in {}",
        campaign.corpus.display()
    );
    for (path, input) in &corpus {
        feed(&target, input, || path.clone());
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let budget = Budget::of_environment();
    let mutator = Mutator {
        inputs: &inputs,
        words: campaign.words,
    };
    let mut random = Random::new(budget.seed);
    let deadline = Instant::now() + budget.time;
    for _ in 0..budget.inputs {
        if Instant::now() > deadline {
            break;
        }
        let mut input = mutator.input(&mut random);
        input.truncate(MOST_BYTES);
        feed(&target, &input, || keep(campaign.corpus, &input));
    }
}

fn read(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs_err::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| Some((path.clone(), fs_err::read(path).ok()?)))
        .collect()
}

/// One input; `file` names the file that holds it.
fn feed(target: &impl Fn(&[u8]), input: &[u8], file: impl Fn() -> PathBuf) {
    let begin = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    if let Err(panic) = result {
        let file = file();
        assert!(!file.as_os_str().is_empty(), "the input cannot be kept");
        resume_unwind(Box::new(format!(
            "{} makes it panic: {}",
            file.display(),
            told(&*panic)
        )));
    }
    let took = begin.elapsed();
    assert!(
        took < HANG,
        "{} keeps it busy for {took:?}",
        file().display()
    );
}

fn told(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default()
}

/// Writes an input into the corpus, under a name that its content gives.
fn keep(corpus: &Path, input: &[u8]) -> PathBuf {
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = corpus.join(format!("found-{hash:016x}"));
    // What cannot be written is told by the message all the same.
    fs_err::write(&path, input).ok();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_and_its_input_kept() {
        let corpus = std::env::temp_dir().join(format!("howdah-fuzz-{}", std::process::id()));
        fs_err::create_dir_all(&corpus).unwrap();
        fs_err::write(corpus.join("a"), "one two three").unwrap();
        let campaign = Campaign {
            corpus: &corpus,
            words: &["boom"],
        };
        let target = |input: &[u8]| assert!(!input.windows(4).any(|part| part == b"boom"));
        let failed = catch_unwind(|| run(&campaign, target)).unwrap_err();
        let message = failed.downcast_ref::<String>().unwrap();
        let kept = fs_err::read_dir(&corpus).unwrap().count();
        fs_err::remove_dir_all(&corpus).unwrap();
        assert!(
            message.contains("found-") && message.contains("boom"),
            "{message}"
        );
        assert_eq!(kept, 2);
    }
}
