//! The campaign runner: crashes, damages and starves databases for as long as it is told to.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tests::campaign::{self, Kind, Outcome, Settings};
use tests::kill9::{self, Rounds};
use tests::plants;

use jdb_io::plant::Plant;

const HELP: &str = "\
campaign --kind KIND [options]      crash campaigns of jdb; a run is a function of its seed

KIND      cuts      power cuts at every I/O boundary of small hot runs       (unit: cuts)
          recovery  power cuts inside recovery, three deep                   (nested cuts)
          order     random order of tasks and completions, kills and cuts    (runs)
          faults    EIO, no space, short I/O, failed syncs at every I/O      (faults)
          drops     futures dropped at every poll                            (dropped futures)
          damage    damaged files                                            (damaged files)
          names     power cuts and kills while names are made, renamed, dropped      (cuts)
          all       these seven, one after the other, with the same options
          plants    plants every bug in turn and sees that a campaign finds it
          kill9     real processes killed with SIGKILL; JDB_DRIVER=poll|io_uring chooses the driver

--minutes N     stop after N minutes (also 0.5)
--cuts N        stop after N of the kind's unit (kill9: rounds)
--seeds A..B    seeds A to B-1 (default 1..)
--floor N       fail when less than N of the kind's unit were done, or a kind of damage took effect in < 5 % of the cuts
--plant NAME    plant a bug; the campaign must find it: exit 0 when it does
--threads N     threads (default: one a core)
--trace SEED    run this seed only, on one thread, and say what happens
--fs ext4-shutdown   kill9 on a loop-mounted ext4 that is shut down under the child (root only)

Exit code 1: a promise was broken (seed and message are printed), a floor was missed, or a planted bug was not found.
";

struct Arguments {
    kind: String,
    settings: Settings,
    floor: u64,
    ext4: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, seed, version, dir, rest @ ..] = &arguments[..]
        && flag == "--child"
    {
        let number = |text: &str| text.parse().unwrap_or(0);
        let code = kill9::child(number(seed), number(version), &PathBuf::from(dir), !rest.is_empty());
        return ExitCode::from(code as u8);
    }
    match parse(&arguments) {
        Ok(arguments) => run(&arguments),
        Err(problem) => {
            eprintln!("{problem}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let mut settings = Settings::new(Kind::Cuts);
    settings.threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut parsed = Arguments { kind: String::new(), settings, floor: 0, ext4: false };
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        if flag == "--help" || flag == "-h" {
            return Err(String::new());
        }
        let value = rest.next().ok_or_else(|| format!("{flag} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{flag} {value}: not a number"));
        let settings = &mut parsed.settings;
        match flag.as_str() {
            "--kind" => parsed.kind.clone_from(value),
            "--minutes" => {
                let minutes: f64 = value.parse().map_err(|_| format!("{flag} {value}: not a number"))?;
                settings.time =
                    Duration::try_from_secs_f64(minutes * 60.0).map_err(|e| format!("{flag}: {e}"))?;
            }
            "--cuts" | "--bound" => settings.bound = number()?,
            "--floor" => parsed.floor = number()?,
            "--threads" => settings.threads = number()? as usize,
            "--trace" => {
                (settings.first_seed, settings.seed_count) = (number()?, 1);
                (settings.threads, settings.trace) = (1, true);
            }
            "--seeds" => {
                let (from, to) = value.split_once("..").ok_or("--seeds wants A..B")?;
                let bound =
                    |text: &str| text.parse::<u64>().map_err(|_| format!("{flag} {value}: not a range"));
                settings.first_seed = bound(from)?;
                settings.seed_count = bound(to)?.saturating_sub(settings.first_seed);
            }
            "--plant" => {
                let plant = Plant::ALL.iter().find(|plant| plant.name() == value);
                settings
                    .plants
                    .push(*plant.ok_or_else(|| format!("no such bug: {value}; there are {:?}", Plant::ALL))?);
            }
            "--fs" if value == "ext4-shutdown" => parsed.ext4 = true,
            _ => return Err(format!("unknown: {flag} {value}")),
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> ExitCode {
    let settings = &arguments.settings;
    let passed = match arguments.kind.as_str() {
        "kill9" => run_kill9(arguments),
        "plants" => plants::run(settings, &mut |line| println!("{line}")),
        "all" => Kind::ALL
            .iter()
            .all(|kind| run_kind(&Settings { kind: *kind, ..settings.clone() }, arguments.floor)),
        name => match Kind::from_name(name) {
            Some(kind) => run_kind(&Settings { kind, ..settings.clone() }, arguments.floor),
            None => {
                eprintln!("--kind {name}: no such kind\n\n{HELP}");
                return ExitCode::from(2);
            }
        },
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_kind(settings: &Settings, floor: u64) -> bool {
    let outcome = campaign::run(settings);
    let kind = settings.kind;
    let done = kind.done(&outcome.counts);
    let seconds = outcome.elapsed.as_secs_f64();
    println!(
        "{}: {done} {} in {seconds:.1} s ({:.0}/s on {} threads), seeds {}..{}",
        kind.name(),
        kind.unit(),
        done as f64 / seconds.max(0.001),
        settings.threads,
        outcome.seeds.start,
        outcome.seeds.end,
    );
    print!("{}", outcome.counts);
    if !settings.plants.is_empty() {
        return planted(settings, &outcome, done);
    }
    let mut passed = true;
    if let Some((seed, violation)) = &outcome.broken {
        println!("BROKEN, seed {seed}: {violation}\nreplay: campaign --kind {} --trace {seed}", kind.name());
        passed = false;
    }
    if done < floor {
        println!("FLOOR: {done} {} of {floor}", kind.unit());
        passed = false;
    }
    if floor > 0 && kind == Kind::Cuts {
        for rare in outcome.counts.rare_damage(5.0) {
            println!("FLOOR: damage '{rare}' took effect in less than 5 % of the cuts");
            passed = false;
        }
    }
    passed
}

fn planted(settings: &Settings, outcome: &Outcome, done: u64) -> bool {
    let names: Vec<&str> = settings.plants.iter().map(|plant| plant.name()).collect();
    let (names, unit) = (names.join(", "), settings.kind.unit());
    match &outcome.broken {
        Some((seed, violation)) => println!("found {names} after {done} {unit}, seed {seed}: {violation}"),
        None => println!("NOT FOUND: {names} in {done} {unit}"),
    }
    outcome.broken.is_some()
}

fn run_kill9(arguments: &Arguments) -> bool {
    let settings = &arguments.settings;
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("this program cannot find itself: {error}");
            return false;
        }
    };
    let start = Instant::now();
    let rounds = Rounds {
        seed: settings.first_seed,
        rounds: settings.bound.min(settings.seed_count.saturating_mul(12)),
        time: settings.time,
        ext4: arguments.ext4,
        trace: settings.trace,
        program,
    };
    let ended = kill9::run(&rounds);
    if let Some(reason) = ended.skipped {
        println!("kill9: skipped: {reason}");
        return true;
    }
    let (done, seconds) = (ended.counts.kills, start.elapsed().as_secs_f64());
    let how = if arguments.ext4 { "ext4 shutdown" } else { "kill -9" };
    println!("{how}: {done} rounds in {seconds:.1} s, driver {:?}, seeds {}..", ended.driver, rounds.seed);
    print!("{}", ended.counts);
    if let Some((seed, violation)) = &ended.broken {
        println!("BROKEN, seed {seed}: {violation}");
        return false;
    }
    if done < arguments.floor {
        println!("FLOOR: {done} rounds of {}", arguments.floor);
        return false;
    }
    true
}
